"""The web app: its built files, held in memory, and its page wherever a browser asks for one of its addresses."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from mimetypes import guess_type
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

BUILT = Path(__file__).parent.parent / "web"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
# Some of these are addresses of the API without its prefix too: who accepts HTML gets the page.
_ADDRESSES = re.compile(r"/|/history|/architecture|/jobs|/jobs/[^/]+")
_REFUSED = re.compile(r";\s*q=0(\.0*)?\s*$")
_ENCODINGS = {"br": ".br", "gzip": ".gz"}  # the better one first
_FOREVER = "public, max-age=31536000, immutable"  # names under /assets/ hold a hash of the content
_DOCUMENTED_PREFIX = 'name="api-prefix" content="/api/v1"'
_NOT_BUILT = (
    b"<!doctype html><title>mediagen</title><p>The API works. This web app is not built yet: "
    b"start with <code>./run</code>, or run <code>python web/build.py</code>, then start again. "
    b"<a href=/docs>Documentation of the API</a>"
)


@dataclass(frozen=True, kw_only=True)
class BuiltFile:
    """One file of the app in every encoding that it has."""

    media_type: str
    etag: str
    bodies: Mapping[str, bytes]  # by content coding; "identity" is always there
    headers: Mapping[str, str] = field(default_factory=dict)

    def answer(self, request: Headers, *, status: int = 200) -> Response:
        """Return the response in the best encoding that the client takes."""
        accepted = _accepted(request.get("accept-encoding", ""))
        encoding = next((name for name in self.bodies if name in accepted), "identity")
        etag = f'"{self.etag}-{encoding}"'
        headers = {**self.headers, "etag": etag, "vary": "accept, accept-encoding"}
        if status == 200 and etag in request.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if encoding != "identity":
            headers["content-encoding"] = encoding
        return Response(self.bodies[encoding], status, headers, media_type=self.media_type)


class WebApp:
    """ASGI middleware in front of the API."""

    def __init__(self, app: ASGIApp, files: Mapping[str, BuiltFile]) -> None:
        self._app = app
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            headers = Headers(scope=scope)
            path = "/" if _ADDRESSES.fullmatch(scope["path"]) and _wants_page(headers) else scope["path"]
            if found := self._files.get(path):
                await found.answer(headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _wants_page(headers: Headers) -> bool:
    return "text/html" in headers.get("accept", "")


def _accepted(header: str) -> set[str]:
    """Return the encodings that an `Accept-Encoding` names and does not refuse."""
    parts = (part for part in header.lower().split(",") if not _REFUSED.search(part))
    return {part.partition(";")[0].strip() for part in parts}


def lost(files: Mapping[str, BuiltFile], headers: Headers) -> Response | None:
    """Return the page that says so to a browser at an address that nothing has; None for other clients."""
    return files["/"].answer(headers, status=404) if _wants_page(headers) else None


def read_files(prefix: str, folder: Path = BUILT) -> Mapping[str, BuiltFile]:
    """Return the built files by their paths, the page as "/"; a page that says how to build it when it is not."""
    if not (folder / "index.html").is_file():
        return {"/": _page(_NOT_BUILT)}
    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    files = {f"/{name}": _file(folder, name) for name in names if not name.endswith((".br", ".gz"))}
    page = (folder / "index.html").read_text()
    own = page.replace(_DOCUMENTED_PREFIX, _DOCUMENTED_PREFIX.replace("/api/v1", prefix)).encode()
    return {path: file for path, file in files.items() if not path.startswith("/.")} | {"/": _page(own)}


def _file(folder: Path, name: str) -> BuiltFile:
    content = (folder / name).read_bytes()
    packed = {
        coding: file.read_bytes()
        for coding, suffix in _ENCODINGS.items()
        if (file := folder / f"{name}{suffix}").is_file()
    }
    return BuiltFile(
        media_type=guess_type(name)[0] or "application/octet-stream",
        etag=_etag(content),
        bodies={**packed, "identity": content},
        headers={"cache-control": _FOREVER if name.startswith("assets/") else "no-cache"},
    )


def _page(content: bytes) -> BuiltFile:
    return BuiltFile(
        media_type="text/html",
        etag=_etag(content),
        bodies={"identity": content},
        headers={"cache-control": "no-cache", "content-security-policy": PAGE_POLICY},
    )


def _etag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:20]
