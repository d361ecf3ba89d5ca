"""Every setting of mediagen, with its default. Read from the environment and from `.env`, once, at the start.

Settings of one provider live in that provider's own file; this page names none.
"""

import base64
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from platformdirs import user_data_path
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mediagen.errors import SettingsError

ENV_CONFIG = SettingsConfigDict(
    env_file=".env",
    env_file_encoding="utf-8",
    env_ignore_empty=True,
    case_sensitive=False,
    extra="ignore",
    frozen=True,
    hide_input_in_errors=True,
    populate_by_name=True,
)
"""How settings classes read the environment; the providers' own classes use it too."""


_REDIS = ("redis", "rediss", "redis+socket")  # Valkey speaks the same
_AMQP = ("amqp", "amqps", "pyamqp")
_HOOK_SECRET_CHARACTERS = 32


def _split_commas(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _is_address(value: str) -> bool:
    try:
        url = urlsplit(value)
        odd = "@" in url.netloc or url.query or url.fragment or url.port == 0
    except ValueError:  # a port or an IPv6 address that is none
        return False
    return url.scheme in ("http", "https") and bool(url.hostname) and not odd


def _demand_address(value: str) -> str:
    if value and not _is_address(value):
        raise ValueError("write https://host or https://host/path, without a user name, ? and #")
    return value


Address = Annotated[str, AfterValidator(_demand_address)]
"""Where a service is, over HTTP; empty for none."""


def _is_key(value: str) -> bool:
    try:
        return 24 <= len(base64.b64decode(value, validate=True)) <= 64
    except ValueError:
        return False


S = TypeVar("S", bound=BaseSettings)
CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]


class Settings(BaseSettings):
    """All settings. Names are those of the environment variables, in any case."""

    model_config = ENV_CONFIG

    # --- the installation
    project_name: str = Field("mediagen", description="Shown in the web page and the API's title.")
    debug: bool = Field(False, description="Log more.")
    start_wait_s: float = Field(
        0.0,
        ge=0,
        le=3600,
        description="Seconds that a start waits for a database and a storage that are not there yet.",
    )
    data_dir: Path = Field(
        default_factory=lambda: Path(
            os.environ.get("MEDIAGEN_DEFAULT_DATA_DIR") or user_data_path("mediagen")
        ),
        description="Folder for the database and the files, unless they are set on their own.",
    )

    # --- server
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    api_v1_prefix: str = Field("/api/v1", pattern=r"^(/[A-Za-z0-9._-]+)+$", description="Path of the API.")
    public_url: Address = Field(
        "",
        description="Address that clients and providers reach this server by, such as https://media.example.com.",
    )
    allowed_hosts: CommaList = Field(
        ("localhost", "127.0.0.1", "[::1]"),
        description="Host names that requests may carry, comma separated; PUBLIC_URL's is added. * allows all.",
    )
    allow_unauthenticated: bool = Field(
        False, description="Listen beyond this machine although anybody who reaches the port can spend money."
    )
    max_body_bytes: int = Field(1_048_576, ge=1024, description="Largest JSON body accepted.")

    # --- database
    database_url: str = Field("", description="Where jobs live; empty is SQLite in DATA_DIR.", repr=False)
    redis_url: str = Field(
        "", description="Redis that wakes workers; empty wakes them inside the process.", repr=False
    )
    celery_broker_url: str = Field(
        "", repr=False, description="Broker of Celery where it is not REDIS_URL, such as amqp://host."
    )
    celery_queue: str = Field(
        "generation",
        pattern=r"^[\w.-]{1,200}$",
        description="Celery's queue; installations that share a broker each need one of their own.",
    )

    # --- storage
    storage_type: Literal["local", "s3", "gcs", "azure"] = Field("local", description="Where artifacts lie.")
    storage_path: Path | None = Field(
        None, description="Folder of local storage; empty is DATA_DIR/artifacts."
    )
    max_output_bytes: int = Field(512 * 1024**2, ge=1024, description="Largest output file kept.")
    min_free_bytes: int = Field(1024**3, ge=0, description="New jobs are refused below this much free disk.")

    # --- jobs
    default_model: str = Field("", description="Model of a request that names none; empty asks the provider.")
    max_retries: int = Field(
        3, ge=0, le=20, description="How often a job is tried again after an attempt that failed."
    )
    max_retry_attempts: int | None = Field(None, ge=0, le=20, description="Another name of MAX_RETRIES.")
    retry_backoff_base: float = Field(
        2.0, ge=0, le=600, description="Seconds; the n-th wait is random in 0..base*2^(n-1), 600 at most."
    )
    job_timeout: float = Field(
        300.0,
        gt=0,
        le=86_400,
        description="Seconds that the making may take, from the provider's start; not set: 1800 for video, audio.",
    )
    model_timeouts: CommaList = Field(
        (), description="JOB_TIMEOUT of single models, comma separated, such as owner/name=1800."
    )
    job_expiry: float = Field(
        86_400.0,
        gt=0,
        le=31_536_000,
        description="Seconds that a job may wait in all before it is given up.",
    )
    event_retention: float = Field(
        2_592_000.0,
        ge=0,
        le=3_153_600_000,
        description="Seconds that events and webhook deliveries of finished jobs are kept; 0 keeps them for good.",
    )
    reconcile_grace: float = Field(
        30.0,
        ge=0,
        le=86_400,
        description="Seconds between the two looks that prove a lost call was never taken.",
    )
    doubt_s: float = Field(
        600.0,
        ge=0,
        le=86_400,
        description="Seconds after which a lost call that can't be told from others ends as outcome_unknown.",
    )
    gone_after: float = Field(
        600.0,
        ge=0,
        le=86_400,
        description="Seconds that a provider must deny that it has a prediction before that is believed.",
    )
    cancel_within: float = Field(
        8.0,
        ge=0,
        le=3600,
        description="Seconds after which a canceled job ends although its provider has not stopped.",
    )
    mark_calls: bool = Field(
        True,
        description="Let calls carry an address that names them, to know them again, also without PUBLIC_URL.",
    )
    provider_creates_per_s: float = Field(
        5.0, ge=0.001, le=10_000, description="Paid calls per second and provider."
    )
    webhook_secret: str = Field(
        "",
        description="Signs the webhooks that we send (whsec_...); empty makes one in DATA_DIR.",
        repr=False,
    )
    hook_secret: str = Field(
        "",
        description="Marks the addresses at which providers ring (32 characters or more); empty makes one in DATA_DIR.",
        repr=False,
    )
    webhook_allow_private: bool = Field(
        False, description="Let webhooks go to http and to private addresses."
    )

    # --- worker
    worker_concurrency: int = Field(256, ge=1, le=10_000, description="Steps at a time in one worker.")
    worker_poll_interval: float = Field(1.0, gt=0, le=60, description="Seconds between looks for due jobs.")
    lease_s: float = Field(
        30.0, ge=1, le=3600, description="Seconds after which a dead worker's job is free."
    )

    @model_validator(mode="after")
    def _one_number_of_retries(self) -> Self:
        other = self.max_retry_attempts
        if other is None:
            return self
        if "max_retries" in self.model_fields_set and self.max_retries != other:
            raise ValueError(
                f"MAX_RETRIES={self.max_retries} and MAX_RETRY_ATTEMPTS={other} differ; set only one of them"
            )
        object.__setattr__(self, "max_retries", other)
        return self

    @model_validator(mode="before")
    @classmethod
    def _storage_alias(cls, values: Any) -> Any:
        if isinstance(values, dict) and str(values.get("storage_type", "")).lower() == "minio":
            return {**values, "storage_type": "s3"}
        return values

    @field_validator("database_url")
    @classmethod
    def _is_a_database(cls, value: str) -> str:
        scheme = value.partition(":")[0].partition("+")[0]
        if scheme.startswith("postgres") and not _names_a_server(value, (value.partition(":")[0],)):
            raise ValueError("write postgresql://user:password@host:port/name; odd characters in it as %XX")
        return value

    @field_validator("redis_url", "celery_broker_url")
    @classmethod
    def _is_a_broker(cls, value: str, info: ValidationInfo) -> str:
        schemes = _REDIS if info.field_name == "redis_url" else (*_REDIS, *_AMQP)
        if value and not _names_a_server(value, schemes):
            raise ValueError(f"write {schemes[0]}://host:port/number; known are {', '.join(schemes)}")
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _is_a_key(cls, value: str) -> str:
        if value and not _is_key(value.removeprefix("whsec_")):
            raise ValueError("write whsec_ and 24 to 64 random bytes in base64, or leave it empty")
        return value

    @field_validator("hook_secret")
    @classmethod
    def _is_long(cls, value: str) -> str:
        if value and len(value) < _HOOK_SECRET_CHARACTERS:
            raise ValueError(f"write {_HOOK_SECRET_CHARACTERS} random characters or more, or leave it empty")
        return value

    @field_validator("model_timeouts")
    @classmethod
    def _are_timeouts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for part in value:
            model, _, seconds = part.rpartition("=")
            if not model or not re.fullmatch(r"\d{1,5}(\.\d+)?", seconds) or not 0 < float(seconds) <= 86_400:
                raise ValueError(f"{part!r} is not a valid timeout; write owner/name=seconds, at most 86400")
        return value

    @property
    def timeouts_by_model(self) -> dict[str, float]:
        """Seconds by the name of the model, of those that have a timeout of their own."""
        parts = [part.rpartition("=") for part in self.model_timeouts]
        return {model.strip(): float(seconds) for model, _, seconds in parts}

    @property
    def artifacts_dir(self) -> Path:
        """Folder of local storage."""
        return self.storage_path or self.data_dir / "artifacts"

    @property
    def own_url(self) -> str:
        """Address at which a server with these settings is reached from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  not bound to
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def hosts(self) -> frozenset[str]:
        """Lower-case host names that requests may carry."""
        own = urlsplit(self.public_url).hostname if self.public_url else None
        return frozenset(h.lower() for h in (*self.allowed_hosts, *([own] if own else [])))


def _names_a_server(url: str, schemes: Sequence[str]) -> bool:
    """Tell whether the URL has one of the schemes, and a host and port that can be."""
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and " " not in parts.netloc and parts.port != 0
    except ValueError:
        return False


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; raise `SettingsError` that names each bad one and what it may be."""
    return load(Settings, **overrides)


def load(kind: type[S], **overrides: Any) -> S:
    """Read one settings class; raise `SettingsError` that names each bad setting."""
    try:
        _demand_readable(Path(".env"))
        return kind(**overrides)
    except UnicodeDecodeError as error:
        raise SettingsError(".env is not UTF-8 text; save it as UTF-8") from error
    except ValidationError as error:
        lines = []
        for e in error.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in e["loc"]).upper()
            said = e["msg"].removeprefix("Value error, ")
            lines.append(f"{name}: {said}" if name else said)
        raise SettingsError("; ".join(lines)) from error


def _demand_readable(file: Path) -> None:
    """Raise `SettingsError` for a line that would be passed over: a token in it would be missed in silence."""
    if not file.is_file():
        return
    with file.open(encoding="utf-8") as stream:
        for binding in parse_stream(stream):
            if binding.error:
                raise SettingsError(
                    f".env, line {binding.original.line}: this is not NAME=value, or a quote is not closed"
                )
