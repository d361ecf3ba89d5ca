"""The list of predictions of a hosted model server, searched once for all who search at the same time.

After an outage hundreds of calls are searched at once; were each to read the list, they would wear out the
provider's rate limit and this machine.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from mediagen.errors import ProviderError
from mediagen.providers.evidence import Entry, Shown
from mediagen.providers.predictions import Page, read_page

_TOGETHER_S = 0.005
_CLOSED = "the search ended with this process"
_ALIKE_MS = 600_000  # calls of so different ages don't share a search: an old one may lead too far back

Ask = Callable[[Mapping[str, str]], Awaitable[Any]]
"""Return the JSON of the page that the query asks for. Raises `ProviderError`."""

See = Callable[[Entry], bool | None]
"""Take note of one entry; True ends the search."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Search:
    since_ms: int | None
    most_pages: int
    see: See
    done: "asyncio.Future[str]"


class PredictionList:
    """Reads the list, entry by entry, and says what kept it from being read whole. `shown` learns from every page."""

    def __init__(self, ask: Ask, clean: Callable[[str], str]) -> None:
        """`clean` makes the provider's words fit to keep."""
        self._ask = ask
        self._clean = clean
        self._waiting: list[_Search] = []
        self._searching: asyncio.Task[None] | None = None
        self.shown = Shown()

    async def pages(self, most: int) -> AsyncGenerator[Page, None]:
        """Yield the pages, newest first. The last one says in `why` what kept the list from being read to its end.

        Raises `ProviderError` when a page can't be had, and `Unreadable` when it is none.
        """
        query: Mapping[str, str] = {}
        followed = [query]
        for count in range(1, most + 1):
            page = read_page(await self._ask(query), self._clean)
            for entry in page.entries:
                self.shown.learn(entry)
            if page.next in followed:
                page = replace(page, next=None, why="the list of predictions leads back to a page of it")
            elif page.next is not None and count == most:
                page = replace(page, next=None, why=f"the list of predictions is longer than {most} pages")
            yield page
            if page.next is None:
                return
            query = page.next
            followed.append(query)

    async def search(self, see: See, since_ms: int | None, most_pages: int) -> str:
        """Show each entry once, of a list that was asked for after this was called, newest first.

        Goes back to a time by the provider's clock, to the end for None. Returns what kept it from going so far,
        empty for nothing. Raises as `pages` does.
        """
        done = asyncio.get_running_loop().create_future()
        search = _Search(since_ms=since_ms, most_pages=most_pages, see=see, done=done)
        self._waiting.append(search)
        if self._searching is None or self._searching.done():
            self._searching = asyncio.create_task(self._search_all(), name="list of predictions")
        return await search.done

    async def _search_all(self) -> None:
        while self._waiting:
            await asyncio.sleep(_TOGETHER_S)
            searches, self._waiting = self._waiting, []
            newest = max(_back_to(search) for search in searches)
            late = [search for search in searches if _back_to(search) >= newest - _ALIKE_MS]
            early = [search for search in searches if search not in late]
            await asyncio.gather(*(self._search(group) for group in (late, early) if group))

    async def _search(self, searches: Sequence[_Search]) -> None:
        try:
            why = await self._read(searches)
        except Exception as error:  # noqa: BLE001  carried to those who search
            _end(searches, error)
        except asyncio.CancelledError:
            _end(searches, ProviderError(_CLOSED))
            raise
        else:
            _end(searches, why)

    async def _read(self, searches: Sequence[_Search]) -> str:
        """Show the list to all; those that have seen enough are ended on the way."""
        known: set[str] = set()
        why, most = "", max(search.most_pages for search in searches)
        async with aclosing(self.pages(most)) as pages:
            async for page in pages:
                for entry in _new(page, known):
                    _end([search for search in searches if not search.done.done() and search.see(entry)], "")
                _end([search for search in searches if page.is_older_than(search.since_ms)], "")
                if all(search.done.done() for search in searches):
                    break
                why = page.why
        return why

    async def close(self) -> None:
        """End the searches under way. Idempotent."""
        task, self._searching = self._searching, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        _end(self._waiting, ProviderError(_CLOSED))


def _back_to(search: _Search) -> float:
    return -math.inf if search.since_ms is None else search.since_ms


def _new(page: Page, known: set[str]) -> Iterator[Entry]:
    """Yield the entries that were not on an earlier page: new ones move the others on while the list is read."""
    for entry in page.entries:
        if not entry.ref or entry.ref not in known:
            known.add(entry.ref)
            yield entry


def _end(searches: Sequence[_Search], result: str | Exception) -> None:
    for search in searches:
        if search.done.done():  # whoever searched has seen enough, or has gone
            continue
        if isinstance(result, Exception):
            search.done.set_exception(result)
        else:
            search.done.set_result(result)
