"""The Cog provider against a server that fails as told."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mediagen.errors import ProviderError
from mediagen.providers.base import (
    Prediction,
    PredictionStatus,
    Rejected,
    RejectReason,
    Unknown,
)
from mediagen.providers.cog import CogProvider
from tests.fakes.cog_client import CLOCK, MAX_BYTES, a_call, create, prediction, provider_at
from tests.fakes.cog_faults import CogFaults

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PNG_URI = "data:image/png;base64," + base64.b64encode(PNG).decode()


@pytest.fixture
async def faults() -> AsyncIterator[CogFaults]:
    async with CogFaults() as server:
        yield server


@pytest.fixture
async def cog(faults: CogFaults) -> AsyncIterator[CogProvider]:
    async with provider_at(faults.url) as provider:
        yield provider


async def a_failure(faults: CogFaults, cog: CogProvider, error: str) -> Prediction:
    faults.answers(200, {"status": "failed", "error": error})
    failed = await prediction(cog)
    assert failed.status is PredictionStatus.FAILED
    return failed


# --- what is sent


async def test_the_call_id_is_the_predictions_id(faults: CogFaults, cog: CogProvider) -> None:
    call = a_call(width=8)
    await create(cog, call)
    assert faults.puts == [(call.id, {"input": {"prompt": "a pond", "width": 8}})]


async def test_nothing_is_sent_after_send_by(faults: CogFaults, cog: CogProvider) -> None:
    outcome = await cog.create(a_call(), send_by=CLOCK.monotonic() - 1)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.UNREACHABLE
    assert faults.puts == []


async def test_an_input_that_is_no_json_is_refused_here(faults: CogFaults, cog: CogProvider) -> None:
    outcome = await create(cog, a_call(strength=float("nan")))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.INVALID
    assert faults.puts == []


# --- success


async def test_a_data_uri_becomes_bytes(faults: CogFaults, cog: CogProvider) -> None:
    faults.answers(200, {"status": "succeeded", "output": PNG_URI})
    call = a_call()
    done = await prediction(cog, call)
    assert done.status is PredictionStatus.SUCCEEDED
    assert [output.data for output in done.outputs] == [PNG]
    assert (done.ref, done.call_id) == (call.id, call.id)


async def test_several_outputs_keep_their_order(faults: CogFaults, cog: CogProvider) -> None:
    faults.answers(200, {"status": "succeeded", "output": ["data:,one", "data:,two", "data:,three"]})
    assert [output.data for output in (await prediction(cog)).outputs] == [b"one", b"two", b"three"]


async def test_an_uploaded_file_stays_an_address(faults: CogFaults, cog: CogProvider) -> None:
    faults.answers(200, {"status": "succeeded", "output": "https://files.example/1.png"})
    assert [output.url for output in (await prediction(cog)).outputs] == ["https://files.example/1.png"]


async def test_files_are_found_in_the_fields_of_an_object(faults: CogFaults, cog: CogProvider) -> None:
    output = {"image": "data:,picture", "caption": "a pond", "masks": ["data:,mask"], "score": 0.5}
    faults.answers(200, {"status": "succeeded", "output": output})
    assert [output.data for output in (await prediction(cog)).outputs] == [b"picture", b"mask", b"a pond"]


async def test_words_are_an_output_too(faults: CogFaults, cog: CogProvider) -> None:
    faults.answers(200, {"status": "succeeded", "output": ["a ", "pond"]})
    assert [output.data for output in (await prediction(cog)).outputs] == [b"a pond"]


@pytest.mark.parametrize("output", [None, [], ""])
async def test_success_without_an_output_is_a_failure(
    faults: CogFaults, cog: CogProvider, output: Any
) -> None:
    faults.answers(200, {"status": "succeeded", "output": output})
    failed = await prediction(cog)
    assert (failed.status, failed.error_code) == (PredictionStatus.FAILED, "bad_output")


async def test_a_broken_data_uri_is_a_failure(faults: CogFaults, cog: CogProvider) -> None:
    faults.answers(200, {"status": "succeeded", "output": "data:image/png;base64,*not*"})
    failed = await prediction(cog)
    assert (failed.status, failed.error_code) == (PredictionStatus.FAILED, "bad_output")


async def test_an_output_over_the_cap_is_a_failure(faults: CogFaults, cog: CogProvider) -> None:
    faults.answers(200, {"status": "succeeded", "output": "data:," + "x" * (MAX_BYTES + 1)})
    failed = await prediction(cog)
    assert failed.error_code == "bad_output"
    assert failed.error_message is not None
    assert str(MAX_BYTES) in failed.error_message


async def test_an_output_of_just_the_cap_is_kept(faults: CogFaults, cog: CogProvider) -> None:
    faults.answers(200, {"status": "succeeded", "output": "data:," + "x" * MAX_BYTES})
    assert [output.data for output in (await prediction(cog)).outputs] == [b"x" * MAX_BYTES]


# --- failure of the model


async def test_the_models_own_words_are_unwrapped(faults: CogFaults, cog: CogProvider) -> None:
    failed = await a_failure(faults, cog, "Prediction failed: Prediction failed: ValueError: no such lens")
    assert (failed.error_code, failed.error_message) == ("prediction_failed", "ValueError: no such lens")
    assert not failed.retryable


@pytest.mark.parametrize(
    "words",
    [
        "NSFW content detected",
        "the safety checker refused the picture",
        "your request was flagged as sensitive",
        "input was moderated",
        "this violates the content policy",
    ],
)
async def test_a_safety_refusal_is_final(faults: CogFaults, cog: CogProvider, words: str) -> None:
    failed = await a_failure(faults, cog, f"Prediction failed: ValueError: {words}")
    assert failed.error_code == "moderation"
    assert not failed.retryable


@pytest.mark.parametrize("error", ["Worker crashed", "prediction task lost", ""])
async def test_trouble_of_the_server_may_be_tried_again(
    faults: CogFaults, cog: CogProvider, error: str
) -> None:
    failed = await a_failure(faults, cog, error)
    assert failed.error_code == "prediction_failed"
    assert failed.retryable


async def test_what_the_input_caused_fails_for_good(faults: CogFaults, cog: CogProvider) -> None:
    failed = await a_failure(faults, cog, "Prediction failed: OutOfMemoryError: CUDA out of memory")
    assert failed.error_code == "prediction_failed"
    assert not failed.retryable


@pytest.mark.parametrize("status", ["failed", "canceled"])
async def test_what_was_made_before_the_failure_is_kept(
    faults: CogFaults, cog: CogProvider, status: str
) -> None:
    output = {"frames": [PNG_URI, "data:image/png;base64,*not*"], "step": 3}
    faults.answers(200, {"status": status, "error": "Prediction failed: ValueError: x", "output": output})
    ended = await prediction(cog)
    assert [output.data for output in ended.outputs] == [PNG]
    assert ended.document == (
        '{"frames": ["data:image/png;base64,(stored)", "data:image/png;base64,(stored)"], "step": 3}'
    )


async def test_what_a_model_says_beside_its_files_is_kept(faults: CogFaults, cog: CogProvider) -> None:
    faults.answers(200, {"status": "succeeded", "output": {"image": PNG_URI, "seed": 7}})
    done = await prediction(cog)
    assert [output.data for output in done.outputs] == [PNG]
    assert done.document == '{"image": "data:image/png;base64,(stored)", "seed": 7}'


async def test_a_canceled_prediction_is_canceled(faults: CogFaults, cog: CogProvider) -> None:
    faults.answers(200, {"status": "canceled"})
    assert (await prediction(cog)).status is PredictionStatus.CANCELED


# --- an earlier request with the same id


@pytest.mark.parametrize("status", ["starting", "processing", "canceled"])
async def test_joining_an_earlier_request_leaves_the_outcome_unknown(
    faults: CogFaults, cog: CogProvider, status: str
) -> None:
    faults.answers(202, {"status": status})
    assert isinstance(await create(cog), Unknown)


async def test_joining_one_that_just_ended_gives_its_output(faults: CogFaults, cog: CogProvider) -> None:
    call = a_call()
    faults.answers(202, {"id": call.id, "status": "succeeded", "output": "data:,done"})
    assert [output.data for output in (await prediction(cog, call)).outputs] == [b"done"]


@pytest.mark.parametrize("ref", ["other", 7, {"a": 1}])
async def test_an_answer_about_another_prediction_leaves_the_outcome_unknown(
    faults: CogFaults, cog: CogProvider, ref: Any
) -> None:
    faults.answers(200, {"id": ref, "status": "succeeded", "output": "data:,done"})
    outcome = await create(cog)
    assert isinstance(outcome, Unknown)
    assert "another prediction" in outcome.message


# --- time


async def test_a_prediction_that_takes_too_long_is_stopped(faults: CogFaults, cog: CogProvider) -> None:
    faults.hangs()
    call = a_call(timeout_s=0.2)
    failed = await prediction(cog, call)
    assert (failed.status, failed.error_code) == (PredictionStatus.FAILED, "timed_out")
    assert faults.cancels == [call.id]


async def test_one_that_cog_no_longer_knows_has_timed_out(faults: CogFaults, cog: CogProvider) -> None:
    faults.hangs()
    faults.cancel_status = 404
    assert (await prediction(cog, a_call(timeout_s=0.2))).error_code == "timed_out"


async def test_a_page_of_a_proxy_does_not_say_that_it_stopped(faults: CogFaults, cog: CogProvider) -> None:
    faults.hangs()
    faults.cancel_status, faults.cancel_body = 404, "<html>404 Not Found</html>"
    assert isinstance(await create(cog, a_call(timeout_s=0.2)), Unknown)


async def test_one_that_may_not_have_stopped_is_unknown(faults: CogFaults, cog: CogProvider) -> None:
    faults.hangs()
    faults.cancel_status = 500
    assert isinstance(await create(cog, a_call(timeout_s=0.2)), Unknown)


# --- cancel, get, check


async def test_cancel_names_the_call(faults: CogFaults, cog: CogProvider) -> None:
    call = a_call()
    await cog.cancel(call)
    assert faults.cancels == [call.id]


async def test_canceling_what_has_ended_is_no_error(faults: CogFaults, cog: CogProvider) -> None:
    faults.cancel_status = 404
    await cog.cancel(a_call())
    assert len(faults.cancels) == 1


async def test_a_cancel_that_fails_is_told(faults: CogFaults, cog: CogProvider) -> None:
    faults.cancel_status = 500
    with pytest.raises(ProviderError, match="500"):
        await cog.cancel(a_call())


async def test_nothing_can_be_looked_up(cog: CogProvider) -> None:
    with pytest.raises(ProviderError, match="no predictions"):
        await cog.get(a_call())


async def test_check_tells_state_and_version(cog: CogProvider) -> None:
    assert await cog.check() == "ready, coglet 0.23.1"


@pytest.mark.parametrize("health", [{"status": "SETUP_FAILED"}, {"status": 1}, {}, [], None])
async def test_check_fails_unless_it_can_run_predictions(
    faults: CogFaults, cog: CogProvider, health: Any
) -> None:
    faults.health = health
    with pytest.raises(ProviderError, match="is "):
        await cog.check()
