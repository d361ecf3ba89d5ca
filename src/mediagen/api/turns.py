"""One at a time a client: whoever asks for much waits behind nobody but themselves."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Lets each client in once at a time; those who come meanwhile wait, in their order."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._there: Counter[str] = Counter()

    @asynccontextmanager
    async def of(self, client: str) -> AsyncIterator[None]:
        """Hold the client's turn."""
        lock = self._locks.setdefault(client, asyncio.Lock())
        self._there[client] += 1
        try:
            async with lock:
                yield
        finally:
            self._there[client] -= 1
            if not self._there[client]:
                del self._there[client], self._locks[client]
