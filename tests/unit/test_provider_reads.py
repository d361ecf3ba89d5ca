"""What a free request tells: the server's clock, whose words an answer is, and that it can't be read."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from typing import Any

import pytest
from aiohttp import web

from mediagen.errors import PredictionGone, ProviderError, Unreadable
from mediagen.providers.http import MAX_RAW, ProviderHTTP
from tests.fakes.handclock import HandClock
from tests.fakes.rawhttp import answering, app_server, http_answer, raw_server

TOKEN = "r8_canary_0123456789"
THERE_S = 1_800_000_000
OWN = b'{"detail": "Not found", "status": 404}'
Connect = Callable[..., ProviderHTTP]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def connect(clock: HandClock) -> AsyncIterator[Connect]:
    made: list[ProviderHTTP] = []

    def new(url: str, **options: Any) -> ProviderHTTP:
        made.append(ProviderHTTP(url, clock=clock, headers={"Authorization": f"Bearer {TOKEN}"}, **options))
        return made[-1]

    yield new
    for http in made:
        await http.close()


def parrot(body: bytes = b"{}", status: int = 200, **headers: str) -> Handler:
    """Return what answers everything with the same thing."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    return answer


# --- the server's clock


@pytest.mark.parametrize("status", [200, 302, 401, 404, 429, 500, 503])
async def test_every_answer_tells_the_servers_time(connect: Connect, status: int) -> None:
    async with app_server(parrot(status=status, Date=formatdate(THERE_S, usegmt=True))) as url:
        http = connect(url)
        await http.exchange("GET", "/")
        now = http.server_clock.now_ms()
    assert now is not None
    assert abs(now - THERE_S * 1000) <= 1100


async def test_a_paid_answer_tells_it_too(connect: Connect) -> None:
    async with app_server(parrot(status=201, Date=formatdate(THERE_S, usegmt=True))) as url:
        http = connect(url)
        await http.send_once("POST", "/", {}, send_by=1001, timeout_s=5)
        assert http.server_clock.now_ms() is not None


async def test_an_answer_out_of_a_cache_does_not(connect: Connect) -> None:
    async with app_server(parrot(Date=formatdate(THERE_S, usegmt=True), Age="120")) as url:
        http = connect(url)
        await http.exchange("GET", "/")
        assert http.server_clock.now_ms() is None


async def test_an_answer_without_a_date_does_not(connect: Connect) -> None:
    async with raw_server(answering(http_answer(b"{}"))) as server:
        http = connect(server.url)
        await http.exchange("GET", "/")
        assert http.server_clock.now_ms() is None


# --- whose words


@pytest.mark.parametrize("body", [b"<html>404 Not Found</html>", b"", b'"Not found"', b"[]", b"{}"])
async def test_a_404_of_a_gateway_does_not_say_that_it_is_gone(connect: Connect, body: bytes) -> None:
    async with app_server(parrot(body, 404)) as url:
        with pytest.raises(ProviderError) as raised:
            await connect(url).read("GET", "/a")
    assert (type(raised.value), raised.value.retryable) == (ProviderError, True)


async def test_a_404_of_the_provider_says_that_it_is_not_there(connect: Connect) -> None:
    async with app_server(parrot(OWN, 404)) as url:
        with pytest.raises(PredictionGone) as raised:
            await connect(url).read("GET", "/a")
    assert not raised.value.sure


@pytest.mark.parametrize("body", [OWN, b"<html>"])
async def test_a_410_says_that_it_is_gone_for_good(connect: Connect, body: bytes) -> None:
    async with app_server(parrot(body, 410)) as url:
        with pytest.raises(PredictionGone) as raised:
            await connect(url).read("GET", "/a")
    assert raised.value.sure


# --- what can't be read


async def test_what_is_no_json_is_unreadable_and_kept_for_people_without_the_token(connect: Connect) -> None:
    page = f"<html>\n<p>{TOKEN}</p>\x00".encode() + b"x" * 100_000
    async with app_server(parrot(page)) as url:
        with pytest.raises(Unreadable) as raised:
            await connect(url).read("GET", "/a")
    assert raised.value.raw.startswith("<html> <p>***</p> xxx")
    assert len(raised.value.raw) == MAX_RAW


async def test_a_list_of_24_megabytes_is_read(connect: Connect) -> None:
    entries = [{"id": f"a{n}", "output": "data:image/png;base64," + "A" * 1_000_000} for n in range(24)]
    async with app_server(parrot(json.dumps({"results": entries}).encode())) as url:
        read = await connect(url).read("GET", "/a")
    assert [entry["id"] for entry in read["results"]] == [f"a{n}" for n in range(24)]


@pytest.mark.parametrize("most", [2_000, 3_000_000])
async def test_an_answer_over_the_cap_is_unreadable(connect: Connect, most: int) -> None:
    async with app_server(parrot(b'["' + b"x" * most + b'"]')) as url:
        with pytest.raises(Unreadable, match=f"more than {most} bytes") as raised:
            await connect(url, max_read_bytes=most).read("GET", "/a")
    assert raised.value.raw.startswith('["xxx')


async def test_an_answer_that_breaks_off_is_unreachable_and_not_unreadable(connect: Connect) -> None:
    async with raw_server(answering(http_answer(b'{"id": "x"', length=4096))) as server:
        with pytest.raises(ProviderError) as raised:
            await connect(server.url).read("GET", "/a")
    assert type(raised.value) is ProviderError
