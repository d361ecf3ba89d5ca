"""Webhooks that we send: signed, from an outbox that the job's last transaction filled, retried for days.

The scheme is Standard Webhooks (https://www.standardwebhooks.com): the id stays the same on every redelivery,
so that a receiver can tell a repetition.
"""

import asyncio
import json
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
_AT_ONCE = 16
_GONE = 410


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

    async def send_due(self) -> int:
        """Send what is due, side by side; return how many were tried."""
        if not await self._db.read(outbox.any_due):
            return 0
        pauses_ms = [int(s * 1000 * (1 + 0.1 * self._clock.chance())) for s in PAUSES_S]
        due = await self._db.transact(lambda c: outbox.take_due(c, pauses_ms, _AT_ONCE))
        await asyncio.gather(*(self._send(delivery) for delivery in due))
        return len(due)

    async def _send(self, delivery: Delivery) -> None:
        try:
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
