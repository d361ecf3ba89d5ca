"""Cog (https://cog.run): one model on a server of one's own.

A call is one `PUT /predictions/{call id}` whose answer comes when the generation has ended, with the files in
it. What Cog 0.23 does with it, and so what the outcomes rest on:

- It runs as many predictions at a time as it has slots and answers 409 to the others, 503 before it is ready.
- It stops a prediction whose connection is lost. A lost answer therefore costs nothing but time.
- The same PUT while the prediction runs starts no second one: it answers 202 with the state of the moment and
  does not wait for the end. After the end it runs again. Nothing can be read later (GET is 405).
- A cancel in the first milliseconds is answered with 200 and may be lost all the same: repeat it.
- A failing model is an HTTP 200 with `status: failed`. A model whose process died leaves a server that answers
  409 for ever; only `check` tells the difference.
"""

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Self

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings
from yarl import URL

from mediagen.addresses import parse_url
from mediagen.errors import FetchBlocked, FetchError, InvalidRequest, ProviderError
from mediagen.providers.answers import Answer
from mediagen.providers.base import (
    Accepted,
    Call,
    Capabilities,
    Dedupe,
    MaySend,
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
    always,
)
from mediagen.providers.hosts import check_hosts, is_among, origin_of
from mediagen.providers.http import Ambiguous, NotSent, ProviderHTTP, path_of
from mediagen.providers.predictions import read_prediction, text_of
from mediagen.providers.schemas import input_schema
from mediagen.settings import ENV_CONFIG, CommaList, load

# Only in Cog's own words: a proxy's page of the same status may come after the prediction has begun.
_OWN_REFUSALS = {
    409: RejectReason.BUSY,
    **dict.fromkeys((400, 413, 415, 422), RejectReason.INVALID),
}
_REFUSALS = {
    **dict.fromkeys((301, 302, 303, 307, 308, 404, 405), RejectReason.UNREACHABLE),
    # By something that stands in front of Cog:
    **dict.fromkeys((401, 402), RejectReason.UNAUTHORIZED),
    403: RejectReason.FORBIDDEN,
    429: RejectReason.RATE_LIMITED,
}
_PAUSES_S = {409: 1.0, 503: 5.0}  # a model's set-up takes from seconds to minutes
_LOOK_S = 5.0  # how long the free looks at health and schema may take
_SCHEMA_FRESH_S = 60.0
_SCHEMA_RETRY_S = 10.0  # after a failure
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_OURS = re.compile(rf"cog/{_NAME}(:{_NAME})?")
_WRAPPED = re.compile(r"^(Prediction failed: )+")  # before what the model's own code raised


class CogSettings(BaseSettings):
    """The settings of this provider."""

    model_config = ENV_CONFIG

    cog_url: str = Field(
        "", description="Address of a Cog server, such as http://127.0.0.1:5000; empty uses none."
    )
    cog_model: str = Field(
        "cog/predictor",
        pattern=rf"^{_NAME}/{_NAME}(:{_NAME})?$",
        description="Name that the Cog server's model goes by, as owner/name.",
    )
    cog_concurrency: int = Field(
        1, ge=1, le=1000, description="Predictions that the Cog server runs at a time; more wait here."
    )
    cog_output_hosts: CommaList = Field(
        (),
        description="Hosts (host or host:port, comma separated) that outputs may be fetched from although they are"
        " private or at another port than the web's.",
    )

    @field_validator("cog_output_hosts")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        check_hosts(value)
        return value

    @field_validator("cog_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if not value:
            return value
        try:
            url = parse_url(value)
        except FetchBlocked as error:  # it says why, and never shows a password
            raise ValueError(f"write http://host:port; {error}") from error
        if not url.port or url.query_string or url.fragment:
            raise ValueError(f"{value!r} has more than an address, or port 0; write http://host:port")
        return value.rstrip("/")


class CogProvider(Provider):
    """Runs the one model of a Cog server. `Prediction.ref` is the call's own id."""

    name = "cog"
    connect_with = "COG_URL"
    outputs_with = "COG_OUTPUT_HOSTS"

    def __init__(self, context: ProviderContext, settings: CogSettings) -> None:
        super().__init__(context)
        self.default_model = settings.cog_model
        self.capabilities = Capabilities(
            dedupe=Dedupe.KEY, billed=False, synchronous=True, max_in_flight=settings.cog_concurrency
        )
        self._url = settings.cog_url
        self._origin = origin_of(URL(settings.cog_url))
        self._output_hosts = settings.cog_output_hosts
        self._http = ProviderHTTP(
            settings.cog_url,
            clock=context.clock,
            max_answer_bytes=context.settings.max_output_bytes // 3 * 4 + 1024**2,  # files come as base64
        )
        self._schema: Mapping[str, Any] | None = None
        self._schema_due = -math.inf  # monotonic

    @classmethod
    def from_env(cls, context: ProviderContext) -> Self | None:
        settings = load(CogSettings)
        return cls(context, settings) if settings.cog_url else None

    def accepts(self, model: str) -> bool:
        return model == self.default_model or bool(_OURS.fullmatch(model))

    async def models(self) -> Sequence[Model]:
        """Return the one model; its schema is looked up at most once a minute and kept when Cog is down."""
        now = self.context.clock.monotonic()
        if now >= self._schema_due:
            self._schema_due = now + _SCHEMA_RETRY_S
            if schema := await self._look_up_schema():
                self._schema, self._schema_due = schema, now + _SCHEMA_FRESH_S
        return [
            Model(
                id=self.default_model,
                provider=self.name,
                description=f"The model of the Cog server at {self._url}",
                input_schema=self._schema or {},
            )
        ]

    def schema_of(self, model: str) -> Mapping[str, Any] | None:
        return self._schema

    async def create(self, call: Call, *, send_by: float, may_send: MaySend = always) -> Outcome:
        """Run the prediction and hold the line until it has ended.

        After `call.timeout_s` the line is cut and Cog is told to stop: once it confirms that, or no longer
        knows the prediction, the call has failed as `timed_out`. When it does not answer, and when the line
        broke earlier, the outcome is `Unknown`. So it is while an earlier request with this id is still
        running or just being stopped; the same call may then be created again.
        """
        deadline = self.context.clock.monotonic() + call.timeout_s
        try:
            answer = await self._http.send_once(
                "PUT",
                _path(call),
                {"input": dict(call.input)},
                send_by=send_by,
                timeout_s=call.timeout_s,
                may_send=may_send,
            )
        except InvalidRequest as error:
            return Rejected(reason=RejectReason.INVALID, message=str(error))
        match answer:
            case NotSent():
                return Rejected(reason=RejectReason.UNREACHABLE, message=answer.message)
            case Ambiguous() if self.context.clock.monotonic() >= deadline:
                return await self._give_up(call)
            case Ambiguous():
                return Unknown(message=answer.message)
        return await self._carried_out(call, answer) if answer.ok else self._refused(answer)

    async def get(self, call: Call) -> Prediction:
        raise ProviderError("Cog keeps no predictions: its one answer is that to the create")

    async def cancel(self, call: Call) -> None:
        path = f"{_path(call)}/cancel"
        answer = await self._http.exchange("POST", path, timeout_s=10)
        is_unknown = answer.status == 404 and isinstance(answer.json, dict)  # else a proxy's page
        if not answer.ok and not is_unknown:
            raise ProviderError(str(self._http.refused(f"POST {path}", answer)))

    def trusts(self, url: str) -> bool:
        try:
            is_cogs = origin_of(parse_url(url)) == self._origin
        except FetchBlocked:
            return False
        return is_cogs or is_among(url, self._output_hosts)

    async def check(self) -> str:
        """Return its state and version; raises `ProviderError` unless it is ready or busy."""
        health = _object(await self._http.read("GET", "/health-check", timeout_s=_LOOK_S))
        status = self._http.clean(str(health.get("status")))
        version = self._http.clean(str(_object(health.get("version")).get("coglet")))
        if status not in ("READY", "BUSY"):
            raise ProviderError(f"the Cog server at {self._url} is {status}; see its log")
        return f"{status.lower()}, coglet {version}"

    async def close(self) -> None:
        await self._http.close()

    async def _give_up(self, call: Call) -> Outcome:
        message = f"no answer within {call.timeout_s:g} s"
        try:
            await self.cancel(call)
        except ProviderError as error:
            return Unknown(message=f"{message}, and whether Cog stopped is not known: {error}")
        return Accepted(prediction=_failed(call, "timed_out", message))

    async def _carried_out(self, call: Call, answer: Answer) -> Outcome:
        said = _object(answer.json)
        error = text_of(said.get("error"))
        reason = _WRAPPED.sub("", error)
        prediction = read_prediction({**said, "id": call.id, "error": reason}, self._http.clean)
        joined = answer.status != 200  # an earlier request with this id, which may be just being stopped
        if said.get("id", call.id) not in (call.id, None):
            shown = self._http.clean(str(said["id"])[:200])
            return Unknown(message=f"HTTP {answer.status} about another prediction, {shown!r}")
        if prediction is None or not prediction.ended:
            return Unknown(message=f"HTTP {answer.status} without the end of the prediction")
        if joined and prediction.status is PredictionStatus.CANCELED:
            return Unknown(message="an earlier request with this id was canceled")
        prediction = replace(prediction, call_id=call.id, cost_micros=0)
        if prediction.status is PredictionStatus.SUCCEEDED:
            return Accepted(prediction=await self._with_files(call, prediction))
        prediction = await self._with_part(prediction)
        # What is not the model's own is Cog's trouble, such as "Worker crashed".
        is_cogs = prediction.error_code == "prediction_failed" and reason == error
        return Accepted(prediction=replace(prediction, retryable=is_cogs or prediction.retryable))

    def _refused(self, answer: Answer) -> Outcome:
        """Classify an answer that is no success."""
        message = f"HTTP {answer.status}: {_bad_fields(answer.json) or self._http.problem(answer)}"
        reason = _REFUSALS.get(answer.status)
        if answer.own:
            reason = _OWN_REFUSALS.get(answer.status, reason)
        if answer.status == 503 and _object(answer.json).get("status") == "failed":
            reason = RejectReason.BUSY  # Cog's own 503, before it is ready; a proxy's may mean anything
        if reason is RejectReason.UNREACHABLE:
            message = f"no Cog server is at {self._url}, check COG_URL: {message}"
        if reason is None:
            return Unknown(message=self._http.clean(message))
        pause_s = self._http.retry_after_s(answer) or _PAUSES_S.get(answer.status)
        return Rejected(reason=reason, message=self._http.clean(message), retry_after_s=pause_s)

    async def _with_files(self, call: Call, prediction: Prediction) -> Prediction:
        """Return the prediction with the bytes of its data URIs in their place."""
        try:
            outputs = [await self._read(output) for output in prediction.outputs]
        except FetchError as error:
            return _failed(call, "bad_output", self._http.clean(str(error)))
        if not outputs:
            return _failed(call, "bad_output", "the model made nothing")
        return replace(prediction, outputs=tuple(outputs))

    async def _with_part(self, prediction: Prediction) -> Prediction:
        """Return a prediction that did not succeed with what there is of its files."""
        outputs = []
        for output in prediction.outputs:
            with suppress(FetchError):
                outputs.append(await self._read(output))
        return replace(prediction, outputs=tuple(outputs))

    async def _read(self, output: Output) -> Output:
        if output.url[:5].lower() != "data:":
            return output
        async with self.context.fetcher.open(output.url) as download:
            return Output(data=b"".join([chunk async for chunk in download.chunks]))

    async def _look_up_schema(self) -> Mapping[str, Any]:
        try:
            return input_schema(await self._http.read("GET", "/openapi.json", timeout_s=_LOOK_S))
        except ProviderError:
            return {}  # not ready, or built without a schema: jobs run all the same


def _path(call: Call) -> str:
    return path_of("predictions", call.id)


def _failed(call: Call, code: str, message: str) -> Prediction:
    return Prediction(
        ref=call.id,
        status=PredictionStatus.FAILED,
        error_code=code,
        error_message=message,
        call_id=call.id,
        cost_micros=0,
    )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _bad_fields(problem: Any) -> str:
    """Return which inputs Cog refuses and why, from `{"detail": [{"loc": [..., name], "msg": ...}]}`."""
    details = _object(problem).get("detail")
    named = [_object(detail) for detail in details] if isinstance(details, list) else []
    return "; ".join(f"{_last(d.get('loc'))}: {d['msg']}" for d in named if "msg" in d)


def _last(location: Any) -> Any:
    return location[-1] if isinstance(location, list) and location else "input"
