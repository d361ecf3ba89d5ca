"""The mock provider: it paints pictures itself, needs no network and costs nothing.

It is what a fresh installation runs on, and what the engine is tested with: parameters of a job make it fail in
every way that real providers do (see `Fault`).

A call needs no memory: its `ref` says when it was accepted, how long it takes and what goes wrong with it, and
its pictures follow from its input. So another process goes on with it after a crash. What is kept in memory
(joined creates, cancellations, how often a fault has happened) is bounded and lost at a restart; faults that
were over happen again then.
"""

import asyncio
import base64
import binascii
import hashlib
import io
import json
import math
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

from pydantic import Field
from pydantic_settings import BaseSettings

from mediagen.errors import FetchError, FetchGone, InvalidRequest, PredictionGone
from mediagen.providers.base import (
    Accepted,
    Call,
    Capabilities,
    Dedupe,
    Model,
    Outcome,
    Output,
    Prediction,
    PredictionStatus,
    Provider,
    ProviderContext,
    Rejected,
    RejectReason,
    Unknown,
)
from mediagen.providers.painting import paint
from mediagen.safefetch import Download
from mediagen.settings import ENV_CONFIG, load

MODEL = "mock/darkroom"

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(:[A-Za-z0-9._-]+)?")
_LEAST_SIDE, _MOST_SIDE = 64, 2048
_MOST_OUTPUTS = 4
_MOST_LATENCY_S = 600.0
_SEEDS = 2**32
_REMEMBERED = 10_000  # entries in each of the memories; the oldest go first
_WARM_UP = 0.08  # share of the time in which nothing moves yet, as with real models
_FORMATS: Final = {"png": "PNG", "webp": "WEBP", "jpeg": "JPEG", "jpg": "JPEG"}
_ENCODING: Final[Mapping[str, Mapping[str, int]]] = {
    "PNG": {"compress_level": 3},  # level 6 takes three times as long for 1 % less (measured, 1024 x 1024)
    "WEBP": {"quality": 88, "method": 2},
    "JPEG": {"quality": 90},
}
_SCRIPT = "document.title = 'the script of an output ran'"
_ODD_FILES: Final[Mapping[str, tuple[bytes, str]]] = {
    "html_output": (f"<!doctype html><title>mock</title><script>{_SCRIPT}</script>".encode(), "text/html"),
    "svg_output": (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><script>{_SCRIPT}</script></svg>'.encode(),
        "image/svg+xml",
    ),
    "empty_output": (b"", "image/png"),
}

T = TypeVar("T")


class MockSettings(BaseSettings):
    """The settings of this provider."""

    model_config = ENV_CONFIG

    mock_latency: float = Field(
        2.0, ge=0, le=_MOST_LATENCY_S, description="Seconds that the mock provider takes for a picture."
    )


class Fault(StrEnum):
    """What can go wrong on demand, through the parameter `fault`."""

    NONE = "none"
    RATE_LIMITED = "rate_limited"  # refused with a wait of one second
    SERVER_ERROR = "server_error"  # the outcome is unknown, and nothing was accepted
    SERVER_ERROR_AFTER_ACCEPT = "server_error_after_accept"  # unknown once, although accepted; then it joins
    TIMEOUT_AFTER_ACCEPT = "timeout_after_accept"  # the same, after a second of silence
    UNREACHABLE = "unreachable"
    UNAUTHORIZED = "unauthorized"
    FAILURE = "failure"  # the prediction fails for good
    TRANSIENT_FAILURE = "transient_failure"  # it fails, and buying again may help
    MODERATION = "moderation"  # it fails because of what was asked for
    EXPIRED_LINK = "expired_link"  # the link to an output is dead; the next `get` gives a new one
    TRUNCATED_DOWNLOAD = "truncated_download"  # half of an output comes
    NEVER_FINISHES = "never_finishes"
    HTML_OUTPUT = "html_output"  # the file is a page with a script
    SVG_OUTPUT = "svg_output"  # the file is a drawing with a script
    EMPTY_OUTPUT = "empty_output"  # the file has no bytes


_REFUSALS: Final[Mapping[Fault, Rejected]] = {
    Fault.RATE_LIMITED: Rejected(
        reason=RejectReason.RATE_LIMITED, message="The mock provider refused it (429)", retry_after_s=1.0
    ),
    Fault.UNREACHABLE: Rejected(
        reason=RejectReason.UNREACHABLE, message="The mock provider can't be reached"
    ),
    Fault.UNAUTHORIZED: Rejected(
        reason=RejectReason.UNAUTHORIZED, message="The mock provider wants a token (401)"
    ),
}
_FAILURES: Final[Mapping[Fault, tuple[str, str]]] = {
    Fault.FAILURE: ("prediction_failed", "The mock provider was told to fail"),
    Fault.TRANSIENT_FAILURE: (
        "prediction_failed",
        "The mock provider was told to fail; another try may help",
    ),
    Fault.MODERATION: ("moderation", "The mock provider was told to refuse this content"),
}
_AT_DOWNLOAD = frozenset({Fault.EXPIRED_LINK, Fault.TRUNCATED_DOWNLOAD})
