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
    """What happens to a create and its prediction.

    Those under "the list", "the clock" and "others" are of the whole server: they work as they stand now, and
    are not read from a create's input.
    """

    # --- the create
    latency_s: float = 0.0  # of the generation; negative: it ends when `finish` is called
    cold_s: float = 0.0  # from the create to the start of the generation
    answer_delay_s: float = 0.0  # before the create is looked at
    lost_times: int = 0  # so many creates of each prompt break before anything is bought; -1: all
    refuse: int = 0  # status of a refusal; nothing is bought: 401, 402, 404, 422, 429, 500, ...
    refuse_html: bool = False  # the refusal is a gateway's page, not the provider's JSON
    refuse_times: int = -1  # so many creates of each prompt are refused; -1: all
    refuse_detail: str = "refused"
    retry_after: str = ""  # header of the refusal
    refuse_webhook: int = (
        0  # status of the refusal of a webhook at .invalid: 422 names the field, 400 does not
    )
    after_accept: str = ""  # bought, and then: see `replicate.FAULTS`
    after_times: int = -1  # so many creates of each prompt meet that; -1: all
    answer_webhook: bool = True  # whether the answer for somebody else shows that prediction's webhook

    # --- its end
    fail: str = ""  # the prediction fails with these words
    moderation: bool = False  # the prediction fails because its output was flagged
    heeds_deadline: bool = True  # whether it stops when Cancel-After is over
    canceled: bool = False  # the provider cancels it, by itself
    partial: bool = False  # a failed or canceled one shows its outputs, too
    output: str = "list"  # list, string, dict, text, none, nan, deep or huge
    send_webhooks: bool = True
    ring_after_s: float = 0.0  # until a webhook is sent

    # --- what is shown of it
    echo: str = ""  # changes of the input shown, comma separated: see `replicate_views.ECHOES`
    shown_model: str = ""  # another name of the model
    echo_webhook: bool = True  # whether the prediction shows its webhook
    list_webhook: bool = True  # whether it does so in the list, too
    data_removed: bool = False  # input, output and logs are removed when it ends
    removed_after_s: float = -1.0  # the same so long after its end; negative: never
    odd: str = ""  # what is shown beside it once it has ended: nan, deep (150 levels) or huge (24 MB)

    # --- looks and cancels
    look_says: str = ""  # what looks are told in its place: see `replicate_gateway.answer`
    look_passes: int = 0  # so many looks are told the truth first
    look_times: int = -1  # so many looks are told that; -1: all
    look_for_s: float = -1.0  # so long after the create looks are told that; negative: for ever
    look_ended: bool = False  # only looks at an ended prediction count
    cancel_says: str = (
        ""  # as `look_says`; or ignored (200, goes on), hang, late (200, stops `cancel_late_s` on)
    )
    cancel_times: int = -1
    cancel_late_s: float = 2.0

    # --- its files
    file: str = "png"  # what the link gives: see `replicate_files.KINDS`
    file_times: int = -1  # so many requests for it get that, then the picture comes; -1: all
    file_for_s: float = -1.0  # so long after the end; negative: for ever
    file_bytes: str = ""  # base64 of a file in place of the picture
    file_encoding: str = ""  # Content-Encoding; only gzip changes the bytes
    file_rate: int = 0  # bytes per second; 0: as fast as can be
    file_ranges: bool = True  # whether Range is understood
    file_at: str = ""  # the link leads to another port of this host (port) or another host (host)
    link_dies: bool = False  # the first link shown is dead; the next look shows one that lives
    redirect_to: str = "http://169.254.169.254/latest/meta-data"

    # --- the list
    list_lag_s: float = 0.0  # until it shows in the list; negative: until `reveal` is called
    list_adds: str = ""  # odd entries and orders, comma separated: see `replicate_lists.ADDS`
    list_pages: str = ""  # repeats (one page for ever), empty (between two pages), cut (no next page)
    list_says: str = ""  # as `look_says`
    list_times: int = -1  # so many requests for the list are told that

    # --- the clock
    clock_offset_s: float = 0.0  # ahead of ours, in all times shown and in Date
    clock_step_s: float = 0.0  # further ahead once `clock_step_after` creates have come
    clock_step_after: int = 0
    date: str = "own"  # the Date header: own, true (not offset), none, two (front ends 90 s apart)

    # --- others with the same account
    others_each: int = 0  # predictions that others buy at each create of ours
    others_per_s: float = 0.0  # and by themselves
    others_prompt: str = "other"  # same or other: than our latest
    others_webhook: str = ""  # the webhook that theirs carry; {id} is a new id


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
    made_at: float = field(default_factory=time.monotonic)
    ended_at: float | None = None  # monotonic
    tenant: str = ""  # who else bought it; empty: we did
    looks: int = 0
    cancels: int = 0
    downloads: int = 0
    links: int = 0  # how often links to its files were shown
    released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def prompt(self) -> str:
        return str(self.input.get("prompt"))

    @property
    def data_is_removed(self) -> bool:
        """Whether input, output and logs are shown no more."""
        if self.ended_at is None:
            return self.switches.data_removed and self.status in ENDED
        after_s = 0.0 if self.switches.data_removed else self.switches.removed_after_s
        return 0 <= after_s <= time.monotonic() - self.ended_at


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
