"""What a list proves about a call whose answer was lost: whose an entry is, and what can't be told."""

from dataclasses import replace
from typing import Any

import pytest

from mediagen.providers.base import Call, Findings, Prediction, PredictionStatus
from mediagen.providers.evidence import AFTER_MS, BEFORE_MS, SET_MS, Entry, Search, Shown, Window
from mediagen.providers.markers import NOWHERE, Marker

ASKED_MS = 1_800_000_000_000
INSTALLATION, FOREIGN = "0123456789abcdef", "fedcba9876543210"
CALL_ID, LOST_ID, OTHER_ID = (f"0191f3a4-{n}-7abc-8def-0123456789ab" for n in ("1111", "2222", "3333"))
JOB, OTHER_JOB = (f"0191f3a4-{n}-7abc-8def-0123456789ab" for n in ("aaaa", "bbbb"))
INPUT = {"prompt": "a red fox in the snow", "width": 512}


def hook(call: str = CALL_ID, job: str = JOB, installation: str = INSTALLATION, host: str = NOWHERE) -> str:
    return f"{host}/hooks/replicate/token/{Marker(installation=installation, job=job, call=call)}"


CALL = Call(
    id=CALL_ID,
    model="acme/painter",
    input=INPUT,
    created_at_ms=0,
    timeout_s=300,
    webhook_url=hook(),
    marker=Marker(installation=INSTALLATION, job=JOB, call=CALL_ID),
    asked_at_ms=ASKED_MS,
)
UNMARKED = replace(CALL, webhook_url=None, marker=None)


def entry(ref: str = "it", **changes: Any) -> Entry:
    """Return an unmarked entry of the call's time with its input."""
    status = changes.pop("status", PredictionStatus.RUNNING)
    given = {"input": dict(INPUT), "made_ms": ASKED_MS + 500, **changes}
    return Entry(**{"prediction": Prediction(ref=ref, status=status), **given})


def weighed(*entries: Entry, call: Call = CALL, shown: Shown | None = None, why: str = "") -> Findings:
    search = Search(call)
    for each in entries:
        search.weigh(each)
    return search.findings(shown or Shown(), why=why)


def knowing(*entries: Entry) -> Shown:
    shown = Shown()
    for each in entries:
        shown.learn(each)
    return shown


MARKED = entry("other", webhook=hook(OTHER_ID, OTHER_JOB))
REMOVED = entry("old", webhook=hook(OTHER_ID, OTHER_JOB), removed=True, input={})


def seen(found: Findings) -> tuple[str | None, list[str], list[str], list[str]]:
    return (
        found.ours.ref if found.ours else None,
        [each.ref for each in found.alike],
        list(found.doubtful),
        [each.ref for each in found.siblings],
    )


NOTHING: tuple[None, list[str], list[str], list[str]] = (None, [], [], [])


def test_an_empty_list_shows_nothing_and_holds_no_doubt() -> None:
    found = weighed()
    assert (seen(found), found.whole, found.seen) == (NOTHING, True, "")


def test_a_marker_proves_it_whatever_else_differs() -> None:
    odd = entry(webhook=hook(), input={"prompt": "another"}, made_ms=0, model="x/y", removed=True)
    assert seen(weighed(odd)) == ("it", [], [], [])


def test_of_several_with_its_marker_the_one_that_made_something_counts() -> None:
    status = PredictionStatus
    several = [
        entry(ref, webhook=hook(), status=each)
        for ref, each in [("f", status.FAILED), ("r", status.RUNNING), ("s", status.SUCCEEDED)]
    ]
    assert seen(weighed(*several))[0] == "s"
    assert seen(weighed(*several[:2]))[0] == "r"


@pytest.mark.parametrize(
    "webhook",
    [
        hook(OTHER_ID, OTHER_JOB),
        hook(OTHER_ID, OTHER_JOB, FOREIGN),
        "https://app.example/done",
        hook(OTHER_ID, JOB, FOREIGN),
    ],
)
def test_what_says_that_it_is_anothers_is_nothing_to_us(webhook: str) -> None:
    assert seen(weighed(entry(webhook=webhook))) == NOTHING


@pytest.mark.parametrize(
    "webhook",
    [
        "***",
        "https://***/hooks",
        "https://mediagen.inv",
        f"{NOWHERE}/hooks/...",
        f"{hook()[:-5]}",
        "{hidden}",
    ],
)
def test_an_address_that_may_be_ours_and_can_not_be_read_is_a_doubt(webhook: str) -> None:
    assert seen(weighed(entry(webhook=webhook))) == (None, [], ["it"], [])


def test_a_marker_of_the_same_job_names_a_call_that_the_ledger_may_have_lost() -> None:
    assert seen(weighed(entry(webhook=hook(LOST_ID)))) == (None, [], [], ["it"])


def test_an_unmarked_one_of_that_time_with_the_same_input_is_alike() -> None:
    found = weighed(entry(), entry())
    assert seen(found) == (None, ["it"], [], [])
    assert found.seen == "it: unmarked, with the same input, made at that time"


@pytest.mark.parametrize(
    "changes",
    [
        {"removed": True, "input": {}},
        {"input": None},
        {"input": {}},
        {"input": {**INPUT, "width": 768}},
        {"input": {"prompt": INPUT["prompt"]}},
    ],
)
def test_what_can_not_be_compared_is_a_doubt(changes: dict[str, Any]) -> None:
    found = weighed(entry(**changes))
    assert seen(found) == (None, [], ["it"], [])
    assert "it may be it" in found.seen


def test_another_prompt_is_another_prediction() -> None:
    assert seen(weighed(entry(input={**INPUT, "prompt": "a pond"}))) == NOTHING


def test_another_model_makes_it_a_doubt_and_no_more() -> None:
    search = Search(CALL, is_model=lambda each: each.model == "acme/painter")
    search.weigh(entry("renamed", model="acme/painter-2"))
    search.weigh(entry("same", model="acme/painter"))
    assert seen(search.findings(Shown())) == (None, ["same"], ["renamed"], [])


# --- time


@pytest.mark.parametrize(
    ("made_ms", "is_open"),
    [
        (ASKED_MS - BEFORE_MS, True),
        (ASKED_MS - BEFORE_MS - 1, False),
        (ASKED_MS + AFTER_MS, True),
        (ASKED_MS + AFTER_MS + 1, False),
        (None, True),
    ],
)
def test_only_what_was_made_at_that_time_can_be_it(made_ms: int | None, is_open: bool) -> None:
    assert (seen(weighed(entry(made_ms=made_ms, input=None))) != NOTHING) is is_open


FAR = [ASKED_MS - BEFORE_MS - 1, ASKED_MS - SET_MS, ASKED_MS + AFTER_MS + 1, ASKED_MS + SET_MS]


@pytest.mark.parametrize("made_ms", FAR)
def test_what_shows_just_its_input_may_be_it_though_a_clock_was_wrong_for_a_while(made_ms: int) -> None:
    assert seen(weighed(entry(made_ms=made_ms))) == (None, [], ["it"], [])
    changed = entry(made_ms=made_ms, input={**INPUT, "width": 768})
    assert seen(weighed(changed)) == (None, [], ["it"], [])
    assert seen(weighed(entry(made_ms=made_ms), call=UNMARKED, shown=knowing(MARKED))) == (
        None,
        [],
        ["it"],
        [],
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"input": None},
        {"removed": True, "input": {}},
        {"input": {"width": 512}},
        {"input": {**INPUT, "prompt": "a pond"}},
        {"prediction": None},
    ],
)
@pytest.mark.parametrize("made_ms", FAR)
def test_at_another_time_only_what_shows_its_prompt_is_a_doubt(made_ms: int, changes: dict[str, Any]) -> None:
    assert seen(weighed(entry(made_ms=made_ms, **changes))) == NOTHING


def test_the_list_is_read_as_far_back_as_something_in_it_may_be_a_doubt() -> None:
    window = Window.of(CALL)
    assert window is not None
    assert seen(weighed(entry(made_ms=window.back_to_ms))) != NOTHING
    assert seen(weighed(entry(made_ms=window.back_to_ms - 1))) == NOTHING


def test_without_the_providers_clock_any_time_may_be_that_time() -> None:
    assert seen(weighed(entry(made_ms=0), call=replace(CALL, asked_at_ms=None))) == (None, [], ["it"], [])


def test_one_that_does_not_say_when_it_was_made_is_a_doubt() -> None:
    assert seen(weighed(entry(made_ms=None))) == (None, [], ["it"], [])


# --- where markers are known to be shown


UNCLEAR = entry(input=None)  # without a word on its input


def test_where_ours_would_be_shown_an_unmarked_one_is_anothers() -> None:
    assert seen(weighed(UNCLEAR, shown=knowing(MARKED))) == NOTHING


def test_one_with_just_its_input_may_be_it_whatever_others_show() -> None:
    assert seen(weighed(entry(), shown=knowing(MARKED))) == (None, ["it"], [], [])


@pytest.mark.parametrize("made_ms", [ASKED_MS - 3_600_000, ASKED_MS + 499, None])
def test_markers_on_older_entries_do_not_vouch_for_newer_ones(made_ms: int | None) -> None:
    older = replace(MARKED, made_ms=made_ms)
    assert seen(weighed(UNCLEAR, shown=knowing(older))) == (None, [], ["it"], [])


@pytest.mark.parametrize(
    "known",
    [
        entry("other", webhook=hook(OTHER_ID, OTHER_JOB, FOREIGN)),
        entry("other", webhook=hook(OTHER_ID, OTHER_JOB, host="https://gw.example")),
        entry("other", webhook="https://app.example/done"),
        REMOVED,
        entry(),
    ],
    ids=["another installation", "another host", "no marker", "data removed", "unmarked"],
)
def test_markers_of_another_kind_prove_nothing_about_ours(known: Entry) -> None:
    assert seen(weighed(entry(), shown=knowing(known))) == (None, ["it"], [], [])


def test_markers_on_entries_with_data_prove_nothing_about_those_without() -> None:
    assert seen(weighed(entry(removed=True, input={}), shown=knowing(MARKED))) == (None, [], ["it"], [])
    assert seen(weighed(entry(removed=True, input={}), shown=knowing(MARKED, REMOVED))) == NOTHING


def test_a_call_that_went_without_a_marker_shows_none() -> None:
    assert seen(weighed(entry(), call=UNMARKED, shown=knowing(MARKED))) == (None, ["it"], [], [])


# --- what can't be read


@pytest.mark.parametrize("made_ms", [None, ASKED_MS])
def test_an_unreadable_entry_of_that_time_is_a_doubt(made_ms: int | None) -> None:
    found = weighed(Entry(prediction=None, made_ms=made_ms), shown=knowing(MARKED))
    assert seen(found) == (None, [], [""], [])
    assert "can't be read" in found.seen


def test_an_unreadable_entry_of_another_time_or_of_another_call_is_none() -> None:
    entries = [
        Entry(prediction=None, made_ms=0),
        Entry(prediction=None, webhook=hook(OTHER_ID, OTHER_JOB)),
        Entry(prediction=None, webhook="https://app.example/done"),
        Entry(prediction=None, made_ms=ASKED_MS, input={"prompt": "a pond"}),
    ]
    assert seen(weighed(*entries)) == NOTHING


def test_an_unreadable_entry_with_our_marker_is_a_doubt_at_any_time() -> None:
    assert seen(weighed(Entry(prediction=None, webhook=hook(), made_ms=0))) == (None, [], [""], [])


def test_a_list_that_was_not_read_whole_says_why() -> None:
    found = weighed(why="100 pages don't go back far enough")
    assert (found.whole, found.seen) == (False, "100 pages don't go back far enough")


def test_many_doubts_are_told_in_few_words() -> None:
    found = weighed(*(entry(f"ref{n}", input=None) for n in range(500)))
    assert len(found.doubtful) == 500
    assert "and 495 more" in found.seen
    assert len(found.seen) < 120
