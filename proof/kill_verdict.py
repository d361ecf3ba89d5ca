"""What a kill loop proved: what was lost or bought twice, and how fast the server came back."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proof.audited import wrong_in
from proof.evil_provider import TRANSIENT

Json = dict[str, Any]

_SHOWN = 10  # of each kind of violation


@dataclass
class Restart:
    """One kill. `live_s` is the time from the new process to its first answer; None if it was killed before."""

    killed_ms: int
    live_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that is known after a run."""

    plan: Json
    accepted: Mapping[int, set[str]]  # job number -> the ids that its submits were answered with
    prompts: Mapping[int, str]
    jobs: Sequence[Json]  # as the API shows them
    wrong_files: Sequence[str]  # ids of jobs whose file is not what the provider drew
    sold: Sequence[Json]  # the provider's book, in the order of sale
    faults: Mapping[str, int]  # what the provider did
    restarts: Sequence[Restart]
    stopped: int | None  # the exit code of the server's last, peaceful end
    audit: Json
    others: Mapping[str, str]  # what others bought with the account: its id, and whose prompt it has
    database: Path
    log: str
    left_running: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The figures, and what must not be."""

    figures: Json
    violations: Sequence[str]

    @property
    def rows(self) -> list[tuple[str, str]]:
        """The figures as people read them."""
        names = [name for name in self.figures if name not in ("plan", "violations")]
        return [(name.replace("_", " "), _shown(self.figures[name])) for name in names]

    @property
    def lines(self) -> list[str]:
        """What must not be, in words."""
        return [f"VIOLATION {each}" for each in self.violations] or ["Nothing was lost or bought twice."]


def judge(evidence: Evidence, took_s: float) -> Verdict:
    """Compare what the server acknowledged with what became of it."""
    by_prompt: dict[str, list[Json]] = defaultdict(list)
    for prediction in evidence.sold:
        by_prompt[str(prediction["job"])].append(prediction)
    findings = {
        "lost": _lost(evidence),
        "not ended": [f"{job['id']} is {job['status']}" for job in evidence.jobs if not _ended(job)],
        "accepted twice": _accepted_twice(evidence),
        "bought twice": _bought_twice(by_prompt),
        "wrong end": _wrong_ends(evidence, by_prompt),
        "wrong file": list(evidence.wrong_files),
        "audit": wrong_in(evidence.audit, evidence.others),
        "crashed step": _crashes(evidence.log),
        "left running": [f"process {pid}" for pid in evidence.left_running],
        "bad stop": [] if evidence.stopped == 0 else [f"exit code {evidence.stopped}"],
        "damaged database": _damage(evidence.database),
    }
    violations = [f"{kind}: {each}" for kind, several in findings.items() for each in several[:_SHOWN]]
    figures = {
        "plan": evidence.plan,
        "took_s": round(took_s, 1),
        "kills": len(evidence.restarts),
        "jobs_accepted": sum(bool(ids) for ids in evidence.accepted.values()),
        "jobs_ended": dict(Counter(job["status"] for job in evidence.jobs)),
        "errors": dict(Counter(job["error"]["code"] for job in evidence.jobs if job["error"])),
        "attempts_most": max((job["attempt"] for job in evidence.jobs), default=0),
        "predictions_sold": len(evidence.sold),
        "predictions_ended": dict(Counter(str(each["status"]) for each in evidence.sold)),
        "faults": dict(evidence.faults),
        **{kind.replace(" ", "_"): len(several) for kind, several in findings.items()},
        "audit_counts": _audit_counts(evidence.audit),
        **_recovery(evidence),
        "violations": violations,
    }
    return Verdict(figures=figures, violations=violations)


# ---------------------------------------------------------------------------------------------- what must not be


def _ended(job: Json) -> bool:
    return job["status"] in ("completed", "failed", "canceled")


def _lost(evidence: Evidence) -> list[str]:
    """Jobs that were acknowledged and do not exist, or that never were acknowledged."""
    there = {job["id"]: job["prompt"] for job in evidence.jobs}
    lost = []
    for number, ids in evidence.accepted.items():
        if not any(there.get(job_id) == evidence.prompts[number] for job_id in ids):
            lost.append(f"job {number}, acknowledged as {sorted(ids)}")
    return lost


def _accepted_twice(evidence: Evidence) -> list[str]:
    """Jobs that one Idempotency-Key made more than one of."""
    several = [f"job {number}: {sorted(ids)}" for number, ids in evidence.accepted.items() if len(ids) > 1]
    prompts = Counter(job["prompt"] for job in evidence.jobs)
    return several + [f"{prompt!r}: {count} jobs" for prompt, count in prompts.items() if count > 1]


def _bought_twice(by_prompt: Mapping[str, Sequence[Json]]) -> list[str]:
    """Jobs for which the provider sold more, although what it sold before had not failed by its own fault."""
    found = []
    for prompt, sold in by_prompt.items():
        needless = [
            each for each in sold[:-1] if not (each["status"] == "failed" and each["error"] == TRANSIENT)
        ]
        if needless:
            found.append(f"{prompt!r}: {[(each['ref'], each['status']) for each in sold]}")
    return found


def _wrong_ends(evidence: Evidence, by_prompt: Mapping[str, Sequence[Json]]) -> list[str]:
    """Jobs that did not end as the last thing that the provider sold for them did."""
    found = []
    for job in evidence.jobs:
        sold = by_prompt.get(job["prompt"], [])
        bought = bool(sold) and sold[-1]["status"] == "succeeded"
        expected = "completed" if bought else "failed"
        if (job["status"] != expected or not sold) and not _is_open(evidence, job, sold):
            found.append(
                f"{job['id']} is {job['status']} ({job['error']}), sold: {[s['status'] for s in sold]}"
            )
    return found


def _is_open(evidence: Evidence, job: Json, sold: Sequence[Json]) -> bool:
    """Tell whether it can't be known if the last call was bought: others bought the same, or the list was odd.

    It was not if nothing was made; then the list was odd whenever it was read.
    """
    unknown = job["error"] is not None and job["error"]["code"] == "outcome_unknown"
    made = any(each["status"] == "succeeded" for each in sold)
    return unknown and (not made or job["prompt"] in evidence.others.values())


def _crashes(log: str) -> list[str]:
    """Steps and chores that ended in an error that nobody foresaw."""
    return [line[:500] for line in log.splitlines() if "step.crashed" in line or "chore.crashed" in line]


def _damage(database: Path) -> list[str]:
    with sqlite3.connect(database) as connection:
        [(said,)] = connection.execute("PRAGMA integrity_check(1)").fetchall()
    connection.close()
    return [] if said == "ok" else [str(said)]


def _audit_counts(audit: Json) -> Json:
    return {name: len(audit.get(name, ())) for name in ("orphans", "missing", "bought_twice", "undecided")}


# ---------------------------------------------------------------------------------------------- how fast it came back


def _recovery(evidence: Evidence) -> Json:
    """Return how long after a kill the server answered, and how long until a worker had moved a job on."""
    live = [restart.live_s for restart in evidence.restarts if restart.live_s is not None]
    works = _until_work(evidence)
    return {
        "answers_again_s": _quantiles(live),
        "works_again_s": _quantiles(works),
        "kills_with_work_due": len(works),
    }


def _until_work(evidence: Evidence) -> list[float]:
    """Return, per kill after which the server lived, the time to the first event that a worker wrote."""
    with sqlite3.connect(evidence.database) as connection:
        times = [
            at
            for (at,) in connection.execute("SELECT at FROM job_events WHERE type <> 'created' ORDER BY at")
        ]
    connection.close()
    ends = [restart.killed_ms for restart in evidence.restarts[1:]] + [float("inf")]
    found = []
    for restart, end in zip(evidence.restarts, ends, strict=True):
        first = next((at for at in times if restart.killed_ms < at < end), None)
        if restart.live_s is not None and first is not None:
            found.append((first - restart.killed_ms) / 1000)
    return found


def _quantiles(values: Sequence[float]) -> Json:
    rising = sorted(values)
    if not rising:
        return {}
    at = {"p50": 0.5, "p99": 0.99, "most": 1.0}
    return {
        name: round(rising[min(len(rising) - 1, int(share * len(rising)))], 3) for name, share in at.items()
    }


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "none"
    return str(value)
