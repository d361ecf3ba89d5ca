"""The main job through real providers' protocols: submit over HTTP, get a decodable picture that is kept."""

import asyncio
import io
import os
from collections.abc import AsyncIterator

import pytest
from PIL import Image

from mediagen.settings import Settings
from tests.api.conftest import API, Api, serving
from tests.fakes.cog.server import CogServer, CogUnavailable
from tests.fakes.replicate import FakeReplicate
from tests.release import gate


@pytest.fixture
def settings(settings: Settings) -> Settings:
    quick = {"reconcile_grace": 0.2, "retry_backoff_base": 0.1, "provider_creates_per_s": 100.0}
    return settings.model_copy(update=quick)


@pytest.fixture
async def replicate(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeReplicate]:
    async with FakeReplicate() as fake:
        monkeypatch.setenv("REPLICATE_API_TOKEN", fake.token)
        monkeypatch.setenv("REPLICATE_API_BASE_URL", fake.url)
        monkeypatch.setenv("REPLICATE_RETENTION", "1")  # what can not be fetched is tried for so long
        yield fake


@pytest.fixture
async def api(replicate: FakeReplicate, settings: Settings) -> AsyncIterator[Api]:
    async with serving(settings) as running:
        yield running


async def picture(api: Api, job: dict[str, object]) -> Image.Image:
    async with api.http.get(str(job["result_url"])) as response:
        assert response.status == 200
        return Image.open(io.BytesIO(await response.read()))


async def test_a_job_through_replicate_completes_with_a_picture(api: Api, replicate: FakeReplicate) -> None:
    job = await api.finished(await api.generate(parameters={"width": 96, "height": 64}))
    assert (job["status"], job["provider"]) == ("completed", "replicate")
    assert (await picture(api, job)).size == (96, 64)
    assert replicate.stats()["created"] == 1


@pytest.mark.parametrize("after_accept", gate(["502", "drop", "malformed", "truncated"], "drop"))
async def test_an_answer_lost_after_replicate_accepted_is_not_paid_again(
    api: Api, replicate: FakeReplicate, after_accept: str
) -> None:
    replicate.switches.after_accept = after_accept
    replicate.switches.after_times = 1
    job = await api.finished(await api.generate(parameters={}))
    assert job["status"] == "completed"
    assert replicate.stats()["created"] == 1


async def test_a_429_is_waited_out_without_an_attempt(api: Api, replicate: FakeReplicate) -> None:
    replicate.switches.refuse, replicate.switches.refuse_times = 429, 2
    replicate.switches.retry_after = "1"
    job = await api.finished(await api.generate(parameters={}))
    assert (job["status"], job["attempt"], job["retry_count"]) == ("completed", 1, 0)
    assert [attempt["state"] for attempt in job["attempts"]] == ["rejected", "rejected", "succeeded"]


FORBIDDEN = {"refuse": 403, "refuse_detail": "You have no access to this model"}


async def test_a_forbidden_model_stops_no_other_and_says_so(api: Api, replicate: FakeReplicate) -> None:
    refused = await api.generate(model="acme/forbidden", priority=100, parameters={"fake": FORBIDDEN})
    await replicate.until(lambda: len(replicate.creates) == 1)
    good = [await api.generate(f"prompt {n}", model="acme/painter", parameters={}) for n in range(20)]
    behind = await api.generate(model="acme/forbidden", parameters={})
    assert {(await api.finished(job))["status"] for job in good} == {"completed"}
    for job in (refused, behind):
        _, _, seen = await api.call("GET", f"{API}/jobs/{job['id']}")
        assert seen["status"] == "pending"
        assert "does not let this token use the model" in seen["message"]
        assert "You have no access to this model" in seen["message"]
        assert seen["next_try_at"]
    _, _, stats = await api.call("GET", f"{API}/stats")
    assert [pause["model"] for pause in stats["paused_providers"]] == ["acme/forbidden"]


async def test_a_refused_token_degrades_health_with_the_provider_s_words(
    api: Api, replicate: FakeReplicate
) -> None:
    replicate.switches.refuse, replicate.switches.refuse_detail = 402, "Your credit is used up"
    job = await api.generate(parameters={})
    async with asyncio.timeout(30):
        while True:
            status, _, health = await api.call("GET", f"{API}/health/ready")
            if health["status"] == "degraded":
                break
    other = await api.generate(model="acme/other", parameters={})
    assert status == 200
    assert "Your credit is used up" in health["components"]["providers"]["detail"]
    for waiting in (job, other):
        _, _, seen = await api.call("GET", f"{API}/jobs/{waiting['id']}")
        assert "Your credit is used up" in seen["message"]
    assert len(replicate.creates) == 1


async def test_a_refused_picture_is_final_and_says_why(api: Api, replicate: FakeReplicate) -> None:
    replicate.switches.moderation = True
    job = await api.finished(await api.generate(parameters={}))
    assert (job["status"], job["error"]["code"]) == ("failed", "moderation")
    assert replicate.stats()["created"] == 1


async def test_an_output_on_an_internal_address_is_not_fetched(api: Api, replicate: FakeReplicate) -> None:
    replicate.switches.file = "redirect"
    job = await api.finished(await api.generate(parameters={}))
    assert (job["status"], job["error"]["code"]) == ("failed", "fetch_blocked")
    assert replicate.stats()["created"] == 1


async def test_cancel_reaches_replicate(api: Api, replicate: FakeReplicate) -> None:
    replicate.switches.latency_s = -1
    job = await api.generate(parameters={})
    await replicate.until(lambda: len(replicate.kept) == 1)
    await api.call("POST", f"{API}/jobs/{job['id']}/cancel")
    assert (await api.finished(job))["status"] == "canceled"
    assert [kept.status for kept in replicate.kept.values()] == ["canceled"]


async def test_many_jobs_are_followed_with_few_requests(api: Api, replicate: FakeReplicate) -> None:
    replicate.switches.latency_s = 2
    jobs = await asyncio.gather(*(api.generate(f"prompt {n}", parameters={}) for n in range(40)))
    ended = await asyncio.gather(*(api.finished(job) for job in jobs))
    assert {job["status"] for job in ended} == {"completed"}
    assert replicate.stats()["created"] == 40
    assert sum(count for route, count in replicate.asked.items() if route.startswith("GET")) < 40 * 8


async def test_a_ring_of_replicate_ends_the_wait(
    replicate: FakeReplicate, settings: Settings, unused_tcp_port: int
) -> None:
    """With PUBLIC_URL the webhook names the call; when it rings, the job is looked at at once."""
    port = unused_tcp_port
    public = settings.model_copy(update={"public_url": f"http://127.0.0.1:{port}", "port": port})
    async with serving(public, port=port) as api:
        replicate.switches.latency_s = -1
        job = await api.generate(parameters={})
        await replicate.until(lambda: len(replicate.kept) == 1)
        [kept] = replicate.kept.values()
        assert f"http://127.0.0.1:{port}/hooks/replicate/" in (kept.webhook or "")
        replicate.finish(next(iter(replicate.kept)))
        assert (await api.finished(job))["status"] == "completed"
        await replicate.until(lambda: any(status == "succeeded" for _, status in replicate.rung))


@pytest.mark.cog
async def test_a_job_through_a_real_cog_server_completes_with_a_picture(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    try:
        with CogServer() as cog:
            monkeypatch.setenv("COG_URL", cog.url)
            async with serving(settings) as api:
                parameters = {"width": 96, "height": 64, "num_outputs": 2}
                job = await api.finished(await api.generate("a heron", parameters=parameters))
                assert (job["status"], job["provider"], len(job["artifacts"])) == ("completed", "cog", 2)
                assert (await picture(api, job)).size == (96, 64)
                slow = await api.generate("a slow heron", parameters={"sleep_s": 60})
                async with api.http.get(f"{api.url}{API}/jobs/{slow['id']}/events") as stream:
                    while b"submitted" not in await stream.content.readuntil(b"\n\n"):
                        pass
                await api.call("POST", f"{API}/jobs/{slow['id']}/cancel")
                ended = await api.finished(slow)
                assert ended["status"] == "canceled", ended["error"]
    except CogUnavailable as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))
