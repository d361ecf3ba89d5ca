"""One bad answer is not the end of what was paid for: what ends a job, and what only makes it wait."""

from dataclasses import replace

import pytest

from mediagen.errors import FetchBlocked, FetchError, PredictionGone, ProviderError, Unreadable
from mediagen.jobs.states import CallState, JobState
from mediagen.providers.base import (
    Accepted,
    Dedupe,
    Output,
    Prediction,
    PredictionStatus,
    Rejected,
    RejectReason,
    Unknown,
)
from mediagen.worker import steps
from tests.fakes.scripted import PNG, ScriptedProvider
from tests.unit.conftest import Engine

FAILED, CANCELED = PredictionStatus.FAILED, PredictionStatus.CANCELED
GONE_S = 600


async def bought(engine: Engine) -> str:
    """Return a job that the provider works on, with time enough."""
    job_id = await engine.submit(timeout_s=7_200)
    await engine.work()
    return job_id


async def ended(engine: Engine, job_id: str) -> tuple[JobState, str | None]:
    job = (await engine.look(job_id)).job
    return job.state, job.error_code


def deny(engine: Engine, looks: int = 1000, *, sure: bool = False) -> None:
    """Let the provider say that it has no such prediction."""
    engine.provider.failing.extend([PredictionGone("404", sure=sure)] * looks)


# ---------------------------------------------------------------------------------------------- gone


async def test_one_look_that_found_nothing_ends_nothing(engine: Engine) -> None:
    job_id = await bought(engine)
    deny(engine, 1)
    await engine.work_for(5)
    assert await ended(engine, job_id) == (JobState.WAITING, None)
    [record] = (await engine.look(job_id)).calls
    assert record.missing_since is None  # the look after it found the prediction
    engine.provider.end()
    await engine.work_for(5)
    assert await ended(engine, job_id) == (JobState.SUCCEEDED, None)


async def test_what_the_provider_says_it_removed_is_gone_at_once(engine: Engine) -> None:
    job_id = await bought(engine)
    deny(engine, 1, sure=True)
    await engine.work_for(2)
    assert await ended(engine, job_id) == (JobState.FAILED, "prediction_gone")


async def test_what_was_not_found_for_long_is_gone_when_the_list_agrees(engine: Engine) -> None:
    engine.provider.shown = False
    job_id = await bought(engine)
    deny(engine)
    await engine.work_for(GONE_S - 10, pace_s=5)
    assert await ended(engine, job_id) == (JobState.WAITING, None)
    await engine.work_for(90, pace_s=5)
    assert await ended(engine, job_id) == (JobState.FAILED, "prediction_gone")
    assert [call.state for call in (await engine.look(job_id)).calls] == [CallState.ORPHAN]


async def test_time_alone_without_looks_proves_nothing(engine: Engine) -> None:
    engine.provider.shown = False
    job_id = await bought(engine)
    deny(engine, 2)
    engine.clock.advance(1)
    await engine.work()
    engine.clock.advance(2 * GONE_S)  # nobody was at work
    await engine.work()
    assert await ended(engine, job_id) == (JobState.WAITING, None)


@pytest.mark.parametrize("shown", [True, None], ids=["shown", "not known"])
async def test_what_the_list_has_or_can_not_tell_goes_on(engine: Engine, shown: bool | None) -> None:
    engine.provider.shown = shown
    job_id = await bought(engine)
    deny(engine)
    await engine.work_for(3 * GONE_S, pace_s=10)
    assert await ended(engine, job_id) == (JobState.WAITING, None)
    engine.provider.failing.clear()
    engine.provider.end()
    await engine.work_for(70, pace_s=5)
    assert await ended(engine, job_id) == (JobState.SUCCEEDED, None)


async def test_what_is_made_is_not_gone_by_one_answer_either(engine: Engine) -> None:
    job_id = await bought(engine)
    engine.provider.end()
    engine.provider.bytes.append(FetchError("reset"))
    engine.clock.advance(1)
    await engine.work()
    deny(engine, 1)
    await engine.work_for(30)
    assert await ended(engine, job_id) == (JobState.SUCCEEDED, None)


async def test_what_is_made_is_gone_when_the_list_agrees_for_long(engine: Engine) -> None:
    engine.provider.shown = False
    engine.provider.capabilities = replace(engine.provider.capabilities, retention_s=86_400)
    job_id = await bought(engine)
    engine.provider.end()
    engine.provider.bytes.append(FetchError("reset"))
    engine.clock.advance(1)
    await engine.work()
    deny(engine)
    await engine.work_for(GONE_S - 10, pace_s=5)
    assert await ended(engine, job_id) == (JobState.STORING, None)
    await engine.work_for(200, pace_s=5)
    assert await ended(engine, job_id) == (JobState.FAILED, "prediction_gone")


async def test_what_was_missed_while_it_was_made_does_not_count_when_it_is_stored(engine: Engine) -> None:
    job_id = await bought(engine)
    deny(engine, 1)
    engine.clock.advance(1)
    await engine.work()
    engine.provider.end()
    engine.provider.bytes.append(FetchError("reset"))
    engine.clock.advance(10)
    await engine.work()
    detail = await engine.look(job_id)
    assert (detail.job.state, detail.calls[0].missing_since) == (JobState.STORING, None)


# ---------------------------------------------------------------------------------------------- time


async def test_the_time_to_make_it_counts_from_the_provider_s_start(engine: Engine) -> None:
    job_id = await engine.submit()
    await engine.work()
    running = engine.provider.predictions["ref-0"]
    engine.provider.predictions["ref-0"] = replace(running, begun=False)
    await engine.work_for(300, pace_s=5)
    assert engine.provider.canceled == []
    engine.provider.predictions["ref-0"] = replace(running, queued_ms=300_000)
    await engine.work_for(55, pace_s=5)
    assert engine.provider.canceled == []
    await engine.work_for(15, pace_s=5)
    assert engine.provider.canceled
    engine.provider.end(status=CANCELED)
    await engine.work_for(5)
    assert await ended(engine, job_id) == (JobState.FAILED, "timed_out")


async def test_a_start_that_the_provider_does_not_date_is_that_of_the_last_look_before(
    engine: Engine,
) -> None:
    await engine.submit()
    await engine.work()
    running = engine.provider.predictions["ref-0"]
    engine.provider.predictions["ref-0"] = replace(running, begun=False)
    await engine.work_for(300, pace_s=5)
    engine.provider.predictions["ref-0"] = running
    await engine.work_for(45, pace_s=5)
    assert engine.provider.canceled == []
    await engine.work_for(30, pace_s=5)
    assert engine.provider.canceled


async def test_what_waits_at_its_provider_for_ever_is_stopped_in_the_end(engine: Engine) -> None:
    await engine.submit()
    await engine.work()
    running = engine.provider.predictions["ref-0"]
    engine.provider.predictions["ref-0"] = replace(running, begun=False)
    await engine.work_for(1850, pace_s=10)
    assert engine.provider.canceled == []
    await engine.work_for(60, pace_s=10)
    assert engine.provider.canceled


async def test_a_queue_that_is_longer_than_the_call_is_old_gives_no_more_time(engine: Engine) -> None:
    await engine.submit()
    await engine.work()
    engine.provider.predictions["ref-0"] = replace(engine.provider.predictions["ref-0"], queued_ms=10**12)
    await engine.work_for(100, pace_s=5)
    assert engine.provider.canceled == []  # it may have begun just now
    running = engine.provider.predictions["ref-0"]
    engine.provider.predictions["ref-0"] = replace(running, queued_ms=100_000)
    await engine.work_for(100, pace_s=5)
    assert engine.provider.canceled


@pytest.mark.parametrize(
    ("asked_s", "model_s", "long_s", "making_s"),
    [
        (120.0, 300.0, 900.0, 120),
        (None, 300.0, 900.0, 300),
        (None, None, 900.0, 900),
        (None, None, None, 60),
    ],
    ids=["as asked", "as set for the model", "as video needs", "as for all"],
)
async def test_how_long_the_making_may_take(
    engine: Engine, asked_s: float | None, model_s: float | None, long_s: float | None, making_s: int
) -> None:
    model = "scripted/text-to-video"
    set_for = {} if model_s is None else {model: model_s}
    timing = replace(engine.ports.timing, model_timeouts_s=set_for, long_timeout_s=long_s)
    engine.ports = replace(engine.ports, timing=timing)
    job_id = await engine.submit(model=model, timeout_s=asked_s)
    await engine.work()
    [record] = (await engine.look(job_id)).calls
    assert record.deadline_at - record.send_by == record.making_ms == making_s * 1000
    assert engine.provider.creates[0].timeout_s == making_s


async def test_what_does_not_stop_is_not_asked_every_second_for_an_hour(engine: Engine) -> None:
    await engine.submit()
    await engine.work_for(660, pace_s=1)
    assert 10 < len(engine.provider.canceled) < 120


# ---------------------------------------------------------------------------------------------- parts


@pytest.mark.parametrize(
    ("status", "code"), [(FAILED, "prediction_failed"), (CANCELED, "canceled_by_provider")]
)
@pytest.mark.parametrize("broken", [0, 2], ids=["at once", "at a later try"])
async def test_what_was_made_before_it_failed_is_kept(
    engine: Engine, status: PredictionStatus, code: str, broken: int
) -> None:
    job_id = await bought(engine)
    engine.provider.bytes.extend([FetchError("reset")] * broken)
    engine.provider.end(status=status, outputs=(Output(url="scripted:0"), Output(url="scripted:1")))
    await engine.work_for(30)
    detail = await engine.look(job_id)
    assert (detail.job.state, detail.job.error_code) == (JobState.FAILED, code)
    assert (detail.job.output_count, len(detail.artifacts)) == (2, 2)
    assert len(engine.provider.creates) == 1


async def test_parts_that_can_not_be_had_do_not_change_how_it_ended(engine: Engine) -> None:
    job_id = await bought(engine)
    engine.provider.bytes.extend([FetchError("reset")] * 1000)
    engine.provider.end(
        status=FAILED, error_code="moderation", error_message="NSFW", outputs=(Output(url="scripted:0"),)
    )
    await engine.work_for(900, pace_s=10)
    job = (await engine.look(job_id)).job
    assert (job.state, job.error_code, job.error_message, job.output_count) == (
        JobState.FAILED,
        "moderation",
        "NSFW",
        0,
    )


async def test_the_whole_output_is_kept_beside_the_files(engine: Engine) -> None:
    job_id = await bought(engine)
    engine.provider.end(document='{"seed": 7}')
    await engine.work_for(5)
    assert (await engine.look(job_id)).job.output == '{"seed": 7}'


# ---------------------------------------------------------------------------------------------- storing


@pytest.mark.parametrize(
    "error", [FetchBlocked("private address"), FetchError("reset"), b""], ids=["blocked", "reset", "empty"]
)
async def test_no_number_of_failed_fetches_gives_up_what_can_still_be_had(
    engine: Engine, error: FetchError | bytes
) -> None:
    job_id = await bought(engine)
    engine.provider.bytes.extend([error] * 1000)
    engine.provider.end()
    await engine.work_for(590, pace_s=5)
    assert await ended(engine, job_id) == (JobState.STORING, None)
    engine.provider.bytes.clear()
    await engine.work_for(125, pace_s=5)
    assert await ended(engine, job_id) == (JobState.SUCCEEDED, None)


async def test_nothing_is_given_up_before_it_was_tried_some_times(engine: Engine) -> None:
    job_id = await bought(engine)
    engine.provider.bytes.append(FetchError("reset"))
    engine.provider.end()
    engine.clock.advance(1)
    await engine.work()
    engine.clock.advance(7200)  # nobody was at work, and the provider keeps its outputs after all
    engine.provider.bytes.append(FetchError("reset"))
    await engine.work_for(60)
    assert await ended(engine, job_id) == (JobState.SUCCEEDED, None)


async def test_outputs_that_are_named_late_are_waited_for(engine: Engine) -> None:
    job_id = await bought(engine)
    engine.provider.end(outputs=())
    await engine.work_for(60)
    assert await ended(engine, job_id) == (JobState.STORING, None)
    engine.provider.end()
    await engine.work_for(125, pace_s=5)
    assert await ended(engine, job_id) == (JobState.SUCCEEDED, None)


# ---------------------------------------------------------------------------------------------- unreachable


async def test_a_provider_that_can_not_be_asked_is_asked_as_long_as_outputs_can_be_had(
    engine: Engine,
) -> None:
    job_id = await engine.submit()
    await engine.work()
    engine.provider.failing.extend([ProviderError("503")] * 10_000)
    await engine.work_for(2400, pace_s=20)
    assert await ended(engine, job_id) == (JobState.WAITING, None)
    await engine.work_for(200, pace_s=20)
    assert await ended(engine, job_id) == (JobState.FAILED, "provider_unreachable")
    assert [call.state for call in (await engine.look(job_id)).calls] == [CallState.ORPHAN]


async def test_answers_that_can_not_be_read_are_said_and_kept(engine: Engine) -> None:
    job_id = await bought(engine)
    engine.provider.failing.append(Unreadable("it is no JSON", raw="<html>"))
    engine.clock.advance(1)
    await engine.work()
    detail = await engine.look(job_id)
    assert "can't be read" in detail.job.note
    assert detail.calls[0].seen == "<html>"


@pytest.mark.parametrize("billed", [True, False])
async def test_a_provider_with_keys_that_fails_for_ever_is_bounded_by_the_job_s_time(
    engine: Engine, billed: bool
) -> None:
    engine.use(ScriptedProvider(dedupe=Dedupe.KEY, billed=billed))
    engine.provider.script.extend([Unknown(message="500")] * 1000)
    job_id = await engine.submit(timeout_s=120)
    await engine.work_for(100, pace_s=5)
    assert await ended(engine, job_id) == (JobState.RECONCILING, None)
    await engine.work_for(90, pace_s=5)
    code = "outcome_unknown" if billed else "provider_unreachable"
    assert await ended(engine, job_id) == (JobState.FAILED, code)
    assert len({call.id for call in engine.provider.creates}) == 1


async def test_an_unreachable_provider_is_tried_as_long_as_the_job_asks_for(engine: Engine) -> None:
    engine.provider.script.extend([Rejected(reason=RejectReason.UNREACHABLE, message="down")] * 1000)
    job_id = await engine.submit(timeout_s=600)
    await engine.work_for(500, pace_s=5)
    assert await ended(engine, job_id) == (JobState.QUEUED, None)
    await engine.work_for(400, pace_s=5)
    assert await ended(engine, job_id) == (JobState.FAILED, "provider_unreachable")


async def test_what_a_synchronous_provider_made_in_part_is_kept(engine: Engine) -> None:
    engine.use(ScriptedProvider(dedupe=Dedupe.KEY, synchronous=True))
    part = Prediction(ref="s", status=FAILED, outputs=(Output(data=PNG),), error_message="OOM")
    engine.provider.script.append(Accepted(prediction=part))
    job_id = await engine.submit()
    await engine.work_for(2)
    detail = await engine.look(job_id)
    assert (detail.job.state, detail.job.error_message, len(detail.artifacts)) == (JobState.FAILED, "OOM", 1)


async def test_a_job_whose_outputs_are_all_here_succeeds_although_its_prediction_is_gone(
    engine: Engine,
) -> None:
    job_id = await engine.submit()
    await engine.work()
    engine.provider.end()
    engine.clock.advance(10)
    [job] = await engine.claim("dying")
    kept = engine.artifacts.ingest

    async def die_afterwards(*given):  # type: ignore[no-untyped-def]
        await kept(*given)
        raise KeyboardInterrupt

    engine.artifacts.ingest = die_afterwards  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        await steps.run(engine.ports, job)
    engine.artifacts.ingest = kept  # type: ignore[method-assign]
    engine.provider.failing.extend([PredictionGone("410", sure=True)] * 9)
    await engine.work_for(40)
    job = (await engine.look(job_id)).job
    assert (job.state, job.output_count) == (JobState.SUCCEEDED, 1)
