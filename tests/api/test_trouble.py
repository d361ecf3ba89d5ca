"""Trouble stops only what it must: a full disk, a body that is too large, a database that was put back."""

import asyncio
import json
from typing import Any, cast

import pytest

from mediagen.settings import Settings
from mediagen.storages.local import LocalStorage
from tests.api.conftest import API, Api


def fill_disk(api: Api) -> None:
    storage = cast(LocalStorage, api.runtime.storage)
    storage.min_free_bytes, storage._room_due = 10**18, 0.0


async def submit(api: Api, key: str, prompt: str = "a fox") -> tuple[int, dict[str, Any]]:
    headers = {"Idempotency-Key": key}
    status, _, body = await api.call("POST", f"{API}/generate", json={"prompt": prompt}, headers=headers)
    return status, body


async def test_a_key_that_was_used_is_answered_as_before_when_the_disk_is_low(idle_api: Api) -> None:
    _, first = await submit(idle_api, "k")
    fill_disk(idle_api)
    status, again = await submit(idle_api, "k")
    assert (status, again["id"]) == (202, first["id"])
    assert (await submit(idle_api, "k", "an owl"))[0] == 422
    assert (await submit(idle_api, "new"))[0] == 507
    assert (await idle_api.call("POST", f"{API}/generate", json={"prompt": "a fox"}))[0] == 507


@pytest.mark.parametrize("announced", [True, False])
async def test_a_413_reaches_a_client_that_is_still_writing(
    idle_api: Api, settings: Settings, announced: bool
) -> None:
    host, port = idle_api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    size, piece = 6 * settings.max_body_bytes, b"x" * 65_536
    length = f"Content-Length: {size}" if announced else "Transfer-Encoding: chunked"
    head = f"POST {API}/generate HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
    writer.write(head.encode())
    for _ in range(size // len(piece)):
        writer.write(piece if announced else b"10000\r\n%b\r\n" % piece)
        await writer.drain()
    if not announced:
        writer.write(b"0\r\n\r\n")
    async with asyncio.timeout(20):
        answer = await reader.read(1000)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"MAX_BODY_BYTES" in answer
    writer.close()


async def first_event(api: Api, path: str, last: str) -> tuple[str, dict[str, Any]]:
    async with api.http.get(f"{api.url}{path}", headers={"Last-Event-ID": last}) as stream:
        name = ""
        async for raw in stream.content:
            line = raw.decode().strip()
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            if line.startswith("data: "):
                return name, json.loads(line.removeprefix("data: "))
    return "", {}


async def test_a_reader_with_a_newer_event_than_there_is_learns_that_the_database_was_put_back(
    idle_api: Api,
) -> None:
    job = await idle_api.generate()
    newest = await idle_api.runtime.jobs.newest_event_id()
    for path in (f"{API}/events", f"{API}/jobs/{job['id']}/events"):
        name, data = await first_event(idle_api, path, str(newest + 1))
        assert (name, data["newest"] <= newest) == ("reset", True)
    name, data = await first_event(idle_api, f"{API}/jobs/{job['id']}/events", "0")
    assert (name, data["job_id"]) == ("created", job["id"])
