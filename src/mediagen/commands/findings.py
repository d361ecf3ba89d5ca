"""What a look at one part of an installation found, and what is to be done about it."""

from dataclasses import asdict, dataclass
from enum import StrEnum

from mediagen.telemetry import redact


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was found of one part; `mend` says what to do, empty when nothing is to be done."""

    name: str
    status: Verdict
    detail: str
    mend: str = ""

    @property
    def shown(self) -> dict[str, str]:
        """The finding as plain texts, without secrets."""
        return {name: redact(str(text)) for name, text in asdict(self).items()}


def ok(name: str, detail: str) -> Finding:
    return Finding(name=name, status=Verdict.OK, detail=detail)


def warn(name: str, detail: str, mend: str) -> Finding:
    return Finding(name=name, status=Verdict.WARN, detail=detail, mend=mend)


def fail(name: str, detail: str, mend: str = "") -> Finding:
    return Finding(name=name, status=Verdict.FAIL, detail=detail, mend=mend)
