"""Calls that were marked with another address than today's: a provider may show the one and not the other."""

from dataclasses import replace

from mediagen.providers.base import Unknown
from mediagen.worker.loop import Worker, WorkerConfig
from mediagen.worker.ports import Marks
from mediagen.worker.turns import call_of
from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_client import a_call, bought, provider_at
from tests.unit.conftest import Engine

LOST = Unknown(message="The connection broke")


async def begin_at(engine: Engine, address: str) -> None:
    """Let a worker begin whose calls are marked with this address."""
    marks = Marks(
        installation="0" * 16, address=lambda provider, marker: f"{address}/hooks/p/t/{marker}", at=address
    )
    engine.ports = replace(engine.ports, marks=marks)
    config = WorkerConfig(concurrency=1, poll_s=1, lease_s=30, policies={})
    await Worker(engine.ports, config, engine.clock.sleep, lambda: None)._claim(1)


async def test_only_calls_since_the_address_is_todays_carry_it(engine: Engine) -> None:
    await begin_at(engine, "https://mediagen.invalid")
    engine.provider.script.append(LOST)
    first = (await engine.look(await engine.submit())).job
    await engine.work()
    engine.clock.advance(5)
    await begin_at(engine, "https://gw.example")
    engine.provider.script.append(LOST)
    second = (await engine.look(await engine.submit())).job
    await engine.work()
    assert "//mediagen.invalid/" in (engine.provider.creates[0].webhook_url or "")
    assert "//gw.example/" in (engine.provider.creates[1].webhook_url or "")
    engine.clock.advance(5)
    await begin_at(engine, "https://gw.example")  # as the next process does
    carried = []
    for job in (first, second):
        [record] = (await engine.look(job.id)).calls
        call = call_of(engine.ports, engine.provider, job, record)
        assert call.marker is not None
        carried.append(call.webhook_url)
    assert carried == [None, engine.provider.creates[1].webhook_url]


async def test_markers_at_todays_address_rule_out_no_call_that_carried_another() -> None:
    async with FakeReplicate() as fake, provider_at(fake.url) as replicate:
        call = a_call(hook=True)
        fake.switches.echo_webhook = False
        lost = await bought(replicate, call)
        fake.switches.echo_webhook = True
        fake.kept[lost.ref].webhook = None  # as a provider shows one that leads nowhere
        await bought(replicate, a_call("another", hook=True))
        findings = await replicate.find(replace(call, webhook_url=None))
        assert [each.ref for each in findings.alike] == [lost.ref]


async def test_a_clock_that_was_set_back_sends_no_call_without_its_marker(engine: Engine) -> None:
    await begin_at(engine, "https://gw.example")
    engine.ports.marks.since["https://gw.example"] += 3_600_000
    await engine.submit()
    await engine.work()
    assert engine.provider.creates[0].webhook_url is not None
