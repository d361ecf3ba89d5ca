"""What can go wrong, how often, and when it stops.

Each schedule switches on a random half of the faults, at random rates: two faults meet more often when ten
others are silent. Every fault has a budget and all end at some time, so that every job must come to an end.
"""

from collections import Counter
from collections.abc import Callable, Collection
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """Each is drawn at the boundary where it strikes."""

    CRASH = "a worker dies"
    FREEZE = "a worker freezes"
    DEADLY = "a job takes its worker down, again and again"
    TAKEN_FOR_DEAD = "a frozen worker is taken for dead"
    SLOW = "a slow step"
    RENEWAL = "a renewal of leases fails"
    DATABASE_DOWN = "the database is unavailable for one call"
    COMMIT_UNSEEN = "the connection is lost after the commit"
    BELL_LOST = "a doorbell is lost"
    BELL_TWICE = "a doorbell rings twice"
    HOOK_LOST = "a webhook is lost"
    HOOK_TWICE = "a webhook comes twice"
    HOOK_LATE = "a webhook comes late"
    POST_LOST = "a create is lost on its way"
    POST_LATE = "a create arrives late"
    ANSWER_LOST = "the answer to a create is lost"
    ANSWER_LATE = "the answer to a create comes late"
    ANSWER_502 = "502 after the provider took it"
    REFUSED_502 = "502 and the provider took nothing"
    RATE_LIMITED = "429"
    BUSY = "the provider is busy"
    UNAUTHORIZED = "401"
    UNREACHABLE = "connection refused"
    INVALID = "the input is refused"
    LIST_LATE = "a prediction is listed late"
    LIST_FAILS = "the list can't be read"
    LOOK_FAILS = "a look fails"
    FORGOTTEN = "the provider forgets a prediction"
    CANCEL_FAILS = "a cancel is refused"
    FAILURE = "a prediction fails"
    HICCUP = "a prediction fails and may be tried again"
    STOPPED = "the provider cancels a prediction"
    ENDLESS = "a prediction never ends"
    FETCH_FAILS = "a download breaks"
    LINK_DIES = "a link dies"
    CUT_OFF = "a download is cut off"
    OUTPUT_GONE = "an output is gone for good"
    OUTPUT_BAD = "an output is damaged for good"
    STORAGE_DOWN = "the storage is down for a while"
    CLOCK_JUMP = "the wall clock jumps by an hour"
    CANCEL = "a wish to cancel"
    SHORT_LIFE = "a job with a short life"
    SUBMIT_AGAIN = "a client submits again"
    ECHO_CHANGED = "the list shows a changed input or model"
    INPUT_REMOVED = "an input is removed"
    SELLER_CLOCK = "the provider's clock is wrong"
    SELLER_CLOCK_UNSTEADY = "the provider's clock is not steady"
    OWN_CLOCK_WRONG = "the wall clock was wrong and is corrected"
    MISTAKEN_404 = "a prediction can't be seen for a while"
    ANSWER_OF_ANOTHER = "a create's answer is about another prediction"
    CANCEL_IGNORED = "a cancel does nothing"
    CANCEL_404 = "a cancel finds no prediction"
    LIST_UNREADABLE_ENTRY = "an entry of the list can't be read"
    LIST_FOREIGN = "somebody else buys with the same account"
    LIST_CUT = "the list is not whole"
    MARKER_NOT_SHOWN = "the list shows no markers"
    MARKER_REFUSED = "markers are refused"
    OUTPUT_EMPTY = "an output is empty for a while"
    OUTPUT_ODD = "an output looks cut off and is whole"
    DISK_FULL = "the disk is full for a while"
    PARTIAL_OUTPUT = "a prediction that did not succeed has outputs"
    SUSPEND = "a worker's machine is suspended before a send"
    ROLLBACK = "the database is put back to an older copy"


RATES: dict[Fault, tuple[float, int]] = {
    # Fault: chance each time, how often at most
    Fault.CRASH: (0.02, 4),
    Fault.FREEZE: (0.02, 3),
    Fault.DEADLY: (0.1, 1),
    Fault.TAKEN_FOR_DEAD: (0.5, 3),
    Fault.SLOW: (0.08, 12),
    Fault.RENEWAL: (0.3, 4),
    Fault.DATABASE_DOWN: (0.03, 4),
    Fault.COMMIT_UNSEEN: (0.03, 3),
    Fault.BELL_LOST: (0.3, 8),
    Fault.BELL_TWICE: (0.2, 6),
    Fault.HOOK_LOST: (0.4, 6),
    Fault.HOOK_TWICE: (0.3, 4),
    Fault.HOOK_LATE: (0.4, 6),
    Fault.POST_LOST: (0.2, 3),
    Fault.POST_LATE: (0.5, 6),
    Fault.ANSWER_LOST: (0.3, 4),
    Fault.ANSWER_LATE: (0.3, 4),
    Fault.ANSWER_502: (0.3, 3),
    Fault.REFUSED_502: (0.2, 3),
    Fault.RATE_LIMITED: (0.2, 3),
    Fault.BUSY: (0.2, 3),
    Fault.UNAUTHORIZED: (0.1, 2),
    Fault.UNREACHABLE: (0.2, 4),
    Fault.INVALID: (0.1, 1),
    Fault.LIST_LATE: (0.6, 6),
    Fault.LIST_FAILS: (0.2, 4),
    Fault.LOOK_FAILS: (0.15, 5),
    Fault.FORGOTTEN: (0.05, 1),
    Fault.CANCEL_FAILS: (0.3, 3),
    Fault.FAILURE: (0.15, 2),
    Fault.HICCUP: (0.3, 4),
    Fault.STOPPED: (0.1, 1),
    Fault.ENDLESS: (0.1, 1),
    Fault.FETCH_FAILS: (0.3, 5),
    Fault.LINK_DIES: (0.3, 3),
    Fault.CUT_OFF: (0.2, 2),
    Fault.OUTPUT_GONE: (0.05, 1),
    Fault.OUTPUT_BAD: (0.05, 1),
    Fault.STORAGE_DOWN: (0.1, 2),
    Fault.CLOCK_JUMP: (0.3, 2),
    Fault.CANCEL: (0.25, 2),
    Fault.SHORT_LIFE: (0.3, 2),
    Fault.SUBMIT_AGAIN: (0.2, 2),
    Fault.ECHO_CHANGED: (0.4, 4),
    Fault.INPUT_REMOVED: (0.3, 4),
    Fault.SELLER_CLOCK: (0.3, 1),
    Fault.SELLER_CLOCK_UNSTEADY: (0.1, 2),
    Fault.OWN_CLOCK_WRONG: (0.2, 1),
    Fault.MISTAKEN_404: (0.1, 3),
    Fault.ANSWER_OF_ANOTHER: (0.1, 3),
    Fault.CANCEL_IGNORED: (0.8, 4),
    Fault.CANCEL_404: (0.3, 2),
    Fault.LIST_UNREADABLE_ENTRY: (0.2, 2),
    Fault.LIST_FOREIGN: (0.3, 4),
    Fault.LIST_CUT: (0.1, 2),
    Fault.MARKER_NOT_SHOWN: (0.2, 1),
    Fault.MARKER_REFUSED: (0.2, 1),
    Fault.OUTPUT_EMPTY: (0.15, 2),
    Fault.OUTPUT_ODD: (0.1, 1),
    Fault.DISK_FULL: (0.1, 2),
    Fault.PARTIAL_OUTPUT: (0.3, 2),
    Fault.SUSPEND: (0.1, 2),
    Fault.ROLLBACK: (0.2, 1),
}


UNTELLABLE = (Fault.SELLER_CLOCK_UNSTEADY, Fault.INPUT_REMOVED, Fault.LIST_UNREADABLE_ENTRY)
"""The first with any other: dated by a wrong clock, and without an input to read, only a marker tells a call."""


class Level(StrEnum):
    """How much goes wrong."""

    NONE = "none"
    LIGHT = "light"
    NORMAL = "normal"
    HEAVY = "heavy"
    MIXED = "mixed"  # one of the others by schedule


_SCALES = {Level.NONE: 0.0, Level.LIGHT: 0.4, Level.NORMAL: 1.0, Level.HEAVY: 2.5}
_MIX = (Level.NONE, *[Level.LIGHT] * 3, *[Level.NORMAL] * 8, *[Level.HEAVY] * 4)
_UNTIL_MS = (20_000, 60_000, 180_000, 600_000)


class Faults:
    """The faults of one schedule."""

    def __init__(
        self, rng: Random, level: Level, now: Callable[[], int], only: Collection[Fault] | None = None
    ) -> None:
        """With `only`, no other faults happen and all of these may."""
        self.struck: Counter[Fault] = Counter()
        self.told: Callable[[Fault], None] | None = None
        self._rng = rng
        self._now = now
        self._until = rng.choice(_UNTIL_MS)
        scale = _SCALES[rng.choice(_MIX) if level is Level.MIXED else level]
        self._rates: dict[Fault, float] = {}
        for fault, (rate, _) in RATES.items():
            drawn = scale * rate * rng.choice((0.3, 1, 3))
            drawn_in = rng.random() < 0.5
            if scale and (drawn_in if only is None else fault in only):
                self._rates[fault] = drawn

    @property
    def over(self) -> bool:
        """Whether nothing goes wrong any more."""
        return self._now() > self._until

    def strikes(self, fault: Fault) -> bool:
        """Tell whether the fault happens now, and count it."""
        rate = self._rates.get(fault)
        if rate is None or self._now() > self._until or self._rng.random() >= rate:
            return False
        self.struck[fault] += 1
        if self.struck[fault] >= RATES[fault][1]:
            del self._rates[fault]
        if self.told is not None:
            self.told(fault)
        return True

    def never(self, *faults: Fault) -> None:
        """Switch faults off that the schedule's provider is not promised to survive."""
        for fault in faults:
            self._rates.pop(fault, None)

    def not_with(self, one: Fault, *others: Fault) -> None:
        """Let a fault happen or the others, not both: together they are an assumption that is documented to fail."""
        if one in self._rates and not self._rates.keys().isdisjoint(others):
            self.never(*self._rng.choice(((one,), others)))
