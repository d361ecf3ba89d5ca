"""Replicate, or any server that speaks its HTTP API (https://replicate.com/docs/reference/http).

Replicate takes no idempotency key. A create whose answer was lost is searched in the list of predictions:
ours is the one whose webhook URL names the call (see `predictions.calls_named_by`), else one with the same
model and input that was made at the right time.
"""

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings
from yarl import URL

from mediagen.addresses import parse_url
from mediagen.errors import FetchBlocked, InvalidRequest, PredictionGone, ProviderError
from mediagen.providers.answers import Answer
from mediagen.providers.base import (
    Accepted,
    Call,
    Capabilities,
    Dedupe,
    Model,
    Outcome,
    Prediction,
    PredictionStatus,
    Provider,
    ProviderContext,
    Rejected,
    RejectReason,
    Sold,
    Unknown,
)
from mediagen.providers.http import Ambiguous, NotSent, ProviderHTTP, path_of
from mediagen.providers.listing import Listed, PredictionList
from mediagen.providers.predictions import (
    is_moderation,
    is_ref,
    normal_json,
    read_prediction,
    text_of,
)
from mediagen.providers.schemas import input_schema
from mediagen.settings import ENV_CONFIG, CommaList, load

CREATE_TIMEOUT_S = 30.0  # a create answers at once; the generation goes on without us
MIN_DEADLINE_S = 5  # the shortest `Cancel-After` that is accepted
SKEW_MS = 60_000  # how far the provider's clock may differ from the database's
LATEST_MS = 120_000  # how long after its intent a call can still have arrived
FOLLOW_PAGES = 10  # of 100 predictions each
FIND_PAGES = 100
SOLD_PAGES = 2_000
SCHEMA_FRESH_S = 600.0
SCHEMA_RETRY_S = 30.0  # after a failure
SCHEMA_TIMEOUT_S = 5.0
SCHEMAS_KEPT = 256

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_MODEL = re.compile(rf"(?P<owner>{_NAME})/(?P<name>{_NAME})(:(?P<version>[0-9a-f]{{64}}))?")
_VERSION = re.compile(r"[0-9a-f]{64}")
_OUTPUT_HOST = re.compile(r"([a-z0-9-]+\.)*replicate\.delivery")

_REFUSALS = {
    **dict.fromkeys((400, 404, 413, 422), RejectReason.INVALID),
    **dict.fromkeys((401, 402, 403), RejectReason.UNAUTHORIZED),
    429: RejectReason.RATE_LIMITED,
}


class ReplicateSettings(BaseSettings):
    """The settings of this provider."""

    model_config = ENV_CONFIG

    replicate_api_token: SecretStr = Field(
        SecretStr(""), description="Replicate's token (r8_...); empty uses none."
    )
    replicate_api_base_url: str = Field("https://api.replicate.com", description="Address of its API.")
    replicate_default_model: str = Field(
        "black-forest-labs/flux-schnell", description="Model of a job that names none."
    )
    replicate_models: CommaList = Field((), description="More models to offer, comma separated.")

    @field_validator("replicate_api_token")
    @classmethod
    def _fits_a_header(cls, value: SecretStr) -> SecretStr:
        token = value.get_secret_value().strip()
        if not re.fullmatch(r"[\x21-\x7e]*", token):
            raise ValueError("a token has no spaces and only ASCII characters; copy it again")
        return SecretStr(token)

    @field_validator("replicate_api_base_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("write https://host or https://host/path, without a user name and without ?")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError(f"{value!r} is no address; write https://host")
        return value.rstrip("/").removesuffix("/v1")

    @field_validator("replicate_default_model", "replicate_models")
    @classmethod
    def _are_models(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for name in (value,) if isinstance(value, str) else value:
            if _target(name) is None:
                raise ValueError(f"{name!r} is no model; write owner/name or owner/name:version")
        return value


@dataclass(frozen=True, kw_only=True)
class _Target:
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

    def may_be(self, listed: Listed) -> bool:
        """Tell whether the prediction's model and version, where it shows them, are these."""
        if self.version is not None and listed.version not in (self.version, None):
            return False
        return self.owner is None or listed.model in (f"{self.owner}/{self.name}", None)


def _target(model: str) -> _Target | None:
    if _VERSION.fullmatch(model):
        return _Target(version=model)
    found = _MODEL.fullmatch(model)
    return _Target(**found.groupdict()) if found else None


@dataclass(frozen=True, kw_only=True)
class _Sought:
    """A call whose answer was lost, as it is recognized in the list."""

    call: Call
    target: _Target | None
    input: Any

    @classmethod
    def of(cls, call: Call) -> Self:
        return cls(call=call, target=_target(call.model), input=normal_json(call.input))

    def match(self, listed: Listed) -> Prediction | None:
        """Return the prediction if its webhook proves that it is the call, or if none does but it may be."""
        if self.call.id.lower() in listed.calls:
            return replace(listed.prediction, call_id=self.call.id)
        return listed.prediction if not listed.calls and self._may_be(listed) else None

    def _may_be(self, listed: Listed) -> bool:
        """Tell whether the prediction has the model and the input, and was made at the right time."""
        made, asked = listed.prediction.created_at_ms, self.call.created_at_ms
        return (
            self.target is not None
            and self.target.may_be(listed)
            and made is not None
            and asked - SKEW_MS <= made <= asked + LATEST_MS
            and bool(listed.input == self.input)
        )


@dataclass(frozen=True, kw_only=True)
class _Card:
    """What is known of a model, and until when (monotonic) it need not be asked again."""

    model: Model
    fresh_until: float


class ReplicateProvider(Provider):
    """Runs models at Replicate. `Prediction.ref` is Replicate's prediction id."""

    name = "replicate"
    connect_with = "REPLICATE_API_TOKEN"
    takes_any_model = True
    capabilities = Capabilities(dedupe=Dedupe.RECONCILE, billed=True, rings=True, lists=True)

    def __init__(self, context: ProviderContext, settings: ReplicateSettings) -> None:
        super().__init__(context)
        self.default_model = settings.replicate_default_model
        self._offered = tuple(dict.fromkeys((self.default_model, *settings.replicate_models)))
        self._origin = _origin(URL(settings.replicate_api_base_url))
        self._http = ProviderHTTP(
            settings.replicate_api_base_url,
            clock=context.clock,
            headers={"Authorization": f"Bearer {settings.replicate_api_token.get_secret_value()}"},
        )
        self._list = PredictionList(self._ask_for_page, self._http.clean)
        self._cards: dict[str, _Card] = {}  # by model, the longest unasked first
        self._describing = asyncio.Lock()

    @classmethod
    def from_env(cls, context: ProviderContext) -> Self | None:
        settings = load(ReplicateSettings)
        return cls(context, settings) if settings.replicate_api_token.get_secret_value() else None

    def accepts(self, model: str) -> bool:
        return _target(model) is not None

    async def models(self) -> Sequence[Model]:
        """Return the default model and those of REPLICATE_MODELS, with their schemas where they are known."""
        async with self._describing:
            return await asyncio.gather(*(self.describe(model) for model in self._offered))

    async def describe(self, model: str) -> Model:
        """Return the model with its schema, asked for every 10 minutes; without one when that fails."""
        now = self.context.clock.monotonic()
        unknown = _Card(model=Model(id=model, provider=self.name), fresh_until=-math.inf)
        card = self._cards.get(model, unknown)
        if card.fresh_until <= now:
            self._keep(replace(card, fresh_until=now + SCHEMA_RETRY_S))
            if described := await self._look_up(model):
                card = _Card(model=described, fresh_until=now + SCHEMA_FRESH_S)
                self._keep(card)
        return card.model

    def _keep(self, card: _Card) -> None:
        self._cards.pop(card.model.id, None)
        self._cards[card.model.id] = card
        if len(self._cards) > SCHEMAS_KEPT:
            self._cards.pop(next(iter(self._cards)))

    async def _look_up(self, model: str) -> Model | None:
        target = _target(model)
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
            provider=self.name,
            description=self._http.clean(text_of(about.get("description"))),
            input_schema=input_schema((_object(about.get("latest_version")) or about).get("openapi_schema")),
        )

    def schema_of(self, model: str) -> Mapping[str, Any] | None:
        card = self._cards.get(model)
        return (card.model.input_schema or None) if card else None

    async def create(self, call: Call, *, send_by: float) -> Outcome:
        target = _target(call.model)
        if target is None:
            message = f"{call.model!r} is no model; write owner/name"
            return Rejected(reason=RejectReason.INVALID, message=message)
        path, body = target.create(call)
        # Bounds what a call can cost that nobody finds again.
        headers = {"Cancel-After": f"{max(MIN_DEADLINE_S, math.ceil(call.timeout_s))}s"}
        try:
            sent = await self._http.send_once(
                "POST", path, body, headers=headers, send_by=send_by, timeout_s=CREATE_TIMEOUT_S
            )
        except InvalidRequest as error:
            return Rejected(reason=RejectReason.INVALID, message=str(error))
        match sent:
            case NotSent():
                return Rejected(reason=RejectReason.UNREACHABLE, message=sent.message)
            case Ambiguous():
                return Unknown(message=sent.message)
            case Answer():
                return self._outcome(call, sent)

    def _outcome(self, call: Call, answer: Answer) -> Outcome:
        if answer.ok and (prediction := read_prediction(answer.json, self._http.clean, call)):
            return Accepted(prediction=prediction)
        said = self._http.problem(answer)
        message = self._http.clean(f"{call.model}: HTTP {answer.status}: {said}")
        reason = _REFUSALS.get(answer.status)
        if reason is None:
            return Unknown(message=message)
        if reason is RejectReason.INVALID and is_moderation(said):
            reason = RejectReason.MODERATION
        return Rejected(reason=reason, message=message, retry_after_s=self._http.retry_after_s(answer))

    async def get(self, call: Call) -> Prediction:
        """Look at one call. Raises `PredictionGone` too when it succeeded but its outputs were removed."""
        raw = await self._http.read("GET", path_of("v1", "predictions", _ref(call)))
        prediction = read_prediction(raw, self._http.clean, call)
        if prediction is None or prediction.ref != call.ref:
            raise ProviderError(f"the answer is not the prediction {call.ref!r}")
        if _lacks_outputs(prediction) and raw.get("data_removed") is True:
            raise PredictionGone(f"the outputs of {call.ref!r} were removed, an hour after its end")
        return prediction

    async def cancel(self, call: Call) -> None:
        path = path_of("v1", "predictions", _ref(call), "cancel")
        answer = await self._http.exchange("POST", path)
        has_ended = answer.status in (400, 409, 422)
        if not answer.ok and not has_ended:
            raise self._http.refused(f"POST {path}", answer)

    async def follow(self, calls: Sequence[Call]) -> Mapping[str, Prediction]:
        """Look at many calls in the newest pages of the list; leaves to `get` what that does not settle."""
        wanted = {call.ref: call for call in calls if call.ref}
        since = min((call.created_at_ms for call in calls), default=0) - SKEW_MS
        found: dict[str, Prediction] = {}
        query: Mapping[str, str] | None = {}
        for _ in range(FOLLOW_PAGES):
            if not wanted or query is None:
                break
            page = await self._list.page(query)
            for raw in page.items:
                if call := wanted.pop(text_of(_object(raw).get("id")), None):
                    prediction = read_prediction(raw, self._http.clean, call)
                    if prediction and not _lacks_outputs(prediction):
                        found[call.id] = prediction
            query = page.following(since)
        return found

    async def find(self, call: Call) -> Sequence[Prediction]:
        """Search the list back to the time of the call; searches that come together share one."""
        match = _Sought.of(call).match
        found = await self._list.search(call.created_at_ms - SKEW_MS, FIND_PAGES, match)
        return sorted(found, key=lambda prediction: prediction.call_id is None)

    async def sold(self, since_ms: int) -> Sold:
        predictions = [
            replace(each.prediction, call_id=next(iter(each.calls)) if len(each.calls) == 1 else None)
            async for each in self._list.since(since_ms, SOLD_PAGES)
            if each.prediction.created_at_ms is None or each.prediction.created_at_ms >= since_ms
        ]
        return Sold(predictions=predictions)

    async def _ask_for_page(self, query: Mapping[str, str]) -> Any:
        return await self._http.read("GET", "/v1/predictions", params=query)

    def trusts(self, url: str) -> bool:
        """Trust the API's own origin, and replicate.delivery with its subdomains, where outputs lie."""
        try:
            scheme, host, port = _origin(parse_url(url))
        except FetchBlocked:
            return False
        is_delivery = (scheme, port) == ("https", 443) and bool(_OUTPUT_HOST.fullmatch(host))
        return is_delivery or (scheme, host, port) == self._origin

    async def check(self) -> str:
        account = _object(await self._http.read("GET", "/v1/account", timeout_s=SCHEMA_TIMEOUT_S))
        return f"signed in as {self._http.clean(text_of(account.get('username')))!r}"

    async def close(self) -> None:
        await self._list.close()
        await self._http.close()


def _origin(url: URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host or "", url.port


def _lacks_outputs(prediction: Prediction) -> bool:
    return prediction.status is PredictionStatus.SUCCEEDED and not prediction.outputs


def _ref(call: Call) -> str:
    if not is_ref(call.ref or ""):
        raise PredictionGone(f"{call.ref!r} is no prediction's id")
    return call.ref or ""


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
