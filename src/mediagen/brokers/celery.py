"""Celery as the broker: rings travel over Redis (or what CELERY_BROKER_URL names) to `celery worker` processes.

Celery rings, the database deals: a message holds job ids and nothing else; the worker that gets it drains all
that is due. Rings are published by a thread, off the request path, and those that wait share one message.
"""

import asyncio
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue

import structlog
from celery import Celery

from mediagen.brokers.base import Broker
from mediagen.errors import Unavailable

log = structlog.get_logger(__name__)

RING = "mediagen.ring"
"""Name of the only task. Whoever forges a message can only ring the bell."""

QUEUE = "generation"
_IDS = 100  # in one message at most
_QUIET_S = 10.0  # between two warnings of a broker that is down
_TIMEOUT_S = 2.0


def celery_app(url: str, queue: str = QUEUE) -> Celery:
    """Return the Celery app that publishers and workers share."""
    app = Celery("mediagen", broker=url)
    app.conf.update(
        task_default_queue=queue,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_publish_retry=False,
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=False,  # a lost ring is found by the poller
        worker_prefetch_multiplier=1,
        worker_pool="threads",  # the engine is one event loop in this process; a task only rings it
        worker_concurrency=2,
        worker_send_task_events=True,
        task_send_sent_event=True,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # for ever: jobs are found without it meanwhile
        broker_connection_timeout=_TIMEOUT_S,
        broker_transport_options={"socket_timeout": _TIMEOUT_S, "socket_connect_timeout": _TIMEOUT_S},
        timezone="UTC",
    )
    return app


class CeleryBroker(Broker):
    """Publishes rings; also wakes a worker inside this process, if there is one."""

    name = "celery"

    def __init__(self, url: str, setting: str, queue: str = QUEUE) -> None:
        """`setting` is the name of the one that the URL is of, for messages."""
        super().__init__()
        self._setting = setting
        self._app = celery_app(url, queue)
        self._ids: SimpleQueue[str | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._publish_all, name="rings", daemon=True)
        self._thread.start()

    def ring(self, job_id: str) -> None:
        self.wake()
        self._ids.put(job_id)

    async def check(self) -> str:
        return await asyncio.to_thread(self._look)

    def _look(self) -> str:
        try:
            with self._app.connection_for_write(connect_timeout=_TIMEOUT_S) as connection:
                connection.ensure_connection(max_retries=1, timeout=_TIMEOUT_S)
                return f"connected to {connection.as_uri()}"
        except Exception as error:
            raise Unavailable(
                "The broker can't be reached; jobs are taken and found by looking, up to "
                f"WORKER_POLL_INTERVAL later. Check {self._setting}"
            ) from error

    def _publish_all(self) -> None:
        quiet_until = 0.0
        while (ids := self._waiting()) is not None:
            try:
                self._publish(ids)
            except Exception as error:  # noqa: BLE001  whatever the transport raises, a ring may be lost
                quiet_until = _warn(error, quiet_until)

    def _publish(self, ids: list[str]) -> None:
        self._app.send_task(RING, args=[ids], ignore_result=True, retry=False)

    def _waiting(self) -> list[str] | None:
        """Return the ids that wait for a message, or None to stop."""
        first = self._ids.get()
        ids = [first]
        with suppress(Empty):
            while len(ids) < _IDS:
                ids.append(self._ids.get_nowait())
        return None if None in ids else [job_id for job_id in ids if job_id]

    async def close(self) -> None:
        self._ids.put(None)
        await asyncio.to_thread(self._thread.join, _TIMEOUT_S)
        await asyncio.to_thread(self._app.close)


def _warn(error: Exception, quiet_until: float) -> float:
    """Say that rings get lost, now and then; return until when to be quiet."""
    now = time.monotonic()
    if now < quiet_until:
        return quiet_until
    log.warning("broker.unreachable", reason=type(error).__name__)
    return now + _QUIET_S
