"""Our webhooks: they are signed and arrive at last."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from mediagen.jobs.service import Submission
from mediagen.jobs.view import detail_json
from mediagen.runtime import Runtime
from mediagen.settings import Settings
from mediagen.worker.webhooks import PAUSES_S, WebhookSender
from tests.api.conftest import Api, serving
from tests.fakes.clock import ManualClock
from tests.fakes.rawhttp import RawServer, answering, app_server, raw_server

DAY_S = 86_400


@dataclass
class Receiver:
    """A user's server that takes webhooks; it answers as scripted, then with 204."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    came: asyncio.Queue[None] = field(default_factory=asyncio.Queue)

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append((headers, await request.read()))
        self.came.put_nowait(None)
        status = self.answers.pop(0) if self.answers else 204
        return web.Response(status=status, headers={"Location": self.url} if status == 302 else None)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with app_server(receiver.take) as url:
        receiver.url = f"{url}/hook"
        yield receiver


# ---------------------------------------------------------------------------------------------- ours, from a server


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    reachable = settings.model_copy(update={"webhook_allow_private": True})
    async with serving(reachable) as running:
        yield running


@pytest.mark.parametrize(("fault", "status"), [("none", "completed"), ("failure", "failed")])
async def test_the_end_of_a_job_is_delivered_signed_with_all_that_is_known_of_it(
    api: Api, receiver: Receiver, fault: str, status: str
) -> None:
    parameters = {"fault": fault, "latency_s": 0, "width": 64, "height": 64}
    job = await api.generate(parameters=parameters, webhook_url=receiver.url)
    async with asyncio.timeout(20):
        await receiver.came.get()
    [(headers, body)] = receiver.received
    payload = Webhook(api.runtime.secrets.webhook).verify(body, headers)
    assert (payload["type"], payload["data"]["id"], payload["data"]["status"]) == (
        "job.completed",
        job["id"],
        status,
    )
    assert payload["data"]["timeline"][-1]["type"] in ("succeeded", "failed")
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == f"msg_{job['id']}"
    assert headers["webhook-signature"].startswith("v1,")
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    if status == "completed":
        async with api.http.get(api.url + payload["data"]["media_path"]) as file:
            assert file.status == 200


# ---------------------------------------------------------------------------------------------- ours, through time


@dataclass(frozen=True)
class Office:
    """An installation without a worker, with a clock in the test's hand and a sender of webhooks."""

    runtime: Runtime
    clock: ManualClock
    sender: WebhookSender

    async def end_a_job(self, webhook_url: str) -> str:
        submitted = await self.runtime.jobs.submit(Submission(prompt="a fox", webhook_url=webhook_url))
        await self.runtime.jobs.cancel(submitted.job.id)
        return submitted.job.id

    async def send(self, after_s: float = 0) -> int:
        self.clock.advance(after_s)
        begun = await self.sender.send_due()
        await self.sender.finish()
        return begun

    async def outbox(self) -> Sequence[tuple[str, int | None]]:
        """Return state and last status of every delivery."""
        query = "SELECT state, last_status FROM webhook_outbox ORDER BY id"
        return [tuple(row) for row in await self.runtime.db.read(lambda c: c.exec_driver_sql(query).all())]


@asynccontextmanager
async def office_in(folder: Path, *, allow_private: bool) -> AsyncIterator[Office]:
    clock = ManualClock(time.time_ns() // 1_000_000)
    settings = Settings(_env_file=None, data_dir=folder, min_free_bytes=0, webhook_allow_private=True)
    runtime = await Runtime.start(settings, clock)
    sender = WebhookSender(
        db=runtime.db,
        clock=clock,
        jobs=runtime.jobs,
        fetcher=runtime.fetcher,
        links=runtime.links,
        secret=runtime.secrets.webhook,
        allow_private=allow_private,
    )
    try:
        yield Office(runtime, clock, sender)
    finally:
        await runtime.close()


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with office_in(tmp_path, allow_private=True) as office:
        yield office


@pytest.mark.parametrize("status", [500, 404, 302, 429])
async def test_a_delivery_that_was_not_taken_comes_again_as_the_same_message(
    office: Office, receiver: Receiver, status: int
) -> None:
    receiver.answers = [status]
    await office.end_a_job(receiver.url)
    assert (await office.send(), await office.send()) == (1, 0)
    assert await office.outbox() == [("pending", status)]
    assert await office.send(after_s=PAUSES_S[0] * 1.2) == 1
    assert await office.outbox() == [("delivered", 204)]
    (first, body), (second, again) = receiver.received
    assert first["webhook-id"] == second["webhook-id"]
    assert body == again
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) in (5, 6)
    Webhook(office.runtime.secrets.webhook).verify(again, second)


async def test_a_delivery_that_was_taken_never_comes_again(office: Office, receiver: Receiver) -> None:
    await office.end_a_job(receiver.url)
    assert [await office.send(), await office.send(after_s=10 * DAY_S)] == [1, 0]
    assert len(receiver.received) == 1


async def test_a_receiver_that_is_gone_is_not_asked_again(office: Office, receiver: Receiver) -> None:
    receiver.answers = [410]
    job_id = await office.end_a_job(receiver.url)
    assert [await office.send(), await office.send(after_s=10 * DAY_S)] == [1, 0]
    assert await office.outbox() == [("dead", 410)]
    seen = detail_json(await office.runtime.jobs.detail(job_id), office.runtime.links)
    assert seen["delivery"] == {"state": "dead", "attempts": 1, "last_status": 410, "next_try_at": None}


async def test_a_receiver_that_never_takes_it_is_given_up_after_days(
    office: Office, receiver: Receiver
) -> None:
    receiver.answers = [503] * 100
    await office.end_a_job(receiver.url)
    started_ms, tries = office.clock.now_ms(), await office.send()
    while (await office.outbox())[0][0] == "pending":
        tries += await office.send(after_s=3600)
    assert await office.send(after_s=10 * DAY_S) == 0
    assert (tries, len(receiver.received)) == (1 + len(PAUSES_S), 1 + len(PAUSES_S))
    assert office.clock.now_ms() - started_ms > 3 * DAY_S * 1000
    assert len({headers["webhook-id"] for headers, _ in receiver.received}) == 1


async def test_a_receiver_that_is_down_gets_it_when_it_is_back(office: Office) -> None:
    receiver = Receiver()
    async with app_server(receiver.take) as url:
        receiver.url = url
    await office.end_a_job(receiver.url)
    assert await office.send() == 1
    assert await office.outbox() == [("pending", None)]
    port = int(receiver.url.rpartition(":")[2])
    server = await asyncio.start_server(
        RawServer(answering(b"HTTP/1.1 204 OK\r\n\r\n")).serve, "127.0.0.1", port
    )
    async with server:
        await office.send(after_s=PAUSES_S[0] * 1.2)
    assert await office.outbox() == [("delivered", 204)]


async def test_a_slow_receiver_does_not_hold_the_others_up(office: Office, receiver: Receiver) -> None:
    async def wait_for_the_other(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.came.get()
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.write_eof()

    async with raw_server(wait_for_the_other) as slow:
        await office.end_a_job(f"{slow.url}/hook")
        await office.end_a_job(receiver.url)
        assert await office.send() == 2
    assert await office.outbox() == [("delivered", 204)] * 2


async def test_a_receiver_that_never_answers_delays_no_other(office: Office, receiver: Receiver) -> None:
    """160 deliveries to it are due before the one to another, and it holds every connection open."""

    async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(silence) as silent:
        for _ in range(160):
            await office.end_a_job(f"{silent.url}/hook")
        await office.end_a_job(receiver.url)
        while await office.sender.send_due():
            pass
        async with asyncio.timeout(20):
            await receiver.came.get()
            while ("delivered", 204) not in await office.outbox():
                pass
        assert 1 <= silent.connections <= 4
        await office.sender.close()
    assert sorted(set(await office.outbox())) == [("delivered", 204), ("pending", None)]


async def test_a_host_that_did_not_answer_gets_one_delivery_at_a_time(
    office: Office, receiver: Receiver
) -> None:
    gone = Receiver()
    async with app_server(gone.take) as url:
        gone.url = url
    for _ in range(8):
        await office.end_a_job(gone.url)
    assert [await office.send() for _ in range(3)] == [4, 1, 1]


async def test_the_message_of_a_deleted_job_is_not_sent(office: Office, receiver: Receiver) -> None:
    await office.runtime.jobs.delete(await office.end_a_job(receiver.url))
    assert await office.send() == 0
    assert receiver.received == []


@pytest.mark.parametrize(
    "url",
    ["{}", "https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://169.254.169.254/latest"],
)
async def test_a_private_address_is_given_up_at_once_unless_it_is_allowed(tmp_path: Path, url: str) -> None:
    async with office_in(tmp_path, allow_private=False) as office, raw_server(answering(b"")) as server:
        await office.end_a_job(url.format(server.url))
        assert [await office.send(), await office.send(after_s=10 * DAY_S)] == [1, 0]
        assert await office.outbox() == [("dead", None)]
        assert server.connections == 0
