"""The states of a job and of a call, and every move between them. One page, no code beside it.

A state is what is durably known; there is no `running`, because the lease on the row says who may act.
The same tables feed the guard triggers' tests, the model check and the simulator.

    queued ──> submitting ──> waiting ──> storing ──> succeeded
       ^         │   │           │           │
       │         │   └─> reconciling         └──> failed
       └─────────┴───────────┴───┘        (failed and canceled also from the others, see JOB_MOVES)
"""

from collections.abc import Mapping
from enum import StrEnum


class JobState(StrEnum):
    """What is durably known of a job."""

    QUEUED = "queued"  # nothing is bought; also: waits to be tried again
    SUBMITTING = "submitting"  # the intent to buy is committed; the create may be on its way
    RECONCILING = "reconciling"  # the create's answer was lost; ask the provider before anything else
    WAITING = "waiting"  # the provider took it and works
    STORING = "storing"  # it is made and paid for; outputs are being fetched and kept
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


_S = JobState

JOB_MOVES: Mapping[JobState, frozenset[JobState]] = {
    _S.QUEUED: frozenset({_S.SUBMITTING, _S.FAILED, _S.CANCELED}),
    _S.SUBMITTING: frozenset({_S.WAITING, _S.RECONCILING, _S.QUEUED, _S.STORING, _S.FAILED}),
    _S.RECONCILING: frozenset({_S.WAITING, _S.STORING, _S.QUEUED, _S.FAILED, _S.CANCELED}),
    _S.WAITING: frozenset({_S.STORING, _S.QUEUED, _S.FAILED, _S.CANCELED}),
    # Never back: what was bought is not bought again. Failed and canceled predictions may have outputs, too.
    _S.STORING: frozenset({_S.SUCCEEDED, _S.FAILED, _S.CANCELED}),
    _S.SUCCEEDED: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELED: frozenset(),
}

TERMINAL = frozenset(state for state, moves in JOB_MOVES.items() if not moves)


class JobStatus(StrEnum):
    """What the native API shows."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


STATUS_OF: Mapping[JobState, JobStatus] = {
    _S.QUEUED: JobStatus.PENDING,
    _S.SUBMITTING: JobStatus.PROCESSING,
    _S.RECONCILING: JobStatus.PROCESSING,
    _S.WAITING: JobStatus.PROCESSING,
    _S.STORING: JobStatus.PROCESSING,
    _S.SUCCEEDED: JobStatus.COMPLETED,
    _S.FAILED: JobStatus.FAILED,
    _S.CANCELED: JobStatus.CANCELED,
}

STATES_OF: Mapping[JobStatus, frozenset[JobState]] = {
    status: frozenset(s for s, of in STATUS_OF.items() if of is status) for status in JobStatus
}


class CallState(StrEnum):
    """What the ledger knows of one paid create."""

    INTENT = "intent"  # committed before anything is sent
    UNKNOWN = "unknown"  # sent, answer lost: may have been bought
    ACCEPTED = "accepted"  # bought; the provider's own id is known
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    REJECTED = "rejected"  # the provider refused it: nothing bought
    ABSENT = "absent"  # proved never taken: nothing bought
    ORPHAN = "orphan"  # bought, but not what its job waits for: it came late, or can't be followed any more


_C = CallState

CALL_MOVES: Mapping[CallState, frozenset[CallState]] = {
    _C.INTENT: frozenset({_C.ACCEPTED, _C.UNKNOWN, _C.REJECTED, _C.ABSENT}),
    _C.UNKNOWN: frozenset({_C.ACCEPTED, _C.REJECTED, _C.ABSENT}),
    _C.ACCEPTED: frozenset({_C.SUCCEEDED, _C.FAILED, _C.CANCELED, _C.ORPHAN}),
    _C.ABSENT: frozenset({_C.ORPHAN}),
    _C.SUCCEEDED: frozenset(),
    _C.FAILED: frozenset(),
    _C.CANCELED: frozenset(),
    _C.REJECTED: frozenset({_C.ORPHAN}),  # what refused it was not the provider
    _C.ORPHAN: frozenset({_C.ACCEPTED}),  # it came late, and its job has bought nothing else
}

LIVE_CALLS = frozenset({_C.INTENT, _C.UNKNOWN, _C.ACCEPTED})
"""A job has at most one call in these states."""

IN_FLIGHT = (JobState.SUBMITTING, JobState.RECONCILING, JobState.WAITING, JobState.STORING)
"""The states of a job that was sent to its provider and has not ended."""
