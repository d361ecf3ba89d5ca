"""What is done in a scene while the provider misbehaves."""

import asyncio
import shutil
import time

from proof.evidence.world import World, set_faults
from tests.fakes.replicate_data import ENDED

_KILLS = 12  # more than the claims in a row after which a job may be taken to kill its workers


async def straight(world: World) -> None:
    """Submit all and wait."""
    await world.start()
    await world.submit()
    await world.until_ended()


async def away(world: World) -> None:
    """Stop the server when all is sold, and start it again after the provider removed the inputs."""
    await world.start()
    await world.submit()
    await world.until(lambda: len(world.replicate.sold) == world.scene.jobs)
    await world.server.stop()
    await world.until(lambda: all(kept.data_is_removed for kept in world.replicate.sold))
    await world.start()
    await world.until_ended()


async def canceled(world: World) -> None:
    """Cancel every job while its prediction runs."""
    await world.start()
    await world.submit()
    await world.until(lambda: len(world.replicate.sold) == world.scene.jobs)
    await world.cancel()
    await world.until_ended()


async def cog_down(world: World) -> None:
    """Let a provider with keys fail for ever."""
    world.cog.fails(503)
    await straight(world)


async def cog_down_canceled(world: World) -> None:
    """The same, and cancel."""
    world.cog.fails(503)
    await world.start()
    await world.submit()
    await world.until(world.cog.arrived.is_set)
    await world.cancel()
    await world.until_ended()


async def cog_for_another(world: World) -> None:
    """Let a provider with keys answer for somebody else."""
    world.cog.answers_for_another()
    await straight(world)


async def killed_often(world: World) -> None:
    """Kill the server again and again while it fetches what was paid for."""
    await world.start()
    await world.submit()
    downloads = 0
    for _ in range(_KILLS):
        await world.until(lambda: _downloads(world) >= downloads + world.scene.jobs)  # noqa: B023
        await world.server.kill()
        downloads = _downloads(world)
        await world.start()
    for kept in world.replicate.sold:
        kept.switches.file = "png"
    await world.until(lambda: _downloads(world) > downloads)
    await world.server.kill()
    await world.start()
    await world.until_ended()


def _downloads(world: World) -> int:
    return sum(kept.downloads for kept in world.replicate.sold)


async def older_copy(world: World) -> None:
    """Put an older copy of the database back: half of the jobs wait in it, the others came after it."""
    half = world.scene.jobs // 2
    set_faults(world.replicate, {"refuse": 429, "retry_after": "1"})
    await world.start()
    await world.submit(range(half))
    await world.until(lambda: len(world.replicate.creates) > 0)
    await world.server.stop()
    copy = world.folder / "copy"
    await asyncio.to_thread(shutil.copytree, world.data, copy)
    set_faults(world.replicate, {"refuse": 0})
    await world.start()
    await world.submit(range(half, world.scene.jobs))
    await world.until_ended()
    await world.server.stop()
    since = [kept.id for kept in world.replicate.sold]
    await asyncio.to_thread(shutil.rmtree, world.data)
    await asyncio.to_thread(copy.rename, world.data)
    found = await world.audit()
    named = {each["ref"] for each in found["orphans"]} | set(found["undecided"]) if found else set()
    world.unnamed = len(set(since) - named) if found else 1
    await world.start()
    await world.until_ended()


async def late_ring(world: World) -> None:
    """Wait for all that was sold to come to its end, used or not."""
    await straight(world)
    deadline = time.monotonic() + world.scene.bound_s
    await world.until(
        lambda: all(kept.status in ENDED for kept in world.replicate.sold), deadline - time.monotonic()
    )
