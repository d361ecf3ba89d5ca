"""The model check, without its three largest explorations: `python -m proof.model_check` has them."""

import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from mediagen.jobs.states import CALL_MOVES, JOB_MOVES
from mediagen.jobs.states import CallState as C
from mediagen.jobs.states import JobState as J
from proof import model_check, submit_model
from proof.model_check import (
    DROPPED,
    NO_FAULTS,
    PROTOCOL,
    STUCK,
    TWICE,
    WEAKER,
    WRONG,
    Findings,
    explore,
    main,
)
from proof.submit_model import Model, ModelError
from proof.submit_state import NOBODY, ONE_EACH, Call, Message, Sale, Slot, State, bought, dropped, tidy
from proof.submit_variant import Variant

SMALL = [one for one in PROTOCOL if one.slots == one.attempts == 2 and sum(one.faults) <= sum(ONE_EACH)]
PEACE = Variant(name="nothing goes wrong", faults=NO_FAULTS)


@cache
def explored(variant: Variant) -> Findings:
    """Explore a variant once."""
    return explore(variant)


@pytest.mark.parametrize("variant", SMALL, ids=lambda variant: variant.name)
def test_the_protocol_never_buys_twice_and_never_gets_stuck(variant: Variant) -> None:
    found = explored(variant)
    assert (found.bought, found.stuck, found.harm) == (1, 0, variant.harm)
    assert found.harm <= {DROPPED}
    assert found.states > 1_000


@pytest.mark.parametrize("variant", WEAKER, ids=lambda variant: variant.name)
def test_each_guard_is_missed_when_it_is_away(variant: Variant) -> None:
    found = explored(variant)
    assert found.harm == variant.harm
    assert found.harm


@pytest.mark.parametrize("variant", WEAKER, ids=lambda variant: variant.name)
def test_the_same_faults_do_no_harm_to_the_guarded_protocol(variant: Variant) -> None:
    """Except that what can't be told from others may be given up: it is never bought again."""
    unavoidable = {DROPPED} if variant.faults.blurs else set()
    assert explore(Variant(name="guarded", faults=variant.faults)).harm == unavoidable


def test_every_kind_of_harm_is_shown_by_a_weaker_protocol() -> None:
    assert frozenset[str]().union(*(variant.harm for variant in WEAKER)) == {TWICE, DROPPED, STUCK, WRONG}


def test_the_model_goes_every_way_of_the_tables_that_it_does_not_leave_out() -> None:
    gone = {move for variant in SMALL for move in explored(variant).moves}
    tables = {(at, to) for moves in (JOB_MOVES, CALL_MOVES) for at, tos in moves.items() for to in tos}
    assert tables - gone == {
        (J.QUEUED, J.FAILED),  # expired
        (J.SUBMITTING, J.FAILED),  # its input was refused
        (C.REJECTED, C.ORPHAN),  # a gateway refused what its provider took
        (J.SUBMITTING, J.STORING),  # synchronous
        (J.RECONCILING, J.STORING),
        (J.STORING, J.FAILED),  # its output can't be fetched
        (J.STORING, J.CANCELED),  # it was stopped and had made something
        (C.INTENT, C.ABSENT),  # an intent is unknown first
        (C.UNKNOWN, C.REJECTED),  # its input was refused when it was sent again by its key
        (C.ACCEPTED, C.ORPHAN),  # it took too long
        (C.ABSENT, C.ORPHAN),  # it came after the grace
    }


@pytest.mark.parametrize(
    ("table", "at", "to"),
    [("JOB_MOVES", J.SUBMITTING, J.RECONCILING), ("CALL_MOVES", C.UNKNOWN, C.ABSENT)],
)
def test_a_move_that_the_product_does_not_allow_is_an_error(
    monkeypatch: pytest.MonkeyPatch, table: str, at: J | C, to: J | C
) -> None:
    moves = dict(getattr(submit_model, table))
    monkeypatch.setattr(submit_model, table, {**moves, at: moves[at] - {to}})
    with pytest.raises(ModelError, match=f"{at} > {to} is not in the tables"):
        explore(SMALL[0])


def test_a_job_that_can_not_be_taken_up_again_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Model, "_lapse", lambda *_: iter(()))
    assert explore(replace(PEACE, faults=NO_FAULTS._replace(crashes=1))).harm == {STUCK}


# ---------------------------------------------------------------------------------------------- states


def state(job: J, *calls: Call, sales: tuple[Sale, ...] = ()) -> State:
    """Return a state at rest."""
    idle = (Slot("idle", NOBODY),) * 2
    return State(job, False, None, calls, sales, frozenset(), idle, ONE_EACH)


def test_what_failed_may_be_bought_again_and_nothing_else() -> None:
    again = Sale(1, "running")
    known, unknown = (Sale(0, "known"), again), (Sale(0, "bad"), again)
    assert bought(state(J.WAITING, Call(C.FAILED, 0), Call(C.ACCEPTED, 1), sales=known)) == 1
    assert bought(state(J.WAITING, Call(C.ABSENT, None), Call(C.ACCEPTED, 1), sales=unknown)) == 2


@pytest.mark.parametrize(
    ("job", "status", "is_dropped"),
    [
        (J.FAILED, "good", True),
        (J.FAILED, "running", True),
        (J.FAILED, "bad", False),
        (J.CANCELED, "good", True),
        (J.CANCELED, "stopped", False),
        (J.SUCCEEDED, "good", False),
        (J.STORING, "good", False),
    ],
)
def test_what_is_dropped_was_bought_and_is_good(job: J, status: str, is_dropped: bool) -> None:
    assert dropped(state(job, Call(C.UNKNOWN, None), sales=(Sale(0, status),))) is is_dropped


def test_states_that_nobody_could_tell_apart_are_one() -> None:
    waits, looks = Slot("wait", 0), Slot("found", 0)
    one = state(J.SUBMITTING, Call(C.INTENT, None))._replace(
        slots=(waits, looks), lease=1, net=frozenset({Message("answer", 0, 0, 0)})
    )
    other = one._replace(slots=(looks, waits), lease=0, net=frozenset({Message("answer", 0, 0, 1)}))
    assert tidy(one) == tidy(other)


def test_nobody_hears_an_answer_any_more_after_a_crash() -> None:
    on_its_way = frozenset(
        {Message("answer", 0, 0, 0), Message("post", 0, NOBODY, 1), Message("hook", 0, 0, NOBODY)}
    )
    dead = tidy(state(J.SUBMITTING, Call(C.INTENT, None))._replace(lease=0, net=on_its_way))
    assert dead.net == {Message("post", 0, NOBODY, NOBODY), Message("hook", 0, 0, NOBODY)}
    assert dead.lease == NOBODY


# ---------------------------------------------------------------------------------------------- the command


def run(monkeypatch: pytest.MonkeyPatch, into: Path, *variants: Variant) -> int:
    """Run the command on these variants; return its exit code."""
    monkeypatch.setattr(model_check, "PROTOCOL", variants)
    monkeypatch.setattr(model_check, "WEAKER", ())
    monkeypatch.setattr(sys, "argv", ["model_check", "--jobs", "1", "--json", str(into)])
    return main()


def test_the_command_is_content_when_all_is_as_expected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path / "found.json", PEACE) == 0
    (figures,) = json.loads((tmp_path / "found.json").read_text())
    assert (figures["protocol"], figures["bought"], figures["expected"]) == (PEACE.name, 1, True)
    assert PEACE.name in capsys.readouterr().out


@pytest.mark.parametrize(
    "variant",
    [replace(PEACE, harm=frozenset({TWICE})), replace(PEACE, grace=False)],
    ids=["harm that does not come", "harm that nobody expects"],
)
def test_the_command_complains_of_surprises(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], variant: Variant
) -> None:
    assert run(monkeypatch, tmp_path / "found.json", variant) == 1
    assert "instead of" in capsys.readouterr().out
