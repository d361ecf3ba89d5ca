"""Searches of the list of predictions that come together share one reading, and each sees what it must."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from mediagen.errors import ProviderError
from mediagen.providers.base import Prediction
from mediagen.providers.listing import Listed, PredictionList

NOW_MS = 1_800_000_000_000
OLD_MS = NOW_MS - 3_600_000


class Pages:
    """A list of two pages: `new` is newer than NOW_MS, `old` older; a third leads nowhere."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.was_asked = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()
        self.refs = ["new"]
        self.is_endless = False

    async def __call__(self, query: Mapping[str, str]) -> Any:
        cursor = query.get("cursor", "")
        self.asked.append(cursor)
        self.was_asked.set()
        await self.answers.wait()
        if cursor == "":
            made = "2027-01-15T08:00:01Z"
            items = [{"id": ref, "created_at": made, "status": "starting"} for ref in self.refs]
            return {"results": items, "next": "/v1/predictions?cursor=old"}
        made = "2027-01-15T07:30:00Z"
        following = "/v1/predictions?cursor=older" if self.is_endless or cursor == "old" else None
        return {"results": [{"id": cursor, "created_at": made, "status": "starting"}], "next": following}


def anything(listed: Listed) -> Prediction:
    return listed.prediction


def nothing(_: Listed) -> None:
    return None


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def predictions(pages: Pages) -> PredictionList:
    return PredictionList(pages, str.strip)


async def test_searches_that_come_together_read_the_list_once(
    pages: Pages, predictions: PredictionList
) -> None:
    matches = [anything, nothing, anything]
    found = await asyncio.gather(*(predictions.search(NOW_MS, 5, match) for match in matches))
    assert [[each.ref for each in several] for several in found] == [["new", "old"], [], ["new", "old"]]
    assert pages.asked == ["", "old"]


async def test_a_search_sees_only_what_was_asked_for_after_it_began(
    pages: Pages, predictions: PredictionList
) -> None:
    pages.answers.clear()
    first = asyncio.create_task(predictions.search(NOW_MS, 5, anything))
    await pages.was_asked.wait()
    second = asyncio.create_task(predictions.search(NOW_MS, 5, anything))
    await asyncio.sleep(0)
    pages.answers.set()
    assert [each.ref for each in await first] == ["new", "old"]
    pages.refs = ["newer", "new"]
    assert [each.ref for each in await second] == ["newer", "new", "old"]
    assert pages.asked == ["", "old", "", "old"]


async def test_an_old_call_that_leads_too_far_back_does_not_fail_the_search_for_a_new_one(
    pages: Pages, predictions: PredictionList
) -> None:
    pages.is_endless = True
    new, old = await asyncio.gather(
        predictions.search(NOW_MS, 5, anything),
        predictions.search(OLD_MS, 5, anything),
        return_exceptions=True,
    )
    assert isinstance(new, list)
    assert isinstance(old, ProviderError)
    assert "too long" in str(old)


async def test_what_goes_wrong_reaches_all_who_search(pages: Pages, predictions: PredictionList) -> None:
    pages.refs = ["../x"]
    found = await asyncio.gather(
        *(predictions.search(NOW_MS, 5, anything) for _ in range(3)), return_exceptions=True
    )
    assert [type(each) for each in found] == [ProviderError] * 3


async def test_whoever_stops_searching_leaves_the_others_alone(
    pages: Pages, predictions: PredictionList
) -> None:
    pages.answers.clear()
    going, staying = (asyncio.create_task(predictions.search(NOW_MS, 5, anything)) for _ in range(2))
    await pages.was_asked.wait()
    going.cancel()
    pages.answers.set()
    assert len(await staying) == 2


async def test_closing_ends_all_searches(pages: Pages, predictions: PredictionList) -> None:
    pages.answers.clear()
    under_way = asyncio.create_task(predictions.search(NOW_MS, 5, anything))
    await pages.was_asked.wait()
    waiting = asyncio.create_task(predictions.search(NOW_MS, 5, anything))
    await asyncio.sleep(0)
    await predictions.close()
    for search in (under_way, waiting):
        with pytest.raises(ProviderError, match="ended"):
            await search
