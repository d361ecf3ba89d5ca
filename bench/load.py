"""The load generator: keep-alive connections that each send the next request when the answer is there.

    python -m bench.load

Reads one plan a line as JSON from stdin, carries it out and writes one result a line as JSON to stdout. It talks
to loopback only. Raw sockets over uvloop, so that it takes a small part of what a server takes for a request.
"""

import asyncio
import json
import sys
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

_HOST = "127.0.0.1"
_LAST_ANSWERS_S = 30.0  # how long answers may take that are due when the time is over


@dataclass
class Tally:
    """What came back."""

    latencies_s: "array[float]" = field(default_factory=lambda: array("d"))
    statuses: Counter[str] = field(default_factory=Counter)
    body_bytes: int = 0
    broken: int = 0
    kept: list[str] = field(default_factory=list)  # bodies, where the plan wants them


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to send: for `seconds`, or `count` requests in all, whichever is reached first."""

    port: int
    requests: Sequence[bytes]  # sent in turn
    connections: int
    seconds: float
    count: int | None = None
    keep_bodies: bool = False
    rate: float | None = None  # requests a second over all connections; None: as fast as answers come

    @classmethod
    def read(cls, line: str) -> "Plan":
        given: dict[str, Any] = json.loads(line)
        return cls(**{**given, "requests": [text.encode("latin-1") for text in given["requests"]]})


class Run:
    """One plan under way."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.tally = Tally()
        self.over = asyncio.Event()
        self._sent = 0
        self._turns = 0
        self._open = 0
        self._begun_at = time.perf_counter()
        self._ends_at = self._begun_at + plan.seconds

    def opened(self) -> None:
        self._open += 1

    def closed(self) -> None:
        self._open -= 1
        if self._open == 0:
            self.over.set()

    def pause_s(self) -> float:
        """Return how long the next request has to wait for its turn."""
        if self.plan.rate is None:
            return 0.0
        self._turns += 1
        return max(0.0, self._begun_at + self._turns / self.plan.rate - time.perf_counter())

    def next(self) -> bytes | None:
        """Return the next request, or None when it is time to stop."""
        if time.perf_counter() >= self._ends_at or self._sent == self.plan.count:
            return None
        self._sent += 1
        return self.plan.requests[self._sent % len(self.plan.requests)]


class Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._head = b""
        self._left = 0  # bytes of the body that are still to come
        self._body: list[bytes] = []
        self._sent_at = 0.0
        self._waits = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._run.opened()
        self._send_in_turn()

    def data_received(self, data: bytes) -> None:
        if self._left:
            self._take(data)
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return
        head, body, self._head = self._head[:end], self._head[end + 4 :], b""
        self._run.tally.statuses[head[9:12].decode()] += 1
        self._left = _length(head)
        self._take(body)

    def _take(self, body: bytes) -> None:
        self._left -= len(body)
        self._run.tally.body_bytes += len(body)
        if self._run.plan.keep_bodies:
            self._body.append(body)
        if self._left <= 0:
            self._answered()

    def _answered(self) -> None:
        self._run.tally.latencies_s.append(time.perf_counter() - self._sent_at)
        self._waits = False
        if self._run.plan.keep_bodies:
            self._run.tally.kept.append(b"".join(self._body).decode())
            self._body.clear()
        self._send_in_turn()

    def _send_in_turn(self) -> None:
        if pause_s := self._run.pause_s():
            asyncio.get_running_loop().call_later(pause_s, self._send)
        else:
            self._send()

    def _send(self) -> None:
        request = self._run.next()
        if request is None or self._transport.is_closing():
            self._transport.close()
            return
        self._waits = True
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def connection_lost(self, _error: Exception | None) -> None:
        self._run.tally.broken += self._waits
        self._run.closed()


def _length(head: bytes) -> int:
    """Return the length of the body; the servers measured here never send chunks."""
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


async def carry_out(plan: Plan) -> dict[str, Any]:
    """Load the server as planned and return what was seen."""
    run, loop = Run(plan), asyncio.get_running_loop()
    begun = time.perf_counter()
    opening = [
        loop.create_connection(lambda: Connection(run), _HOST, plan.port) for _ in range(plan.connections)
    ]
    transports = [transport for transport, _ in await asyncio.gather(*opening)]
    try:
        async with asyncio.timeout(plan.seconds + _LAST_ANSWERS_S):
            await run.over.wait()
    except TimeoutError:
        for transport in transports:
            transport.abort()
        await run.over.wait()
    return _result(run.tally, time.perf_counter() - begun)


def _result(tally: Tally, took_s: float) -> dict[str, Any]:
    rising = sorted(tally.latencies_s)
    return {
        "answers": len(rising),
        "seconds": took_s,
        "p50_ms": _quantile(rising, 0.5) * 1000,
        "p99_ms": _quantile(rising, 0.99) * 1000,
        "body_bytes": tally.body_bytes,
        "broken": tally.broken,
        "statuses": tally.statuses,
        "bodies": tally.kept,
    }


def _quantile(rising: Sequence[float], share: float) -> float:
    return rising[min(len(rising) - 1, int(share * len(rising)))] if rising else 0.0


def main() -> None:
    """Carry out plans until stdin ends."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(uvloop.run(carry_out(Plan.read(line)))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
