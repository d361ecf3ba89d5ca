"""The fake Replicate's own clock, and the Date header that tells it."""

import time
from email.utils import formatdate
from itertools import cycle

from aiohttp import web

from tests.fakes.replicate_data import Switches

_APART_S = 90.0


class ProviderClock:
    """Tells the time as the switches say, which may change under way."""

    def __init__(self) -> None:
        self.creates = 0
        self._front_ends = cycle((0.0, _APART_S))

    def offset_s(self, switches: Switches) -> float:
        """Return how far it is ahead of this machine's clock."""
        has_stepped = self.creates >= switches.clock_step_after
        return switches.clock_offset_s + (switches.clock_step_s if has_stepped else 0.0)

    def now_ms(self, switches: Switches) -> int:
        return int((time.time() + self.offset_s(switches)) * 1000)

    def stamp(self, response: web.StreamResponse, switches: Switches) -> None:
        """Set or remove the answer's Date."""
        if switches.date == "none":
            response.headers.popall("Date", None)
            return
        now = time.time()
        if switches.date != "true":
            now += self.offset_s(switches)
        if switches.date == "two":
            now += next(self._front_ends)
        response.headers["Date"] = formatdate(now, usegmt=True)
