"""The scheduler: virtual time, and tasks that are driven by hand instead of by an event loop.

What runs between two awaits of a task is one indivisible step; which task goes next follows from virtual time
and, among those due at the same moment, from the seed. Nothing here reads a real clock.
"""

import asyncio
import heapq
import inspect
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class Wish(Protocol):
    """What a task awaits: arranges that the task is woken."""

    def arrange(self, task: "Task") -> None: ...


@dataclass(kw_only=True)
class Host:
    """A process in which tasks run. While it is frozen none of them moves, and afterwards they go on."""

    name: str
    frozen_until: int = 0


class Pause:
    """Await it to go on so many milliseconds later."""

    __slots__ = ("ms",)

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def __await__(self) -> Generator["Pause", None, None]:
        yield self

    def arrange(self, task: "Task") -> None:
        task.wake_in(self.ms)


class Mail(Generic[T]):
    """A box for one letter."""

    def __init__(self) -> None:
        self.letter: T | None = None
        self._waiting: Callable[[], None] | None = None

    def put(self, letter: T) -> None:
        """Deliver the letter; later ones are dropped."""
        if self.letter is None:
            self.letter = letter
            if self._waiting is not None:
                self._waiting()

    def receive(self, timeout_ms: int) -> "_Receive[T]":
        """Await the letter; None when it has not come in time."""
        return _Receive(self, timeout_ms)

    def expect(self, wake: Callable[[], None]) -> None:
        self._waiting = wake


class _Receive(Generic[T]):
    __slots__ = ("_mail", "_timeout_ms")

    def __init__(self, mail: Mail[T], timeout_ms: int) -> None:
        self._mail = mail
        self._timeout_ms = timeout_ms

    def __await__(self) -> Generator["_Receive[T]", None, T | None]:
        if self._mail.letter is None:
            yield self
        return self._mail.letter

    def arrange(self, task: "Task") -> None:
        self._mail.expect(task.wake_in(self._timeout_ms))


class Task:
    """A coroutine in a host."""

    __slots__ = ("_coroutine", "_ended", "_kernel", "_turn", "host", "name", "over")

    def __init__(
        self,
        kernel: "Kernel",
        host: Host,
        name: str,
        coroutine: Coroutine[Any, None, Any],
        ended: "Ended | None",
    ) -> None:
        self.host = host
        self.name = name
        self.over = False
        self._kernel = kernel
        self._coroutine = coroutine
        self._ended = ended
        self._turn = 0

    def wake_in(self, ms: int) -> Callable[[], None]:
        """Let it go on so much later; returns what lets it go on at once instead."""
        wake = partial(self._wake, self._turn)
        self._kernel.after(ms, wake)
        return partial(self._kernel.after, 0, wake)

    def _wake(self, turn: int) -> None:
        if self.over or turn != self._turn:
            return  # something else woke it before
        if self.host.frozen_until > self._kernel.now:
            self._kernel.after(self.host.frozen_until - self._kernel.now, partial(self._wake, turn))
        elif self._kernel.interferes is None or not self._kernel.interferes(self):
            self._go(self._coroutine.send, None)

    def _go(self, how: Callable[[Any], Wish], with_: Any) -> None:
        self._turn += 1
        self._kernel.steps += 1
        try:
            wish = how(with_)
        except StopIteration as end:
            self._end(None, end.value)
        except asyncio.CancelledError:
            self._end(None, None)
        except Exception as error:  # noqa: BLE001  handed on to whoever started the task
            self._end(error, None)
        else:
            if self.over:  # its own step killed it
                self._coroutine.close()
            else:
                wish.arrange(self)

    def _end(self, error: Exception | None, value: Any) -> None:
        if self.over:
            return
        self.over = True
        self._kernel.forget(self)
        if self._ended is not None:
            self._ended(self, error, value)
        elif error is not None and self._kernel.crashed is not None:
            self._kernel.crashed(f"{self.name} in {self.host.name}", error)

    def cancel(self) -> None:
        """Raise `CancelledError` where it waits, as an event loop does."""
        if not self.over:
            self._go(self._coroutine.throw, asyncio.CancelledError())

    def kill(self) -> None:
        """Stop it where it waits, as the death of its process does."""
        if not self.over:
            self.over = True
            self._kernel.forget(self)
            if inspect.getcoroutinestate(self._coroutine) != inspect.CORO_RUNNING:
                self._coroutine.close()


class Ended(Protocol):
    """Called when a task has ended: with what it raised, or with what it returned."""

    def __call__(self, task: Task, error: Exception | None, value: Any, /) -> None: ...


class Kernel:
    """Virtual time in milliseconds from 0, and what is to happen when."""

    def __init__(self, rng: Random) -> None:
        self.now = 0
        self.steps = 0
        self.stopped = False
        self.crashed: Callable[[str, Exception], None] | None = None  # a task raised that nobody watches
        self.interferes: Callable[[Task], bool] | None = (
            None  # may kill or freeze; True: the task does not go on
        )
        self._rng = rng
        self._coming: list[tuple[int, float, int, Callable[[], None]]] = []
        self._made = 0
        self._tasks: dict[Task, None] = {}  # those that are not over, in the order in which they were started

    def after(self, ms: int, action: Callable[[], None]) -> None:
        """Let something happen so much later; what is due at the same moment comes in random order."""
        self._made += 1
        heapq.heappush(self._coming, (self.now + max(0, ms), self._rng.random(), self._made, action))

    def spawn(
        self, host: Host, name: str, coroutine: Coroutine[Any, None, Any], ended: Ended | None = None
    ) -> Task:
        """Start a task, at once but not yet inside this call."""
        task = Task(self, host, name, coroutine, ended)
        self._tasks[task] = None
        task.wake_in(0)
        return task

    def forget(self, task: Task) -> None:
        """Drop a task that is over."""
        self._tasks.pop(task, None)

    def run(self, *, until_ms: int, most_steps: int) -> None:
        """Go on until nothing is to happen any more, somebody stops it, or a bound is reached."""
        coming = self._coming
        while coming and not self.stopped and self.steps < most_steps:
            at, _, _, action = heapq.heappop(coming)
            if at > until_ms:
                return
            self.now = max(self.now, at)
            action()

    def close(self) -> None:
        """Drop what is still to come and the tasks that wait for it."""
        self.stopped = True
        self._coming.clear()
        for task in list(self._tasks):
            task.kill()
