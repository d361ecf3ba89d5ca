"""Replicate, or any server that speaks its HTTP API (https://replicate.com/docs/reference/http).

Replicate takes no idempotency key. A create whose answer was lost is searched in the list of predictions: ours is
the one whose webhook address ends in the call's marker. What the list proves without one is for `evidence` to say.
"""

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
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
    Findings,
    MaySend,
    Model,
    Outcome,
    Prediction,
    Provider,
    ProviderContext,
    Rejected,
    RejectReason,
    Sold,
    Unknown,
    always,
    makes_more_than_pictures,
)
from mediagen.providers.evidence import Entry, Search, Window, any_model
from mediagen.providers.hosts import check_hosts, is_among, origin_of
from mediagen.providers.http import Ambiguous, NotSent, ProviderHTTP, path_of
from mediagen.providers.listing import PredictionList
from mediagen.providers.predictions import is_ref, read_entry, text_of
from mediagen.providers.replicate_answers import (
    against,
    as_sold,
    is_anothers,
    lacks_outputs,
    made_after_ms,
    named,
    reason_of,
    said_against,
    tells_the_time,
)
from mediagen.providers.replicate_models import SCHEMA_TIMEOUT_S, ModelCards, Target, target_of
from mediagen.providers.tokens import fits_a_header, is_set
from mediagen.settings import ENV_CONFIG, CommaList, load

CREATE_TIMEOUT_S = 30.0  # a create answers at once; the generation goes on without us
MIN_DEADLINE_S = 5  # the shortest `Cancel-After` that is accepted
QUEUE_S = 1800  # how long a prediction may wait for its start: `Cancel-After` counts from its creation
FOLLOW_PAGES = 10  # of 100 predictions each
FIND_PAGES = 100
SOLD_PAGES = 2_000
CLOCKS_AGREE_MS = 10_000  # about how long ago a call was sent: answers tell the time to the second
LOOKED_AT = 20  # entries of a list that show too little, looked at by themselves in one search
CLOCK_TIMEOUT_S = 3.0
CLOCK_RETRY_S = 5.0  # after a failure

_OUTPUT_HOST = re.compile(r"([a-z0-9-]+\.)*replicate\.delivery")


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
    replicate_output_hosts: CommaList = Field(
        (),
        description="Hosts (host or host:port, comma separated) that outputs may be fetched from although they are"
        " private or at another port than the web's.",
    )
    replicate_retention: float = Field(
        3600.0,
        gt=0,
        description="Seconds after its end for which a prediction's input and outputs can be had.",
    )

    _fits_a_header = field_validator("replicate_api_token")(fits_a_header)

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
            if target_of(name) is None:
                raise ValueError(f"{name!r} is no model; write owner/name or owner/name:version")
        return value

    @field_validator("replicate_output_hosts")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        check_hosts(value)
        return value


class ReplicateProvider(Provider):
    """Runs models at Replicate. `Prediction.ref` is Replicate's prediction id."""

    name = "replicate"
    connect_with = "REPLICATE_API_TOKEN"
    outputs_with = "REPLICATE_OUTPUT_HOSTS"
    takes_any_model = True

    def __init__(self, context: ProviderContext, settings: ReplicateSettings) -> None:
        super().__init__(context)
        self.default_model = settings.replicate_default_model
        self.capabilities = Capabilities(
            dedupe=Dedupe.RECONCILE,
            billed=True,
            rings=True,
            lists=True,
            retention_s=settings.replicate_retention,
        )
        self._offered = tuple(dict.fromkeys((self.default_model, *settings.replicate_models)))
        self._output_hosts = settings.replicate_output_hosts
        self._origin = origin_of(URL(settings.replicate_api_base_url))
        self._http = ProviderHTTP(
            settings.replicate_api_base_url,
            clock=context.clock,
            headers={"Authorization": f"Bearer {settings.replicate_api_token.get_secret_value()}"},
        )
        self._list = PredictionList(self._ask_for_page, self._http.clean)
        self._cards = ModelCards(self._http, context.clock, self.name)
        self._hearing = asyncio.Lock()
        self._hear_again_at = -math.inf  # monotonic

    @classmethod
    def from_env(cls, context: ProviderContext) -> Self | None:
        settings = load(ReplicateSettings)
        return cls(context, settings) if is_set(settings.replicate_api_token, cls.connect_with) else None

    def accepts(self, model: str) -> bool:
        return target_of(model) is not None

    async def models(self) -> Sequence[Model]:
        """Return the default model and those of REPLICATE_MODELS, with their schemas where they are known."""
        return await self._cards.describe_all(self._offered)

    async def describe(self, model: str) -> Model:
        """Return the model with its schema, asked for every 10 minutes; without one when that fails."""
        return await self._cards.describe(model)

    async def takes_long(self, model: str) -> bool:
        """Tell it from the model's name, else from its description, asked for every 10 minutes at most."""
        if makes_more_than_pictures(model):
            return True
        return makes_more_than_pictures((await self._cards.describe(model)).description)

    def schema_of(self, model: str) -> Mapping[str, Any] | None:
        return self._cards.schema_of(model)

    async def now_ms(self) -> int | None:
        clock = self._http.server_clock
        if not clock.heard_lately:
            async with self._hearing:  # one asks for all
                await self._hear()
        return clock.now_ms()

    async def _hear(self) -> None:
        """Let the provider tell the time; whatever it answers has a date."""
        is_too_soon = self.context.clock.monotonic() < self._hear_again_at
        if self._http.server_clock.heard_lately or is_too_soon:
            return
        with suppress(ProviderError):
            await self._http.exchange("GET", "/v1/account", timeout_s=CLOCK_TIMEOUT_S)
        self._hear_again_at = self.context.clock.monotonic() + CLOCK_RETRY_S

    async def create(self, call: Call, *, send_by: float, may_send: MaySend = always) -> Outcome:
        target = target_of(call.model)
        if target is None:
            message = f"{call.model!r} is no model; write owner/name"
            return Rejected(reason=RejectReason.INVALID, message=message)
        path, body = target.create(call)
        # Bounds what a call can cost that nobody finds again.
        headers = {"Cancel-After": f"{max(MIN_DEADLINE_S, math.ceil(call.timeout_s) + QUEUE_S)}s"}
        try:
            sent = await self._http.send_once(
                "POST",
                path,
                body,
                headers=headers,
                send_by=send_by,
                timeout_s=CREATE_TIMEOUT_S,
                may_send=may_send,
            )
        except InvalidRequest as error:
            return Rejected(reason=RejectReason.INVALID, message=str(error))
        match sent:
            case NotSent():
                return Rejected(reason=RejectReason.UNREACHABLE, message=sent.message)
            case Ambiguous():
                return Unknown(message=sent.message)
            case Answer():
                return self._taken(call, target, sent) if sent.ok else self._refused(call, sent)

    def _taken(self, call: Call, target: Target, answer: Answer) -> Outcome:
        """Classify a success: the prediction must be ours as far as it says whose it is."""
        entry = read_entry(answer.json, self._http.clean)
        if entry.prediction is None:
            return Unknown(message=f"{call.model}: HTTP {answer.status} without a prediction")
        if (is_in_time := tells_the_time(call, entry)) is not None:
            self.dated_by_its_clock = is_in_time
        if contradiction := against(call, target, entry):
            what = f"{call.model}: the answer is about another prediction, {entry.ref!r}: {contradiction}"
            return Unknown(message=self._http.clean(what))
        return Accepted(prediction=named(call, entry.prediction))

    def _refused(self, call: Call, answer: Answer) -> Outcome:
        said = self._http.problem(answer)
        message = self._http.clean(f"{call.model}: HTTP {answer.status}: {said}")
        reason = reason_of(call, answer, said)
        if reason is None:
            return Unknown(message=message)
        return Rejected(reason=reason, message=message, retry_after_s=self._http.retry_after_s(answer))

    async def get(self, call: Call) -> Prediction:
        """Look at one call. Raises `PredictionGone` too when it succeeded but its outputs were removed."""
        entry, prediction = await self._read(call)
        if lacks_outputs(prediction) and entry.removed:
            kept_s = self.capabilities.retention_s
            message = (
                f"the outputs of {call.ref!r} were removed; they are kept for {kept_s:g} s after its end"
            )
            raise PredictionGone(message, sure=True)
        return named(call, prediction)

    async def _read(self, call: Call) -> tuple[Entry, Prediction]:
        raw = await self._http.read("GET", path_of("v1", "predictions", _ref(call)))
        entry = read_entry(raw, self._http.clean)
        prediction = entry.prediction
        if prediction is None or prediction.ref != call.ref or is_anothers(call, entry):
            beginning = str(raw)[:4000].encode(errors="replace")
            raise self._http.unreadable(
                f"the answer is not the prediction {call.ref!r} of this call", beginning
            )
        return entry, prediction

    async def against(self, call: Call) -> str:
        entry, _ = await self._read(call)
        return said_against(call, entry)

    async def cancel(self, call: Call) -> None:
        """Ask for a stop. Raises `ProviderError` where the answer does not say yes; no answer proves anything."""
        path = path_of("v1", "predictions", _ref(call), "cancel")
        answer = await self._http.exchange("POST", path)
        has_ended = answer.status in (400, 409, 422)
        if not answer.ok and not has_ended:
            raise ProviderError(str(self._http.refused(f"POST {path}", answer)))

    async def follow(self, calls: Sequence[Call]) -> Mapping[str, Prediction]:
        """Look at many calls in the newest pages of the list; leaves to `get` what that does not settle."""
        wanted = {call.ref: call for call in calls if call.ref}
        if not wanted:
            return {}
        since_ms = min(made_after_ms(call) for call in wanted.values())
        found: dict[str, Prediction] = {}
        async with aclosing(self._list.pages(FOLLOW_PAGES)) as pages:
            async for page in pages:
                for entry in page.entries:
                    call, prediction = wanted.pop(entry.ref, None), entry.prediction
                    if call is None or prediction is None or is_anothers(call, entry):
                        continue
                    if not lacks_outputs(prediction):
                        found[call.id] = named(call, prediction)
                if not wanted or page.is_older_than(since_ms):
                    break
        return found

    async def find(self, call: Call) -> Findings:
        """Search the list back to the time of the call; searches that come together share one."""
        if self.dated_by_its_clock is False:
            call = replace(call, asked_at_ms=None)
        is_in_order = self.dated_by_its_clock and await self._is_in_order(call)
        window = Window.of(call) if is_in_order else None
        search, why = await self._search_back_to(window.back_to_ms if window else None, call)
        if why and window and self._list.shown.knows(call):
            # Too many were made in that hour. Where markers are shown, the time of the call is enough.
            search, why = await self._search_back_to(window.from_ms, call)
        for ref in search.unclear(self._list.shown)[:LOOKED_AT]:
            if (entry := await self._look_at(ref)) is not None:
                search.weigh_again(entry)
        return search.findings(self._list.shown, why=why)

    async def _search_back_to(self, since_ms: int | None, call: Call) -> tuple[Search, str]:
        """Weigh the list back to a time; also return what kept it from being read so far."""
        target = target_of(call.model)
        is_model = target.may_be if target else any_model
        search = Search(call, is_model, trusts_times=bool(self.dated_by_its_clock))
        return search, await self._list.search(search.weigh, since_ms, FIND_PAGES)

    async def _look_at(self, ref: str) -> Entry | None:
        """Return a prediction by itself, which may show more than the list does; None when it can't be had."""
        try:
            raw = await self._http.read("GET", path_of("v1", "predictions", ref))
        except ProviderError:
            return None
        entry = read_entry(raw, self._http.clean)
        return entry if entry.ref == ref else None

    async def shows(self, call: Call) -> bool | None:
        found: list[Entry] = []

        def see(entry: Entry) -> bool:
            if entry.ref == call.ref:
                found.append(entry)
            return bool(found)

        is_in_order = self.dated_by_its_clock and await self._is_in_order(call)
        window = Window.of(call) if is_in_order else None
        why = await self._list.search(see, window.from_ms if window else None, FIND_PAGES)
        return True if found else None if why else False

    async def _is_in_order(self, call: Call) -> bool:
        """Tell whether the list is in the order of its times since the call: no clock was set since it was sent."""
        theirs = await self.now_ms()
        if call.asked_at_ms is None or theirs is None:
            return False
        ours = self.context.clock.now_ms() - call.created_at_ms
        return abs(theirs - call.asked_at_ms - ours) <= CLOCKS_AGREE_MS

    async def sold(self, since_ms: int) -> Sold:
        predictions: list[Prediction] = []
        unreadable = 0

        def see(entry: Entry) -> None:
            nonlocal unreadable
            if entry.made_ms is not None and entry.made_ms < since_ms:
                return
            if entry.prediction is None:
                unreadable += 1
            else:
                predictions.append(as_sold(entry.prediction))

        why = await self._list.search(see, since_ms, SOLD_PAGES)
        return Sold(predictions=predictions, unreadable=unreadable, why=why)

    async def _ask_for_page(self, query: Mapping[str, str]) -> Any:
        return await self._http.read("GET", "/v1/predictions", params=query)

    def trusts(self, url: str) -> bool:
        """Trust the API's own origin, replicate.delivery with its subdomains, and REPLICATE_OUTPUT_HOSTS."""
        try:
            scheme, host, port = origin_of(parse_url(url))
        except FetchBlocked:
            return False
        is_delivery = (scheme, port) == ("https", 443) and bool(_OUTPUT_HOST.fullmatch(host))
        return is_delivery or (scheme, host, port) == self._origin or is_among(url, self._output_hosts)

    async def check(self) -> str:
        account = await self._http.read("GET", "/v1/account", timeout_s=SCHEMA_TIMEOUT_S)
        name = text_of(account.get("username")) if isinstance(account, dict) else ""
        return f"signed in as {self._http.clean(name)!r}"

    async def close(self) -> None:
        await self._list.close()
        await self._http.close()


def _ref(call: Call) -> str:
    if not is_ref(call.ref or ""):
        raise PredictionGone(f"{call.ref!r} is no prediction's id", sure=True)
    return call.ref or ""
