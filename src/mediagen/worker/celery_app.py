"""The Celery app: `celery -A mediagen.worker.celery_app worker` hosts the engine.

An ordinary Celery worker brings processes, supervision and Flower; a bootstep runs the engine in it, a thread
with one event loop that holds thousands of jobs at the provider. The only task rings the engine's bell.
"""

import asyncio
import logging
import os
import signal
import threading
from concurrent.futures import Future
from typing import Any

import structlog
from celery import Celery, bootsteps, signals

from mediagen.brokers.celery import RING, celery_app
from mediagen.runtime import Runtime, celery_url
from mediagen.settings import load_settings
from mediagen.telemetry import set_up_logging
from mediagen.worker.embedded import working
from mediagen.worker.loop import Worker

log = structlog.get_logger(__name__)

_START_S = 60.0

_settings = load_settings()
app: Celery = celery_app(celery_url(_settings), _settings.celery_queue)


class Engine(threading.Thread):
    """The worker in a thread with an event loop of its own."""

    def __init__(self) -> None:
        super().__init__(name="engine")
        self.started: Future[Worker] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    def run(self) -> None:
        import uvloop

        try:
            uvloop.run(self._work())
        except Exception as error:
            if not self.started.done():
                self.started.set_exception(error)
            else:
                log.exception("engine.crashed")
                os.kill(os.getpid(), signal.SIGTERM)  # what supervises the process starts it again

    async def _work(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        runtime = await Runtime.start(load_settings())
        try:
            async with working(runtime) as worker:
                self.started.set_result(worker)
                await self._stopping.wait()
        finally:
            await runtime.close()

    def ring(self) -> None:
        """Look for due jobs now. Returns at once."""
        if self._loop is not None and self.started.done():
            self._loop.call_soon_threadsafe(self.started.result().ring)

    def stop(self) -> None:
        """Finish the steps under way and end."""
        if self._loop is not None and self._stopping is not None and self.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self.join()


_engine: Engine | None = None


class EngineStep(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """Starts the engine with the Celery worker, and drains it at the end."""

    requires = ("celery.worker.components:Pool",)

    def start(self, parent: Any) -> None:
        global _engine
        _engine = Engine()
        _engine.start()
        _engine.started.result(_START_S + load_settings().start_wait_s)

    def stop(self, parent: Any) -> None:
        if _engine is not None:
            _engine.stop()

    def terminate(self, parent: Any) -> None:
        self.stop(parent)


app.steps["worker"].add(EngineStep)


@signals.setup_logging.connect  # type: ignore[untyped-decorator]  # celery has no types
def log_as_everywhere(loglevel: int, **_: object) -> None:
    """Log as the server does; `--loglevel` holds for Celery's own words.

    Celery's own set-up would take stderr away, and drop what the engine writes there.
    """
    set_up_logging(debug=load_settings().debug)
    for name in ("celery", "kombu"):
        logging.getLogger(name).setLevel(loglevel)


@app.task(name=RING)  # type: ignore[untyped-decorator]  # celery has no types
def ring(job_ids: list[str]) -> None:
    """Wake the engine; which jobs were meant does not matter, it takes all that are due."""
    if _engine is not None:
        _engine.ring()
