"""Which answers of Cog prove that a prediction was not carried out, and which prove nothing."""

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mediagen.providers.base import (
    RejectReason,
    Unknown,
)
from mediagen.providers.cog import CogProvider
from tests.fakes.cog_client import create, provider_at, rejection
from tests.fakes.cog_faults import CogFaults


@pytest.fixture
async def faults() -> AsyncIterator[CogFaults]:
    async with CogFaults() as server:
        yield server


@pytest.fixture
async def cog(faults: CogFaults) -> AsyncIterator[CogProvider]:
    async with provider_at(faults.url) as provider:
        yield provider


# --- refusals: certainly not carried out


async def test_a_full_server_is_busy_for_a_second(faults: CogFaults, cog: CogProvider) -> None:
    faults.answers(409, {"error": "At capacity - all prediction slots busy", "status": "failed"})
    refused = await rejection(cog)
    assert (refused.reason, refused.retry_after_s) == (RejectReason.BUSY, 1)
    assert "At capacity" in refused.message


async def test_a_server_that_still_sets_up_is_busy(faults: CogFaults, cog: CogProvider) -> None:
    faults.answers(503, {"error": "Setup has not finished yet", "status": "failed"})
    refused = await rejection(cog)
    assert (refused.reason, refused.retry_after_s) == (RejectReason.BUSY, 5)


async def test_a_refused_input_names_the_field(faults: CogFaults, cog: CogProvider) -> None:
    problem = {"loc": ["body", "input", "width"], "msg": "9 is greater than 8", "type": "value_error"}
    faults.answers(422, {"detail": [problem]})
    refused = await rejection(cog)
    assert refused.reason is RejectReason.INVALID
    assert "width: 9 is greater than 8" in refused.message


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (302, RejectReason.UNREACHABLE),
        (400, RejectReason.INVALID),
        (401, RejectReason.UNAUTHORIZED),
        (403, RejectReason.FORBIDDEN),
        (404, RejectReason.UNREACHABLE),
        (405, RejectReason.UNREACHABLE),
        (413, RejectReason.INVALID),
        (422, RejectReason.INVALID),
        (429, RejectReason.RATE_LIMITED),
    ],
)
@pytest.mark.parametrize("body", ['{"error": "why"}', '{"detail": [{"loc": 1, "msg": 2}, 3]}'])
async def test_a_refusal_in_cogs_own_words_has_its_reason(
    faults: CogFaults, cog: CogProvider, status: int, reason: RejectReason, body: str
) -> None:
    faults.answers(status, body)
    assert (await rejection(cog)).reason is reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [(302, "unreachable"), (401, "unauthorized"), (404, "unreachable"), (429, "rate_limited")],
)
async def test_a_page_of_a_proxy_says_why_cog_can_not_be_reached(
    faults: CogFaults, cog: CogProvider, status: int, reason: str
) -> None:
    faults.answers(status, "<p>no JSON")
    assert (await rejection(cog)).reason == reason


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422, 503])
@pytest.mark.parametrize("body", ["<p>no JSON", "", '"why"', "[]", "{}"])
async def test_a_page_of_a_proxy_refuses_no_input(
    faults: CogFaults, cog: CogProvider, status: int, body: str
) -> None:
    faults.answers(status, body)
    assert isinstance(await create(cog), Unknown)


async def test_the_pause_that_is_asked_for_is_passed_on(faults: CogFaults, cog: CogProvider) -> None:
    faults.answers(429, "slow down", {"Retry-After": "7"})
    assert (await rejection(cog)).retry_after_s == 7


async def test_a_wrong_address_names_the_setting(faults: CogFaults, cog: CogProvider) -> None:
    faults.answers(404, "")
    assert "COG_URL" in (await rejection(cog)).message


async def test_a_port_where_nobody_listens_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with provider_at(url) as cog:
            assert (await rejection(cog)).reason is RejectReason.UNREACHABLE


# --- no answer to trust


@pytest.mark.parametrize("fault", [CogFaults.drops, CogFaults.breaks_off])
async def test_a_lost_connection_leaves_the_outcome_unknown(
    faults: CogFaults, cog: CogProvider, fault: Any
) -> None:
    fault(faults)
    assert isinstance(await create(cog), Unknown)


async def test_a_lost_connection_is_not_tried_again(faults: CogFaults, cog: CogProvider) -> None:
    faults.drops()
    await create(cog)
    assert len(faults.puts) == 1


@pytest.mark.parametrize("body", ["", "<html>", "[]", "null", "{}", '{"status": 7}', '{"status": "new"}'])
async def test_an_answer_of_something_else_leaves_the_outcome_unknown(
    faults: CogFaults, cog: CogProvider, body: str
) -> None:
    faults.answers(200, body)
    assert isinstance(await create(cog), Unknown)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
async def test_an_error_on_the_way_leaves_the_outcome_unknown(
    faults: CogFaults, cog: CogProvider, status: int
) -> None:
    faults.answers(status, "upstream trouble")
    assert isinstance(await create(cog), Unknown)
