"""The storage is away for two hours, the provider's links live for one: what was paid for is kept all the same."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from mediagen.artifacts.service import ArtifactService
from mediagen.artifacts.thumbnails import Thumbnailer
from mediagen.errors import FetchGone, Unavailable
from mediagen.jobs.states import JobState
from mediagen.providers.base import Accepted, Dedupe, Output, Prediction, PredictionStatus
from mediagen.storages.local import LocalStorage
from mediagen.worker import steps
from tests.fakes.scripted import PNG, ScriptedProvider
from tests.unit.conftest import Engine

OUTAGE_S = 7_200
LINK_S = 3_600


class Shared:
    """Whether the storage that all machines share is away."""

    away = True


class SharedStorage(LocalStorage):
    """One machine's door to it; files on their way in lie on the machine's own disk."""

    def __init__(self, shared: Shared, root: Path, own: Path) -> None:
        super().__init__(root, 0)
        self._shared = shared
        self.temp_dir = own
        own.mkdir()

    async def put(self, key: str, file: Path) -> None:
        self._demand()
        await super().put(key, file)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        self._demand()
        async for piece in super().read(key, start, end):
            yield piece

    def _demand(self) -> None:
        if self._shared.away:
            raise Unavailable("the storage can't be used now")


class Machine:
    """A worker with its own disk."""

    def __init__(self, engine: Engine, shared: Shared, root: Path, name: str) -> None:
        self._engine = engine
        self._storage = SharedStorage(shared, root / "artifacts", root / name)
        self.keeper = ArtifactService(engine.db, self._storage, Thumbnailer())

    async def work(self) -> None:
        """Run one step of every job that is due."""
        ports = replace(self._engine.ports, keeper=self.keeper)
        for job in await self._engine.claim():
            await steps.run(ports, job)


@pytest.fixture
def shared() -> Shared:
    return Shared()


async def test_an_output_is_kept_after_two_hours_although_its_link_died_after_one(
    engine: Engine, shared: Shared, tmp_path: Path
) -> None:
    machine = Machine(engine, shared, tmp_path, "one")
    job_id = await _made(engine, machine)
    for elapsed_s in range(0, OUTAGE_S, 30):
        if elapsed_s == LINK_S:
            engine.provider.bytes.extend([FetchGone("404")] * 1000)
        await machine.work()
        engine.clock.advance(30)
    assert (await engine.look(job_id)).job.state is JobState.STORING
    shared.away = False
    engine.clock.advance(120)
    await machine.work()
    await _expect_kept(engine, job_id)


async def test_a_machine_that_came_too_late_to_fetch_it_does_not_give_it_up(
    engine: Engine, shared: Shared, tmp_path: Path
) -> None:
    holder, newcomer = (Machine(engine, shared, tmp_path, name) for name in ("holder", "newcomer"))
    job_id = await _made(engine, holder)
    await holder.work()
    engine.provider.bytes.extend([FetchGone("404")] * 1000)
    for _ in range(0, OUTAGE_S, 30):
        engine.clock.advance(30)
        await newcomer.work()
    assert (await engine.look(job_id)).job.state is JobState.STORING
    shared.away = False
    engine.clock.advance(120)
    await newcomer.work()  # it can't, but nobody is the worse for it
    engine.clock.advance(120)
    await holder.work()
    await _expect_kept(engine, job_id)


async def test_what_a_synchronous_provider_made_is_held_until_the_storage_is_back(
    engine: Engine, shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.use(ScriptedProvider(dedupe=Dedupe.KEY, billed=True, synchronous=True))
    done = Prediction(ref="sync-1", status=PredictionStatus.SUCCEEDED, outputs=(Output(data=PNG),))
    engine.provider.script.append(Accepted(prediction=done))
    machine, begun = Machine(engine, shared, tmp_path, "one"), engine.clock.monotonic()
    sleep = engine.clock.sleep

    async def sleeping(seconds: float) -> None:
        await sleep(seconds)
        shared.away = engine.clock.monotonic() - begun < OUTAGE_S

    monkeypatch.setattr(engine.clock, "sleep", sleeping)
    job_id = await engine.submit()
    [job] = await engine.claim()
    with pytest.raises(Exception, match="no longer held"):  # nobody renewed its lease for two hours here
        await steps.run(replace(engine.ports, keeper=machine.keeper), job)
    for _ in range(5):
        engine.clock.advance(60)
        await machine.work()
    await _expect_kept(engine, job_id)


async def _made(engine: Engine, machine: Machine) -> str:
    """Return a job whose prediction has succeeded at the provider."""
    job_id = await engine.submit()
    await machine.work()
    engine.provider.end()
    engine.clock.advance(1)
    return job_id


async def _expect_kept(engine: Engine, job_id: str) -> None:
    detail = await engine.look(job_id)
    assert (detail.job.state, len(detail.artifacts), len(engine.provider.creates)) == (
        JobState.SUCCEEDED,
        1,
        1,
    )
