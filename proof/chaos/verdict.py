"""What a run of chaos proved: the figures of one design, and what must not be."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proof.chaos.designs import Audit, End
from proof.evil_provider import FINAL, TRANSIENT

Json = dict[str, Any]

_SHOWN = 10  # of each kind of violation


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that is known after a run."""

    design: str
    accepted: Mapping[int, set[str]]  # job number -> the ids that its submits were answered with
    prompts: Mapping[int, str]
    ends: Sequence[End]
    sold: Sequence[Json]  # the provider's book, in the order of sale
    others: Mapping[str, str]  # what others bought with the account: its id, and whose prompt it has
    audit: Audit
    odd_answers: Sequence[str]
    crashes: Sequence[str]  # lines of logs that tell of errors that nobody foresaw
    counts: Json  # what was done to it
    recovered_s: Sequence[float]
    never_recovered: int


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The figures, and what must not be."""

    design: str
    figures: Json
    violations: Sequence[str]


def judge(evidence: Evidence) -> Verdict:
    """Compare what was acknowledged with what became of it and what was paid."""
    by_prompt: dict[str, list[Json]] = defaultdict(list)
    for prediction in evidence.sold:
        by_prompt[str(prediction["job"])].append(prediction)
    bought_twice = _bought_twice(by_prompt)
    findings = {
        "lost": _lost(evidence),
        "accepted twice": [f"job {n}: {sorted(ids)}" for n, ids in evidence.accepted.items() if len(ids) > 1],
        "bought twice": [f"{prompt!r}: {several}" for prompt, several in bought_twice.items()],
        "failed without need": _failed_without_need(evidence, by_prompt),
        "audit": _audit(evidence.audit),
        "5xx other than 503": list(evidence.odd_answers),
        "crashed": list(evidence.crashes),
        "never recovered": ["jobs of killed workers"] * evidence.never_recovered,
    }
    ends = Counter(end.status for end in evidence.ends)
    figures = {
        "jobs accepted": sum(bool(ids) for ids in evidence.accepted.values()),
        "completed": ends["completed"],
        "failed": ends["failed"],
        "failed without need": len(findings["failed without need"]),
        "lost": len(findings["lost"]),
        "bought twice": len(bought_twice),
        "predictions too many": sum(len(several) for several in bought_twice.values()),
        "audit: left / unknown": f"{evidence.audit.left} / {evidence.audit.unknown}",
        "answers 5xx other than 503": len(evidence.odd_answers),
        **evidence.counts,
        **_recovery(evidence),
    }
    violations = [f"{kind}: {each}" for kind, several in findings.items() for each in several[:_SHOWN]]
    return Verdict(design=evidence.design, figures=figures, violations=violations)


def _lost(evidence: Evidence) -> list[str]:
    """Jobs that were acknowledged and are not there, have not ended, or have no output."""
    there = {end.id: end for end in evidence.ends}
    lost = []
    for number, ids in evidence.accepted.items():
        for job_id in ids or {"nothing"}:
            end = there.get(job_id)
            if end is None or end.prompt != evidence.prompts[number]:
                lost.append(f"job {number}, acknowledged as {job_id}, is not there")
            elif end.status not in ("completed", "failed"):
                lost.append(f"{job_id} is {end.status}")
            elif end.status == "completed" and not end.has_picture:
                lost.append(f"{job_id} has not the picture that was drawn for it")
    return lost


def _bought_twice(by_prompt: Mapping[str, Sequence[Json]]) -> dict[str, list[str]]:
    """Return, per job, the purchases after one that had not failed by the provider's own fault."""
    found = {}
    for prompt, sold in by_prompt.items():
        first = next((i for i, each in enumerate(sold) if not _is_void(each)), len(sold))
        if sold[first + 1 :]:
            found[prompt] = [str(each["ref"]) for each in sold[first + 1 :]]
    return found


def _is_void(prediction: Json) -> bool:
    return (prediction["status"], prediction["error"]) == ("failed", TRANSIENT)


def _failed_without_need(evidence: Evidence, by_prompt: Mapping[str, Sequence[Json]]) -> list[str]:
    """Jobs that failed although the provider had not refused them for good."""
    found = []
    for end in evidence.ends:
        errors = [each["error"] for each in by_prompt.get(end.prompt, [])]
        made = any(each["status"] == "succeeded" for each in by_prompt.get(end.prompt, []))
        is_open = end.error == "outcome_unknown" and (not made or end.prompt in evidence.others.values())
        if end.status == "failed" and FINAL not in errors and not is_open:
            found.append(f"{end.id}: {end.error}, sold: {errors}")
    return found


def _audit(found: Audit) -> list[str]:
    if found.left or found.unknown or found.said:
        return [found.said or f"{found.left} left, {found.unknown} unknown"]
    return []


def _recovery(evidence: Evidence) -> Json:
    """Return the quantiles over all jobs that a worker was at when it was killed."""
    rising = [f"{each:.1f} s" for each in sorted(evidence.recovered_s)]
    rising += ["never"] * evidence.never_recovered

    def at(share: float) -> str:
        return rising[min(len(rising) - 1, int(share * len(rising)))] if rising else "-"

    return {
        "recovery p50": at(0.5),
        "recovery p99": at(0.99),
        "recovery, worst": at(1.0),
        "jobs that lost their worker": len(rising),
    }
