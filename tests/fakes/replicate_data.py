"""What the fake Replicate keeps of a prediction, its switches, and the pictures that it draws."""

import asyncio
import hashlib
import io
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from PIL import Image, ImageDraw

VERSION = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"
ENDED = ("succeeded", "failed", "canceled", "aborted")
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")


@dataclass
class Switches:
    """What happens to a create and its prediction."""

    latency_s: float = 0.0  # of the generation; negative: it ends when `finish` is called
    answer_delay_s: float = 0.0  # before the create is looked at
    refuse: int = 0  # status of a refusal; nothing is bought: 401, 402, 404, 422, 429, 500, ...
    refuse_times: int = -1  # so many creates of each prompt are refused; -1: all
    refuse_detail: str = "refused"
    retry_after: str = ""  # header of the refusal
    after_accept: str = ""  # bought, and then: status such as "502", drop, hang, malformed, truncated, no_id
    after_times: int = -1  # so many creates of each prompt meet that; -1: all
    fail: str = ""  # the prediction fails with these words
    moderation: bool = False  # the prediction fails because its output was flagged
    output: str = "list"  # list, string, dict, text or none
    file: str = "png"  # what the link gives: png, gone, truncated, html, empty or redirect
    redirect_to: str = "http://169.254.169.254/latest/meta-data"
    list_lag_s: float = 0.0  # until it shows in the list; negative: until `reveal` is called
    echo_webhook: bool = True  # whether the prediction shows its webhook
    send_webhooks: bool = True
    data_removed: bool = False  # input, output and logs are removed when it ends


@dataclass
class Kept:
    """One prediction that was bought."""

    id: str
    model: str
    version: str
    input: dict[str, Any]
    webhook: str | None
    events: list[str]
    switches: Switches
    cancel_after_s: float | None
    created_ms: int
    hidden_until: float  # loop time
    status: str = "starting"
    error: str | None = None
    logs: str = ""
    started_ms: int | None = None
    completed_ms: int | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def prompt(self) -> str:
        return str(self.input.get("prompt"))


@dataclass
class Seen:
    """One create as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


def draw(given: dict[str, Any]) -> bytes:
    """Return a PNG of the size that the input asks for, different for each prompt."""
    width, height = (max(16, min(int(given.get(side, 256)), 2048)) for side in ("width", "height"))
    seed = hashlib.sha256(str(given.get("prompt")).encode(errors="replace")).digest()
    picture = Image.new("RGB", (width, height), tuple(seed[:3]))
    pen = ImageDraw.Draw(picture)
    for i in range(3, 27, 6):
        x, y, size = seed[i] * width // 256, seed[i + 1] * height // 256, (seed[i + 2] + 64) * width // 640
        pen.ellipse((x - size, y - size, x + size, y + size), fill=tuple(seed[i + 3 : i + 6]))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def version_of(version: str) -> dict[str, Any]:
    ratio = {"type": "string", "title": "aspect_ratio", "enum": ["1:1", "16:9", "9:16"]}
    properties = {
        "prompt": {"type": "string", "title": "Prompt", "x-order": 0},
        "aspect_ratio": {"allOf": [{"$ref": "#/components/schemas/aspect_ratio"}], "default": "1:1"},
        "num_outputs": {"type": "integer", "minimum": 1, "maximum": 4, "default": 1},
        "seed": {"type": "integer"},
    }
    schemas = {
        "Input": {"type": "object", "title": "Input", "required": ["prompt"], "properties": properties},
        "aspect_ratio": ratio,
    }
    return {"id": version, "cog_version": "0.9.0", "openapi_schema": {"components": {"schemas": schemas}}}


def seconds(duration: str) -> float | None:
    found = _DURATION.fullmatch(duration)
    if not duration or not found:
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def iso(time_ms: int | None) -> str | None:
    if time_ms is None:
        return None
    return (
        datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    )
