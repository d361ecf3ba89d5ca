"""The only source of time, ids and chance. Tests and the simulator put their own in its place."""

import asyncio
import os
import random
import sys
import time
from abc import ABC, abstractmethod

import uuid_utils


class Clock(ABC):
    """Time, ids and chance for one process."""

    @abstractmethod
    def now_ms(self) -> int:
        """Return wall-clock time in milliseconds since 1970 UTC. It may jump."""

    @abstractmethod
    def monotonic(self) -> float:
        """Return seconds that never go back, counted in a suspend too where the machine can.

        Only differences mean something, and only in this process. It is not the time of the event loop.
        """

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Wait."""

    @abstractmethod
    def new_id(self) -> str:
        """Return a new UUIDv7 in its 36-character form; later ids sort after earlier ones."""

    @abstractmethod
    def new_secret(self) -> str:
        """Return 128 random bits as 32 hexadecimal characters, safe in a URL and a file name."""

    @abstractmethod
    def chance(self) -> float:
        """Return a random number in [0, 1), for jitter."""


def _clock_that_counts_sleep() -> int | None:
    """Return the machine's clock that goes on while it is suspended, which `time.monotonic` may not; None for none.

    A laptop that sleeps between an intent and its send would else still take the send to be in time.
    """
    if sys.platform == "darwin":
        return time.CLOCK_MONOTONIC
    return getattr(time, "CLOCK_BOOTTIME", None)


_COUNTS_SLEEP = _clock_that_counts_sleep()


class SystemClock(Clock):
    """The machine's own time and randomness."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic() if _COUNTS_SLEEP is None else time.clock_gettime(_COUNTS_SLEEP)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def new_id(self) -> str:
        return str(uuid_utils.uuid7())

    def new_secret(self) -> str:
        return os.urandom(16).hex()

    def chance(self) -> float:
        return random.random()  # noqa: S311  jitter is no secret
