"""Older copies of the database in the submit model: made, put back, and made whole from the provider's list."""

from collections.abc import Iterator

from mediagen.jobs.states import TERMINAL, CallState
from proof.submit_state import IDLE, LOST, Call, State, spend


def older_copy(state: State) -> Iterator[State]:
    """Make a copy of the database, or put it back; nobody is at work then, and nothing is on its way."""
    if state.saved is None and state.job not in TERMINAL:
        yield state._replace(saved=(state.job, state.calls))
    elif state.saved is not None and not any(message.kind == "post" for message in state.net):
        job, calls = state.saved
        sales = tuple(s._replace(call=LOST) if s.call >= len(calls) else s for s in state.sales)
        hooks = frozenset(m for m in state.net if m.kind == "hook" and m.call < len(calls))
        idle = (IDLE,) * len(state.slots)
        put_back = state._replace(job=job, calls=calls, sales=sales, net=hooks, slots=idle, lease=None)
        yield spend(put_back, "rollbacks")._replace(saved=None, unrecovered=True)


def recovered(state: State, *, asks: bool) -> State:
    """Write down what the provider's list shows as bought for the job by calls that the copy lacks."""
    lost = [number for number, sale in enumerate(state.sales) if sale.call == LOST]
    found = tuple(Call(CallState.ORPHAN, sale) for sale in lost) if asks else ()
    return state._replace(calls=(*state.calls, *found), unrecovered=False)
