"""What a name of a hosted model means, and what the host says of the models that are offered."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mediagen.clock import Clock
from mediagen.errors import ProviderError
from mediagen.providers.base import Call, Model
from mediagen.providers.evidence import Entry
from mediagen.providers.http import ProviderHTTP, path_of
from mediagen.providers.predictions import text_of
from mediagen.providers.schemas import input_schema

SCHEMA_FRESH_S = 600.0
SCHEMA_RETRY_S = 30.0  # after a failure
SCHEMA_TIMEOUT_S = 5.0
SCHEMAS_KEPT = 256

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_MODEL = re.compile(rf"(?P<owner>{_NAME})/(?P<name>{_NAME})(:(?P<version>[0-9a-f]{{64}}))?")
_VERSION = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a model's name names: an official model by owner and name, or a version."""

    owner: str | None = None
    name: str | None = None
    version: str | None = None

    def create(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Return the path and the body that buy the call."""
        body: dict[str, Any] = {"input": dict(call.input)}
        if call.webhook_url:
            body |= {"webhook": call.webhook_url, "webhook_events_filter": ["start", "completed"]}
        if self.version is not None:
            return "/v1/predictions", {"version": self.version, **body}
        return path_of("v1", "models", self.owner or "", self.name or "", "predictions"), body

    def about(self) -> str | None:
        """Return the path that describes the model; there is none for a version alone."""
        if self.owner is None or self.name is None:
            return None
        path = path_of("v1", "models", self.owner, self.name)
        return path if self.version is None else path + path_of("versions", self.version)

    def may_be(self, entry: Entry) -> bool:
        """Tell whether the model and the version that an entry shows are these, as far as it shows them."""
        return not self.is_other_version(entry) and not self.is_other_name(entry)

    def is_other_name(self, entry: Entry) -> bool:
        """Tell whether an entry shows another owner and name."""
        if self.owner is None or not isinstance(entry.model, str) or "/" not in entry.model:
            return False
        return entry.model.partition(":")[0].lower() != f"{self.owner}/{self.name}".lower()

    def is_other_version(self, entry: Entry) -> bool:
        """Tell whether an entry shows another version."""
        shown = entry.version
        return self.version is not None and _is_version(shown) and shown != self.version


def _is_version(shown: Any) -> bool:
    return isinstance(shown, str) and bool(_VERSION.fullmatch(shown))


def target_of(model: str) -> Target | None:
    """Return what the name names, None when it is no name of a model."""
    if _VERSION.fullmatch(model):
        return Target(version=model)
    found = _MODEL.fullmatch(model)
    return Target(**found.groupdict()) if found else None


@dataclass(frozen=True, kw_only=True)
class _Card:
    """What is known of a model, and until when (monotonic) it need not be asked again."""

    model: Model
    fresh_until: float


class ModelCards:
    """The models of a provider as they are described to people, asked for now and then."""

    def __init__(self, http: ProviderHTTP, clock: Clock, provider: str) -> None:
        self._http = http
        self._clock = clock
        self._provider = provider
        self._cards: dict[str, _Card] = {}  # by model, the longest unasked first
        self._asking: dict[
            str, asyncio.Task[Model]
        ] = {}  # by model: who asks at the same time shares the answer

    async def describe_all(self, models: Sequence[str]) -> Sequence[Model]:
        """Return the models, as `describe` does each."""
        return await asyncio.gather(*(self.describe(model) for model in models))

    async def describe(self, model: str) -> Model:
        """Return the model with its schema, asked for every 10 minutes; without one when that fails."""
        card = self._cards.get(model)
        if card is not None and card.fresh_until > self._clock.monotonic():
            return card.model
        asking = self._asking.get(model)
        if asking is None:
            asking = self._asking[model] = asyncio.create_task(self._ask(model), name="model")
            asking.add_done_callback(lambda _: self._asking.pop(model, None))
        return await asyncio.shield(asking)

    async def _ask(self, model: str) -> Model:
        known = self._cards.get(model)
        described = await self._look_up(model)
        fresh_s = SCHEMA_FRESH_S if described else SCHEMA_RETRY_S
        model_now = described or (known.model if known else Model(id=model, provider=self._provider))
        self._keep(_Card(model=model_now, fresh_until=self._clock.monotonic() + fresh_s))
        return model_now

    def schema_of(self, model: str) -> Mapping[str, Any] | None:
        """Return the schema of a model that was described."""
        card = self._cards.get(model)
        return (card.model.input_schema or None) if card else None

    def _keep(self, card: _Card) -> None:
        self._cards.pop(card.model.id, None)
        self._cards[card.model.id] = card
        if len(self._cards) > SCHEMAS_KEPT:
            self._cards.pop(next(iter(self._cards)))

    async def _look_up(self, model: str) -> Model | None:
        target = target_of(model)
        path = target.about() if target else None
        if path is None:
            return None
        try:
            said = await self._http.read("GET", path, timeout_s=SCHEMA_TIMEOUT_S)
        except ProviderError:
            return None
        about = _object(said)
        return Model(
            id=model,
            provider=self._provider,
            description=self._http.clean(text_of(about.get("description"))),
            input_schema=input_schema((_object(about.get("latest_version")) or about).get("openapi_schema")),
        )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
