"""The worker inside another process: the server's, or a single command's."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import structlog

from mediagen.brokers.inprocess import InProcessBroker
from mediagen.db.engine import Connection
from mediagen.jobs import repository
from mediagen.jobs.retry import Backoff
from mediagen.runtime import Runtime
from mediagen.worker.looks import Looks
from mediagen.worker.loop import Worker, WorkerConfig
from mediagen.worker.maintenance import Maintenance
from mediagen.worker.ports import Ports, Timing
from mediagen.worker.webhooks import WebhookSender

log = structlog.get_logger(__name__)


@asynccontextmanager
async def working(runtime: Runtime) -> AsyncIterator[Worker]:
    """Run a worker for as long as the context lasts; at its end it finishes its steps and takes nothing new."""
    worker = build_worker(runtime)
    with _sign_of_life(_locks(runtime), worker.name):
        await _free_dead_leases(runtime, worker.name)
        maintenance = build_maintenance(runtime, worker)
        await maintenance.beat()
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


def build_worker(runtime: Runtime) -> Worker:
    """Return a worker over the runtime's parts, woken by the in-process broker."""
    settings, broker = runtime.settings, runtime.broker
    assert isinstance(broker, InProcessBroker)
    ports = Ports(
        db=runtime.db,
        clock=runtime.clock,
        providers=runtime.providers,
        keeper=runtime.artifacts,
        look=Looks(),
        backoff=Backoff(base_s=settings.retry_backoff_base),
        timing=Timing(job_timeout_s=settings.job_timeout, grace_s=settings.reconcile_grace),
        webhook_url=runtime.hook_url,
    )
    config = WorkerConfig(
        concurrency=settings.worker_concurrency,
        poll_s=settings.worker_poll_interval,
        lease_s=settings.lease_s,
        policies=runtime.policies(),
    )
    return Worker(ports, config, broker.wait, lambda: broker.ring(""))


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
    return Maintenance(runtime.db, runtime.artifacts, webhooks, worker)


# ---------------------------------------------------------------------------------------------- fast rescue


def _locks(runtime: Runtime) -> Path:
    folder = runtime.settings.data_dir / "workers"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _sign_of_life(folder: Path, name: str) -> Iterator[None]:
    """Hold a lock that the system takes away when this process dies, however it dies."""
    path = folder / name
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


async def _free_dead_leases(runtime: Runtime, own_name: str) -> None:
    """Free the leases of this machine's dead workers, so that nobody waits for them to run out.

    A wrong guess would be harmless: the fence refuses the writes of a worker whose lease was taken.
    """
    dead = await asyncio.to_thread(_dead_workers, _locks(runtime), own_name)
    if not dead:
        return

    def free(connection: Connection) -> int:
        return sum(repository.release_all(connection, name) for name in dead)

    freed = await runtime.db.transact(free)
    if freed:
        log.info("leases.freed", jobs=freed)


def _dead_workers(folder: Path, own_name: str) -> list[str]:
    dead = []
    for path in folder.iterdir():
        if path.name == own_name:
            continue
        with path.open("w") as file, suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            dead.append(path.name)
            path.unlink(missing_ok=True)
    return dead
