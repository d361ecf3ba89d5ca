"""Explore every interleaving of the submit protocol, with bounded faults, and count what can go wrong.

    python -m proof.model_check

The model, and what it leaves out, stands in `submit_model`; its moves are those of `mediagen.jobs.states`. The
protocol of each kind of provider must do no harm but the one that is said of it: where nobody can ask, what was
bought may be dropped, but nothing is bought twice. Each weaker variant takes one guard away and must do the harm
that the guard is there against, or the model would be blind to it. The exit code is 0 when all is as expected,
else 1.
"""

import argparse
import os
import time
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from mediagen.jobs.states import TERMINAL
from proof.command import finish, new_file, whole
from proof.submit_model import Model
from proof.submit_state import Left, State, bought, dropped, tidy, wrong
from proof.submit_variant import Variant
from proof.table import save, show

TWICE, DROPPED, STUCK, WRONG = "bought twice", "dropped", "stuck", "wrong picture"

NO_FAULTS = Left(crashes=0, lapses=0, posts=0, answers=0, hooks=0, hiccups=0)
_TWO = Left(crashes=2, lapses=2, posts=2, answers=2, hooks=2, hiccups=2)

_ROLLED_BACK = NO_FAULTS._replace(rollbacks=1, answers=1, hiccups=1)

_SLOW = NO_FAULTS._replace(lapses=2, hiccups=1)

PROTOCOL = (
    Variant(name="list and webhook"),
    Variant(name="list and webhook, two faults of each kind", faults=_TWO),
    Variant(name="list and webhook, three workers", slots=3, faults=Left(lapses=2)),
    Variant(name="list and webhook, three attempts", attempts=3, faults=Left(posts=2, hiccups=2)),
    Variant(name="list and webhook, a wish to cancel", wish=True),
    Variant(name="list only", rings=False),
    Variant(name="list and webhook, a suspend before the send", faults=Left(sleeps=1)),
    Variant(
        name="list and webhook, what was bought can't be told from others",
        faults=Left(blurs=1),
        harm=frozenset({DROPPED}),
    ),
    Variant(name="list and webhook, an answer of another", faults=Left(mixups=1)),
    Variant(name="list and webhook, an older copy of the database", faults=_ROLLED_BACK),
    Variant(name="list by likeness and webhook", marks=False),
    Variant(name="list by likeness only", marks=False, rings=False),
    Variant(
        name="list by likeness, three attempts", marks=False, rings=False, attempts=3, faults=Left(posts=2)
    ),
    Variant(name="key, whatever comes late", key=True, rings=False, grace=False, deadline=False),
    Variant(name="key, and what is late is not sent", key=True, rings=False, grace=False, faults=_SLOW),
    Variant(name="webhook only, none is lost", asks=False, faults=Left(hooks=0)),
    Variant(name="webhook only, one is lost", asks=False, harm=frozenset({DROPPED})),
    Variant(name="blind", asks=False, rings=False, harm=frozenset({DROPPED})),
)
"""What the product does, by what a provider lets us know. It may drop where nobody can ask; it never buys twice."""

WEAKER = (
    Variant(
        name="the usual design: begin again",
        harm=frozenset({TWICE, DROPPED}),
        fence=False,
        intent=False,
        unknown=False,
        grace=False,
        deadline=False,
        asks=False,
        rings=False,
        attempts=3,
        faults=NO_FAULTS._replace(crashes=1, answers=1),
    ),
    Variant(name="no intent", harm=frozenset({TWICE}), intent=False, faults=NO_FAULTS._replace(crashes=1)),
    Variant(
        name="a lost answer means another create",
        harm=frozenset({TWICE, DROPPED}),
        unknown=False,
        faults=NO_FAULTS._replace(answers=1),
    ),
    Variant(name="no grace", harm=frozenset({TWICE, DROPPED}), grace=False, faults=NO_FAULTS),
    Variant(
        name="a create is sent however late",
        harm=frozenset({TWICE}),
        deadline=False,
        faults=NO_FAULTS._replace(lapses=1),
    ),
    Variant(
        name="no fence", harm=frozenset({DROPPED}), fence=False, faults=NO_FAULTS._replace(lapses=1, posts=1)
    ),
    Variant(
        name="opinions without a lease",
        harm=frozenset({STUCK}),
        opinions=False,
        faults=NO_FAULTS._replace(lapses=1, posts=1),
    ),
    Variant(
        name="which call to send is read without a lease",
        harm=frozenset({TWICE}),
        reads=False,
        key=True,
        rings=False,
        grace=False,
        faults=_SLOW,
    ),
    Variant(
        name="what is like a call is taken for it without a lease",
        harm=frozenset({TWICE}),
        adopts=False,
        late=False,
        marks=False,
        rings=False,
        attempts=3,
        faults=NO_FAULTS._replace(lapses=1, posts=1, answers=1),
    ),
    Variant(
        name="what can't be told from others proves nothing was bought",
        harm=frozenset({TWICE, DROPPED}),
        proof=False,
        faults=NO_FAULTS._replace(blurs=2, answers=1),
    ),
    Variant(
        name="an answer is believed whatever it is about",
        harm=frozenset({WRONG}),
        judges=False,
        faults=NO_FAULTS._replace(mixups=1),
    ),
    Variant(
        name="the lease is not looked at before the send",
        harm=frozenset({TWICE}),
        looks=False,
        faults=NO_FAULTS._replace(sleeps=1, lapses=1),
    ),
    Variant(
        name="an older copy of the database buys before it asks",
        harm=frozenset({TWICE}),
        recovers=False,
        faults=NO_FAULTS._replace(rollbacks=1),
    ),
    Variant(
        name="what came to light late is bought again",
        harm=frozenset({TWICE}),
        late=False,
        faults=NO_FAULTS._replace(rollbacks=1),
    ),
    Variant(
        name="webhook only, given up at once",
        harm=frozenset({DROPPED}),
        asks=False,
        grace=False,
        faults=NO_FAULTS,
    ),
)
"""What each guard is for: without it, these few faults do this harm.

Without the fence nothing is bought twice, as the tables and the one live call that the database allows are the last
net; but a late worker gives up what another one has bought.
"""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What all interleavings of a variant come to."""

    variant: Variant
    states: int
    bought: int  # at most, without what is known to have failed
    dropped: int  # states in which the job ended badly and something good was bought
    stuck: int  # states from which no end can be reached
    wrong: int  # states in which a call takes what a stranger bought
    moves: frozenset[tuple[str, str]]
    seconds: float

    @property
    def harm(self) -> frozenset[str]:
        """Return the kinds of harm that can happen."""
        done = {
            TWICE: self.bought > 1,
            DROPPED: self.dropped > 0,
            STUCK: self.stuck > 0,
            WRONG: self.wrong > 0,
        }
        return frozenset(kind for kind, happens in done.items() if happens)

    @property
    def expected(self) -> bool:
        """Whether it does the harm that is said of it, and no other."""
        return self.harm == self.variant.harm


def explore(variant: Variant) -> Findings:
    """Visit every state of a variant."""
    begun = time.monotonic()
    model = Model(variant)
    start = tidy(model.start())
    states = {start: 0}  # each with its number, in the order in which they were found
    coming, following = [start], []
    for state in coming:  # grows
        following.append(array("L", _numbers(model, state, states, coming)))
    return Findings(
        variant=variant,
        states=len(states),
        bought=max(map(bought, states)),
        dropped=sum(map(dropped, states)),
        stuck=_stuck(coming, following),
        wrong=sum(map(wrong, states)),
        moves=frozenset(model.moves),
        seconds=time.monotonic() - begun,
    )


def _numbers(model: Model, state: State, states: dict[State, int], coming: list[State]) -> Iterator[int]:
    """Yield the numbers of the states that follow, and note those that are new."""
    for after in map(tidy, model.after(state)):
        number = states.setdefault(after, len(states))
        if number == len(coming):
            coming.append(after)
        yield number


def _stuck(states: Sequence[State], following: Sequence[Sequence[int]]) -> int:
    """Count the states from which no end can be reached."""
    ends = bytearray(state.job in TERMINAL for state in states)
    changed = True
    while changed:
        changed = False
        for number in reversed(range(len(states))):  # nearly always against the arrows: few rounds
            if not ends[number] and any(ends[after] for after in following[number]):
                ends[number] = changed = True
    return ends.count(0)


# ---------------------------------------------------------------------------------------------- the command


def main() -> int:
    """Explore all variants; return the exit code."""
    given = _parser().parse_args()
    with ProcessPoolExecutor(given.jobs) as pool:
        found = list(pool.map(explore, (*PROTOCOL, *WEAKER)))
    heads = ("protocol", "states", "bought", "dropped", "stuck", "seconds", "harm")
    show("Every interleaving of the submit protocol", heads, [_row(one) for one in found], _surprises(found))
    save(given.json, [_figures(one) for one in found])
    return 0 if all(one.expected for one in found) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m proof.model_check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--jobs", type=whole(1), default=os.cpu_count(), help="processes")
    parser.add_argument("--json", type=new_file, help="write the figures there, too")
    return parser


def _row(one: Findings) -> tuple[object, ...]:
    harm = ", ".join(sorted(one.harm)) or "none"
    guarded = one.variant in PROTOCOL
    name = one.variant.name if guarded else f"weaker: {one.variant.name}"
    return name, one.states, one.bought, one.dropped, one.stuck, f"{one.seconds:.1f}", harm


def _surprises(found: Sequence[Findings]) -> list[str]:
    return [
        f"{one.variant.name}: {sorted(one.harm)} instead of {sorted(one.variant.harm)}"
        for one in found
        if not one.expected
    ]


def _figures(one: Findings) -> dict[str, Any]:
    return {
        "protocol": one.variant.name,
        "states": one.states,
        "bought": one.bought,
        "dropped": one.dropped,
        "stuck": one.stuck,
        "seconds": round(one.seconds, 1),
        "expected": one.expected,
    }


if __name__ == "__main__":
    finish(main)
