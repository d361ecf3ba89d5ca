"""The spend audit: what was sold and is not in the ledger, what is in the ledger and was not sold."""

import pytest

from mediagen.errors import ProviderError
from mediagen.jobs import calls
from mediagen.jobs.audit import Audit, audit
from mediagen.jobs.calls import Acceptance
from mediagen.jobs.states import CallState
from mediagen.providers.base import Call, Dedupe, PredictionStatus, Sold, Unknown
from tests.fakes.scripted import ScriptedProvider
from tests.unit.conftest import Engine

HOUR_MS = 3_600_000


async def audited(engine: Engine) -> Audit:
    return await audit(engine.db, engine.provider, last_ms=HOUR_MS, grace_s=30)


def stranger(call_id: str = "") -> Call:
    """Return a call that the ledger does not have."""
    return Call(
        id=call_id or "00000000-0000-7000-8000-000000000000",
        model="scripted/one",
        input={},
        created_at_ms=0,
        timeout_s=60,
    )


async def test_what_was_bought_and_recorded_is_clean(engine: Engine) -> None:
    for prompt in ("a fox", "a pond"):
        await engine.submit(prompt)
    await engine.work_for(60)
    found = await audited(engine)
    assert (found.sold, found.charged, found.clean) == (2, 2, True)
    assert (found.orphans, found.missing, found.bought_twice, found.undecided) == ([], [], [], [])


async def test_a_prediction_that_the_ledger_does_not_know_is_an_orphan(engine: Engine) -> None:
    engine.provider.run(stranger(), created_at_ms=engine.clock.now_ms())
    found = await audited(engine)
    assert ([each.ref for each in found.orphans], found.clean) == (["ref-0"], False)


async def test_a_second_prediction_of_one_call_is_an_orphan(engine: Engine) -> None:
    await engine.submit()
    await engine.work()
    engine.provider.run(engine.provider.creates[0], created_at_ms=engine.clock.now_ms())
    assert [each.ref for each in (await audited(engine)).orphans] == ["ref-1"]


async def test_a_prediction_of_a_call_that_was_declared_absent_is_an_orphan(engine: Engine) -> None:
    engine.provider.script.append(Unknown(message="502"))
    await engine.submit()
    await engine.work_for(50)
    engine.provider.run(engine.provider.creates[0], created_at_ms=engine.clock.now_ms())
    assert [each.ref for each in (await audited(engine)).orphans] == ["ref-1"]


async def test_a_prediction_that_names_an_unanswered_call_is_undecided(engine: Engine) -> None:
    engine.provider.script.append(Unknown(message="502"))
    await engine.submit()
    await engine.work()
    engine.provider.run(engine.provider.creates[0], created_at_ms=engine.clock.now_ms())
    found = await audited(engine)
    assert ([each.ref for each in found.undecided], found.orphans) == (["ref-0"], [])


async def test_a_prediction_that_names_none_may_be_an_unanswered_call_unless_it_is_older(
    engine: Engine,
) -> None:
    now = engine.clock.now_ms()
    engine.provider.script.append(Unknown(message="502"))
    await engine.submit()
    await engine.work()
    engine.provider.run(stranger(), call_id=None, created_at_ms=now)
    engine.provider.run(stranger(), call_id=None, created_at_ms=now - 120_000)
    found = await audited(engine)
    assert [each.ref for each in found.undecided] == ["ref-0"]
    assert [each.ref for each in found.orphans] == ["ref-1"]


async def test_a_call_of_a_job_that_has_ended_without_an_answer_makes_nothing_undecided(
    engine: Engine,
) -> None:
    engine.use(ScriptedProvider(dedupe=Dedupe.NONE))
    engine.provider.script.append(Unknown(message="connection lost"))
    job_id = await engine.submit()
    await engine.work_for(70)
    assert (await engine.look(job_id)).job.error_code == "outcome_unknown"
    engine.provider.run(engine.provider.creates[0], created_at_ms=engine.clock.now_ms())
    found = await audited(engine)
    assert ([each.ref for each in found.orphans], found.undecided) == (["ref-0"], [])


async def test_a_call_that_the_provider_does_not_list_is_missing(engine: Engine) -> None:
    job_id = await engine.submit()
    await engine.work_for(60)
    engine.provider.predictions.clear()
    found = await audited(engine)
    assert ([each.job_id for each in found.missing], found.clean) == ([job_id], False)


async def test_a_call_that_may_not_be_listed_yet_is_not_missing(engine: Engine) -> None:
    await engine.submit()
    await engine.work()
    engine.provider.predictions.clear()
    assert (await audited(engine)).clean


async def test_a_job_bought_again_although_nothing_failed_is_bought_twice(engine: Engine) -> None:
    engine.provider.script.append(Unknown(message="502"))
    job_id = await engine.submit()
    await engine.work_for(50)
    first, second = engine.provider.creates
    late = engine.provider.run(first, created_at_ms=engine.clock.now_ms())
    assert await engine.db.transact(lambda c: calls.accept(c, first.id, late.ref)) is Acceptance.LATE
    found = await audited(engine)
    assert [[call.state for call in each] for each in found.bought_twice] == [
        [CallState.ORPHAN, CallState.ACCEPTED]
    ]
    assert ({each[0].job_id for each in found.bought_twice}, found.orphans) == ({job_id}, [])
    assert second.id != first.id


async def test_a_job_bought_again_because_the_first_failed_is_not_bought_twice(engine: Engine) -> None:
    await engine.submit()
    await engine.work()
    engine.provider.end(status=PredictionStatus.FAILED, retryable=True)
    await engine.work_for(10)
    found = await audited(engine)
    assert (found.sold, found.charged, found.clean) == (2, 2, True)


async def test_what_was_sold_before_the_time_in_question_is_left_out(engine: Engine) -> None:
    engine.provider.run(stranger(), created_at_ms=engine.clock.now_ms() - HOUR_MS - 1)
    found = await audited(engine)
    assert (found.sold, found.clean) == (0, True)


async def test_nothing_is_concluded_when_the_list_can_not_be_had(engine: Engine) -> None:
    engine.provider.failing.append(ProviderError("502"))
    with pytest.raises(ProviderError):
        await audited(engine)


async def test_nothing_is_concluded_from_a_part_of_the_list(engine: Engine) -> None:
    engine.provider.listed = Sold(predictions=(), why="5 pages of it don't go back far enough")
    with pytest.raises(ProviderError, match="far enough"):
        await audited(engine)


async def test_entries_that_can_not_be_read_are_counted_and_end_nothing(engine: Engine) -> None:
    engine.provider.listed = Sold(predictions=(), unreadable=2)
    await engine.submit()
    await engine.work()
    found = await audited(engine)
    assert (found.sold, found.unreadable, found.clean) == (1, 2, True)


async def test_thousands_of_predictions_are_compared(engine: Engine) -> None:
    for _ in range(2_500):
        engine.provider.run(stranger(), created_at_ms=engine.clock.now_ms())
    await engine.submit()
    await engine.work()
    found = await audited(engine)
    assert (found.sold, len(found.orphans)) == (2_501, 2_500)
