"""What Replicate sold since a time, by its own list: each that can be read, and whether that is all."""

from typing import Any

import pytest
from aiohttp import web

from mediagen.errors import ProviderError
from mediagen.providers.replicate import SOLD_PAGES
from tests.fakes.rawhttp import app_server
from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_client import a_call, bought, provider_at
from tests.fakes.replicate_data import now_ms


async def test_all_pages_are_read_and_each_prediction_names_its_call() -> None:
    async with FakeReplicate(page_size=2) as fake, provider_at(fake.url) as provider:
        calls = [a_call(f"p{i}", hook=i % 2 == 0) for i in range(5)]
        refs = [(await bought(provider, call)).ref for call in calls]
        sold = await provider.sold(now_ms() - 60_000)
    assert ([each.ref for each in sold.predictions], sold.whole, sold.unreadable) == (refs[::-1], True, 0)
    assert [each.marker for each in sold.predictions] == [call.marker for call in calls[::-1]]
    assert [each.call_id for each in sold.predictions] == [calls[4].id, None, calls[2].id, None, calls[0].id]


async def test_predictions_of_an_earlier_time_are_left_out() -> None:
    async with FakeReplicate(page_size=2) as fake, provider_at(fake.url) as provider:
        refs = [(await bought(provider, a_call(f"p{i}"))).ref for i in range(7)]
        for ref in refs[:5]:
            fake.kept[ref].created_ms -= 120_000
        sold = await provider.sold(now_ms() - 60_000)
        asked = fake.asked["GET /v1/predictions"]
    assert ([each.ref for each in sold.predictions], asked) == (refs[:4:-1], 2)


@pytest.mark.parametrize("entry", [None, 7, {}, {"id": "../x"}])
async def test_an_entry_that_can_not_be_read_is_counted_and_hides_no_other(entry: Any) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"results": [{"id": "good"}, entry], "next": None})

    async with app_server(answer) as url, provider_at(url) as provider:
        sold = await provider.sold(0)
    assert ([each.ref for each in sold.predictions], sold.unreadable, sold.whole) == (["good"], 1, True)


async def test_a_list_that_is_too_long_says_so() -> None:
    asked = 0

    async def endless(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response({"results": [], "next": f"/v1/predictions?cursor={asked}"})

    async with app_server(endless) as url, provider_at(url) as provider:
        sold = await provider.sold(0)
    assert (sold.whole, "longer" in sold.why, asked) == (False, True, SOLD_PAGES)


async def test_a_list_that_can_not_be_had_is_an_error() -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"detail": "down"}, status=503)

    async with app_server(answer) as url, provider_at(url) as provider:
        with pytest.raises(ProviderError, match="down"):
            await provider.sold(0)
