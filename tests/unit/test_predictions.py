"""What is read from a prediction object, whatever stands in it."""

from typing import Any

import pytest

from mediagen.providers.base import Call, Output, PredictionStatus
from mediagen.providers.predictions import calls_named_by, created_ms, read_prediction, same_json

ID = "0191f3a4-1111-7abc-8def-0123456789ab"
OTHER = "0191f3a4-2222-7abc-8def-0123456789ab"
CALL = Call(id=ID, model="a/b", input={}, created_at_ms=0, timeout_s=1)
REF = "gm3qorzdhgbfurvjtvhg6dckhu"


def read(**fields: Any) -> Any:
    return read_prediction({"id": REF, "status": "succeeded", **fields}, str, CALL)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("starting", PredictionStatus.RUNNING),
        ("processing", PredictionStatus.RUNNING),
        ("queued", PredictionStatus.RUNNING),
        ("a word of next year", PredictionStatus.RUNNING),
        (None, PredictionStatus.RUNNING),
        ({"a": 1}, PredictionStatus.RUNNING),
        ("succeeded", PredictionStatus.SUCCEEDED),
        ("failed", PredictionStatus.FAILED),
        ("canceled", PredictionStatus.CANCELED),
        ("cancelled", PredictionStatus.CANCELED),
        ("aborted", PredictionStatus.CANCELED),
    ],
)
def test_only_known_words_end_a_prediction(word: Any, status: PredictionStatus) -> None:
    assert read(status=word).status is status


@pytest.mark.parametrize("ref", ["", "a/b", "../x", "x" * 65, "a b", "a\n", 7, None, ["x"], "\ud800"])
def test_without_a_usable_id_it_is_no_prediction(ref: Any) -> None:
    assert read_prediction({"id": ref, "status": "succeeded"}, str) is None


@pytest.mark.parametrize("raw", [None, [], "x", 7, True, {}])
def test_what_is_no_object_is_no_prediction(raw: Any) -> None:
    assert read_prediction(raw, str) is None


@pytest.mark.parametrize(
    ("logs", "progress"),
    [
        ("  0%|    | 0/4\r 50%|##  | 2/4 [00:01]", 0.5),
        ("100%|####| 4/4", 1.0),
        ("999%|", 1.0),
        ("50% done", None),
        ("", None),
        (None, None),
        ({"50%|": 1}, None),
    ],
)
def test_progress_is_the_last_bar_of_the_logs(logs: Any, progress: float | None) -> None:
    assert read(status="processing", logs=logs).progress == progress


@pytest.mark.parametrize(
    ("output", "outputs"),
    [
        ("https://a.example/1.png", [Output(url="https://a.example/1.png")]),
        (
            ["https://a.example/1", "http://b/2"],
            [Output(url="https://a.example/1"), Output(url="http://b/2")],
        ),
        ("data:image/png;base64,AAAA", [Output(url="data:image/png;base64,AAAA")]),
        ({"image": "https://a/1", "seed": 4, "x": [{"mask": "https://a/2"}]}, ["https://a/1", "https://a/2"]),
        (["A ", "cat", "."], [Output(data=b"A cat.")]),
        ("plain words", [Output(data=b"plain words")]),
        ("data: none", [Output(data=b"data: none")]),
        ({"image": "https://a/1", "caption": "a cat"}, ["https://a/1", b"a cat"]),
        ({"score": 0.5}, [Output(data=b'{"score": 0.5}')]),
        ({"label": "cat", "box": [1, 2]}, [b'{"label": "cat", "box": [1, 2]}']),
        ([0.25, 1], [b"[0.25, 1]"]),
        (0, [b"0"]),
        (False, [b"false"]),
        ("\ud800", [b"?"]),
        (None, []),
        ("", []),
        (["", " "], []),
        ([], []),
        ({}, []),
        ([None, {"a": None}], []),
    ],
)
def test_nothing_of_the_output_is_dropped(output: Any, outputs: list[Any]) -> None:
    expected = [
        Output(url=o) if isinstance(o, str) else Output(data=o) if isinstance(o, bytes) else o
        for o in outputs
    ]
    assert list(read(output=output).outputs) == expected


def test_a_running_prediction_has_no_outputs_yet() -> None:
    assert read(status="processing", output=["https://a/1"]).outputs == ()


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        ("NSFW content detected in image", "moderation", False),
        ("The input or output was flagged as sensitive. Please try again. (E005)", "moderation", False),
        ("Content was flagged by the safety system", "moderation", False),
        ("Prediction interrupted; please retry (code: PA)", "prediction_failed", True),
        ("Director: unexpected error handling prediction (E9243)", "prediction_failed", True),
        ("Director: unexpected error handling prediction (E6716)", "prediction_failed", True),
        ("Director: unexpected error handling prediction (E1001)", "prediction_failed", False),
        ("Service is temporarily unavailable. (E004)", "prediction_failed", True),
        ("The queue is full", "prediction_failed", True),
        ("CUDA out of memory. Tried to allocate 2 GiB", "prediction_failed", False),
        ("width must be a multiple of 8", "prediction_failed", False),
        ("safetensors file not found", "prediction_failed", False),
        ({"detail": "boom"}, "prediction_failed", False),
        (["NSFW"], "moderation", False),
        (None, "prediction_failed", False),
    ],
)
def test_the_error_says_whether_buying_again_may_help(error: Any, code: str, retryable: bool) -> None:
    failed = read(status="failed", error=error)
    assert (failed.error_code, failed.retryable, bool(failed.error_message)) == (code, retryable, True)


def test_the_error_passes_through_the_cleaner() -> None:
    raw = {"id": REF, "status": "failed", "error": "secret"}
    failed = read_prediction(raw, lambda text: text.replace("secret", "***"))
    assert failed is not None
    assert failed.error_message == "***"


def test_a_success_carries_no_error() -> None:
    done = read(error="ignored")
    assert (done.error_code, done.error_message) == (None, None)


@pytest.mark.parametrize(
    ("webhook", "proved"),
    [
        (f"https://gw/hooks/replicate/{ID}", True),
        (f"https://gw/hooks/replicate/inst.{OTHER}.{ID}.mac", True),
        (f"https://gw/hooks/{ID.upper()}?x=1", True),
        (f"https://gw/hooks/{OTHER}", False),
        (f"https://gw/hooks?id={ID}", False),
        (f"https://{ID}.example/hooks", False),
        ("https://[broken", False),
        ({"url": ID}, False),
        (None, False),
    ],
)
def test_the_webhooks_path_proves_whose_prediction_it_is(webhook: Any, proved: bool) -> None:
    assert (read(webhook=webhook).call_id == ID) is proved


def test_all_ids_in_the_webhooks_path_are_named() -> None:
    assert calls_named_by({"webhook": f"https://gw/{OTHER}.{ID}"}) == {ID, OTHER}


@pytest.mark.parametrize(
    ("value", "time_ms"),
    [
        ("2023-09-08T16:19:34.907244Z", 1_694_189_974_907),
        ("2023-09-08T16:19:34.907244123Z", 1_694_189_974_907),
        ("2023-09-08T18:19:34.907244+02:00", 1_694_189_974_907),
        ("2023-09-08T16:19:34", 1_694_189_974_000),
        ("yesterday", None),
        ("9999-99-99T00:00:00Z", None),
        (1_694_189_974, None),
        (None, None),
    ],
)
def test_the_time_of_creation_is_read_or_unknown(value: Any, time_ms: int | None) -> None:
    assert created_ms({"created_at": value}) == time_ms


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": [1, 2]}, {"b": (1, 2.0), "a": 1.0}, True),
        ({"a": True}, {"a": 1}, False),
        ({"a": 0}, {"a": False}, False),
        ({"a": "1"}, {"a": 1}, False),
        ({"a": None}, {}, False),
        ([1, 2], [2, 1], False),
        (None, {}, False),
    ],
)
def test_inputs_are_compared_as_json(one: Any, other: Any, same: bool) -> None:
    assert same_json(one, other) is same
