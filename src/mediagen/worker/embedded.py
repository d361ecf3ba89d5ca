"""The worker inside a process: the server's, a command's, or Celery's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from mediagen.jobs.pruning import Pruner
from mediagen.jobs.retry import Backoff
from mediagen.runtime import Runtime
from mediagen.settings import Settings
from mediagen.worker.looks import Looks
from mediagen.worker.loop import Worker, WorkerConfig
from mediagen.worker.maintenance import Maintenance
from mediagen.worker.ports import Marks, Ports, Timing
from mediagen.worker.webhooks import WebhookSender

log = structlog.get_logger(__name__)


@asynccontextmanager
async def working(runtime: Runtime) -> AsyncIterator[Worker]:
    """Run a worker for as long as the context lasts; at its end it finishes its steps and takes nothing new."""
    worker = build_worker(runtime)
    async with runtime.db.presence(worker.name):
        maintenance = build_maintenance(runtime, worker)
        await maintenance.beat()
        await maintenance.rescue()
        chores = asyncio.create_task(maintenance.run(), name="maintenance")
        running = asyncio.create_task(worker.run(), name="worker")
        log.info("worker.started", worker=worker.name)
        try:
            yield worker
        finally:
            worker.stop()
            await running
            chores.cancel()
            with suppress(asyncio.CancelledError):
                await chores


LONG_TIMEOUT_S = 1_800.0
"""For models that make video or sound, unless JOB_TIMEOUT is set."""


def timing_of(settings: Settings) -> Timing:
    """Return the waits of the protocol as they are set."""
    is_set = "job_timeout" in settings.model_fields_set
    return Timing(
        job_timeout_s=settings.job_timeout,
        long_timeout_s=None if is_set else max(LONG_TIMEOUT_S, settings.job_timeout),
        model_timeouts_s=settings.timeouts_by_model,
        grace_s=settings.reconcile_grace,
        gone_s=settings.gone_after,
        doubt_s=settings.doubt_s,
        cancel_s=settings.cancel_within,
    )


def build_worker(runtime: Runtime) -> Worker:
    """Return a worker over the runtime's parts, woken by the broker."""
    settings = runtime.settings
    ports = Ports(
        db=runtime.db.apart(),
        clock=runtime.clock,
        providers=runtime.providers,
        keeper=runtime.artifacts,
        look=Looks(),
        backoff=Backoff(base_s=settings.retry_backoff_base),
        timing=timing_of(settings),
        marks=Marks(
            installation=runtime.installation,
            address=runtime.hook_url,
            heard=bool(settings.public_url),
            at=runtime.hooks_at or "",
        ),
    )
    config = WorkerConfig(
        concurrency=settings.worker_concurrency,
        poll_s=settings.worker_poll_interval,
        lease_s=settings.lease_s,
        policies=runtime.policies(),
    )
    return Worker(ports, config, runtime.broker.wait, runtime.broker.wake)


def build_maintenance(runtime: Runtime, worker: Worker) -> Maintenance:
    """Return the chores of a worker."""
    webhooks = WebhookSender(
        db=runtime.db,
        clock=runtime.clock,
        jobs=runtime.jobs,
        fetcher=runtime.fetcher,
        links=runtime.links,
        secret=runtime.secrets.webhook,
        allow_private=runtime.settings.webhook_allow_private,
    )
    pruner = Pruner(keep_ms=int(runtime.settings.event_retention * 1000))
    return Maintenance(runtime.db, runtime.artifacts, webhooks, worker, pruner)
