"""The submit protocol as a model: one job, its calls, workers, a network and a provider, without any time.

The job and its calls move by the product's own tables, `JOB_MOVES` and `CALL_MOVES`. Where the protocol with all
its guards wants a move that they do not hold, that is an error of the model or of the tables; where a weaker
variant wants one, the database refuses it, and the whole transaction with it.

What stands for time: a create may arrive as long as it is on its way or a worker is about to send it, and the
grace is over when neither is so. A slot is one step under way, so that its number stands for the owner and the
epoch of its lease: it can't claim again before that step is over.

Left out, as they buy nothing or follow a call that has ended: refusals of the input, jobs that expire, outputs
that can't be fetched, synchronous providers, timeouts of generations. The simulation has them all.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from mediagen.jobs.states import CALL_MOVES, JOB_MOVES, TERMINAL, CallState, JobState
from proof.submit_copies import older_copy, recovered
from proof.submit_state import (
    IDLE,
    NOBODY,
    STRANGER,
    Call,
    Message,
    Sale,
    Slot,
    State,
    at,
    late_call,
    live_call,
    put,
    sale_of,
    spend,
    taken,
    with_status,
)
from proof.submit_variant import Variant

J, C = JobState, CallState


class ModelError(Exception):
    """The guarded protocol wants a move that the product's tables do not hold."""


_LOST = {"post": "posts", "answer": "answers", "hook": "hooks"}


class Model:
    """All that can happen next. One `yield` is one action, which nothing can interrupt."""

    def __init__(self, variant: Variant) -> None:
        self.variant = variant
        self.moves: set[tuple[str, str]] = set()

    def start(self) -> State:
        """Return the state after the accept."""
        slots = (IDLE,) * self.variant.slots
        return State(J.QUEUED, False, None, (), (), frozenset(), slots, self.variant.faults)

    def after(self, state: State) -> Iterator[State]:
        """Yield every state that one action leads to."""
        for number in range(len(state.slots)):
            yield from self._slot(state, number)
        yield from self._lapse(state)
        for message in state.net:
            yield from self._network(state, message)
        for number, sale in enumerate(state.sales):
            if sale.status == "running":
                yield from self._ends(state, number)
        if state.left.rollbacks:
            yield from older_copy(state)
        if state.unrecovered:
            yield recovered(state, asks=self.variant.recovers)
        if self.variant.wish and not state.wished and state.job not in TERMINAL:
            yield state._replace(wished=True)

    # ------------------------------------------------------------------------------------------ moves

    def _move(self, state: State, to: JobState, *, keep: bool = False) -> State | None:
        """Move the job and give the lease back; None where the tables refuse it."""
        if to not in JOB_MOVES[state.job]:
            return self._refused(f"job {state.job} > {to}")
        self.moves.add((state.job, to))
        return state._replace(job=to, lease=state.lease if keep else None)

    def _settle(self, state: State, call: int | None, to: CallState) -> State | None:
        if call is None:
            return self._refused(f"no call > {to}")
        if to not in CALL_MOVES[state.calls[call].state]:
            return self._refused(f"call {state.calls[call].state} > {to}")
        self.moves.add((state.calls[call].state, to))
        return state._replace(calls=put(state.calls, call, state.calls[call]._replace(state=to)))

    def _refused(self, what: str) -> State | None:
        """Let the database refuse a move: the whole transaction with it."""
        if self.variant.guarded:
            raise ModelError(f"{self.variant.name}: {what} is not in the tables")
        return None

    def _accept(self, state: State, call: int, sale: int) -> State:
        """Write the fact that a call was taken, whoever learns it; what has no room for it is left alone."""
        known = state.calls[call]
        if known.sale is not None or known.state is C.REJECTED or taken(state, sale):
            return state
        to = C.ORPHAN if known.state is C.ABSENT else C.ACCEPTED
        settled = self._settle(state, call, to)
        return state if settled is None else settled._replace(calls=put(settled.calls, call, Call(to, sale)))

    def _again(self, state: State | None, *, bought_nothing: bool = False) -> State | None:
        """Queue the job again as long as it has attempts left and is wanted."""
        if state is None:
            return None
        if state.wished and J.CANCELED in JOB_MOVES[state.job]:
            return self._move(state, J.CANCELED)
        used = sum(call.state not in (C.REJECTED, C.ORPHAN) for call in state.calls)
        if not bought_nothing and used >= self.variant.attempts:
            return self._move(state, J.FAILED)
        queued = self._move(state, J.QUEUED)
        return self._move(queued, J.CANCELED) if queued and state.wished else queued

    def _write(self, state: State, number: int, written: Callable[[], State | None]) -> State:
        """End a step with its transaction: all of it is kept, or nothing where the lease is lost."""
        held = state.lease == number or not self.variant.fence
        done = written() if held else None
        return at(state if done is None else done, number, IDLE)

    # ------------------------------------------------------------------------------------------ slots

    def _slot(self, state: State, number: int) -> Iterator[State]:
        slot = state.slots[number]
        if slot != IDLE:
            if state.left.crashes:
                yield at(self._forget(spend(state, "crashes"), slot), number, IDLE)
            yield from _STEPS[slot.at](self, state, number, slot.call)
        elif state.lease is None and state.job not in TERMINAL and not self._holds_back(state):
            yield at(state._replace(lease=number), number, Slot(state.job.value, NOBODY))

    def _holds_back(self, state: State) -> bool:
        """Tell whether nothing may be bought: what was bought since the copy was made is not known yet."""
        return state.unrecovered and state.job is J.QUEUED

    def _forget(self, state: State, slot: Slot) -> State:
        """Lose with a worker what it had not committed: nothing, or the intent where that comes later."""
        mine = slot.at in ("send", "wait") and state.job is J.SUBMITTING
        if self.variant.intent or not mine or state.calls[slot.call].state is not C.INTENT:
            return state
        forgotten = self._settle(state, slot.call, C.ABSENT)
        return state if forgotten is None else self._move(forgotten, J.QUEUED, keep=True) or state

    def submit(self, state: State, number: int, _: int) -> Iterator[State]:
        if state.wished:
            yield self._write(state, number, lambda: self._move(state, J.CANCELED))
            return
        held = state.lease == number or not self.variant.fence
        intended = self._move(state, J.SUBMITTING, keep=True) if held else None
        if intended is not None and self.variant.late and (late := late_call(state)) is not None:
            yield at(self._used(intended, late) or state, number, IDLE)
            return
        if intended is not None and live_call(state) is not None:
            intended = self._refused("a second live call")
        if intended is None:
            yield at(state, number, IDLE)
            return
        intended = intended._replace(calls=(*state.calls, Call(C.INTENT, None)))
        yield at(intended, number, Slot("send", len(state.calls)))

    def _used(self, state: State, call: int) -> State | None:
        """Go on with what was bought before and came to light late."""
        used = self._settle(state, call, C.ACCEPTED)
        return used and self._move(used, J.WAITING)

    def _posted(self, state: State, number: int, call: int) -> State:
        post = Message("post", call, NOBODY, number)
        return at(state._replace(net=state.net | {post}), number, Slot("wait", call))

    def asleep(self, state: State, number: int, call: int) -> Iterator[State]:
        """Go on after a suspend, of which the worker's own clock knows nothing."""
        if self.variant.looks and self.variant.fence and state.lease != number:
            yield at(state, number, IDLE)
        else:
            yield self._posted(state, number, call)

    def send(self, state: State, number: int, call: int) -> Iterator[State]:
        yield self._posted(state, number, call)
        if state.left.sleeps:
            yield at(spend(state, "sleeps"), number, Slot("asleep", call))
        if not self.variant.deadline:
            return
        if self.variant.fence and state.lease != number:
            yield at(state, number, IDLE)
        elif state.left.lapses:
            slow = spend(state, "lapses")
            yield self._write(slow, number, lambda: self._too_late(slow, call))

    def _too_late(self, state: State, call: int) -> State | None:
        if state.job is J.RECONCILING:  # the same create again, by its key
            return state._replace(lease=None)
        return self._again(self._settle(state, call, C.REJECTED), bought_nothing=True)

    def wait(self, state: State, number: int, _: int) -> Iterator[State]:
        """Wait no longer; the answer itself comes from the network."""
        yield from self._guess(state, number, lambda: self._unanswered(state))

    def resume(self, state: State, number: int, _: int) -> Iterator[State]:
        yield self._write(state, number, lambda: self._unanswered(state))

    def _unanswered(self, state: State) -> State | None:
        live = live_call(state)
        if live is None:
            return None
        match state.calls[live].state:
            case C.ACCEPTED:  # a webhook told
                return self._move(state, J.WAITING)
            case C.UNKNOWN:  # the same create again, by its key
                return state._replace(lease=None)
        if not self.variant.unknown:
            return self._again(self._settle(state, live, C.ABSENT))
        unknown = self._settle(state, live, C.UNKNOWN)
        return unknown and self._move(unknown, J.RECONCILING)

    def _guess(self, state: State, number: int, written: Callable[[], State | None]) -> Iterator[State]:
        """Write what a worker thinks of the live call."""
        if state.lease == number or self.variant.opinions:
            yield self._write(state, number, written)
        else:
            yield at(self._settle(state, live_call(state), C.ABSENT) or state, number, IDLE)

    def reconcile(self, state: State, number: int, _: int) -> Iterator[State]:
        live = live_call(state)
        late = state.lease != number and self.variant.fence and self.variant.reads
        if live is None or late:
            yield at(state, number, IDLE)
        elif state.calls[live].state is C.ACCEPTED:  # a webhook told
            yield self._write(state, number, lambda: self._move(state, J.WAITING))
        elif self.variant.key:
            yield at(state, number, Slot("send", live))
        elif not self.variant.asks:
            yield from self._park(state, number, live)
        elif not self.variant.grace or not self._may_arrive(state, live):
            yield at(state, number, Slot("look", live))

    def _may_arrive(self, state: State, call: int) -> bool:
        """Tell whether the provider may still get the create: what the grace waits for."""
        posted = any(message.kind == "post" and message.call == call for message in state.net)
        return posted or (self.variant.deadline and Slot("send", call) in state.slots)

    def _park(self, state: State, number: int, call: int) -> Iterator[State]:
        """Wait until no webhook can come any more; then the job fails, whatever was bought."""
        rung = any(message.kind == "hook" and message.call == call for message in state.net)
        if not self.variant.grace or not (rung or self._may_arrive(state, call)):
            yield self._write(state, number, lambda: self._move(state, J.FAILED))

    def look(self, state: State, number: int, call: int) -> Iterator[State]:
        """Ask the provider; the call may have been given up since it was read, and another one bought."""
        seen = tuple(n for n, sale in enumerate(state.sales) if sale.call == call or not self.variant.marks)
        yield at(state, number, Slot("found", call, seen))
        if seen and state.left.blurs:
            unclear = "open" if self.variant.proof else "not found"
            yield at(spend(state, "blurs"), number, Slot(unclear, call))

    def left_open(self, state: State, number: int, _: int) -> Iterator[State]:
        """Look again, or end the job and say that nobody knows whether it was bought."""
        yield self._write(state, number, lambda: state._replace(lease=None))
        yield self._write(state, number, lambda: self._move(state, J.FAILED))

    def found(self, state: State, number: int, call: int) -> Iterator[State]:
        """Take what was seen, one of them in any order; what is another call's already is passed over."""
        if state.lease != number and self.variant.fence and self.variant.adopts:
            yield at(state, number, IDLE)
            return
        free = [sale for sale in state.slots[number].seen if not taken(state, sale, but_by=call)]
        for accepted in [self._accept(state, call, sale) for sale in free] or [state]:
            recorded = accepted.calls[call].state is C.ACCEPTED
            yield at(accepted, number, Slot("adopt" if recorded else "not found", call))

    def adopt(self, state: State, number: int, _: int) -> Iterator[State]:
        yield self._write(state, number, lambda: self._move(state, J.WAITING))

    def not_found(self, state: State, number: int, _: int) -> Iterator[State]:
        yield from self._guess(state, number, lambda: self._absent(state))

    def _absent(self, state: State) -> State | None:
        live = live_call(state)
        if live is not None and state.calls[live].state is C.ACCEPTED:  # a webhook told during the look
            return self._move(state, J.WAITING)
        return self._again(self._settle(state, live, C.ABSENT))

    def follow(self, state: State, number: int, _: int) -> Iterator[State]:
        live = live_call(state)
        sale = None if live is None else state.calls[live].sale
        if live is None or sale is None:
            yield at(state, number, IDLE)
            return
        running = state.sales[sale].status == "running"
        if running and not state.wished:
            yield self._write(state, number, lambda: state._replace(lease=None))
            return
        stopped = with_status(state, sale, "stopped") if running else state
        yield at(stopped, number, Slot(stopped.sales[sale].status, live))

    def ended(self, state: State, number: int, call: int, *, well: bool) -> Iterator[State]:
        """Write what the look at the prediction showed."""
        if not well:
            yield self._write(state, number, lambda: self._again(self._known_bad(state, call)))
            return
        yield self._write(state, number, lambda: self._stored(state, call))

    def _known_bad(self, state: State, call: int) -> State | None:
        sale = state.calls[call].sale
        failed = self._settle(state, call, C.FAILED)
        return failed if failed is None or sale is None else with_status(failed, sale, "known")

    def _stored(self, state: State, call: int) -> State | None:
        good = self._settle(state, call, C.SUCCEEDED)
        return good and self._move(good, J.STORING)

    def stopped(self, state: State, number: int, call: int) -> Iterator[State]:
        def written() -> State | None:
            canceled = self._settle(state, call, C.CANCELED)
            return canceled and self._move(canceled, J.CANCELED)

        yield self._write(state, number, written)

    def store(self, state: State, number: int, _: int) -> Iterator[State]:
        yield self._write(state, number, lambda: self._move(state, J.SUCCEEDED))

    # ------------------------------------------------------------------------------------------ the rest

    def _lapse(self, state: State) -> Iterator[State]:
        """Let the lease run out: sooner or later where its holder died, and sometimes where it is only slow."""
        if state.lease == NOBODY:
            yield state._replace(lease=None)
        elif state.lease is not None and state.left.lapses:
            yield spend(state, "lapses")._replace(lease=None)

    def _network(self, state: State, message: Message) -> Iterator[State]:
        rest = state._replace(net=state.net - {message})
        if getattr(state.left, _LOST[message.kind]):
            yield spend(rest, _LOST[message.kind])
        match message.kind:
            case "post":
                yield self._sold(rest, message)
            case "hook":
                yield self._accept(rest, message.call, message.sale)
            case _:
                yield self._answered(rest, message)
                if state.left.mixups:
                    yield self._mixed_up(spend(rest, "mixups"), message)

    def _sold(self, state: State, post: Message) -> State:
        known = sale_of(state, post.call) if self.variant.key else None
        sale = len(state.sales) if known is None else known
        news = {post._replace(kind="answer", sale=sale)}
        if known is not None:
            return state._replace(net=state.net | news)
        if self.variant.rings:
            news.add(Message("hook", post.call, sale, NOBODY))
        return state._replace(sales=(*state.sales, Sale(post.call, "running")), net=state.net | news)

    def _answered(self, state: State, answer: Message) -> State:
        accepted = self._accept(state, answer.call, answer.sale)
        if accepted.calls[answer.call].state is not C.ACCEPTED:
            return at(accepted, answer.to, IDLE)
        return self._write(accepted, answer.to, lambda: self._move(accepted, J.WAITING))

    def _mixed_up(self, state: State, answer: Message) -> State:
        """Let the answer be about a stranger's prediction."""
        if self.variant.judges:
            return self._write(state, answer.to, lambda: self._unanswered(state))
        taken = state._replace(sales=(*state.sales, Sale(STRANGER, "running")))
        return self._answered(taken, answer._replace(sale=len(state.sales)))

    def _ends(self, state: State, sale: int) -> Iterator[State]:
        yield with_status(state, sale, "good")
        if state.left.hiccups:
            yield with_status(spend(state, "hiccups"), sale, "bad")


_STEPS: Mapping[str, Callable[[Model, State, int, int], Iterator[State]]] = {
    J.QUEUED.value: Model.submit,
    J.SUBMITTING.value: Model.resume,
    J.RECONCILING.value: Model.reconcile,
    J.WAITING.value: Model.follow,
    J.STORING.value: Model.store,
    "send": Model.send,
    "wait": Model.wait,
    "asleep": Model.asleep,
    "open": Model.left_open,
    "look": Model.look,
    "found": Model.found,
    "adopt": Model.adopt,
    "not found": Model.not_found,
    "good": partial(Model.ended, well=True),
    "bad": partial(Model.ended, well=False),
    "known": partial(Model.ended, well=False),  # to an older copy it is news
    "stopped": Model.stopped,
}
