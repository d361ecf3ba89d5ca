"""Group commit of like requests: what arrives while a flush is on its way is the next flush.

No timer, so nobody waits when it is quiet, and one statement serves hundreds when it is not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Collects items and runs them in batches, one batch at a time."""

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        most: int,
        *,
        size: Callable[[Item], int] = lambda _: 0,
        most_bytes: int = 0,
    ) -> None:
        """`run` gets 1 to `most` items and returns, in their order, results or what to raise.

        Together they have no more than `most_bytes`, by their `size`, unless one alone has more.
        """
        self._run = run
        self._most = most
        self._size = size
        self._most_bytes = most_bytes
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def add(self, item: Item) -> Result:
        """Return the item's own result once its batch has run; raise what became of it."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush(), name="batcher")
        return await future

    async def _flush(self) -> None:
        while self._waiting:
            count = self._count()
            batch, self._waiting = self._waiting[:count], self._waiting[count:]
            try:
                results = await self._run([item for item, _ in batch])
            except Exception as error:  # noqa: BLE001  everyone who waits must learn of it
                results = [error] * len(batch)
            for (_, future), result in zip(batch, results, strict=True):
                _resolve(future, result)

    def _count(self) -> int:
        """Return how many of those that wait make the next batch."""
        held = 0
        for count, (item, _) in enumerate(self._waiting[: self._most]):
            held += self._size(item)
            if held > self._most_bytes and count > 0:
                return count
        return self._most


def _resolve(future: "asyncio.Future[Result]", result: "Result | Exception") -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
