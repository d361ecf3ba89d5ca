"""The list of predictions of a hosted model server, searched once for all who search at the same time.

After an outage hundreds of calls are searched at once; were each to read the list, they would wear out the
provider's rate limit and this machine.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mediagen.errors import ProviderError
from mediagen.providers.base import Prediction
from mediagen.providers.predictions import Page, calls_named_by, normal_json, read_page, read_prediction

_TOGETHER_S = 0.005
_CLOSED = "the search ended with this process"
_ALIKE_MS = 600_000  # calls of so different ages don't share a search: an old one may lead too far back

Ask = Callable[[Mapping[str, str]], Awaitable[Any]]
"""Return the JSON of the page that the query asks for. Raises `ProviderError`."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One prediction of the list. `input` is there, as `normal_json`, only where no webhook names a call."""

    prediction: Prediction
    calls: frozenset[str]  # ids of the calls that its webhook names, in lower case
    model: Any
    version: Any
    input: Any


Match = Callable[[Listed], Prediction | None]
"""Return what of the listed one is wanted, or None."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Search:
    since_ms: int
    match: Match
    done: "asyncio.Future[list[Prediction]]"
    found: list[Prediction] = field(default_factory=list)


class PredictionList:
    """Reads the list. Nothing is ever concluded from a part of it: what can't be read in whole is an error."""

    def __init__(self, ask: Ask, clean: Callable[[str], str]) -> None:
        """`clean` makes the provider's words fit to keep."""
        self._ask = ask
        self._clean = clean
        self._waiting: list[_Search] = []
        self._searching: asyncio.Task[None] | None = None

    async def page(self, query: Mapping[str, str]) -> Page:
        """Return one page. Raises `ProviderError`."""
        return read_page(await self._ask(query))

    async def since(self, since_ms: int, most_pages: int) -> AsyncIterator[Listed]:
        """Yield the predictions back to a time, newest first, and some older ones.

        Raises `ProviderError` also when that takes more pages, or when something in the list can't be read.
        """
        query: Mapping[str, str] = {}
        for _ in range(most_pages):
            page = await self.page(query)
            for raw in page.items:
                yield self._listed(raw)
            following = page.following(since_ms)
            if following is None:
                return
            query = following
        raise ProviderError(
            f"the list of predictions is too long: {most_pages} pages don't go back far enough"
        )

    def _listed(self, raw: Any) -> Listed:
        prediction = read_prediction(raw, self._clean)
        if prediction is None:
            raise ProviderError("the list of predictions holds something that is none")
        named = calls_named_by(raw)
        return Listed(
            prediction=prediction,
            calls=named,
            model=raw.get("model"),
            version=raw.get("version"),
            input=None if named else normal_json(raw.get("input")),
        )

    async def search(self, since_ms: int, most_pages: int, match: Match) -> list[Prediction]:
        """Return all that match, of a list that was asked for after this was called. Raises as `since` does."""
        search = _Search(since_ms=since_ms, match=match, done=asyncio.get_running_loop().create_future())
        self._waiting.append(search)
        if self._searching is None or self._searching.done():
            self._searching = asyncio.create_task(self._search_all(most_pages), name="list of predictions")
        return await search.done

    async def _search_all(self, most_pages: int) -> None:
        while self._waiting:
            await asyncio.sleep(_TOGETHER_S)
            searches, self._waiting = self._waiting, []
            newest = max(search.since_ms for search in searches)
            late = [search for search in searches if search.since_ms >= newest - _ALIKE_MS]
            early = [search for search in searches if search not in late]
            await asyncio.gather(*(self._search(group, most_pages) for group in (late, early) if group))

    async def _search(self, searches: Sequence[_Search], most_pages: int) -> None:
        try:
            async for listed in self.since(min(search.since_ms for search in searches), most_pages):
                for search in searches:
                    if (wanted := search.match(listed)) is not None:
                        search.found.append(wanted)
        except Exception as error:  # noqa: BLE001  carried to those who search
            _end(searches, error)
        except asyncio.CancelledError:
            _end(searches, ProviderError(_CLOSED))
            raise
        else:
            _end(searches, None)

    async def close(self) -> None:
        """End the searches under way. Idempotent."""
        task, self._searching = self._searching, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        _end(self._waiting, ProviderError(_CLOSED))


def _end(searches: Sequence[_Search], error: Exception | None) -> None:
    for search in searches:
        if search.done.done():  # whoever searched has gone
            continue
        if error is None:
            search.done.set_result(search.found)
        else:
            search.done.set_exception(error)
