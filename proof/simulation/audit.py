"""What must hold at the end: every job ended, nothing paid was dropped, both books agree."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mediagen.jobs.states import TERMINAL, CallState, JobState
from mediagen.providers.base import PredictionStatus
from proof.simulation.book import Book, Fate, OutputFate, Sale
from proof.simulation.database import Store
from proof.simulation.faults import Fault
from proof.simulation.invariants import CallRow, Checker, JobRow, Kind
from proof.simulation.profiles import Profile

DOUBTS = frozenset(
    {
        Fault.ECHO_CHANGED,
        Fault.INPUT_REMOVED,
        Fault.SELLER_CLOCK_UNSTEADY,
        Fault.OWN_CLOCK_WRONG,
        Fault.CLOCK_JUMP,
        Fault.LIST_UNREADABLE_ENTRY,
        Fault.LIST_FOREIGN,
        Fault.LIST_CUT,
        Fault.SUSPEND,  # its machine counts the provider's time by a clock that stood still
        Fault.MARKER_NOT_SHOWN,  # what is like a call that carries a marker is not taken for it
    }
)
"""What can stand against a conclusion: without any of them no outcome stays unknown where a list can be read."""

CANCELED_WITHIN_MS = 10_000
"""From the wish to cancel to the end of a job that is at its provider."""

_HOLDING_UP = (
    Fault.CRASH,
    Fault.FREEZE,
    Fault.SUSPEND,
    Fault.DEADLY,
    Fault.SLOW,
    Fault.DATABASE_DOWN,
    Fault.COMMIT_UNSEEN,
    Fault.ROLLBACK,
    Fault.STORAGE_DOWN,  # what is made already is kept first
    Fault.DISK_FULL,
    Fault.CLOCK_JUMP,  # seen at the next sign of life
    Fault.OWN_CLOCK_WRONG,
)

_ADMITS = ("outcome_unknown", "poisoned", "output_lost", "provider_unreachable")
"""Errors by which a job says that it may have paid for what it does not know of."""

_BY_TIME = (
    "output_lost",
    "fetch_gone",
    "output_invalid",
    "prediction_gone",
    "provider_unreachable",
    "timed_out",
)
"""Errors of jobs whose patience ended; it is measured by the wall clock."""

_TRUE = {
    CallState.SUCCEEDED: PredictionStatus.SUCCEEDED,
    CallState.FAILED: PredictionStatus.FAILED,
    CallState.CANCELED: PredictionStatus.CANCELED,
}


@dataclass(frozen=True, kw_only=True)
class Happened:
    """What happened in the schedule that may explain an end."""

    now: int
    missed_a_step: (
        bool  # a process began right after the clock was set, before any other could move what is stored
    )
    deadly: Collection[str]  # jobs that took workers down
    refused: Collection[str]  # calls whose input the provider refused
    struck: Mapping[Fault, int]
    timeout_ms: int
    kept: Mapping[str, bytes]  # the files that are stored, by key

    @property
    def held_up(self) -> bool:
        """Whether a worker stood still, or takes a while to learn that the clock was set."""
        return self.missed_a_step or any(self.struck.get(fault) for fault in _HOLDING_UP)

    @property
    def doubtful(self) -> bool:
        return any(self.struck.get(fault) for fault in DOUBTS)


class Audit:
    """Compares our ledger with the provider's book, and every job with what was sold for it."""

    def __init__(
        self, *, checker: Checker, store: Store, book: Book, profile: Profile, happened: Happened
    ) -> None:
        self._checker = checker
        self._store = store
        self._book = book
        self._profile = profile
        self._happened = happened
        self._now = happened.now
        self._holder = {call.provider_ref: call for call in checker.calls.values() if call.provider_ref}

    def run(self) -> None:
        """Report all that is wrong."""
        for job in self._checker.jobs.values():
            self._job(job)
        for call in self._checker.calls.values():
            self._call(call)
        for sale in self._book.sales:
            if (
                sale.job_id in self._checker.jobs
            ):  # an older copy of the database lacks what was accepted since
                self._sale(sale)
        for other in self._book.others:
            if other.stopped is not None:
                self._checker.violated(Kind.WRONG, f"{other.ref} is a stranger's, and was canceled")

    # ------------------------------------------------------------------------------------------ jobs

    def _job(self, job: JobRow) -> None:
        if job.state not in TERMINAL:
            self._checker.violated(Kind.STUCK, f"{job.id} is still {job.state}")
            return
        kept = self._count("artifacts", job)
        if kept < job.output_count or (job.state == JobState.SUCCEEDED and kept > job.output_count):
            self._checker.violated(Kind.LOST, f"{job.id} has {kept} artifacts of {job.output_count}")
        if job.webhook_url and self._count("webhook_outbox", job) != 1:
            self._checker.violated(Kind.LOST, f"{job.id} ended without its webhook")
        if job.error_code == "poisoned":
            self._poisoned(job)
        if job.error_code == "rejected" and not self._was_refused(job):
            self._checker.violated(Kind.LOST, f"{job.id} is called rejected, and its input never was")
        self._last_event(job)
        self._canceled_in_time(job)
        if kept:
            self._shows_its_own(job)

    def _canceled_in_time(self, job: JobRow) -> None:
        """Nobody who cancels waits for a provider that does not stop, as long as a worker is up."""
        if job.state != JobState.CANCELED or self._happened.held_up or job.output_count:
            return
        if any(sale.partial for sale in self._book.sales if sale.job_id == job.id):
            return  # what it had made is fetched for as long as it can be had
        late_ms = (job.finished_at or 0) - (job.cancel_requested_at or 0) - CANCELED_WITHIN_MS
        if late_ms > 0:
            self._checker.violated(Kind.RULE, f"{job.id} was canceled {late_ms} ms too late")

    def _poisoned(self, job: JobRow) -> None:
        if job.id not in self._happened.deadly:
            self._checker.violated(Kind.LOST, f"{job.id} is called poisoned, and never took a worker down")
        live = [call for call in self._checker.calls.values() if call.job_id == job.id]
        if any(call.state in (CallState.INTENT, CallState.UNKNOWN, CallState.ACCEPTED) for call in live):
            self._checker.violated(Kind.LOST, f"{job.id} is called poisoned, and may be paid for")

    def _was_refused(self, job: JobRow) -> bool:
        return any(self._checker.job_of[call] == job.id for call in self._happened.refused)

    def _shows_its_own(self, job: JobRow) -> None:
        """Compare the file that is kept with what was sold for the job."""
        ours = [sale.content for sale in self._book.sales if job.id in self._checker.group_of(sale)]
        keys = [row[0] for row in self._store.ask("SELECT key FROM artifacts WHERE job_id = ?", job.id)]
        if any(self._happened.kept.get(key) not in ours for key in keys):
            self._checker.violated(Kind.WRONG, f"{job.id} keeps what was not made for it")

    def _count(self, table: str, job: JobRow) -> int:
        found = self._store.ask(f"SELECT count(*) FROM {table} WHERE job_id = ?", job.id)
        return int(found[0][0])

    def _last_event(self, job: JobRow) -> None:
        events = [row[0] for row in self._store.ask("SELECT type FROM job_events WHERE job_id = ?", job.id)]
        ends = [event for event in events if event in TERMINAL]
        if ends != [job.state] or events[-1] != job.state:
            self._checker.violated(Kind.RULE, f"{job.id} is {job.state}, its events end with {events[-3:]}")

    # ------------------------------------------------------------------------------------------ calls

    def _call(self, call: CallRow) -> None:
        job = self._checker.jobs[call.job_id]
        sale = self._book.by_ref(call.provider_ref)
        if call.provider_ref is not None and sale is None:
            self._wrong(call, f"names {call.provider_ref}, which was never sold")
        if call.state in (CallState.INTENT, CallState.ACCEPTED):
            self._wrong(call, f"is still {call.state} and its job {job.state}")
        if call.state == CallState.UNKNOWN:
            self._unknown(call, job)
        if call.state == CallState.ORPHAN and call.finished_at is None:
            self._wrong(call, "came late, and is neither used nor settled")
        if call.state in (CallState.ABSENT, CallState.REJECTED) and self._unheld(call):
            self._wrong(call, f"is {call.state}, but it was sold")
        if call.state in _TRUE and sale is not None:
            self._ended(call, sale)

    def _unknown(self, call: CallRow, job: JobRow) -> None:
        """Let a call stay unknown only where nobody could tell, and it says why."""
        if job.error_code not in _ADMITS and job.state != JobState.CANCELED:
            self._wrong(call, f"is still unknown and its job {job.state}")
        elif not call.seen:
            self._wrong(call, "is left unknown without a reason")
        elif job.state == JobState.CANCELED and not self._checker.marked:
            return  # what only looks like it is not taken for it without a job
        elif not self._can_not_be_told(job):
            self._wrong(call, f"is left unknown, and nothing stood against finding out: {call.seen}")

    def _can_not_be_told(self, job: JobRow) -> bool:
        """Tell whether something stood against finding out what became of a call of the job."""
        # What was bought for a canceled job may be held by no call: it is in the way of others that ask for the same.
        left = any(s.ref not in self._holder and self._was_canceled(s) for s in self._book.sales)
        untimed = left or any(c.job_id == job.id and c.asked_at is None for c in self._checker.calls.values())
        untimed |= self._has_a_rival(job)
        return not self._profile.asks or untimed or self._happened.doubtful or self._happened.missed_a_step

    def _has_a_rival(self, job: JobRow) -> bool:
        """Tell whether the same was sold for another job that does not know of it either, and nothing names whose."""
        asked = {sale.prompt for sale in self._book.sales if sale.job_id == job.id}
        lost = [s for s in self._book.sales if s.job_id != job.id and s.ref not in self._holder]
        return not self._checker.marked and any(sale.prompt in asked for sale in lost)

    def _was_canceled(self, sale: Sale) -> bool:
        job = self._checker.jobs.get(sale.job_id)
        return job is not None and job.state == JobState.CANCELED

    def _unheld(self, call: CallRow) -> bool:
        """Tell whether it was sold although no call has the sale."""
        return any(s.call_id == call.id and s.ref not in self._holder for s in self._book.sales)

    def _ended(self, call: CallRow, sale: Sale) -> None:
        truth = sale.status(self._now)
        if truth is not _TRUE[CallState(call.state)]:
            self._wrong(call, f"is {call.state}, but {sale.ref} is {truth}")

    def _wrong(self, call: CallRow, what: str) -> None:
        self._checker.violated(Kind.LEDGER, f"{call.id} of {call.job_id} {what}")

    # ------------------------------------------------------------------------------------------ sales

    def _sale(self, sale: Sale) -> None:
        holder = self._holder.get(sale.ref)
        job = self._job_of(sale, holder)
        if holder is None and not self._admits(job):
            self._checker.violated(Kind.LEDGER, f"{sale.ref} of {sale.call_id} is not in our ledger")
        status = sale.status(self._now)
        if status is PredictionStatus.RUNNING and holder is not None and self._now < sale.forgotten:
            if not self._happened.missed_a_step and not self._explained(job, sale, holder):
                self._checker.violated(Kind.LEDGER, f"{sale.ref} of {job.id} runs on, and nobody stops it")
        elif status is PredictionStatus.SUCCEEDED:
            self._succeeded(sale, job, holder)
        elif sale.partial and holder is not None:
            self._partial(sale, job, holder)

    def _admits(self, job: JobRow) -> bool:
        return job.error_code in _ADMITS or job.state == JobState.CANCELED

    def _succeeded(self, sale: Sale, job: JobRow, holder: CallRow | None) -> None:
        if job.state == JobState.SUCCEEDED:
            return
        if job.state == JobState.CANCELED:
            if (
                holder is not None
                and self._checker.made.get(holder.id, math.inf) <= self._checker.ended[job.id]
            ):
                self._checker.violated(Kind.LOST, f"{job.id} was canceled although {sale.ref} had succeeded")
        elif not self._explained(job, sale, holder):
            self._checker.violated(
                Kind.LOST, f"{job.id} failed as {job.error_code}, but {sale.ref} succeeded"
            )

    def _partial(self, sale: Sale, job: JobRow, holder: CallRow) -> None:
        """What was made before a bad end is kept, if the job ended by it and its output can be had."""
        last = max((call.seq for call in self._checker.calls.values() if call.job_id == job.id), default=0)
        told = self._checker.made.get(holder.id, math.inf) <= self._checker.ended[job.id]
        # What hiccuped is tried again, and the job may end while it waits for that.
        told &= sale.fate is not Fate.HICCUPS or job.error_code == "prediction_failed"
        had = not self._profile.synchronous  # there the only copy is the answer's
        had &= not self._happened.missed_a_step  # then the time for trying again can seem to be over
        had &= sale.empty_until == -math.inf  # what shows no output when it has ended is not asked again
        had &= sale.output not in (OutputFate.GONE, OutputFate.BAD) and sale.forgotten == math.inf
        if told and had and holder.seq == last and job.state != JobState.SUCCEEDED and not job.output_count:
            self._checker.violated(Kind.LOST, f"what was made of {sale.ref} before its end was dropped")

    def _job_of(self, sale: Sale, holder: CallRow | None) -> JobRow:
        """Return the job that has to show for the sale; without a holder, one that admits not to know."""
        if holder is not None:
            return self._checker.jobs[holder.job_id]
        group = [self._checker.jobs[job_id] for job_id in self._checker.group_of(sale)]
        own = self._checker.jobs[sale.job_id]
        unsure = [job for job in (own, *group) if self._admits(job)]
        return unsure[0] if unsure else own

    def _explained(self, job: JobRow, sale: Sale, holder: CallRow | None) -> bool:
        """Tell whether something really happened that the job's error code names."""
        happened = self._happened
        match job.error_code:
            case "output_lost" if job.id in happened.deadly:
                return True
            case _ if happened.missed_a_step and job.error_code in _BY_TIME:
                return True
            case "output_lost" | "fetch_gone" | "output_invalid":
                return sale.output in (OutputFate.GONE, OutputFate.BAD) or self._now >= sale.forgotten
            case "prediction_gone":
                return self._now >= sale.forgotten
            case "timed_out":
                return sale.ends >= self._checker.intended[sale.call_id] + happened.timeout_ms
            case "outcome_unknown":
                told = holder is not None and self._checker.named[holder.id] < self._checker.ended[job.id]
                return not told and self._can_not_be_told(job)
        return False
