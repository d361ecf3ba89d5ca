"""What is read from a prediction object, whatever stands in it."""

from typing import Any

import pytest

from mediagen.errors import Unreadable
from mediagen.providers.base import Output, PredictionStatus
from mediagen.providers.markers import Marker
from mediagen.providers.outputs import MAX_DOCUMENT
from mediagen.providers.predictions import read_entry, read_page, read_prediction, time_ms

ID = "0191f3a4-1111-7abc-8def-0123456789ab"
OTHER = "0191f3a4-2222-7abc-8def-0123456789ab"
INSTALLATION = "0123456789abcdef"
REF = "gm3qorzdhgbfurvjtvhg6dckhu"


def read(**fields: Any) -> Any:
    return read_prediction({"id": REF, "status": "succeeded", **fields}, str)


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
    running = read(status="processing", output={"image": "https://a/1"})
    assert (running.outputs, running.document) == ((), None)


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_what_was_made_before_a_prediction_failed_is_kept(status: str) -> None:
    ended = read(status=status, output={"image": "https://a/1", "step": 3})
    assert ended.outputs == (Output(url="https://a/1"),)
    assert ended.document == '{"image": "https://a/1", "step": 3}'


@pytest.mark.parametrize(
    ("output", "document"),
    [
        ({"image": "https://a/1", "seed": 123}, '{"image": "https://a/1", "seed": 123}'),
        (["https://a/1", {"é": [1, None]}], '["https://a/1", {"é": [1, null]}]'),
        ({"image": "https://a/1", "mask": "https://a/2"}, '{"image": "https://a/1", "mask": "https://a/2"}'),
        (["https://a/1", "a caption"], '["https://a/1", "a caption"]'),
        (
            {"image": "data:image/png;base64,AAAA", "seed": 1},
            '{"image": "data:image/png;base64,(stored)", "seed": 1}',
        ),
        ({"score": 0.5}, '{"score": 0.5}'),
        ({"text": "\ud800"}, '{"text": "?"}'),
        ("https://a/1", None),
        (["https://a/1", "https://a/2", None], None),
        (["A ", "cat", "."], None),
        ("plain words", None),
        (None, None),
        ({}, None),
        ({"image": None}, None),
    ],
)
def test_what_an_output_says_beside_its_files_is_a_document(output: Any, document: str | None) -> None:
    assert read(output=output).document == document


def test_a_document_is_as_long_as_it_may_be() -> None:
    frame = len('{"image": "https://a/1", "x": ""}')
    fits = read(output={"image": "https://a/1", "x": "x" * (MAX_DOCUMENT - frame)})
    assert len(fits.document) == MAX_DOCUMENT


def test_a_document_that_is_too_long_is_a_file() -> None:
    long = read(output={"image": "https://a/1", "mask": list(range(60_000))})
    assert long.document is None
    assert [output.url for output in long.outputs] == ["https://a/1", ""]
    assert long.outputs[1].data.startswith(b'{"image": "https://a/1", "mask": [0, 1, 2')


@pytest.mark.parametrize(
    ("made", "started", "queued_ms"),
    [
        ("2023-09-08T16:19:34Z", "2023-09-08T16:21:34.5Z", 120_500),
        ("2023-09-08T16:19:34Z", "2023-09-08T16:19:33Z", 0),
        ("2023-09-08T16:19:34Z", None, None),
        (None, "2023-09-08T16:19:34Z", None),
        ("2023-09-08T16:19:34Z", 7, None),
    ],
)
def test_the_time_in_the_providers_queue_is_known_once_it_has_started(
    made: Any, started: Any, queued_ms: int | None
) -> None:
    assert read(created_at=made, started_at=started).queued_ms == queued_ms


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


def test_the_webhook_says_whose_prediction_it_is() -> None:
    marker = Marker(installation=INSTALLATION, job=OTHER, call=ID)
    assert read(webhook=f"https://gw/hooks/replicate/token/{marker}").marker == marker
    assert read(webhook="https://elsewhere/").marker is None


# --- entries and pages


def test_an_entry_is_read_as_far_as_it_can_be() -> None:
    hook = f"https://gw/hooks/replicate/token/{ID}"
    raw = {
        "id": "../x",
        "created_at": "2023-09-08T16:19:34Z",
        "webhook": hook,
        "input": {"a": 1},
        "data_removed": True,
    }
    entry = read_entry(raw, str)
    assert (entry.prediction, entry.made_ms, entry.webhook) == (None, 1_694_189_974_000, hook)
    assert (entry.input, entry.removed, entry.ref) == ({"a": 1}, True, "")
    assert entry.marker is not None


@pytest.mark.parametrize("raw", [None, 7, "text", [], {}])
def test_what_is_no_prediction_is_an_entry_that_can_not_be_read(raw: Any) -> None:
    entry = read_entry(raw, str)
    assert (entry.prediction, entry.made_ms, entry.webhook, entry.removed) == (None, None, None, False)


def test_one_bad_entry_does_not_lose_the_page() -> None:
    page = read_page({"results": [None, {"id": "a"}, {"status": 7}], "next": None}, str)
    assert [entry.ref for entry in page.entries] == ["", "a", ""]
    assert (page.next, page.why) == (None, "")


@pytest.mark.parametrize("raw", [None, [], 7, {}, {"results": None}, {"results": {"a": 1}}, {"detail": "x"}])
def test_what_is_no_page_is_unreadable_and_shown(raw: Any) -> None:
    with pytest.raises(Unreadable) as raised:
        read_page(raw, str)
    assert raised.value.raw


@pytest.mark.parametrize("following", ["/v1/predictions", "nowhere", "http://[::1", 7, 0, {}, True, ["x"]])
def test_a_page_that_goes_on_nowhere_says_so(following: Any) -> None:
    page = read_page({"results": [], "next": following}, str)
    assert (page.next, page.why) == (None, "the list of predictions goes on nowhere")


@pytest.mark.parametrize("following", [None, ""])
def test_a_page_without_a_next_one_is_the_last(following: Any) -> None:
    page = read_page({"results": [], "next": following}, str)
    assert (page.next, page.why) == (None, "")


@pytest.mark.parametrize(
    ("minutes", "is_older"),
    [
        ([20, 19], True),
        ([20, 10, 19], True),
        ([30, 19], False),
        ([19, 20, 30], False),
        ([10, 20], False),
        ([None, 20, None, 19], True),
        ([None], False),
        ([], False),
    ],
    ids=[
        "older",
        "not sorted",
        "newer",
        "newer in the end",
        "oldest first",
        "some silent",
        "silent",
        "empty",
    ],
)
def test_only_a_page_that_is_older_in_all_ends_the_reading(minutes: list[Any], is_older: bool) -> None:
    items = [{"id": "a", "created_at": m and f"2023-09-08T16:{m}:00Z"} for m in minutes]
    since = time_ms("2023-09-08T16:21:00Z")
    assert read_page({"results": items}, str).is_older_than(since) is is_older
    assert not read_page({"results": items}, str).is_older_than(None)


@pytest.mark.parametrize(
    ("value", "time"),
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
def test_a_time_is_read_or_unknown(value: Any, time: int | None) -> None:
    assert time_ms(value) == time
