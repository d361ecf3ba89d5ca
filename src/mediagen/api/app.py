"""The web application: routers of every dialect over one runtime."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, Response
from fastapi_offline import FastAPIOffline
from starlette.staticfiles import StaticFiles

import mediagen
from mediagen.api import files, hooks, native, ops, problems, stream
from mediagen.api.guard import Guard
from mediagen.errors import NotFound
from mediagen.runtime import Runtime

_PAGE = Path(__file__).parent / "page"
_DESCRIPTION = "Submit a prompt, get a job id at once, follow it, get a picture that is kept."
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def build_app(runtime: Runtime) -> FastAPI:
    """Return the application. The caller starts and closes the runtime."""
    prefix = runtime.settings.api_v1_prefix
    app = FastAPIOffline(
        title=runtime.settings.project_name,
        version=mediagen.__version__,
        description=_DESCRIPTION,
        openapi_url=f"{prefix}/openapi.json",
        separate_input_output_schemas=False,
    )
    app.state.runtime = runtime
    problems.install(app)
    for base in (prefix, ""):
        app.router.routes += native.hot_routes(base)
    for router in (native.router, stream.router, files.router, ops.router):
        app.include_router(router, prefix=prefix)
        app.include_router(router, include_in_schema=False)
    app.include_router(hooks.router)
    _serve_page(app, prefix)
    app.add_middleware(Guard, hosts=runtime.settings.hosts)
    return app


def _serve_page(app: FastAPI, prefix: str) -> None:
    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page() -> Response:
        headers = {"content-security-policy": PAGE_POLICY, "cache-control": "no-cache"}
        return FileResponse(_PAGE / "index.html", headers=headers)

    @app.api_route(
        f"{prefix}/{{rest:path}}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False
    )
    async def nothing(_: Request) -> Response:
        raise NotFound("There is no such address in the API; /docs lists them all")

    app.mount("/page", _Fresh(directory=_PAGE), name="page")


class _Fresh(StaticFiles):
    """Files that are asked for again each time (304 while unchanged): an upgrade must not mix old and new ones."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers["cache-control"] = "no-cache"
        return response
