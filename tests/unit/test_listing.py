"""Searches of the list of predictions that come together share one reading, and each sees what it must."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from mediagen.errors import ProviderError, Unreadable
from mediagen.providers.evidence import Entry
from mediagen.providers.listing import PredictionList

NOW_MS = 1_800_000_000_000
OLD_MS = NOW_MS - 3_600_000


class Pages:
    """A list of two pages: `new` is newer than NOW_MS, `old` older; a third leads nowhere."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.was_asked = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()
        self.refs: list[Any] = ["new"]
        self.is_endless = False
        self.after_old: Any = None

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
        following = f"/v1/predictions?cursor={len(self.asked)}" if self.is_endless else self.after_old
        return {"results": [{"id": cursor, "created_at": made, "status": "starting"}], "next": following}


class Seen:
    """What a search was shown; it has enough with the ref given."""

    def __init__(self, enough: str | None = None) -> None:
        self.refs: list[str] = []
        self._enough = enough

    def __call__(self, entry: Entry) -> bool:
        self.refs.append(entry.ref)
        return entry.ref == self._enough


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def predictions(pages: Pages) -> PredictionList:
    return PredictionList(pages, str.strip)


async def test_searches_that_come_together_read_the_list_once(
    pages: Pages, predictions: PredictionList
) -> None:
    several = [Seen(), Seen(), Seen()]
    whys = await asyncio.gather(*(predictions.search(seen, NOW_MS, 5) for seen in several))
    assert [seen.refs for seen in several] == [["new", "old"]] * 3
    assert (whys, pages.asked) == (["", "", ""], ["", "old"])


async def test_a_search_sees_only_what_was_asked_for_after_it_began(
    pages: Pages, predictions: PredictionList
) -> None:
    pages.answers.clear()
    seen = [Seen(), Seen()]
    first = asyncio.create_task(predictions.search(seen[0], NOW_MS, 5))
    await pages.was_asked.wait()
    second = asyncio.create_task(predictions.search(seen[1], NOW_MS, 5))
    await asyncio.sleep(0)
    pages.answers.set()
    await first
    pages.refs = ["newer", "new"]
    await second
    assert [each.refs for each in seen] == [["new", "old"], ["newer", "new", "old"]]
    assert pages.asked == ["", "old", "", "old"]


async def test_each_search_goes_back_as_far_as_it_must(pages: Pages, predictions: PredictionList) -> None:
    pages.after_old = "/v1/predictions?cursor=older"
    near, far = Seen(), Seen()
    minute_ms = 60_000
    whys = await asyncio.gather(
        predictions.search(near, NOW_MS, 3), predictions.search(far, NOW_MS - 9 * minute_ms, 3)
    )
    assert (near.refs, far.refs, whys) == (["new", "old"], ["new", "old"], ["", ""])


async def test_a_search_without_a_time_goes_to_the_end(pages: Pages, predictions: PredictionList) -> None:
    seen = Seen()
    assert await predictions.search(seen, None, 5) == ""
    assert seen.refs == ["new", "old"]


async def test_a_search_that_has_seen_enough_asks_no_further(
    pages: Pages, predictions: PredictionList
) -> None:
    seen = Seen(enough="new")
    assert await predictions.search(seen, None, 5) == ""
    assert (seen.refs, pages.asked) == (["new"], [""])


async def test_an_entry_on_two_pages_is_shown_once(pages: Pages, predictions: PredictionList) -> None:
    pages.refs = ["new", "old", "new", "../x", "../x"]
    seen = Seen()
    await predictions.search(seen, NOW_MS, 5)
    assert seen.refs == ["new", "old", "", ""]  # what can't be read can't be told apart


async def test_an_old_call_that_leads_too_far_back_does_not_spoil_the_search_for_a_new_one(
    pages: Pages, predictions: PredictionList
) -> None:
    pages.is_endless = True
    why_new, why_old = await asyncio.gather(
        predictions.search(Seen(), NOW_MS, 5), predictions.search(Seen(), OLD_MS - 1, 5)
    )
    assert (why_new, why_old) == ("", "the list of predictions is longer than 5 pages")


async def test_a_list_that_leads_back_to_its_own_pages_is_not_whole(
    pages: Pages, predictions: PredictionList
) -> None:
    pages.after_old = "/v1/predictions?cursor=old"
    seen = Seen()
    assert "leads back" in await predictions.search(seen, None, 100)
    assert (seen.refs, pages.asked) == (["new", "old"], ["", "old"])


async def test_a_list_that_goes_on_nowhere_is_not_whole(pages: Pages, predictions: PredictionList) -> None:
    pages.after_old = "nowhere"
    assert "goes on nowhere" in await predictions.search(Seen(), None, 100)


async def test_a_page_that_is_none_is_unreadable_for_all() -> None:
    async def odd(_: Mapping[str, str]) -> Any:
        return {"detail": "busy"}

    odd_list = PredictionList(odd, str.strip)
    found = await asyncio.gather(
        *(odd_list.search(Seen(), NOW_MS, 5) for _ in range(3)), return_exceptions=True
    )
    assert [type(each) for each in found] == [Unreadable] * 3


async def test_whoever_stops_searching_leaves_the_others_alone(
    pages: Pages, predictions: PredictionList
) -> None:
    pages.answers.clear()
    seen = Seen()
    going = asyncio.create_task(predictions.search(Seen(), NOW_MS, 5))
    staying = asyncio.create_task(predictions.search(seen, NOW_MS, 5))
    await pages.was_asked.wait()
    going.cancel()
    pages.answers.set()
    assert await staying == ""
    assert len(seen.refs) == 2


async def test_closing_ends_all_searches(pages: Pages, predictions: PredictionList) -> None:
    pages.answers.clear()
    under_way = asyncio.create_task(predictions.search(Seen(), NOW_MS, 5))
    await pages.was_asked.wait()
    waiting = asyncio.create_task(predictions.search(Seen(), NOW_MS, 5))
    await asyncio.sleep(0)
    await predictions.close()
    for search in (under_way, waiting):
        with pytest.raises(ProviderError, match="ended"):
            await search
