"""Webhooks that we send: signed, from an outbox that the job's last transaction filled, retried for days.

The scheme is Standard Webhooks (https://www.standardwebhooks.com): the id stays the same on every redelivery,
so that a receiver can tell a repetition. Each host has a few slots, so that one that never answers delays no other.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import structlog
from standardwebhooks import Webhook

from mediagen.clock import Clock
from mediagen.db.engine import Database
from mediagen.errors import FetchBlocked, FetchError, NotFound
from mediagen.jobs import outbox
from mediagen.jobs.outbox import Delivery
from mediagen.jobs.service import JobService
from mediagen.jobs.view import Links, detail_json
from mediagen.safefetch import Fetcher

log = structlog.get_logger(__name__)

PAUSES_S = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Pauses after each failed delivery; the schedule that the Standard Webhooks specification proposes."""

_TIMEOUT_S = 15.0
_AT_ONCE = 64
_AT_ONCE_TO_HOST = 4
_SILENT_MOST = 10_000  # hosts that are remembered
_GONE = 410


class _Slots:
    """The deliveries under way by host. A host that gave no answer has one slot until it gives one."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._silent: set[str] = set()

    @property
    def free(self) -> int:
        return _AT_ONCE - self._taken.total()

    def room(self, host: str) -> int:
        """Return how many more may begin to the host."""
        return (1 if host in self._silent else _AT_ONCE_TO_HOST) - self._taken[host]

    def full(self) -> list[str]:
        """Return the hosts that no more may begin to."""
        return [host for host in self._taken if self.room(host) < 1]

    @contextmanager
    def taken(self, host: str) -> Iterator[None]:
        """Hold one slot of the host; `FetchError` inside means that it gave no answer."""
        self._taken[host] += 1
        try:
            yield
            self._silent.discard(host)
        except FetchError:
            if len(self._silent) >= _SILENT_MOST:
                self._silent.clear()
            self._silent.add(host)
            raise
        finally:
            self._taken[host] -= 1
            if not self._taken[host]:
                del self._taken[host]


class WebhookSender:
    """Delivers what is due in the outbox."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        jobs: JobService,
        fetcher: Fetcher,
        links: Links,
        secret: str,
        allow_private: bool,
    ) -> None:
        self._db = db
        self._clock = clock
        self._jobs = jobs
        self._fetcher = fetcher
        self._links = links
        self._signer = Webhook(secret)
        self._allow_private = allow_private
        self._slots = _Slots()
        self._under_way: set[asyncio.Task[None]] = set()

    async def send_due(self) -> int:
        """Begin to send what is due, as far as its hosts have slots; return how many were begun."""
        slots, full = self._slots, self._slots.full()
        if slots.free < 1 or not await self._db.read(lambda c: outbox.any_due(c, full)):
            return 0
        pauses_ms = [int(s * 1000 * (1 + 0.1 * self._clock.chance())) for s in PAUSES_S]
        due = await self._db.transact(
            lambda c: outbox.take_due(c, pauses_ms, slots.free, but_hosts=full, room=slots.room)
        )
        for delivery in due:
            task = asyncio.create_task(self._send(delivery), name="webhook")
            self._under_way.add(task)
            task.add_done_callback(self._ended)
        if due:
            await asyncio.sleep(0)  # so that each has taken its slot
        return len(due)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("webhook.not_noted", reason=str(error))  # it comes again when it is due again

    async def finish(self) -> None:
        """Wait for the deliveries under way."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def close(self) -> None:
        """Stop the deliveries under way; they are due again later."""
        for task in self._under_way:
            task.cancel()
        await self.finish()

    async def _send(self, delivery: Delivery) -> None:
        try:
            with self._slots.taken(delivery.host):
                body = await self._body(delivery)
                status: int | None = await self._fetcher.post(
                    delivery.url,
                    body,
                    self._headers(delivery, body),
                    allow_private=self._allow_private,
                    timeout_s=_TIMEOUT_S,
                )
        except (FetchBlocked, NotFound) as error:
            await self._note(delivery, None, "dead", str(error))
            return
        except FetchError as error:
            status, reason = None, str(error)
        else:
            reason = f"answered {status}"
        await self._note(delivery, status, _state_after(delivery, status), reason)

    async def _body(self, delivery: Delivery) -> bytes:
        detail = replace(await self._jobs.detail(delivery.job_id), delivery=None)  # each try sends the same
        payload = {"type": f"job.{delivery.event}", "data": detail_json(detail, self._links)}
        return json.dumps(payload, separators=(",", ":")).encode()

    def _headers(self, delivery: Delivery, body: bytes) -> dict[str, str]:
        now = datetime.fromtimestamp(self._clock.now_ms() // 1000, UTC)
        return {
            "content-type": "application/json",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(delivery.id, now, body.decode()),
        }

    async def _note(self, delivery: Delivery, status: int | None, state: str, reason: str) -> None:
        await self._db.transact(lambda c: outbox.note(c, delivery, status=status, state=state))
        log.info(f"webhook.{state}", job_id=delivery.job_id, attempt=delivery.attempts, reason=reason)


def _state_after(delivery: Delivery, status: int | None) -> str:
    if status is not None and 200 <= status < 300:
        return "delivered"
    if status == _GONE or delivery.attempts > len(PAUSES_S):
        return "dead"
    return "pending"
