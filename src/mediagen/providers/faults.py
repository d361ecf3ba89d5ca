"""Faults on demand: what a job's parameters can make go wrong, for trying out how jobs end."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from mediagen.providers.painting.order import whole

MOST_LATENCY_S = 600.0


class Fault(StrEnum):
    """What goes wrong on demand."""

    NONE = "none"
    RATE_LIMITED = "rate_limited"  # refused, with a wait of one second
    SERVER_ERROR = "server_error"  # the outcome is unknown, and nothing was accepted
    SERVER_ERROR_AFTER_ACCEPT = (
        "server_error_after_accept"  # unknown although accepted; a second create joins
    )
    TIMEOUT_AFTER_ACCEPT = "timeout_after_accept"  # the same after a silence
    UNREACHABLE = "unreachable"
    UNAUTHORIZED = "unauthorized"
    FAILURE = "failure"  # the prediction fails for good
    TRANSIENT_FAILURE = "transient_failure"  # it fails, and buying again may help
    MODERATION = "moderation"  # it fails because of what was asked for
    EXPIRED_LINK = "expired_link"  # the link to an output is dead; looking again gives a new one
    TRUNCATED_DOWNLOAD = "truncated_download"  # half of an output comes
    NEVER_FINISHES = "never_finishes"
    HTML_OUTPUT = "html_output"  # the file is a page with a script
    SVG_OUTPUT = "svg_output"  # the file is a drawing with a script
    EMPTY_OUTPUT = "empty_output"  # the file has no bytes


PROPERTIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "latency_s": {
        "type": ["number", "null"],
        "title": "Latency",
        "description": "Seconds that it takes. Left out, as the server is set.",
        "minimum": 0,
        "maximum": MOST_LATENCY_S,
        "default": None,
        "examples": [0.5],
        "x-advanced": True,
    },
    "fault": {
        "type": "string",
        "title": "Fault",
        "description": "What goes wrong, to see how such a job ends.",
        "enum": [fault.value for fault in Fault],
        "default": Fault.NONE.value,
        "examples": [Fault.TRANSIENT_FAILURE.value],
        "x-advanced": True,
    },
    "fault_times": {
        "type": ["integer", "null"],
        "title": "Times of the fault",
        "description": "How often the fault happens before all goes well; left out, each time. Calls with the"
        " same input are counted together; `expired_link` and `truncated_download` count the downloads of each"
        " output and happen once when it is left out. The count starts anew when the server does.",
        "minimum": 1,
        "maximum": 1000,
        "default": None,
        "examples": [1],
        "x-advanced": True,
    },
}
"""JSON Schema of the switches."""


@dataclass(frozen=True, kw_only=True)
class Switches:
    """What a call's input says of time and faults."""

    latency_s: float | None  # None takes the setting's
    fault: Fault
    times: int | None  # how often it happens; None for each time

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Read the switches; odd numbers are bent into range. Raises `ValueError` for an unknown fault."""
        latency, times = parameters.get("latency_s"), whole(parameters.get("fault_times"))
        name = parameters.get("fault") or Fault.NONE
        if name not in list(Fault):
            raise ValueError(f"there is no fault {str(name)[:40]!r}; take one of {', '.join(Fault)}")
        return cls(
            latency_s=None if whole(latency) is None else float(min(MOST_LATENCY_S, max(0, latency or 0))),
            fault=Fault(name),
            times=None if times is None else max(1, times),
        )
