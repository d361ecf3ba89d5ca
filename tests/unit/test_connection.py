"""A command's connection to a server: what is lost on the way is asked for again, and nothing is bought twice."""

import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from mediagen.clock import SystemClock
from mediagen.commands.connection import Remote
from mediagen.commands.saving import Target, save
from mediagen.errors import Conflict, MediagenError, NotFound, Unavailable
from tests.fakes.clock import ManualClock
from tests.fakes.rawhttp import app_server

API = "/api/v1"
JOB: dict[str, Any] = {"id": "01a1fb9c-b12a-73f4-b13f-ae804f493ad2", "prompt": "a red fox"}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def remote(handler: Handler) -> AsyncIterator[Remote]:
    async with app_server(handler) as url, aiohttp.ClientSession() as session:
        yield Remote(session, url, API, ManualClock())


def hang_up(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def problem(status: int, code: str, detail: str) -> web.Response:
    body = {"status": status, "code": code, "detail": detail}
    return web.json_response(body, status=status, content_type="application/problem+json")


async def test_a_submit_whose_answer_is_lost_is_sent_again_under_the_same_key() -> None:
    keys: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        keys.append(request.headers["Idempotency-Key"])
        return hang_up(request) if len(keys) == 1 else web.json_response(JOB, status=202)

    async with remote(handler) as server:
        assert await server.submit({"prompt": "a red fox"}) == JOB
    assert len(keys) == 2
    assert keys[0] == keys[1]


async def test_two_submits_have_different_keys() -> None:
    keys: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        keys.append(request.headers["Idempotency-Key"])
        return web.json_response(JOB, status=202)

    async with remote(handler) as server:
        await server.submit({"prompt": "a red fox"})
        await server.submit({"prompt": "a red fox"})
    assert keys[0] != keys[1]


async def test_a_full_disk_is_told_at_once() -> None:
    sent: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        sent.append(request.path)
        return problem(507, "storage_full", "The disk is full")

    async with remote(handler) as server:
        with pytest.raises(Unavailable, match="The disk is full"):
            await server.submit({"prompt": "a red fox"})
    assert len(sent) == 1


async def test_following_goes_on_after_the_last_event_that_was_read() -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path.startswith(f"{API}/status/"):
            return web.json_response({**JOB, "status": "completed" if len(asked) > 1 else "processing"})
        asked.append(request.headers["Last-Event-ID"])
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": mediagen\n\nid: %d\ndata: {}\n\n" % (6 + len(asked)))
        return hang_up(request) if len(asked) == 1 else response

    async with remote(handler) as server:
        seen = [job["status"] async for job in server.follow(JOB["id"])]
    assert asked == ["0", "7"]
    assert seen == ["processing", "completed"]


async def test_a_job_that_has_ended_and_whose_events_are_read_is_found_ended() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/events"):
            return web.Response(status=204)
        return web.json_response({**JOB, "status": "failed"})

    async with remote(handler) as server:
        assert [job["status"] async for job in server.follow(JOB["id"])] == ["failed"]


async def test_following_gives_up_a_server_that_stays_away() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return hang_up(request)

    async with remote(handler) as server:
        with pytest.raises(Unavailable, match="does not answer"):
            await anext(server.follow(JOB["id"]))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(404, "not_found", NotFound), (409, "conflict", Conflict), (503, "unavailable", Unavailable)],
)
async def test_the_server_s_problems_are_raised_as_what_they_were(
    status: int, code: str, kind: type[MediagenError]
) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return problem(status, code, "So it is")

    async with remote(handler) as server:
        with pytest.raises(kind, match="So it is"):
            await server.cancel(JOB["id"])


async def test_another_program_on_the_port_is_no_mediagen() -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<h1>It works!</h1>", content_type="text/html")

    async with remote(handler) as server:
        assert not await server.answers()
        with pytest.raises(MediagenError, match="is it a mediagen server"):
            await server.get(JOB["id"])


async def test_an_id_can_not_lead_to_another_address() -> None:
    paths: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        paths.append(request.raw_path)
        return web.json_response({})

    async with remote(handler) as server:
        with pytest.raises(NotFound):
            await server.get("../../../secrets-of-the-server/......")
    assert paths == []


@pytest.mark.parametrize("fault", ["other bytes", "cut off"])
async def test_a_file_that_comes_damaged_is_not_saved(fault: str, tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 8
        await response.prepare(request)
        await response.write(b"tampered" if fault == "other bytes" else b"right")
        return response if fault == "other bytes" else hang_up(request)

    artifact = {"key": "abc.png", "index": 0, "sha256": hashlib.sha256(b"rightful").hexdigest()}
    target = Target(folder=tmp_path, path=tmp_path / "fox.png")
    async with remote(handler) as server:
        with pytest.raises(MediagenError):
            await save(server, {**JOB, "artifacts": [artifact]}, target, SystemClock())
    assert os.listdir(tmp_path) == []
