"""Tells by its exit code whether a worker of this machine was seen lately; for health checks of containers.

python -m mediagen.worker.alive
"""

import asyncio
import sys

from mediagen.clock import SystemClock
from mediagen.errors import MediagenError
from mediagen.jobs import stats
from mediagen.runtime import build_database
from mediagen.settings import Settings, load_settings
from mediagen.worker.loop import host_name


async def is_alive(settings: Settings) -> bool:
    """Tell whether a worker whose name begins with this machine's has lately given its sign of life."""
    database = build_database(settings, SystemClock())
    try:
        await database.start()
        seen = await database.read(stats.alive)
    finally:
        await database.close()
    return any(worker.name.startswith(f"{host_name()}:") for worker in seen)


def main() -> None:
    """End with 1, and say why, when there is none."""
    try:
        found = asyncio.run(is_alive(load_settings()))
    except MediagenError as error:
        sys.exit(str(error))
    if not found:
        sys.exit(f"no worker of {host_name()} was seen lately")


if __name__ == "__main__":
    main()
