"""Looks at accepted calls, shared: looks that come at the same time cost one list request, not one each."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

from mediagen.errors import ProviderError
from mediagen.providers.base import Call, Prediction, Provider

_TOGETHER_S = 0.005
_LIST_FROM = 4  # below, single looks are cheaper than a page of the list
_MOST = 100  # calls in one list request: a page of the providers known

_Waiting = list[tuple[Call, "asyncio.Future[Prediction]"]]


class Looks:
    """Asks at once when it is quiet; else collects looks for a few milliseconds. One instance per worker."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}
        self._asking: Counter[str] = Counter()  # requests on their way, by provider
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, provider: Provider, call: Call) -> Prediction:
        """Return the call's prediction. Raises `ProviderError`."""
        if not provider.capabilities.lists:
            return await provider.get(call)
        future: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(provider.name, [])
        waiting.append((call, future))
        if len(waiting) == 1:
            self._start(provider)
        return await future

    def _start(self, provider: Provider) -> None:
        task = asyncio.create_task(self._ask(provider), name="looks")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, provider: Provider) -> None:
        await asyncio.sleep(_TOGETHER_S if self._asking[provider.name] else 0)
        waiting = self._waiting.pop(provider.name)
        pages = [waiting[start : start + _MOST] for start in range(0, len(waiting), _MOST)]
        self._asking[provider.name] += 1
        try:
            await asyncio.gather(*(_look(provider, page) for page in pages))
        finally:
            self._asking[provider.name] -= 1


async def _look(provider: Provider, page: _Waiting) -> None:
    listed = await _list(provider, [call for call, _ in page]) if len(page) >= _LIST_FROM else {}
    await asyncio.gather(*(_resolve(provider, call, future, listed.get(call.id)) for call, future in page))


async def _list(provider: Provider, calls: Sequence[Call]) -> Mapping[str, Prediction]:
    try:
        return await provider.follow(calls)
    except ProviderError:
        return {}  # single looks will say what is wrong


async def _resolve(
    provider: Provider, call: Call, future: "asyncio.Future[Prediction]", listed: Prediction | None
) -> None:
    try:
        prediction = listed or await provider.get(call)
    except Exception as error:  # noqa: BLE001  carried to the step that waits
        if not future.done():
            future.set_exception(error)
        return
    if not future.done():
        future.set_result(prediction)
