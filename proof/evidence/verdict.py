"""How a scene is judged: by the provider's book and by what the product says of its jobs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from proof.evidence.scene import Scene

_ENDED = ("completed", "failed", "canceled", "forgotten")
_UNPAID = ("failed", "canceled")
_WORDS = 100  # characters of what one job says


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job as the product shows it in the end."""

    prompt: str
    status: str
    code: str = ""
    message: str = ""
    right: bool | None  # whether its file is the one drawn for its prompt; None without a file


@dataclass(frozen=True, kw_only=True)
class Sale:
    """One prediction of the provider's book."""

    prompt: str
    status: str


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one scene did to so many jobs."""

    scene: str
    jobs: int
    sold: int
    extra: int  # bought beyond one for each job, and neither failed nor canceled
    wrong: int  # jobs that show another prompt's picture, or one that was not bought for them
    lost: int  # jobs that ended without the output that they should have
    open: int  # jobs that had not ended in the scene's time
    unknown: int  # jobs that ended as outcome_unknown
    audit: int  # sales that the audit did not name; 1 if it gave no answer
    kept_promise: bool
    ends: dict[str, int]  # how jobs ended, by status and code
    said: str  # what one of those that ended badly says


def judge(scene: Scene, jobs: Sequence[Job], sales: Sequence[Sale], unnamed: int) -> Figures:
    """Count. Jobs that end as `outcome_unknown` are a harm only where the truth could be known."""
    ends = {job: _end(scene, job, sales) for job in jobs}
    counted = Counter(ends.values())
    extra = sum(max(0, _paid(job, sales) - 1) for job in jobs)
    harm = extra + counted["wrong"] + counted["lost"] + counted["open"] + unnamed
    unfair = counted["unknown"] if "outcome_unknown" not in scene.fair else 0
    bad = [job for job, end in ends.items() if end not in ("good", "fair")]
    return Figures(
        scene=scene.name,
        jobs=len(jobs),
        sold=len(sales),
        extra=extra,
        wrong=counted["wrong"],
        lost=counted["lost"],
        open=counted["open"],
        unknown=counted["unknown"],
        audit=unnamed,
        kept_promise=harm + unfair == 0,
        ends=dict(Counter(f"{job.status} {job.code}".strip() for job in jobs)),
        said=bad[0].message[:_WORDS] if bad else "",
    )


def _paid(job: Job, sales: Sequence[Sale]) -> int:
    return sum(sale.prompt == job.prompt and sale.status not in _UNPAID for sale in sales)


def _end(scene: Scene, job: Job, sales: Sequence[Sale]) -> str:
    is_ours = any(sale.prompt == job.prompt for sale in sales)
    if job.status not in _ENDED:
        return "open"
    if job.right is not None:
        return "good" if job.right and is_ours else "wrong"
    if job.code == "outcome_unknown":
        return "unknown"
    return "fair" if {job.status, job.code} & scene.fair else "lost"
