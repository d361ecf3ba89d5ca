"""A provider's ring: what it says is believed in its id alone, and only at an address that we made."""

import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from mediagen.jobs import calls
from mediagen.jobs.model import CallRecord
from mediagen.jobs.service import Submission
from mediagen.jobs.states import CallState, JobState
from mediagen.providers.markers import NOWHERE, Marker, marker_in
from mediagen.settings import Settings
from tests.api.conftest import API, Api, serving
from tests.conformance.databases import bring_call_to, bring_to, intend

PUBLIC = "https://media.example.com/gw"


@pytest.fixture
async def door(settings: Settings) -> AsyncIterator[Api]:
    """A server without a worker that providers can reach."""
    public = settings.model_copy(update={"public_url": PUBLIC})
    async with serving(public, worker=False) as running:
        yield running


async def lost_call(door: Api, state: CallState = CallState.UNKNOWN) -> CallRecord:
    """Return a call of a job that waits a long time before it asks the provider again."""
    db = door.runtime.db
    submitted = await door.runtime.jobs.submit(Submission(prompt="a fox"))

    def write(connection: Any) -> CallRecord:
        record = intend(connection, submitted.job, door.runtime.clock.new_id())
        bring_call_to(connection, record.id, state, "ref-1")
        bring_to(connection, submitted.job, JobState.RECONCILING)
        connection.exec_driver_sql(f"UPDATE jobs SET run_at = {record.created_at + 3_600_000}")
        return record

    return await db.transact(write)


def path_of(door: Api, call: CallRecord) -> str:
    marker = Marker(installation=door.runtime.installation, job=call.job_id, call=call.id)
    url = door.runtime.hook_url(call.provider, marker)
    assert url is not None
    assert url.startswith(f"{PUBLIC}/hooks/{call.provider}/")
    return url.removeprefix(PUBLIC)


async def ring(door: Api, path: str, body: object, **headers: str) -> int:
    sent = {"content-type": "application/json", **headers}
    text = body if isinstance(body, str) else json.dumps(body)
    return (await door.call("POST", path, data=io.BytesIO(text.encode()), headers=sent))[0]


async def known(door: Api, call: CallRecord) -> tuple[str, str | None, bool]:
    """Return what the ledger knows of the call, and whether its job is due."""
    job = (await door.runtime.jobs.get(call.job_id)).job
    record = await door.runtime.db.read(lambda c: calls.get(c, call.id))
    assert record is not None
    return record.state, record.provider_ref, job.run_at <= door.runtime.clock.now_ms()


async def test_a_ring_records_the_ref_and_makes_the_job_due(door: Api) -> None:
    call = await lost_call(door)
    assert await known(door, call) == ("unknown", None, False)
    assert await ring(door, path_of(door, call), {"id": "ref-1", "status": "starting"}) == 204
    assert await known(door, call) == ("accepted", "ref-1", True)


async def test_that_a_known_call_has_begun_is_no_news(door: Api) -> None:
    call = await lost_call(door, CallState.ACCEPTED)
    assert await known(door, call) == ("accepted", "ref-1", False)
    for status in ("starting", "processing"):
        assert await ring(door, path_of(door, call), {"id": "ref-1", "status": status}) == 204
    assert await known(door, call) == ("accepted", "ref-1", False)
    assert await ring(door, path_of(door, call), {"id": "ref-1", "status": "failed"}) == 204
    assert await known(door, call) == ("accepted", "ref-1", True)


async def test_a_ring_comes_through_the_public_name(door: Api) -> None:
    call = await lost_call(door)
    assert await ring(door, path_of(door, call), {"id": "ref-1"}, Host="media.example.com") == 204
    assert (await known(door, call))[0] == "accepted"


async def test_a_ring_says_nothing_of_the_outcome(door: Api) -> None:
    call = await lost_call(door, CallState.ACCEPTED)
    body = {"id": "ref-1", "status": "succeeded", "output": ["https://evil.example/x.png"]}
    assert [await ring(door, path_of(door, call), body) for _ in range(2)] == [204, 204]
    assert await known(door, call) == ("accepted", "ref-1", True)
    assert (await door.runtime.jobs.get(call.job_id)).job.state is JobState.RECONCILING


async def test_a_ring_with_another_ref_does_not_replace_the_one_that_is_known(door: Api) -> None:
    call = await lost_call(door, CallState.ACCEPTED)
    assert await ring(door, path_of(door, call), {"id": "forged"}) == 204
    assert (await known(door, call))[:2] == ("accepted", "ref-1")


async def test_a_ring_for_a_call_that_was_given_up_makes_it_an_orphan(door: Api) -> None:
    call = await lost_call(door, CallState.ABSENT)
    assert await ring(door, path_of(door, call), {"id": "late"}) == 204
    assert (await known(door, call))[:2] == ("orphan", "late")


async def test_an_address_that_was_not_made_by_us_is_404_and_changes_nothing(door: Api) -> None:
    call, other = await lost_call(door), await lost_call(door)
    _, _, provider, token, call_id = path_of(door, call).split("/")
    for path in (
        f"/hooks/{provider}/{token[:-1]}/{call_id}",
        f"/hooks/{provider}/{'A' * len(token)}/{call_id}",
        f"/hooks/{provider}/{token}/{other.id}",
        f"/hooks/{provider}/%ff%00/{call_id}",
        f"/hooks/{provider}/{call_id}",
    ):
        assert await ring(door, path, {"id": "ref-1"}) == 404
    assert await known(door, call) == await known(door, other) == ("unknown", None, False)


async def test_a_ring_at_another_provider_s_address_changes_nothing(door: Api) -> None:
    call = await lost_call(door)
    path = path_of(door, call).replace(f"/{call.provider}/", "/somebody/")
    assert await ring(door, path, {"id": "ref-1"}) == 204
    assert await known(door, call) == ("unknown", None, False)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        '"ref-1"',
        {},
        {"id": None},
        {"id": 5},
        {"id": ""},
        {"id": "a b"},
        {"id": "r" * 201},
        {"id": "ref\u0000"},
        '{"id": "\\ud800"}',
    ],
)
async def test_a_ring_that_names_no_prediction_is_422_and_changes_nothing(door: Api, body: object) -> None:
    call = await lost_call(door)
    assert await ring(door, path_of(door, call), body) == 422
    assert await known(door, call) == ("unknown", None, False)


async def test_a_ring_with_a_body_beyond_the_limit_is_413(door: Api) -> None:
    call = await lost_call(door)
    assert await ring(door, path_of(door, call), {"id": "ref-1", "logs": "x" * 1_100_000}) == 413
    assert await known(door, call) == ("unknown", None, False)


async def test_looking_at_the_address_does_not_ring(door: Api) -> None:
    call = await lost_call(door)
    assert (await door.call("GET", path_of(door, call)))[0] in (404, 405)
    assert await known(door, call) == ("unknown", None, False)


MARKER = Marker(installation="0" * 16, job=str(UUID(int=1)), call=str(UUID(int=2)))


async def test_without_a_public_address_calls_are_marked_with_one_that_leads_nowhere(idle_api: Api) -> None:
    url = idle_api.runtime.hook_url("mock", MARKER)
    assert url is not None
    assert url.startswith(f"{NOWHERE}/hooks/mock/")
    assert marker_in(url) == MARKER


async def test_with_marks_off_and_no_public_address_calls_carry_no_address(settings: Settings) -> None:
    async with serving(settings.model_copy(update={"mark_calls": False}), worker=False) as api:
        assert api.runtime.hook_url("mock", MARKER) is None


async def test_a_ring_for_a_call_that_the_database_lost_writes_it_down_for_its_job(door: Api) -> None:
    job = (await door.runtime.jobs.submit(Submission(prompt="a fox"))).job
    marker = Marker(installation=door.runtime.installation, job=job.id, call=door.runtime.clock.new_id())
    path = str(door.runtime.hook_url(job.provider, marker)).removeprefix(PUBLIC)
    assert [await ring(door, path, {"id": "sold", "status": "starting"}) for _ in range(2)] == [204, 204]
    [record] = (await door.runtime.jobs.detail(job.id)).calls
    assert (record.id, record.state, record.provider_ref) == (marker.call, CallState.ORPHAN, "sold")


@pytest.mark.parametrize("strange", [{"installation": "f" * 16}, {"job": str(UUID(int=3))}], ids=str)
async def test_a_ring_for_a_call_of_somebody_else_changes_nothing(door: Api, strange: dict[str, str]) -> None:
    job = (await door.runtime.jobs.submit(Submission(prompt="a fox"))).job
    ours = Marker(installation=door.runtime.installation, job=job.id, call=door.runtime.clock.new_id())
    path = str(door.runtime.hook_url(job.provider, replace(ours, **strange))).removeprefix(PUBLIC)
    assert await ring(door, path, {"id": "sold"}) == 204
    assert list((await door.runtime.jobs.detail(job.id)).calls) == []


async def test_a_path_that_names_no_call_of_ours_is_404(idle_api: Api) -> None:
    assert (await idle_api.call("POST", f"{API}/hooks/mock/token/call-1", json={"id": "x"}))[0] == 404
