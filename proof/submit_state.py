"""One moment of the submit model: what is known, sold, on its way and under way, and how it changes."""

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from mediagen.jobs.states import LIVE_CALLS, TERMINAL, CallState, JobState

T = TypeVar("T")

NOBODY = -1
"""In place of a slot: it died, or does not wait any more."""

STRANGER, LOST = -2, -3
"""In place of the call that a prediction was bought for."""


class Left(NamedTuple):
    """How many faults of each kind may still happen."""

    crashes: int = 1
    lapses: int = 1  # a lease runs out, or a create comes too late to be sent, because its worker is slow
    posts: int = 1  # a create is lost
    answers: int = 1
    hooks: int = 1
    hiccups: int = 1  # a prediction fails and may be tried again
    blurs: int = 0  # a look shows what was bought so that it can't be told from others
    mixups: int = 0  # an answer is about a stranger's prediction
    sleeps: int = 0  # a machine is suspended right before a send
    rollbacks: int = 0  # an older copy of the database is put back


ONE_EACH = Left()


class Call(NamedTuple):
    """A row of our ledger."""

    state: CallState
    sale: int | None  # its ref


class Sale(NamedTuple):
    """A line in the provider's book."""

    call: int  # STRANGER, or LOST where an older copy of our ledger does not have it
    status: str  # running, good, bad, known (as bad, by our ledger), stopped


class Message(NamedTuple):
    """Something on its way. The same message twice is one: what it does, it does once anyway."""

    kind: str  # post, answer, hook
    call: int
    sale: int  # of an answer and a hook
    to: int  # the slot that waits for the answer


class Slot(NamedTuple):
    """A step under way, and the call that it is about."""

    at: str
    call: int
    seen: tuple[int, ...] = ()  # sales that may be this call, where the provider was asked


class State(NamedTuple):
    """All that is the case at one moment."""

    job: JobState
    wished: bool
    lease: int | None  # the slot that holds it
    calls: tuple[Call, ...]
    sales: tuple[Sale, ...]
    net: frozenset[Message]
    slots: tuple[Slot, ...]
    left: Left
    saved: tuple[JobState, tuple[Call, ...]] | None = None  # a copy of the database
    unrecovered: bool = False  # it was put back, and nobody has asked yet what was bought since


IDLE = Slot("idle", NOBODY)


# ---------------------------------------------------------------------------------------------- what is wrong


def bought(state: State) -> int:
    """Count what is bought for the job, without what our ledger knew to have failed."""
    return sum(sale.call != STRANGER and sale.status != "known" for sale in state.sales)


def wrong(state: State) -> bool:
    """Tell whether a call takes for its own what a stranger bought."""
    taken = [call.sale for call in state.calls if call.sale is not None]
    return any(state.sales[sale].call == STRANGER for sale in taken)


def dropped(state: State) -> bool:
    """Tell whether the job ended without its output although something was bought that is good, or will be."""
    ended_badly = state.job in TERMINAL and state.job is not JobState.SUCCEEDED
    ours = [sale for sale in state.sales if sale.call != STRANGER]
    return ended_badly and any(sale.status in ("running", "good") for sale in ours)


# ---------------------------------------------------------------------------------------------- small changes


def tidy(state: State) -> State:
    """Return the one state that stands for all those that nobody could tell from this one."""
    state = _swapped(state)
    slots = state.slots
    net = frozenset(kept for message in state.net for kept in _heard(message, slots))
    lease = NOBODY if state.lease is not None and slots[state.lease] == IDLE else state.lease
    return state._replace(net=net, lease=lease)


def _heard(message: Message, slots: tuple[Slot, ...]) -> Iterator[Message]:
    """Yield the message, without those who do not wait for it any more."""
    if message.kind == "hook" or (message.to != NOBODY and slots[message.to] == Slot("wait", message.call)):
        yield message
    elif message.kind == "post":
        yield message._replace(to=NOBODY)


def _swapped(state: State) -> State:
    """Put the slots in order: which of them does what makes no difference."""
    order = sorted(range(len(state.slots)), key=lambda number: (state.slots[number], number == state.lease))
    if order == list(range(len(order))):
        return state
    place = {old: new for new, old in enumerate(order)}
    return state._replace(
        slots=tuple(state.slots[number] for number in order),
        lease=None if state.lease is None else place.get(state.lease, NOBODY),
        net=frozenset(message._replace(to=place.get(message.to, NOBODY)) for message in state.net),
    )


def put(items: tuple[T, ...], number: int, item: T) -> tuple[T, ...]:
    return (*items[:number], item, *items[number + 1 :])


def at(state: State, number: int, slot: Slot) -> State:
    return state._replace(slots=put(state.slots, number, slot))


def spend(state: State, fault: str) -> State:
    return state._replace(left=state.left._replace(**{fault: getattr(state.left, fault) - 1}))


def with_status(state: State, sale: int, status: str) -> State:
    return state._replace(sales=put(state.sales, sale, state.sales[sale]._replace(status=status)))


def live_call(state: State) -> int | None:
    return next((number for number, call in enumerate(state.calls) if call.state in LIVE_CALLS), None)


def sale_of(state: State, call: int) -> int | None:
    return next((number for number, sale in enumerate(state.sales) if sale.call == call), None)


def late_call(state: State) -> int | None:
    """Return a call that came to light late and that nobody has used."""
    late = (number for number, call in enumerate(state.calls) if call.state is CallState.ORPHAN)
    return next(late, None)


def taken(state: State, sale: int, *, but_by: int = NOBODY) -> bool:
    """Tell whether another call has this ref: the database keeps them unique."""
    return any(call.sale == sale for number, call in enumerate(state.calls) if number != but_by)
