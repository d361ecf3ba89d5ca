"""Secrets that are planted in every setting that takes one, and found nowhere else afterwards."""

import asyncio
import base64
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from tests.fakes import kept
from tests.fakes.rawhttp import app_server
from tests.fakes.replicate_data import Switches
from tests.security.hostile import API, HostileProvider, Site, served

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = "r8_canaryOfTheProvider0123456789abcdefgh"
WEBHOOK = base64.b64encode(b"canary-of-the-webhooks-0123456789").decode()
PASSWORD = "canaryOfTheDatabase7391"
BROKER = "canaryOfTheBroker7392"
STORAGE = "canaryOfTheStorage7393"
HOOK = "canaryOfTheHooks7394-0123456789abcdef"
CANARIES = (TOKEN, WEBHOOK, PASSWORD, BROKER, STORAGE, HOOK)
_PATIENCE_S = 60
_UNREACHABLE = "127.0.0.1:9"

JOBS: dict[str, dict[str, Any]] = {
    "succeeds": {},
    "fails": {"fake": {"fail": "Bearer @TOKEN@ was no good"}},
    "is refused": {"fake": {"refuse": 422, "refuse_detail": "invalid: Authorization: Bearer @TOKEN@"}},
    "is answered with rubbish": {"fake": {"after_accept": "malformed"}},
    "is answered with 502": {"fake": {"after_accept": "502"}},
    "is cut off": {"fake": {"after_accept": "drop"}},
    "gets a dead link": {"fake": {"file": "gone"}},
    "gets a page": {"fake": {"file": "html"}},
    "gets nothing": {"fake": {"file": "empty"}},
}


def leaks(text: str | bytes) -> list[str]:
    """Return the canaries in it, also those written as base64."""
    known = text if isinstance(text, str) else text.decode(errors="replace")
    forms = {canary: (canary, base64.b64encode(canary.encode()).decode().rstrip("=")) for canary in CANARIES}
    return [canary for canary, written in forms.items() if any(form in known for form in written)]


class Echoing(HostileProvider):
    """A provider whose errors repeat the token that it was given."""

    def switches_of(self, _request: web.Request, given: dict[str, Any]) -> Switches:
        switches = super().switches_of(_request, given)
        fail, detail = (text.replace("@TOKEN@", TOKEN) for text in (switches.fail, switches.refuse_detail))
        return replace(switches, fail=fail, refuse_detail=detail)


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """A server after its jobs, with its provider."""

    site: Site
    provider: HostileProvider
    jobs: dict[str, dict[str, Any]]
    received: list[bytes]  # what our webhooks brought


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aftermath(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aftermath]:
    received: list[bytes] = []
    arrived = asyncio.Condition()

    async def hear(request: web.Request) -> web.Response:
        received.append(str(dict(request.headers)).encode() + await request.read())
        async with arrived:
            arrived.notify_all()
        return web.Response()

    async with Echoing(TOKEN) as provider, app_server(hear) as client:
        env = provider.settings() | {
            "WEBHOOK_SECRET": f"whsec_{WEBHOOK}",
            "HOOK_SECRET": HOOK,
            "WEBHOOK_ALLOW_PRIVATE": "true",
            "DEBUG": "true",
        }
        async with served(tmp_path_factory.mktemp("server"), env) as site:
            ids = {
                name: await site.submit(
                    name, model="acme/painter", parameters=given, webhook_url=f"{client}/hook"
                )
                for name, given in JOBS.items()
            }
            jobs = {name: await site.finished(job_id) for name, job_id in ids.items()}
            async with asyncio.timeout(_PATIENCE_S), arrived:
                await arrived.wait_for(lambda: len(received) >= len(JOBS))
            yield Aftermath(site=site, provider=provider, jobs=jobs, received=received)


async def test_the_secrets_were_used(aftermath: Aftermath) -> None:
    """Else their absence would mean nothing."""
    assert all(seen.headers["Authorization"] == f"Bearer {TOKEN}" for seen in aftermath.provider.creates)
    assert len(aftermath.provider.creates) >= len(JOBS)
    assert aftermath.jobs["succeeds"]["status"] == "completed"
    assert any(b"webhook-signature" in one.lower() for one in aftermath.received)


async def test_no_log_holds_one(aftermath: Aftermath) -> None:
    assert leaks(aftermath.site.server.output) == []


def _cells(path: Path) -> Iterator[tuple[str, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                yield from ((table, cell) for cell in row)


async def test_no_row_holds_one(aftermath: Aftermath) -> None:
    cells = list(_cells(aftermath.site.server.data_dir / "mediagen.db"))
    assert len(cells) > 500
    assert [(table, cell) for table, cell in cells if leaks(str(cell))] == []


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # a temporary one: the server is at work
        return b""


async def test_no_kept_file_holds_one(aftermath: Aftermath) -> None:
    files = [path for path in aftermath.site.server.data_dir.rglob("*") if path.is_file()]
    assert [path.name for path in files if leaks(_content(path))] == []


async def test_no_answer_holds_one(aftermath: Aftermath) -> None:
    site = aftermath.site
    document = await site.json("/openapi.json")
    ids = {"job_id": [job["id"] for job in aftermath.jobs.values()], "key": [_key(aftermath)]}
    paths = ["/", "/history", "/docs", "/nothing", f"{API}/jobs?limit=100", f"{API}/jobs/nonsense"]
    for path, operations in document["paths"].items():
        if "get" in operations and "events" not in path:
            paths += _filled(path, ids)
    answers = {path: await site.call("GET", path) for path in paths}
    assert len(answers) > 30
    found = {path: leaks(body + str(headers).encode()) for path, (_, headers, body) in answers.items()}
    assert {path: canaries for path, canaries in found.items() if canaries} == {}


def _key(aftermath: Aftermath) -> str:
    return str(aftermath.jobs["succeeds"]["artifacts"][0]["key"])


def _filled(path: str, ids: dict[str, list[str]]) -> list[str]:
    names = [name for name in ids if f"{{{name}}}" in path]
    return [path.replace(f"{{{names[0]}}}", value) for value in ids[names[0]]] if names else [path]


async def test_no_event_holds_one(aftermath: Aftermath) -> None:
    for job in aftermath.jobs.values():
        _, _, body = await aftermath.site.call("GET", f"{API}/jobs/{job['id']}/events?last_event_id=0")
        assert b"event:" in body
        assert leaks(body) == []


async def test_no_webhook_of_ours_brings_one(aftermath: Aftermath) -> None:
    assert [leaks(one) for one in aftermath.received if leaks(one)] == []


async def test_the_provider_is_told_none_but_its_own(aftermath: Aftermath) -> None:
    for seen in aftermath.provider.creates:
        bare = {name: value for name, value in seen.headers.items() if name != "Authorization"}
        assert leaks(str(bare) + str(seen.body)) == []
    for headers in aftermath.provider.downloads:
        assert [canary for canary in leaks(str(headers)) if canary != TOKEN] == []


SETTINGS = {
    "REPLICATE_API_TOKEN": TOKEN,
    "REPLICATE_API_BASE_URL": f"http://{_UNREACHABLE}",
    "WEBHOOK_SECRET": f"whsec_{WEBHOOK}",
    "HOOK_SECRET": HOOK,
    "DATABASE_URL": f"postgresql://mediagen:{PASSWORD}@{_UNREACHABLE}/mediagen",
    "REDIS_URL": f"redis://:{BROKER}@{_UNREACHABLE}/0",
    "STORAGE_TYPE": "s3",
    "S3_ENDPOINT": f"http://{_UNREACHABLE}",
    "S3_BUCKET": "mediagen",
    "S3_ACCESS_KEY": "mediagen",
    "S3_SECRET_KEY": STORAGE,
}


@pytest.mark.parametrize("debug", ["true", "false"])
@pytest.mark.parametrize(
    "args",
    [["config"], ["doctor"], ["audit"], ["migrate"], ["serve"], ["jobs"], ["generate", "x"]],
    ids=" ".join,
)
async def test_no_command_prints_one_when_no_part_can_be_reached(
    tmp_path: Path, args: list[str], debug: str
) -> None:
    _, said = await _run(tmp_path, args, SETTINGS | {"DEBUG": debug})
    assert said.strip()
    assert leaks(said) == []
    assert b"Traceback" not in said


async def _run(folder: Path, args: Sequence[str], env: Mapping[str, str]) -> tuple[int | None, bytes]:
    """Run a command that ends by itself; return its exit code and all that it wrote."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mediagen", *args),
        cwd=folder,
        env={"PATH": os.environ["PATH"], **kept.mark(), "DATA_DIR": str(folder), "PORT": "0", **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_PATIENCE_S):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REPLICATE_API_TOKEN", f"{TOKEN}ü"),
        ("WEBHOOK_SECRET", f"{WEBHOOK}!"),
        ("DATABASE_URL", f"mysql://mediagen:{PASSWORD}@localhost/x"),
        ("DATABASE_URL", f"postgresql://mediagen:{PASSWORD}@local host:x/y"),
        ("REDIS_URL", f"http://:{BROKER}@localhost"),
        ("REDIS_URL", f"redis://:{BROKER}@localhost:port/0"),
        ("CELERY_BROKER_URL", f"amqp://guest:{BROKER}@[localhost"),
    ],
)
async def test_a_refused_setting_is_named_without_its_secret(tmp_path: Path, name: str, value: str) -> None:
    code, said = await _run(tmp_path, ["serve"], {name: value})
    assert code != 0
    assert leaks(said) == []
    assert b"Traceback" not in said
