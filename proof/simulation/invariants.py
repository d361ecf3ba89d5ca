"""What must hold after every commit and every sale. What must hold at the end stands in `audit`."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from mediagen.jobs.calls import SEND_WITHIN_MS
from mediagen.jobs.states import LIVE_CALLS, TERMINAL, CallState, JobState
from mediagen.providers.base import PredictionStatus
from proof.simulation.book import Book, Fate, Sale
from proof.simulation.database import Store
from proof.simulation.names import shorten_ids
from proof.simulation.profiles import Profile
from proof.simulation.seller import NET_MS


class Kind(StrEnum):
    """How a promise is broken."""

    LOST = "lost"  # what was paid for is not kept, or a job ended that had a chance left
    TWICE = "bought twice"
    STUCK = "stuck"
    WRONG = "wrong picture"  # a job takes for its own what is somebody else's
    LEDGER = "ledger"  # ours and the provider's book differ
    RULE = "rule"  # an invariant of the states or of time
    CRASH = "crash"  # a step raised what it never should, constraint errors included


_MADE = (CallState.SUCCEEDED, CallState.FAILED, CallState.CANCELED)


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A broken promise: which, when (virtual ms), and what was seen."""

    kind: Kind
    at: int
    what: str


class JobRow(NamedTuple):
    """What the invariants look at in a job."""

    id: str
    state: str
    attempt: int
    max_attempts: int
    lease_epoch: int
    cancel_requested_at: int | None
    expires_at: int
    output_count: int
    error_code: str | None
    finished_at: int | None
    prompt: str
    webhook_url: str | None
    run_at: int
    lease_until: int | None

    @property
    def due(self) -> int:
        """Return when a worker may claim it."""
        return max(self.run_at, self.lease_until or 0)


class CallRow(NamedTuple):
    """What the invariants look at in a call."""

    id: str
    job_id: str
    seq: int
    state: str
    provider_ref: str | None
    due_at: int | None
    finished_at: int | None
    seen: str | None
    asked_at: int | None


_JOBS = f"SELECT {', '.join(JobRow._fields)} FROM jobs ORDER BY id"
_CALLS = f"SELECT {', '.join(CallRow._fields)} FROM provider_calls ORDER BY id"
_AGAIN = ("prediction_failed", "provider_error")
"""Errors after which a job is tried again as long as it has attempts left."""


class Checker:
    """Sees every commit and every sale, remembers what was, and stops the schedule at the first violation."""

    def __init__(
        self,
        *,
        store: Store,
        book: Book,
        profile: Profile,
        now: Callable[[], int],
        stop: Callable[[], None],
        tell: Callable[[str, str], None],
        lost_an_answer: Callable[[str], None],
        suspended: Callable[[], bool],
        marked: bool,
    ) -> None:
        self.violations: list[Violation] = []
        self.jobs: dict[str, JobRow] = {}
        self.open: dict[str, JobRow] = {}  # those of them that have not ended
        self.calls: dict[str, CallRow] = {}
        self.unsettled: dict[str, int] = {}  # calls that somebody has to look at without their job, and when
        self.job_of: dict[str, str] = {}  # call id -> job id, of all calls that ever were
        self.intended: dict[str, int] = {}  # call id -> when its intent was committed
        self.named: dict[str, int] = {}  # call id -> number of the commit that wrote its ref
        self.existed: set[str] = set()  # ids of all jobs that ever were
        self.made: dict[str, int] = {}  # call id -> number of the commit that says how it ended
        self.ended: dict[str, int] = {}  # job id -> number of the commit that ended it
        self._commits = 0
        self._store = store
        self._book = book
        self._profile = profile
        self._now = now
        self._stop = stop
        self._tell = tell
        self._lost_an_answer = lost_an_answer
        self._marked = marked  # whether what the provider shows names the call
        self._suspended = (
            suspended  # whether some worker was, so that its own clock did not see the time pass
        )

    def violated(self, kind: Kind, what: str) -> None:
        """Note a violation; the schedule ends here."""
        self.violations.append(Violation(kind=kind, at=self._now(), what=shorten_ids(what)))
        self._tell("!!!", f"{kind}: {what}")
        self._stop()

    def rebase(self) -> None:
        """Take the database as it is now: an older copy was put back."""
        self.jobs = {values[0]: JobRow(*values) for values in self._store.ask(_JOBS)}
        self.open = {job.id: job for job in self.jobs.values() if job.state not in TERMINAL}
        self.calls = {call.id: call for call in self._read_calls()}
        self.unsettled = {call.id: call.due_at for call in self.calls.values() if call.due_at is not None}
        for job_id in [job_id for job_id in self.ended if job_id not in self.jobs or job_id in self.open]:
            del self.ended[job_id]
        self.named = {call.id: self._commits for call in self.calls.values() if call.provider_ref is not None}
        self.made = {
            call_id: at
            for call_id, at in self.made.items()
            if call_id in self.calls and self.calls[call_id].state in _MADE
        }
        self.existed.update(self.jobs)

    # ------------------------------------------------------------------------------------------ commits

    def committed(self, who: str) -> None:
        """Look at what a commit changed."""
        self._commits += 1
        for values in self._store.ask(_JOBS):
            old = self.jobs.get(values[0])
            if values != old:
                row = JobRow(*values)
                self.jobs[row.id] = self.open[row.id] = row
                self.existed.add(row.id)
                if row.state in TERMINAL:
                    del self.open[row.id]
                self._job_changed(who, old, row)
        self._calls_committed(who)

    def _job_changed(self, who: str, old: JobRow | None, new: JobRow) -> None:
        if old is None:
            self._tell(who, f"{new.id} is accepted")
            return
        if old.state != new.state:
            why = f" ({new.error_code})" if new.error_code else ""
            self._tell(who, f"{new.id}: {old.state} > {new.state}, attempt {new.attempt}{why}")
        if old.state in TERMINAL and (old.state, old.output_count, old.error_code, old.finished_at) != (
            new.state,
            new.output_count,
            new.error_code,
            new.finished_at,
        ):
            self.violated(Kind.RULE, f"{new.id} was {old.state} and changed to {new.state}")
        if new.attempt < old.attempt or new.lease_epoch < old.lease_epoch:
            self.violated(Kind.RULE, f"a counter of {new.id} went back")
        if new.state == JobState.RECONCILING and old.state != new.state:
            self._lost_an_answer(new.id)
        if new.state in TERMINAL:
            self.ended.setdefault(new.id, self._commits)
        if new.state == JobState.FAILED and old.state != JobState.FAILED:
            self._failed(new)

    def _failed(self, job: JobRow) -> None:
        if job.error_code not in _AGAIN or job.attempt >= job.max_attempts:
            return
        if job.error_code == "provider_error" or self._last_hiccuped(job):
            self.violated(Kind.LOST, f"{job.id} failed at attempt {job.attempt} of {job.max_attempts}")

    def _last_hiccuped(self, job: JobRow) -> bool:
        last = max((call for call in self._read_calls() if call.job_id == job.id), key=lambda call: call.seq)
        sale = self._book.by_ref(last.provider_ref)
        return sale is not None and sale.fate is Fate.HICCUPS

    def _read_calls(self) -> list[CallRow]:
        return [CallRow(*values) for values in self._store.ask(_CALLS)]

    def _calls_committed(self, who: str) -> None:
        changed = False
        for values in self._store.ask(_CALLS):
            old = self.calls.get(values[0])
            if values != old:
                row = CallRow(*values)
                changed = True
                self.calls[row.id] = row
                self.job_of[row.id] = row.job_id
                self.unsettled.pop(row.id, None)
                if row.due_at is not None:
                    self.unsettled[row.id] = row.due_at
                self._call_changed(who, old, row)
        if changed:
            self._count_calls()

    def _call_changed(self, who: str, old: CallRow | None, new: CallRow) -> None:
        if old is None:
            self.intended[new.id] = self._now()
            self._tell(who, f"{new.id} of {new.job_id}: {new.state}")
            return
        if (old.state, old.provider_ref) != (new.state, new.provider_ref):
            self._tell(who, f"{new.id} of {new.job_id}: {old.state} > {new.state} {new.provider_ref or ''}")
        if new.provider_ref is not None:
            self.named.setdefault(new.id, self._commits)
        if new.state in _MADE:
            self.made.setdefault(new.id, self._commits)
        if new.provider_ref is not None and old.provider_ref is None:
            self._is_its_own(new)
        if old.provider_ref is not None and old.provider_ref != new.provider_ref:
            self.violated(Kind.RULE, f"{new.id} had the ref {old.provider_ref} and now {new.provider_ref}")

    def _is_its_own(self, call: CallRow) -> None:
        sale = self._book.by_ref(call.provider_ref)
        if sale is not None and not (sale.is_ours and call.job_id in self.group_of(sale)):
            self.violated(
                Kind.WRONG,
                f"{call.id} of {call.job_id} takes {sale.ref}, which is {sale.job_id or 'a stranger'}'s",
            )

    def _count_calls(self) -> None:
        live: dict[str, int] = {}
        good: dict[str, int] = {}
        for call in self.calls.values():
            live[call.job_id] = live.get(call.job_id, 0) + (call.state in LIVE_CALLS)
            good[call.job_id] = good.get(call.job_id, 0) + (call.state == CallState.SUCCEEDED)
        for job_id in live:
            if live[job_id] > 1 or good[job_id] > 1:
                self.violated(Kind.RULE, f"{job_id} has {live[job_id]} live calls, {good[job_id]} good ones")

    # ------------------------------------------------------------------------------------------ sales

    def sold(self, sale: Sale) -> None:
        """Look at what the provider just sold."""
        if sale.call_id not in self.job_of:
            self.violated(Kind.RULE, f"{sale.call_id} was bought without a committed intent")
            return
        group = [job_id for job_id in self.group_of(sale) if job_id in self.jobs]
        if not group:
            return  # an older copy of the database, put back since, does not have the job
        earlier = [other for other in self.sales_of(group) if other is not sale]
        open_ = [other for other in earlier if not self._known_failed(other)]
        if len(open_) >= len(group):
            self.violated(
                Kind.TWICE, f"{sale.job_id} is bought as {sale.ref}, and had {open_[0].ref} already"
            )
        if len(earlier) >= sum(self.jobs[job_id].max_attempts for job_id in group):
            self.violated(Kind.TWICE, f"{sale.job_id} is bought more often than it may be attempted")
        late_ms = self._now() - self.intended[sale.call_id] - SEND_WITHIN_MS - NET_MS
        if late_ms > 0 and not self._profile.keyed and not self._suspended():
            self.violated(Kind.RULE, f"{sale.call_id} was bought {late_ms} ms after it could still arrive")

    @property
    def marked(self) -> bool:
        """Whether what the provider shows names the call."""
        return self._marked

    def group_of(self, sale: Sale) -> list[str]:
        """Return the jobs that may adopt the sale: its own, or all with its input where nothing marks it."""
        if self._marked or self._profile.keyed:
            return [sale.job_id]
        return [job.id for job in self.jobs.values() if job.prompt == sale.prompt]

    def sales_of(self, group: list[str]) -> list[Sale]:
        """Return what was sold for these jobs."""
        return [sale for sale in self._book.sales if sale.job_id in group]

    def _known_failed(self, sale: Sale) -> bool:
        """Tell whether it failed in a way that allows another try, and our ledger says so."""
        failed = sale.fate is Fate.HICCUPS and sale.status(self._now()) is PredictionStatus.FAILED
        return failed and any(
            call.provider_ref == sale.ref and call.state == CallState.FAILED for call in self.calls.values()
        )


def shorten(value: Any) -> str:
    """Return an error in one line."""
    return f"{type(value).__name__}: {str(value).splitlines()[0] if str(value) else ''}"[:300]
