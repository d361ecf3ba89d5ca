"""The fake Replicate keeps its own promises, in this process and as a process of its own."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.fakes.rawhttp import app_server
from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_client import a_call, bought, provider_at

ROOT = Path(__file__).parents[2]
HEADERS = {"Authorization": "Bearer r8_fake"}


@pytest.fixture
async def fake() -> AsyncIterator[FakeReplicate]:
    async with FakeReplicate() as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        yield session


async def post(client: aiohttp.ClientSession, url: str, body: Any, **headers: str) -> tuple[int, Any]:
    async with client.post(
        url, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
    ) as said:
        return said.status, await said.json()


async def test_webhooks_ring_at_start_and_end_of_a_prediction(
    fake: FakeReplicate, client: aiohttp.ClientSession
) -> None:
    heard: list[tuple[str, str]] = []

    async def listen(request: web.Request) -> web.Response:
        view = await request.json()
        heard.append((request.path, view["status"]))
        return web.Response()

    async with app_server(listen) as url:
        body = {
            "input": {"prompt": "x"},
            "webhook": f"{url}/h",
            "webhook_events_filter": ["start", "completed"],
        }
        await post(client, f"{fake.url}/v1/models/a/b/predictions", body)
        await fake.until(lambda: len(fake.rung) == 2)
    assert heard == [("/h", "processing"), ("/h", "succeeded")]


async def test_a_webhook_that_nobody_hears_is_noted(
    fake: FakeReplicate, client: aiohttp.ClientSession
) -> None:
    hook = "http://127.0.0.1:1/h"
    await post(client, f"{fake.url}/v1/predictions", {"input": {"prompt": "x"}, "webhook": hook})
    await fake.until(lambda: fake.unheard == [hook])


async def test_webhooks_can_be_lost(fake: FakeReplicate, client: aiohttp.ClientSession) -> None:
    fake.switches.send_webhooks = False
    body = {"input": {"prompt": "x"}, "webhook": "http://127.0.0.1:1/h"}
    _, prediction = await post(client, f"{fake.url}/v1/predictions", body)
    await fake.ended(prediction["id"])
    assert (fake.rung, fake.unheard) == ([], [])


@pytest.mark.parametrize("deadline", ["0s", "0", "0m0s"])
async def test_a_prediction_over_its_deadline_is_canceled(
    fake: FakeReplicate, client: aiohttp.ClientSession, deadline: str
) -> None:
    fake.switches.latency_s = -1
    body = {"input": {"prompt": "x"}}
    _, prediction = await post(client, f"{fake.url}/v1/predictions", body, Cancel_After=deadline)
    await fake.ended(prediction["id"])
    assert fake.kept[prediction["id"]].status == "canceled"


async def test_a_prediction_may_not_heed_its_deadline(
    fake: FakeReplicate, client: aiohttp.ClientSession
) -> None:
    fake.switches.latency_s, fake.switches.heeds_deadline = 0.01, False
    _, prediction = await post(
        client, f"{fake.url}/v1/predictions", {"input": {"prompt": "x"}}, Cancel_After="0s"
    )
    await fake.ended(prediction["id"])
    assert fake.kept[prediction["id"]].status == "succeeded"


async def test_a_held_prediction_ends_when_it_is_finished(
    fake: FakeReplicate, client: aiohttp.ClientSession
) -> None:
    fake.switches.latency_s = -1
    _, prediction = await post(client, f"{fake.url}/v1/predictions", {"input": {"prompt": "x"}})
    await fake.until(lambda: fake.kept[prediction["id"]].status == "processing")
    fake.finish(prediction["id"])
    await fake.ended(prediction["id"])
    assert fake.kept[prediction["id"]].status == "succeeded"


async def test_a_fault_can_be_limited_to_the_first_creates_of_a_prompt(
    fake: FakeReplicate, client: aiohttp.ClientSession
) -> None:
    fake.switches.refuse, fake.switches.refuse_times = 429, 2
    url = f"{fake.url}/v1/predictions"
    statuses = [(await post(client, url, {"input": {"prompt": p}}))[0] for p in ("x", "x", "x", "y")]
    assert statuses == [429, 429, 201, 429]


async def test_what_is_bought_twice_is_named(fake: FakeReplicate, client: aiohttp.ClientSession) -> None:
    for prompt in ("x", "y", "x"):
        await post(client, f"{fake.url}/v1/predictions", {"input": {"prompt": prompt}})
    stats = fake.stats()
    assert (stats["created"], stats["by_prompt"], stats["bought_twice"]) == (3, {"x": 2, "y": 1}, ["x"])


@pytest.mark.parametrize("body", [{"input": {"prompt": "x", "fake": {"nonsense": 1}}}, {"input": {}}, {}])
async def test_a_create_that_makes_no_sense_is_refused(
    fake: FakeReplicate, client: aiohttp.ClientSession, body: Any
) -> None:
    status, _ = await post(client, f"{fake.url}/v1/predictions", body)
    assert (status, fake.kept) == (422, {})


async def test_as_a_process_it_is_steered_and_counted_over_http(client: aiohttp.ClientSession) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.replicate", "--port", "0", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        status, switches = await post(client, f"{url}/_control", {"after_accept": "502"})
        assert (status, switches["after_accept"]) == (200, "502")
        assert (await post(client, f"{url}/_control", {"nonsense": 1}))[0] == 422
        assert (await post(client, f"{url}/v1/predictions", {"input": {"prompt": "x"}}))[0] == 502
        async with client.get(f"{url}/_stats") as said:
            assert (await said.json())["by_prompt"] == {"x": 1}
        await post(client, f"{url}/_control", {"after_accept": ""})
        async with provider_at(url) as provider:
            assert (await bought(provider, a_call())).ref
    finally:
        process.terminate()
        await process.wait()
