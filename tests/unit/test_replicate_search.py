"""Finding calls in Replicate's list of predictions: many at once, and the one whose answer was lost."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from mediagen.errors import ProviderError
from mediagen.providers.base import Call, PredictionStatus, Unknown
from mediagen.providers.replicate import FIND_PAGES, FOLLOW_PAGES, ReplicateProvider
from tests.fakes.rawhttp import app_server, hang_up, raw_server
from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_client import HOOK, a_call, bought, create, provider_at
from tests.fakes.replicate_data import VERSION, Kept, iso

LIST = "GET /v1/predictions"


@pytest.fixture
async def fake() -> AsyncIterator[FakeReplicate]:
    async with FakeReplicate() as server:
        yield server


@pytest.fixture
async def replicate(fake: FakeReplicate) -> AsyncIterator[ReplicateProvider]:
    async with provider_at(fake.url) as provider:
        yield provider


async def accepted(replicate: ReplicateProvider, call: Call) -> Call:
    return replace(call, ref=(await bought(replicate, call)).ref)


async def lost(replicate: ReplicateProvider, fake: FakeReplicate, call: Call) -> Kept:
    """Buy the call and lose the answer; return what the fake keeps of it."""
    fake.switches.after_accept = "drop"
    assert isinstance(await create(replicate, call), Unknown)
    fake.switches.after_accept = ""
    return list(fake.kept.values())[-1]


async def found(replicate: ReplicateProvider, call: Call) -> list[str]:
    return [prediction.ref for prediction in await replicate.find(call)]


# --- follow


async def test_many_calls_are_looked_at_with_one_request(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    calls = [await accepted(replicate, a_call(f"p{i}", hook=i % 2 == 0)) for i in range(20)]
    for call in calls:
        await fake.ended(call.ref or "")
    predictions = await replicate.follow(calls)
    assert {call.id: call.ref for call in calls} == {id_: p.ref for id_, p in predictions.items()}
    assert {p.status for p in predictions.values()} == {PredictionStatus.SUCCEEDED}
    assert [predictions[call.id].call_id for call in calls[:2]] == [calls[0].id, None]
    assert fake.asked[LIST] == 1


async def test_following_turns_pages_until_all_are_seen(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    fake.page_size = 2
    calls = [await accepted(replicate, a_call(f"p{i}")) for i in range(9)]
    assert (await replicate.follow(calls[3:4])).keys() == {calls[3].id}
    assert fake.asked[LIST] == 3


async def test_following_stops_at_predictions_older_than_the_oldest_call(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    fake.page_size = 2
    calls = [await accepted(replicate, a_call(f"p{i}")) for i in range(8)]
    for kept in list(fake.kept.values())[:5]:
        kept.created_ms -= 70_000
    await replicate.follow([replace(calls[0], ref="unknown")])
    assert fake.asked[LIST] == 2


async def test_following_turns_ten_pages_at_most(fake: FakeReplicate, replicate: ReplicateProvider) -> None:
    fake.page_size = 1
    calls = [await accepted(replicate, a_call(f"p{i}")) for i in range(FOLLOW_PAGES + 2)]
    assert await replicate.follow(calls[:1]) == {}
    assert fake.asked[LIST] == FOLLOW_PAGES


async def test_following_nothing_asks_nothing(fake: FakeReplicate, replicate: ReplicateProvider) -> None:
    assert await replicate.follow([]) == {}
    assert fake.asked.total() == 0


@pytest.mark.parametrize("switches", [{"data_removed": True}, {"output": "none"}])
async def test_a_success_that_shows_no_output_in_the_list_is_left_to_a_single_look(
    fake: FakeReplicate, replicate: ReplicateProvider, switches: dict[str, Any]
) -> None:
    call = await accepted(replicate, a_call(fake=switches))
    await fake.ended(call.ref or "")
    assert await replicate.follow([call]) == {}


async def test_a_failing_list_is_an_error(fake: FakeReplicate, replicate: ReplicateProvider) -> None:
    fake.token = "changed"
    with pytest.raises(ProviderError, match="401"):
        await replicate.follow([a_call(ref="abc")])


# --- find: whose prediction is it


async def test_the_webhook_proves_which_prediction_is_ours(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    for _ in range(3):
        await bought(replicate, a_call(hook=True))
    call = a_call(hook=True)
    kept = await lost(replicate, fake, call)
    candidates = await replicate.find(call)
    assert [(p.ref, p.call_id) for p in candidates] == [(kept.id, call.id)]


async def test_the_webhook_proves_it_whatever_else_differs(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    call = a_call(hook=True)
    kept = await lost(replicate, fake, call)
    kept.input, kept.model, kept.created_ms = {}, "x/y", kept.created_ms + 500_000
    assert await found(replicate, call) == [kept.id]


async def test_without_an_echoed_webhook_the_same_model_and_input_is_a_candidate(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    fake.switches.echo_webhook = False
    call = a_call(hook=True, width=512, guidance=3.0)
    kept = await lost(replicate, fake, call)
    candidates = await replicate.find(call)
    assert [(p.ref, p.call_id) for p in candidates] == [(kept.id, None)]


async def test_numbers_are_compared_by_value(fake: FakeReplicate, replicate: ReplicateProvider) -> None:
    call = a_call(guidance=3.0)
    kept = await lost(replicate, fake, call)
    kept.input = {"guidance": 3, "prompt": "a pond"}
    assert await found(replicate, call) == [kept.id]


async def test_another_calls_prediction_with_the_same_input_is_not_ours(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    await bought(replicate, a_call(hook=True))
    assert await found(replicate, a_call(hook=True)) == []


async def test_a_foreign_webhook_that_names_no_call_leaves_a_candidate(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    kept = await lost(replicate, fake, a_call(hook=True))
    kept.webhook = f"{HOOK}/somewhere"
    assert await found(replicate, a_call()) == [kept.id]


async def test_the_proved_prediction_comes_before_candidates(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    call = a_call(hook=True)
    proved = await lost(replicate, fake, call)
    candidate = await lost(replicate, fake, a_call())
    assert await found(replicate, call) == [proved.id, candidate.id]


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept.input.update(width=513),
        lambda kept: kept.input.pop("width"),
        lambda kept: setattr(kept, "model", "acme/other"),
        lambda kept: setattr(kept, "created_ms", kept.created_ms - 61_000),
        lambda kept: setattr(kept, "created_ms", kept.created_ms + 121_000),
        lambda kept: setattr(kept.switches, "data_removed", True),
    ],
    ids=["other input", "less input", "other model", "too early", "too late", "input removed"],
)
async def test_what_differs_is_no_candidate(
    fake: FakeReplicate, replicate: ReplicateProvider, change: Callable[[Kept], Any]
) -> None:
    call = a_call(width=512)
    kept = await lost(replicate, fake, call)
    await fake.ended(kept.id)
    assert await found(replicate, call) == [kept.id]
    change(kept)
    assert await found(replicate, call) == []


@pytest.mark.parametrize("model", [VERSION, f"acme/model:{VERSION}"])
async def test_a_version_is_found_by_its_id(
    fake: FakeReplicate, replicate: ReplicateProvider, model: str
) -> None:
    call = a_call(model=model)
    kept = await lost(replicate, fake, call)
    assert await found(replicate, call) == [kept.id]
    kept.version = "f" * 64
    assert await found(replicate, call) == []


async def test_what_was_never_bought_is_not_found(fake: FakeReplicate, replicate: ReplicateProvider) -> None:
    fake.switches.refuse = 500
    call = a_call(hook=True)
    assert isinstance(await create(replicate, call), Unknown)
    assert await found(replicate, call) == []


async def test_a_prediction_that_the_list_shows_late_is_found_then(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    fake.switches.list_lag_s = -1
    call = a_call(hook=True)
    kept = await lost(replicate, fake, call)
    assert await found(replicate, call) == []
    fake.reveal()
    assert await found(replicate, call) == [kept.id]


async def test_a_lost_call_is_found_and_its_outputs_are_had_for_one_purchase(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    call = a_call(hook=True)
    kept = await lost(replicate, fake, call)
    await fake.ended(kept.id)
    (prediction,) = await replicate.find(call)
    async with replicate.open(prediction.outputs[0]) as download:
        assert b"".join([chunk async for chunk in download.chunks]).startswith(b"\x89PNG")
    assert fake.stats()["by_marker"] == {call.webhook_url: 1}


# --- find: the whole list or an error


async def test_the_search_goes_back_to_the_time_of_the_call(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    fake.page_size = 2
    call = a_call(hook=True)
    for i in range(4):
        (await lost(replicate, fake, a_call(f"old {i}"))).created_ms -= 3_600_000
    kept = await lost(replicate, fake, call)
    for i in range(5):
        await bought(replicate, a_call(f"new {i}"))
    assert await found(replicate, call) == [kept.id]
    assert fake.asked[LIST] == 4  # 3 pages of now, and one that reaches into the past


class Pages:
    """A list that goes on as told."""

    def __init__(self, following: Any, results: Any = ()) -> None:
        self.following = following
        self.results = results
        self.cursors: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        assert request.path == "/v1/predictions"
        self.cursors.append(request.query.get("cursor", ""))
        following = self.following if len(self.cursors) == 1 else None
        return web.json_response({"results": list(self.results), "next": following})


@pytest.mark.parametrize("prefix", ["", "{url}", "https://elsewhere.invalid", "//elsewhere.invalid"])
async def test_the_next_page_is_asked_for_at_our_own_address_only(prefix: str) -> None:
    pages = Pages(None)
    async with app_server(pages.handle) as url, provider_at(url) as provider:
        pages.following = f"{prefix.format(url=url)}/v1/predictions?cursor=abc%3D"
        assert await provider.find(a_call()) == []
    assert pages.cursors == ["", "abc="]


async def test_a_next_page_at_another_host_gets_no_connection() -> None:
    async with raw_server(hang_up) as evil:
        pages = Pages(f"{evil.url}/v1/predictions?cursor=abc")
        async with app_server(pages.handle) as url, provider_at(url) as provider:
            await provider.find(a_call())
        assert evil.connections == 0


@pytest.mark.parametrize("following", ["/v1/predictions", "nowhere", "http://[::1", 7, {}, True])
async def test_a_list_that_goes_on_nowhere_is_an_error(following: Any) -> None:
    async with app_server(Pages(following).handle) as url, provider_at(url) as provider:
        with pytest.raises(ProviderError):
            await provider.find(a_call())


async def test_a_list_without_end_is_an_error_and_not_an_absence() -> None:
    asked = 0

    async def endless(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response({"results": [], "next": "/v1/predictions?cursor=again"})

    async with app_server(endless) as url, provider_at(url) as provider:
        with pytest.raises(ProviderError, match="too long"):
            await provider.find(a_call())
    assert asked == FIND_PAGES


@pytest.mark.parametrize("entry", [None, 7, [], {}, {"id": "../x"}, {"status": "succeeded"}])
async def test_an_entry_that_can_not_be_read_is_an_error_and_not_an_absence(entry: Any) -> None:
    async with app_server(Pages(None, [entry]).handle) as url, provider_at(url) as provider:
        with pytest.raises(ProviderError):
            await provider.find(a_call())


async def test_entries_without_a_time_do_not_end_the_search() -> None:
    pages = Pages("/v1/predictions?cursor=2", [{"id": "a"}, {"id": "b", "created_at": "once"}])
    async with app_server(pages.handle) as url, provider_at(url) as provider:
        await provider.find(a_call())
    assert len(pages.cursors) == 2


async def test_a_prediction_that_hides_its_model_is_a_candidate_by_its_input() -> None:
    call = a_call()
    entry = {"id": "a", "created_at": iso(call.created_at_ms), "input": call.input}
    async with app_server(Pages(None, [entry]).handle) as url, provider_at(url) as provider:
        assert await found(provider, call) == ["a"]


async def test_a_rate_limited_search_tells_how_long_to_wait() -> None:
    async def limited(_request: web.Request) -> web.Response:
        return web.json_response({"detail": "resets in ~9s"}, status=429)

    async with app_server(limited) as url, provider_at(url) as provider:
        with pytest.raises(ProviderError) as raised:
            await provider.find(a_call())
    assert raised.value.retry_after_s == 9
