"""What is known of a paid create at Replicate, whatever the fake Replicate does with it."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from mediagen.providers.base import (
    Accepted,
    Call,
    Outcome,
    PredictionStatus,
    Rejected,
    RejectReason,
    Unknown,
)
from mediagen.providers.replicate import ReplicateProvider
from tests.fakes.rawhttp import app_server
from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_client import CLOCK, a_call, bought, create, provider_at
from tests.fakes.replicate_data import VERSION

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def fake() -> AsyncIterator[FakeReplicate]:
    async with FakeReplicate() as server:
        yield server


@pytest.fixture
async def replicate(fake: FakeReplicate) -> AsyncIterator[ReplicateProvider]:
    async with provider_at(fake.url) as provider:
        yield provider


# --- what is sent


async def test_a_model_is_created_by_its_name(fake: FakeReplicate, replicate: ReplicateProvider) -> None:
    await bought(replicate, a_call(width=64))
    seen = fake.creates[0]
    assert (seen.path, seen.body) == (
        "/v1/models/acme/painter/predictions",
        {"input": {"prompt": "a pond", "width": 64}},
    )


@pytest.mark.parametrize("model", [VERSION, f"acme/painter:{VERSION}"])
async def test_a_version_is_created_by_its_id(
    fake: FakeReplicate, replicate: ReplicateProvider, model: str
) -> None:
    await bought(replicate, a_call(model=model))
    seen = fake.creates[0]
    assert (seen.path, seen.body["version"]) == ("/v1/predictions", VERSION)


async def test_the_webhook_goes_along_with_start_and_completed(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    call = a_call(hook=True)
    prediction = await bought(replicate, call)
    body = fake.creates[0].body
    assert (body["webhook"], body["webhook_events_filter"]) == (call.webhook_url, ["start", "completed"])
    assert prediction.call_id == call.id


@pytest.mark.parametrize(("timeout_s", "header"), [(300, "2100s"), (0.5, "1801s"), (90.2, "1891s")])
async def test_a_deadline_after_the_providers_queue_is_set_and_no_wait_is_asked_for(
    fake: FakeReplicate, replicate: ReplicateProvider, timeout_s: float, header: str
) -> None:
    await bought(replicate, replace(a_call(), timeout_s=timeout_s))
    headers = fake.creates[0].headers
    assert headers["Cancel-After"] == header
    assert re.fullmatch(r"(\d+h)?(\d+m)?(\d+s?)?", headers["Cancel-After"])
    assert "Prefer" not in headers


async def test_the_answer_is_the_prediction(fake: FakeReplicate, replicate: ReplicateProvider) -> None:
    prediction = await bought(replicate, a_call())
    assert (prediction.status, list(fake.kept)) == (PredictionStatus.RUNNING, [prediction.ref])


# --- what is known afterwards


async def test_after_send_by_nothing_is_sent(fake: FakeReplicate, replicate: ReplicateProvider) -> None:
    outcome = await replicate.create(a_call(), send_by=CLOCK.monotonic() - 0.001)
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, fake.creates) == (RejectReason.UNREACHABLE, [])


async def test_a_refused_connection_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with provider_at(f"http://127.0.0.1:{port}") as provider:
        outcome = await create(provider, a_call())
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.UNREACHABLE


async def test_an_input_that_is_no_json_is_refused_here(replicate: ReplicateProvider) -> None:
    outcome = await create(replicate, a_call(strength=float("nan")))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.INVALID


@pytest.mark.parametrize(
    ("status", "detail", "reason"),
    [
        (400, "bad", RejectReason.INVALID),
        (404, "no such model", RejectReason.INVALID),
        (413, "too large", RejectReason.INVALID),
        (422, "- input.width: must be at most 1440", RejectReason.INVALID),
        (422, "NSFW content detected", RejectReason.MODERATION),
        (400, "Your input was flagged by our safety system", RejectReason.MODERATION),
        (401, "no token", RejectReason.UNAUTHORIZED),
        (402, "Insufficient credit", RejectReason.UNAUTHORIZED),
        (403, "not allowed", RejectReason.FORBIDDEN),
        (429, "slow down", RejectReason.RATE_LIMITED),
    ],
)
async def test_a_definite_refusal_is_rejected_with_its_reason(
    fake: FakeReplicate, replicate: ReplicateProvider, status: int, detail: str, reason: RejectReason
) -> None:
    fake.switches.refuse, fake.switches.refuse_detail = status, detail
    outcome = await create(replicate, a_call())
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, detail in outcome.message) == (reason, True)
    assert fake.stats()["created"] == 0


@pytest.mark.parametrize(
    ("retry_after", "detail", "pause_s"),
    [
        ("7", "x", 7.0),
        ("", "Request was throttled. Your rate limit resets in ~30s.", 30.0),
        ("", "x", None),
    ],
)
async def test_a_rate_limit_tells_how_long_to_wait(
    fake: FakeReplicate, replicate: ReplicateProvider, retry_after: str, detail: str, pause_s: float | None
) -> None:
    switches = fake.switches
    switches.refuse, switches.retry_after, switches.refuse_detail = 429, retry_after, detail
    outcome = await create(replicate, a_call())
    assert isinstance(outcome, Rejected)
    assert outcome.retry_after_s == pause_s


@pytest.mark.parametrize("status", [405, 408, 409, 500, 502, 503, 504])
async def test_every_other_refusal_is_unknown(
    fake: FakeReplicate, replicate: ReplicateProvider, status: int
) -> None:
    fake.switches.refuse = status
    assert isinstance(await create(replicate, a_call()), Unknown)
    assert len(fake.creates) == 1


@pytest.mark.parametrize("fault", ["502", "408", "drop", "malformed", "truncated", "no_id"])
async def test_a_bought_call_with_a_lost_answer_is_unknown_and_bought_once(
    fake: FakeReplicate, replicate: ReplicateProvider, fault: str
) -> None:
    fake.switches.after_accept = fault
    assert isinstance(await create(replicate, a_call()), Unknown)
    assert fake.stats()["by_prompt"] == {"a pond": 1}
    assert len(fake.creates) == 1


async def test_a_bought_call_without_any_answer_is_unknown(
    fake: FakeReplicate, replicate: ReplicateProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediagen.providers.replicate.CREATE_TIMEOUT_S", 0.3)
    fake.switches.after_accept = "hang"
    assert isinstance(await create(replicate, a_call()), Unknown)
    assert fake.stats()["created"] == 1


async def test_a_redirect_of_a_create_is_unknown_and_not_followed(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    fake.switches.refuse = 307
    assert isinstance(await create(replicate, a_call()), Unknown)
    assert len(fake.creates) == 1


async def test_many_creates_at_a_time_are_each_bought_once(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    calls = [a_call(f"prompt {i}") for i in range(50)]
    outcomes = await asyncio.gather(*(create(replicate, call) for call in calls))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert fake.stats()["by_prompt"] == {f"prompt {i}": 1 for i in range(50)}


# --- whose words a refusal is


GATEWAY = ["<html>404 Not Found</html>", "", '"not found"', "[]", "{}"]


def parrot(body: str, status: int) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=body, status=status, content_type="application/json")

    return answer


@pytest.mark.parametrize("status", [301, 307, 400, 401, 402, 403, 404, 413, 422, 429, 500, 503])
@pytest.mark.parametrize("body", GATEWAY)
async def test_a_page_of_a_gateway_refuses_nothing(status: int, body: str) -> None:
    async with app_server(parrot(body, status)) as url, provider_at(url) as provider:
        assert isinstance(await create(provider, a_call(hook=True)), Unknown)


@pytest.mark.parametrize(
    "problem",
    [
        {"detail": "webhook: must be a public address", "status": 422},
        {"title": "Input validation failed", "invalid_fields": [{"field": "webhook", "description": "bad"}]},
        {"detail": [{"loc": ["body", "Webhook"], "msg": "Webhook is not allowed"}]},
    ],
)
async def test_a_refused_marker_is_told_from_a_refused_input(problem: Any) -> None:
    async with app_server(parrot(json.dumps(problem), 422)) as url, provider_at(url) as provider:
        marked, unmarked = await create(provider, a_call(hook=True)), await create(provider, a_call())
    assert isinstance(marked, Rejected)
    assert isinstance(unmarked, Rejected)
    assert (marked.reason, unmarked.reason) == (RejectReason.MARKER, RejectReason.INVALID)


@pytest.mark.parametrize(
    "problem",
    [
        {"title": "Input validation failed", "invalid_fields": [{"field": "input.webhook_style"}]},
        {"title": "Input validation failed", "invalid_fields": [{"field": "input.webhook"}]},
        {"detail": "input.webhook_style: is not one of the styles", "status": 422},
        {"detail": "the prompt 'draw my webhook' is too short", "status": 422},
    ],
)
async def test_an_input_of_that_name_is_no_marker(problem: Any) -> None:
    async with app_server(parrot(json.dumps(problem), 422)) as url, provider_at(url) as provider:
        refused = await create(provider, a_call("draw my webhook", hook=True))
    assert isinstance(refused, Rejected)
    assert refused.reason is RejectReason.INVALID


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422, 429])
async def test_json_of_a_gateway_refuses_nothing(status: int) -> None:
    body = json.dumps({"status": status, "error": "gateway", "message": "upstream"})
    async with app_server(parrot(body, status)) as url, provider_at(url) as provider:
        assert isinstance(await create(provider, a_call(hook=True)), Unknown)


# --- whose prediction an answer is


async def answered(call: Call, **shown: Any) -> Outcome:
    """Return what comes of an answer that shows this of a prediction."""
    body = json.dumps({"id": "it", "status": "starting", **shown})
    async with app_server(parrot(body, 201)) as url, provider_at(url) as provider:
        return await create(provider, call)


@pytest.mark.parametrize(
    "shown",
    [
        {"webhook": a_call(hook=True).webhook_url},
        {"webhook": "https://app.example/done"},
        {"input": {"prompt": "another prompt"}},
        {"webhook": None, "input": {"prompt": "another prompt"}, "model": "acme/painter"},
    ],
    ids=["marker of another call", "another address", "another prompt", "another prompt, same model"],
)
async def test_an_answer_about_another_call_is_not_ours(shown: dict[str, Any]) -> None:
    outcome = await answered(a_call(hook=True), **shown)
    assert isinstance(outcome, Unknown)
    assert "about another prediction, 'it'" in outcome.message


async def test_the_address_of_another_call_is_not_shown_to_people() -> None:
    outcome = await answered(a_call(hook=True), webhook="https://app.example/secret-token")
    assert isinstance(outcome, Unknown)
    assert "secret-token" not in outcome.message


async def test_an_address_that_was_not_sent_is_anothers() -> None:
    assert isinstance(await answered(a_call(), webhook="https://app.example/done"), Unknown)


async def test_another_model_and_version_without_an_input_is_another_call() -> None:
    call = a_call(model=f"acme/painter:{VERSION}")
    assert isinstance(await answered(call, model="x/y", version="f" * 64), Unknown)
    for shown in ({"model": "x/y"}, {"version": "f" * 64}, {"model": "x/y", "version": VERSION}):
        assert isinstance(await answered(call, **shown), Accepted)


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"input": {}},
        {"input": {"prompt": "a pond", "width": 64, "seed": 4711}},
        {"input": {"prompt": "a pond", "width": 65}},
        {"input": {"prompt": "a po..."}, "model": "acme/renamed", "version": "hidden"},
        {"input": {"prompt": "[redacted]"}},
        {"webhook": "***"},
        {"webhook": {"url": "x"}},
    ],
)
async def test_what_does_not_contradict_is_taken(shown: dict[str, Any]) -> None:
    assert isinstance(await answered(a_call(hook=True, width=64), **shown), Accepted)


async def test_our_marker_proves_it_whatever_else_is_shown() -> None:
    call = a_call(hook=True)
    outcome = await answered(call, webhook=call.webhook_url, input={"prompt": "another"}, model="x/y")
    assert isinstance(outcome, Accepted)
    assert (outcome.prediction.call_id, outcome.prediction.marker) == (call.id, call.marker)


async def test_an_answer_with_a_number_that_is_none_is_read() -> None:
    body = '{"id": "it", "status": "starting", "metrics": {"time": NaN}}'
    async with app_server(parrot(body, 201)) as url, provider_at(url) as provider:
        assert isinstance(await create(provider, a_call()), Accepted)


# --- whether it may still be sent


async def test_a_call_that_was_taken_over_is_not_sent(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    async def no() -> bool:
        return False

    outcome = await replicate.create(a_call(), send_by=CLOCK.monotonic() + 10, may_send=no)
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, fake.creates) == (RejectReason.UNREACHABLE, [])
