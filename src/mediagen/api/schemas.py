"""The native API's bodies as pydantic models: requests are read with them, answers described by them."""

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core import to_json

from mediagen.api.wire import parse_json
from mediagen.errors import InvalidRequest

_METADATA_KEYS = 64
_METADATA_BYTES = 16_384  # as JSON; it comes back with every list of jobs
_EXAMPLE_ID = "019a9f3e-7c1b-7d44-9a51-0b8e1f6c2d10"


def _object_or_json(value: Any) -> Any:
    """Take an object, or a JSON string of one (as form-minded clients send)."""
    if value is None:
        return {}
    if not isinstance(value, str):
        return value
    try:
        return parse_json(value)
    except InvalidRequest as error:
        raise ValueError(f"must be an object or a JSON string of one: {error}") from error


class GenerateRequest(BaseModel):
    """What to generate."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: str = Field(
        min_length=1,
        max_length=10_000,
        description="What to make.",
        examples=["A red fox in the snow, soft morning light"],
    )
    model: str | None = Field(
        None,
        max_length=200,
        description="owner/name or owner/name:version; see /models.",
        examples=["mock/darkroom"],
    )
    parameters: Annotated[dict[str, Any], BeforeValidator(_object_or_json)] = Field(
        default_factory=dict,
        description="The model's other inputs, by its schema in /models; an object, or a JSON string of one.",
        examples=[{"width": 1024, "height": 768, "seed": 7}],
    )
    webhook_url: str | None = Field(
        None, max_length=2_000, description="Told when the job has ended, with a signed POST; https."
    )
    metadata: dict[str, Any] | None = Field(
        None, description="Yours, kept with the job and given back; at most 64 keys and 16 KiB as JSON."
    )
    priority: int | None = Field(None, ge=-100, le=100, description="Higher goes first; 0 is usual.")
    timeout_s: float | None = Field(
        None,
        gt=0,
        le=86_400,
        description="Seconds that the making may take, from the provider's start; null takes what the model needs.",
        examples=[1800],
    )

    @field_validator("prompt")
    @classmethod
    def _not_blank(cls, prompt: str) -> str:
        if not prompt.strip():
            raise ValueError("must not be blank")
        return prompt

    @field_validator("metadata")
    @classmethod
    def _small(cls, metadata: dict[str, Any] | None) -> dict[str, Any] | None:
        if metadata is None:
            return None
        if len(metadata) > _METADATA_KEYS:
            raise ValueError(f"must have at most {_METADATA_KEYS} keys")
        if (size := len(to_json(metadata))) > _METADATA_BYTES:
            raise ValueError(f"must be at most {_METADATA_BYTES} bytes as JSON, not {size}")
        return metadata

    @field_validator("webhook_url")
    @classmethod
    def _an_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None:
            raise ValueError("must be an address such as https://example.com/done, without user and password")
        return url


class SettleRequest(BaseModel):
    """What became of a call that nobody could find out about, as seen at the provider by hand."""

    model_config = ConfigDict(extra="forbid", strict=True)

    outcome: Literal["absent", "adopt"] = Field(
        description="absent: the provider never took it. adopt: it is the prediction `ref`; a new job keeps its output."
    )
    ref: str | None = Field(
        None,
        max_length=200,
        pattern=r"^[A-Za-z0-9_.:-]+$",
        description="The provider's own id of the prediction, with adopt.",
    )

    @model_validator(mode="after")
    def _ref_with_adopt(self) -> Self:
        if (self.outcome == "adopt") != (self.ref is not None):
            raise ValueError("ref: give it with adopt, and only then")
        return self


class ArtifactOut(BaseModel):
    """One output file kept for good."""

    key: str = Field(
        description="Name of the file under /media.", examples=["k3v7qo2m4f5a6b7c8d9e2f3g4h.png"]
    )
    index: int = Field(description="0 for the job's first output.", examples=[0])
    path: str = Field(description="Path of the bytes on this server.")
    url: str = Field(description="Address of the bytes.")
    thumbnail_url: str | None = Field(
        description="Address of a small WebP; the file itself until that is made."
    )
    media_type: str = Field(description="As found in the bytes.", examples=["image/png"])
    kind: str = Field(description="image, video, audio, model, text or other.", examples=["image"])
    size_bytes: int = Field(examples=[1_204_332])
    sha256: str = Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    width: int | None = Field(description="Pixels.", examples=[1024])
    height: int | None = Field(description="Pixels.", examples=[768])
    placeholder: str | None = Field(
        description="A tiny picture as data URI, to show until the real one is there."
    )
    doubt: str | None = Field(
        description="What is odd about the file, which was kept all the same; null when nothing is.",
        examples=[None],
    )


class ErrorOut(BaseModel):
    """Why a job failed."""

    code: str = Field(examples=["moderation"])
    message: str = Field(examples=["The prompt was refused by the provider's safety rules"])


Status = Literal["pending", "processing", "completed", "failed", "canceled"]


class JobOut(BaseModel):
    """A job."""

    id: str = Field(examples=[_EXAMPLE_ID])
    job_id: str = Field(description="The same as id.", examples=[_EXAMPLE_ID])
    status: Status = Field(examples=["processing"])
    state: str = Field(description="Finer than status; may grow.", examples=["waiting"])
    message: str = Field(description="What happens now, in words.")
    progress: float | None = Field(description="0 to 1; null when unknown.", examples=[0.4])
    prompt: str
    model: str = Field(examples=["mock/darkroom"])
    provider: str = Field(examples=["mock"])
    parameters: dict[str, Any]
    metadata: dict[str, Any]
    parameters_truncated: bool = Field(description="In lists: values over 4 KB are cut.")
    metadata_truncated: bool
    priority: int
    webhook_url: str | None
    artifacts: list[ArtifactOut]
    result_url: str | None = Field(description="Address of the first artifact.")
    media_path: str | None = Field(description="Path of the first artifact on this server.")
    error: ErrorOut | None
    error_message: str | None = Field(description="The same as error.message.")
    retry_count: int = Field(description="Attempts after the first one.", examples=[0])
    attempt: int = Field(description="Paid calls so far.", examples=[1])
    max_attempts: int = Field(examples=[4])
    retry_of: str | None = Field(description="The finished job that this one repeats.")
    cancel_requested: bool
    timeout_s: float | None = Field(description="As asked for; null takes what the model needs.")
    next_try_at: str | None = Field(description="When it is tried again, RFC 3339, if it waits for that.")
    created_at: str = Field(examples=["2026-11-20T12:00:00.000Z"])
    started_at: str | None
    updated_at: str
    completed_at: str | None


class EventOut(BaseModel):
    """One recorded fact of a job's life."""

    id: int = Field(description="Rises over all jobs; give it as Last-Event-ID to go on from here.")
    job_id: str
    type: str = Field(
        description="created, submitted, accepted, progress, retrying, reconciling, storing, cancel_requested, "
        "succeeded, failed, canceled or deleted."
    )
    at: str
    data: dict[str, Any]


class AttemptOut(BaseModel):
    """One paid call at the provider."""

    call_id: str
    number: int
    provider: str
    model: str
    state: str = Field(
        description="intent, unknown, accepted, succeeded, failed, canceled, rejected, absent or orphan."
    )
    provider_ref: str | None = Field(description="The provider's own id of it.")
    error: str | None
    seen: str | None = Field(description="What was seen of it and left its outcome open.")
    marked: bool = Field(description="Whether the provider can show that the call is ours.")
    may_be_charged: bool = Field(description="Nobody knows whether the provider took it.")
    cost_usd: float | None
    created_at: str
    finished_at: str | None


class CostOut(BaseModel):
    """What the job cost."""

    usd: float | None = Field(description="Null when the provider does not say.")
    calls: int = Field(description="Calls that were, or may have been, charged.")


class DeliveryOut(BaseModel):
    """How far the delivery of the job's webhook has come."""

    state: str = Field(description="pending, delivered, or dead: given up.")
    attempts: int
    last_status: int | None = Field(description="Status of the last answer; null when there was none.")
    next_try_at: str | None


class JobDetailOut(JobOut):
    """A job with all that happened to it."""

    output: Any = Field(
        description="The provider's whole output where it holds more than addresses of files; else null."
    )
    timeline: list[EventOut]
    attempts: list[AttemptOut]
    ahead: int | None = Field(
        description="Jobs in the queue that its provider gets first, counted up to 1,000; null unless it waits there."
    )
    cost: CostOut
    delivery: DeliveryOut | None = Field(description="Null without a webhook_url, and before the job's end.")


class JobPageOut(BaseModel):
    """Jobs, newest first."""

    items: list[JobOut]
    next_cursor: str | None = Field(description="Give it as cursor to get the next page; null on the last.")


class ModelOut(BaseModel):
    """A model that can be used."""

    id: str = Field(examples=["mock/darkroom"])
    provider: str = Field(examples=["mock"])
    description: str
    default: bool = Field(description="Used by a request that names no model.")
    typical_s: float | None = Field(
        description="Seconds that its last jobs took, from the first call to the end (median); null before the first."
    )
    input_schema: dict[str, Any] = Field(
        description="JSON Schema of prompt and parameters; empty when unknown."
    )


class ModelsOut(BaseModel):
    """The models that can be used."""

    items: list[ModelOut]
    mock_mode: bool = Field(description="No provider is connected; pictures are drawn here and cost nothing.")
    connect_with: list[str] = Field(description="The settings that connect a provider each.")


class SpreadOut(BaseModel):
    """Seconds, over the jobs completed in the last hour; null when there was none."""

    p50: float | None
    p95: float | None


class WorkerOut(BaseModel):
    """A worker process that was seen lately."""

    name: str
    started_at: str
    seen_at: str
    steps: int = Field(description="Steps under way.")


class PauseOut(BaseModel):
    """A model, or a whole provider, from which nothing is bought now."""

    provider: str
    model: str | None = Field(description="Null: every model of the provider.")
    until: str = Field(description="When one job probes whether it is over.")
    reason: str


class StatsOut(BaseModel):
    """The numbers of this moment."""

    jobs: dict[str, int] = Field(description="By status.")
    states: dict[str, int] = Field(description="By state.")
    total: int
    queue_depth: int
    oldest_queued_s: float | None
    in_flight: int
    completed_last_hour: int
    failed_last_hour: int
    throughput_per_minute: float = Field(description="Jobs completed a minute over the last hour.")
    error_rate: float | None = Field(
        description="Failed of all that ended in the last hour; null when none did."
    )
    errors: dict[str, int] = Field(description="Failures of the last hour by code.")
    duration_s: SpreadOut = Field(description="From submit to end.")
    workers: list[WorkerOut]
    paused_providers: list[PauseOut]
    storage_bytes: int
    version: str
    mock_mode: bool


class MinuteOut(BaseModel):
    """Jobs that came in and ended within one minute."""

    at: str
    accepted: int
    begun: int = Field(
        description="Jobs that left the queue: with their first call, or at their end when there was none."
    )
    completed: int
    failed: int
    canceled: int


class ProviderPartOut(BaseModel):
    """A provider that this installation uses."""

    name: str
    default_model: str
    billed: bool = Field(description="Its calls cost money.")
    calls_last_hour: int = Field(description="Paid calls begun.")
    in_flight: int = Field(description="Jobs that are with it now.")


class SystemOut(BaseModel):
    """What the installation is made of, and its last hour."""

    version: str
    mode: Literal["embedded", "distributed"] = Field(
        description="embedded: SQLite, local files and a worker inside; distributed: any part is elsewhere."
    )
    mock_mode: bool
    database: str = Field(examples=["sqlite", "postgresql"])
    broker: str = Field(examples=["in-process", "celery"])
    storage: str = Field(examples=["local", "s3"])
    providers: list[ProviderPartOut]
    minutes: list[MinuteOut] = Field(description="The last 60, oldest first; the last is under way.")
    queue_depth: int = Field(description="Of the same moment as the minutes.")
    in_flight: int = Field(description="Of the same moment as the minutes.")
    wait_s: SpreadOut = Field(description="From submit to the first call.")
    run_s: SpreadOut = Field(description="From the first call to the end.")


class PartOut(BaseModel):
    """The health of one part."""

    status: Literal["ok", "failing"]
    detail: str
    latency_ms: float


class HealthOut(BaseModel):
    """The health of the installation."""

    status: Literal["ok", "degraded", "failing"] = Field(
        description="degraded: a part is away, and jobs are taken and run without it."
    )
    version: str
    components: dict[str, PartOut]
