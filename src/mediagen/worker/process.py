"""A worker in a process of its own: Celery hosts it where there is a broker, else it looks for work by itself."""

import asyncio
import signal

from mediagen.runtime import Runtime, celery_url
from mediagen.settings import Settings
from mediagen.worker.embedded import working


def run(settings: Settings) -> None:
    """Run jobs until a signal comes, then finish the steps under way. Raises `SettingsError`."""
    if celery_url(settings):
        _under_celery(settings)
        return
    import uvloop

    uvloop.run(_alone(settings))


def _under_celery(settings: Settings) -> None:
    """Run the very worker that `celery -A mediagen.worker.celery_app worker` runs."""
    from mediagen.worker.celery_app import app

    level = "INFO" if settings.debug else "WARNING"
    app.worker_main(["worker", f"--loglevel={level}", "--without-mingle", "--without-gossip"])


async def _alone(settings: Settings) -> None:
    stopping = asyncio.Event()
    for sig in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sig, stopping.set)
    runtime = await Runtime.start(settings)
    try:
        async with working(runtime):
            await stopping.wait()
    finally:
        await runtime.close()
