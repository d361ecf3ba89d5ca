"""Answers of any form: none may raise anything but what `providers/base.py` documents."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from mediagen.errors import ProviderError, Unreadable
from mediagen.providers.base import Accepted, Rejected, Unknown
from mediagen.providers.replicate import ReplicateProvider
from tests.fakes.handclock import HandClock
from tests.fakes.rawhttp import app_server
from tests.fakes.replicate_client import a_call, create, provider_at

ODD = [
    *(None, True, 0, -1, 1e308, "", "x", [], {}, [[]], [None], [{}], {"": {}}, {"results": None}),
    *({"results": {}}, {"results": "x", "next": 5}, {"results": [], "next": []}, {"results": [[], 1, None]}),
    *({"id": None}, {"id": 5, "status": "succeeded"}, {"id": ["a"]}, {"id": {}}, {"id": "a" * 1000}),
    *(
        {"id": "a", "status": None},
        {"id": "a", "status": {}},
        {"id": "a", "status": "succeeded", "output": 5},
    ),
    {"id": "abc", "status": "succeeded", "output": {"a": [[{"b": ["https://h/1", None, 3.5, {"c": {}}]}]]}},
    {"id": "abc", "status": "succeeded", "output": ["\ud800", "\x00"], "data_removed": "yes"},
    {"id": "abc", "status": "succeeded", "output": "\ud800https://h/1"},
    {"id": "abc", "status": "failed", "error": {"a": ["\ud800", {"b": None}]}},
    {"id": "abc", "status": "failed", "error": 10**30, "logs": ["50%|"]},
    {"id": "abc", "status": "failed", "error": "NSFW\x1b[2J" * 5000},
    {"id": "abc", "status": "processing", "logs": {"a": 1}, "webhook": ["x"], "created_at": 10**40},
    {
        "id": "abc",
        "status": "processing",
        "logs": "99999999999999999999%|",
        "webhook": "http://[",
        "input": [],
    },
    {"id": "abc", "model": {}, "version": [], "created_at": "0001-01-01T00:00:00+23:59", "webhook": 7},
    {"detail": None, "title": [], "error": {"message": {"message": []}}},
    {"detail": {"detail": {"detail": "\ud800"}}, "retry_after": "soon"},
    {"latest_version": [], "openapi_schema": 5, "description": {}, "username": []},
    {"latest_version": {"openapi_schema": {"components": {"schemas": {"Input": {"$ref": 5}}}}}},
    {"latest_version": {"openapi_schema": {"components": {"schemas": {"Input": [{"$ref": "#/x"}]}}}}},
    json.loads("[" * 90 + "]" * 90),
    {"results": [{"id": "abc", "created_at": "9999-12-31T23:59:59Z"}] * 50, "next": "?cursor=\ud800"},
]


class Parrot:
    """A server that answers everything with the same thing."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b""

    async def handle(self, _request: web.Request) -> web.Response:
        return web.Response(status=self.status, body=self.body, content_type="application/json")


@pytest.fixture
def parrot() -> Parrot:
    return Parrot()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def replicate(parrot: Parrot, clock: HandClock) -> AsyncIterator[ReplicateProvider]:
    async with app_server(parrot.handle) as url, provider_at(url, clock=clock) as provider:
        yield provider


async def says(work: Awaitable[Any]) -> str:
    """Return the message of the one error that is documented, or nothing."""
    try:
        await work
    except ProviderError as error:
        return str(error)
    return ""


async def all_methods(replicate: ReplicateProvider, clock: HandClock) -> list[str]:
    """Call every method; return what those that are free said."""
    call = a_call(ref="abc", hook=True)
    assert isinstance(await create(replicate, call), Accepted | Rejected | Unknown)
    clock.now_s += 3600  # so that nothing is cached
    assert len(await replicate.models()) == 1
    free: list[Callable[..., Awaitable[Any]]] = [
        replicate.get,
        replicate.cancel,
        replicate.find,
        replicate.shows,
    ]
    said = [await says(method(call)) for method in free]
    said.append(await says(replicate.sold(0)))
    return [*said, await says(replicate.follow([call])), await says(replicate.check())]


@pytest.mark.parametrize("status", [200, 201, 400, 404, 422, 429, 500])
async def test_json_of_any_form_is_survived(
    parrot: Parrot, replicate: ReplicateProvider, clock: HandClock, status: int
) -> None:
    parrot.status = status
    for odd in ODD:
        parrot.body = json.dumps(odd).encode()
        for message in await all_methods(replicate, clock):
            assert len(message) <= 500


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", b"[" * 100_000, b"{", b"NaN", b"\x00" * 20_000_000])
async def test_bytes_of_any_form_are_survived(
    parrot: Parrot, replicate: ReplicateProvider, clock: HandClock, body: bytes
) -> None:
    parrot.body = body
    await all_methods(replicate, clock)
    assert isinstance(await create(replicate, a_call()), Unknown)


async def test_a_model_with_an_odd_schema_is_offered_without(
    parrot: Parrot, replicate: ReplicateProvider
) -> None:
    parrot.body = json.dumps({"latest_version": {"openapi_schema": {"components": []}}}).encode()
    assert [model.input_schema for model in await replicate.models()] == [{}]


async def test_another_prediction_than_the_one_asked_for_is_an_error(
    parrot: Parrot, replicate: ReplicateProvider
) -> None:
    parrot.body = json.dumps({"id": "other", "status": "succeeded", "output": "https://h/1"}).encode()
    assert "is not the prediction 'abc'" in await says(replicate.get(a_call(ref="abc")))


async def test_a_prediction_that_shows_the_marker_of_another_call_is_never_taken(
    parrot: Parrot, replicate: ReplicateProvider
) -> None:
    call, other = a_call(ref="abc", hook=True), a_call(hook=True)
    shown = {"id": "abc", "status": "succeeded", "output": "https://h/1"}
    parrot.body = json.dumps({**shown, "webhook": other.webhook_url}).encode()
    with pytest.raises(Unreadable) as raised:
        await replicate.get(call)
    assert "https://h/1" in raised.value.raw
    for webhook in (call.webhook_url, None, "https://h/"):
        parrot.body = json.dumps({**shown, "webhook": webhook}).encode()
        assert (await replicate.get(call)).outputs


async def test_a_prediction_that_can_not_be_read_is_kept_for_people(
    parrot: Parrot, replicate: ReplicateProvider
) -> None:
    parrot.body = b"<html>maintenance</html>"
    with pytest.raises(Unreadable) as raised:
        await replicate.get(a_call(ref="abc"))
    assert raised.value.raw == "<html>maintenance</html>"


@pytest.mark.parametrize("value", ["NaN", "[" * 150 + "]" * 150, "1e999", "9" * 5000])
async def test_an_odd_value_does_not_lose_the_prediction(
    parrot: Parrot, replicate: ReplicateProvider, value: str
) -> None:
    parrot.body = f'{{"id": "abc", "status": "succeeded", "output": ["https://h/1", {value}]}}'.encode()
    done = await replicate.get(a_call(ref="abc"))
    assert done.outputs[0].url == "https://h/1"


async def test_a_404_page_of_a_gateway_is_not_the_end_of_a_prediction(
    parrot: Parrot, replicate: ReplicateProvider
) -> None:
    parrot.status, parrot.body = 404, b"<html>404 Not Found</html>"
    with pytest.raises(ProviderError) as raised:
        await replicate.get(a_call(ref="abc"))
    assert (type(raised.value), raised.value.retryable) == (ProviderError, True)


@pytest.mark.parametrize("status", [400, 409, 422])
async def test_cancel_of_what_can_no_longer_be_canceled_is_no_error(
    parrot: Parrot, replicate: ReplicateProvider, status: int
) -> None:
    parrot.status = status
    assert await says(replicate.cancel(a_call(ref="abc"))) == ""


@pytest.mark.parametrize("status", [302, 401, 429, 500])
async def test_a_cancel_that_was_not_carried_out_is_an_error(
    parrot: Parrot, replicate: ReplicateProvider, status: int
) -> None:
    parrot.status = status
    assert str(status) in await says(replicate.cancel(a_call(ref="abc")))
