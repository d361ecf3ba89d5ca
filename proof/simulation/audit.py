"""What must hold at the end: every job ended, nothing paid was dropped, both books agree."""

from collections.abc import Collection

from mediagen.jobs.states import TERMINAL, CallState, JobState
from mediagen.providers.base import PredictionStatus
from mediagen.worker.store import INVALID_TRIES
from proof.simulation.book import Book, OutputFate, Sale
from proof.simulation.database import Store
from proof.simulation.invariants import CallRow, Checker, JobRow, Kind
from proof.simulation.profiles import Profile

_LEFT_OPEN = (CallState.UNKNOWN, CallState.ACCEPTED)
"""A call stays in these only when its job ended without knowing more."""

_ADMITS = ("outcome_unknown", "poisoned")
"""Errors by which a job says that it may have paid for what it does not know of."""

_TRUE = {
    CallState.SUCCEEDED: PredictionStatus.SUCCEEDED,
    CallState.FAILED: PredictionStatus.FAILED,
    CallState.CANCELED: PredictionStatus.CANCELED,
}


class Audit:
    """Compares our ledger with the provider's book, and every job with what was sold for it."""

    def __init__(
        self,
        *,
        checker: Checker,
        store: Store,
        book: Book,
        profile: Profile,
        now: int,
        jumped: bool,
        deadly: Collection[str],
        timeout_ms: int,
    ) -> None:
        self._checker = checker
        self._store = store
        self._book = book
        self._profile = profile
        self._now = now
        self._jumped = jumped
        self._deadly = deadly
        self._timeout_ms = timeout_ms
        self._holder = {call.provider_ref: call for call in checker.calls.values() if call.provider_ref}

    def run(self) -> None:
        """Report all that is wrong."""
        for job in self._checker.jobs.values():
            self._job(job)
        for call in self._checker.calls.values():
            self._call(call)
        for sale in self._book.sales:
            self._sale(sale)

    # ------------------------------------------------------------------------------------------ jobs

    def _job(self, job: JobRow) -> None:
        if job.state not in TERMINAL:
            self._checker.violated(Kind.STUCK, f"{job.id} is still {job.state}")
            return
        if job.state == JobState.SUCCEEDED:
            kept = self._count("artifacts", job)
            if kept != job.output_count:
                self._checker.violated(Kind.LOST, f"{job.id} has {kept} artifacts of {job.output_count}")
        if job.webhook_url and self._count("webhook_outbox", job) != 1:
            self._checker.violated(Kind.LOST, f"{job.id} ended without its webhook")
        if job.error_code == "poisoned" and job.id not in self._deadly:
            self._checker.violated(Kind.LOST, f"{job.id} is called poisoned, and never took a worker down")
        self._last_event(job)

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
        if call.state == CallState.INTENT and job.error_code != "poisoned":
            self._wrong(call, "is still an intent")
        if call.state in _LEFT_OPEN and job.error_code not in _ADMITS:
            self._wrong(call, f"is still {call.state} and its job {job.state}")
        if call.state in (CallState.ABSENT, CallState.REJECTED) and self._unheld(call):
            self._wrong(call, f"is {call.state}, but it was sold")
        if call.state in _TRUE and sale is not None:
            self._ended(call, sale)

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
        if holder is None and job.error_code not in _ADMITS:
            self._checker.violated(Kind.LEDGER, f"{sale.ref} of {sale.call_id} is not in our ledger")
        if sale.status(self._now) is not PredictionStatus.SUCCEEDED or job.state == JobState.SUCCEEDED:
            return
        if job.state == JobState.CANCELED:
            self._checker.violated(Kind.LOST, f"{job.id} was canceled although {sale.ref} had succeeded")
        elif not self._explained(job, sale, holder):
            self._checker.violated(
                Kind.LOST, f"{job.id} failed as {job.error_code}, but {sale.ref} succeeded"
            )

    def _job_of(self, sale: Sale, holder: CallRow | None) -> JobRow:
        """Return the job that has to show for the sale; without a holder, one that admits not to know."""
        if holder is not None:
            return self._checker.jobs[holder.job_id]
        group = [self._checker.jobs[job_id] for job_id in self._checker.group_of(sale)]
        unsure = [job for job in group if job.error_code in _ADMITS]
        return unsure[0] if unsure else self._checker.jobs[sale.job_id]

    def _explained(self, job: JobRow, sale: Sale, holder: CallRow | None) -> bool:
        """Tell whether something really happened that the job's error code names."""
        match job.error_code:
            case "output_lost" | "fetch_gone":
                return sale.output is OutputFate.GONE
            case "output_invalid":
                return sale.cut_off > 0 and sale.troubles >= INVALID_TRIES
            case "prediction_gone":
                return self._now >= sale.forgotten
            case "timed_out":
                return self._jumped or sale.ends >= self._checker.intended[sale.call_id] + self._timeout_ms
            case "outcome_unknown":
                told = holder is not None and self._checker.named[holder.id] < self._checker.ended[job.id]
                return not told and (self._profile.blind or self._expired(job))
            case "poisoned":
                return job.id in self._deadly
            case "provider_unreachable":
                return self._expired(job)
        return False

    def _expired(self, job: JobRow) -> bool:
        return job.finished_at is not None and job.finished_at >= job.expires_at
