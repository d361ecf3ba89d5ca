"""Following many accepted calls at once in Replicate's list of predictions, and asking whether it has one."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from mediagen.errors import ProviderError
from mediagen.providers.base import Call, PredictionStatus
from mediagen.providers.replicate import FOLLOW_PAGES, ReplicateProvider
from tests.fakes.rawhttp import app_server
from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_client import a_call, bought, provider_at

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
    await replicate.follow([replace(calls[7], ref="unknown")])
    assert fake.asked[LIST] == 3  # the third page is the first that is older in all


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


async def test_what_can_not_be_read_or_is_anothers_is_left_to_a_single_look() -> None:
    ours, other = a_call(ref="ours", hook=True), a_call(hook=True)
    entries = [None, {"status": 7}, {"id": "ours", "status": "failed", "webhook": other.webhook_url}]

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"results": entries, "next": None})

    async with app_server(answer) as url, provider_at(url) as provider:
        assert await provider.follow([ours]) == {}


# --- shows


async def test_the_list_shows_an_accepted_call(fake: FakeReplicate, replicate: ReplicateProvider) -> None:
    fake.page_size = 2
    calls = [await accepted(replicate, a_call(f"p{i}")) for i in range(6)]
    assert await replicate.shows(calls[3]) is True
    assert fake.asked[LIST] == 2


async def test_a_list_that_was_read_whole_and_has_it_not_says_so(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    fake.switches.list_lag_s = -1
    call = await accepted(replicate, a_call())
    assert await replicate.shows(call) is False
    fake.reveal()
    assert await replicate.shows(call) is True


@pytest.mark.parametrize("following", ["nowhere", 7, "/v1/predictions?cursor=again"])
async def test_a_list_that_could_not_be_read_whole_says_nothing(following: Any) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"results": [{"id": "other"}], "next": following})

    async with app_server(answer) as url, provider_at(url) as provider:
        assert await provider.shows(a_call(ref="abc")) is None
