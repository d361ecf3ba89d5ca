"""The native API over real HTTP, in mock mode."""

import asyncio
import io
import json

import pytest
from PIL import Image

from mediagen.settings import Settings
from tests.api.conftest import API, Api, serving

UNKNOWN = "01900000-0000-7000-8000-000000000000"


async def test_generate_answers_202_with_a_job_to_follow(idle_api: Api) -> None:
    status, headers, job = await idle_api.call("POST", f"{API}/generate", json={"prompt": "a red fox"})
    assert status == 202
    assert headers["location"] == f"{API}/jobs/{job['job_id']}"
    assert headers["retry-after"].isdigit()
    assert (job["status"], job["message"]) == ("pending", "Job accepted for processing")
    assert job["id"] == job["job_id"]


async def test_a_job_completes_with_a_picture_of_the_size_asked_for(api: Api) -> None:
    job = await api.finished(await api.generate(parameters={"width": 128, "height": 96, "latency_s": 0}))
    assert (job["status"], job["progress"]) == ("completed", 1.0)
    async with api.http.get(job["result_url"]) as response:
        content = await response.read()
    assert Image.open(io.BytesIO(content)).size == (128, 96)
    assert response.headers["content-type"] == "image/png"
    assert api.url + job["media_path"] == job["result_url"]


@pytest.mark.parametrize("path", ["/generate", f"{API}/generate"])
async def test_the_routes_answer_with_and_without_the_prefix(idle_api: Api, path: str) -> None:
    status, _, job = await idle_api.call("POST", path, json={"prompt": "x"})
    assert status == 202
    for prefix in ("", API):
        status, _, found = await idle_api.call("GET", f"{prefix}/status/{job['id']}")
        assert (status, found["id"]) == (200, job["id"])


async def test_parameters_may_be_a_json_string(idle_api: Api) -> None:
    body = {"prompt": "x", "parameters": '{"width": 256, "seed": 7}'}
    _, _, job = await idle_api.call("POST", f"{API}/generate", json=body)
    assert job["parameters"] == {"width": 256, "seed": 7}


async def test_a_parameter_never_overrides_the_prompt(idle_api: Api) -> None:
    body = {"prompt": "mine", "parameters": {"prompt": "not mine"}}
    _, _, job = await idle_api.call("POST", f"{API}/generate", json=body)
    assert job["prompt"] == "mine"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "   "}, "prompt"),
        ({"prompt": "x" * 10_001}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": "a\x00b"}, "prompt"),
        ({"prompt": "x", "parameters": "no object"}, "parameters"),
        ({"prompt": "x", "parameters": [1]}, "parameters"),
        ({"prompt": "x", "parameters": {"width": 1}}, "parameters.width"),
        ({"prompt": "x", "parameters": {"seed": 2**70}}, "parameters.seed"),
        ({"prompt": "x", "model": "../../etc"}, "model"),
        ({"prompt": "x", "webhook_url": "file:///etc/passwd"}, "webhook_url"),
        ({"prompt": "x", "priority": 1000}, "priority"),
        ({"prompt": "x", "surprise": 1}, "surprise"),
    ],
)
async def test_a_bad_request_names_the_field_and_stores_nothing(
    idle_api: Api, body: object, field: str
) -> None:
    status, headers, problem = await idle_api.call("POST", f"{API}/generate", json=body)
    assert (status, headers["content-type"]) == (422, "application/problem+json")
    assert field in [error["field"] for error in problem["errors"]]
    assert problem["detail"]
    assert (await idle_api.call("GET", f"{API}/jobs"))[2]["items"] == []


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "nope",
        '{"prompt": NaN}',
        '{"prompt": "\\ud800"}',
        "[" * 5000,
        '{"prompt":"x","parameters":{"a":1e999}}',
    ],
)
async def test_json_that_can_not_be_kept_is_refused(idle_api: Api, raw: str) -> None:
    headers = {"content-type": "application/json"}
    status, _, problem = await idle_api.call("POST", f"{API}/generate", data=raw, headers=headers)
    assert (status, problem["code"]) == (422, "invalid_request")


async def test_a_body_beyond_the_limit_is_refused(idle_api: Api) -> None:
    body = io.BytesIO(json.dumps({"prompt": "x" * 1_100_000}).encode())
    headers = {"content-type": "application/json"}
    status, _, problem = await idle_api.call("POST", f"{API}/generate", data=body, headers=headers)
    assert (status, problem["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("metadata", "status"),
    [
        ({"note": "é" * 8_186}, 202),  # 16,384 bytes
        ({"note": "é" * 8_187}, 422),
        ({str(number): number for number in range(65)}, 422),
    ],
)
async def test_metadata_is_small(idle_api: Api, metadata: dict[str, object], status: int) -> None:
    asked = {"prompt": "x", "metadata": metadata}
    found, _, answer = await idle_api.call("POST", f"{API}/generate", json=asked)
    assert found == status, answer
    assert status == 202 or "metadata: must" in answer["detail"]


async def test_a_form_post_is_refused(idle_api: Api) -> None:
    status, _, _ = await idle_api.call("POST", f"{API}/generate", data={"prompt": "x"})
    assert status == 422


async def test_the_same_key_gives_the_same_job_and_another_request_is_refused(idle_api: Api) -> None:
    headers = {"Idempotency-Key": "order-1"}
    _, first_headers, first = await idle_api.call(
        "POST", f"{API}/generate", json={"prompt": "x"}, headers=headers
    )
    status, again_headers, again = await idle_api.call(
        "POST", f"{API}/generate", json={"prompt": "x"}, headers=headers
    )
    assert (status, again["id"], again_headers["idempotent-replayed"]) == (202, first["id"], "true")
    assert "idempotent-replayed" not in first_headers
    status, _, problem = await idle_api.call("POST", f"{API}/generate", json={"prompt": "y"}, headers=headers)
    assert (status, problem["code"]) == (422, "idempotency_key_reused")


async def test_a_refused_request_does_not_use_its_key_up(idle_api: Api) -> None:
    headers = {"Idempotency-Key": "order-2"}
    assert (await idle_api.call("POST", f"{API}/generate", json={"prompt": ""}, headers=headers))[0] == 422
    assert (await idle_api.call("POST", f"{API}/generate", json={"prompt": "x"}, headers=headers))[0] == 202


async def test_status_answers_304_while_nothing_has_changed(idle_api: Api) -> None:
    job = await idle_api.generate()
    _, headers, _ = await idle_api.call("GET", f"{API}/status/{job['id']}")
    assert headers["etag"].startswith('W/"')
    again = {"If-None-Match": headers["etag"]}
    assert (await idle_api.call("GET", f"{API}/status/{job['id']}", headers=again))[0] == 304
    await idle_api.call("POST", f"{API}/jobs/{job['id']}/cancel")
    assert (await idle_api.call("GET", f"{API}/status/{job['id']}", headers=again))[0] == 200


@pytest.mark.parametrize("job_id", [UNKNOWN, "nope", "%00", "a" * 5000, "%ff", "1"])
@pytest.mark.parametrize("path", ["status/{}", "jobs/{}", "jobs/{}/events"])
async def test_an_unknown_job_is_404(idle_api: Api, path: str, job_id: str) -> None:
    status, _, problem = await idle_api.call("GET", f"{API}/{path.format(job_id)}")
    assert status == 404
    assert problem["detail"] in ("Job not found", "There is no such address in the API; /docs lists them all")


async def test_jobs_are_listed_newest_first_page_by_page(idle_api: Api) -> None:
    made = [(await idle_api.generate(f"prompt {n}"))["id"] for n in range(7)]
    seen, cursor = [], None
    while True:
        query = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        _, headers, page = await idle_api.call("GET", f"{API}/jobs", params=query)
        seen += [job["id"] for job in page["items"]]
        cursor = page["next_cursor"]
        assert ("link" in headers) == (cursor is not None)
        if cursor is None:
            break
    assert seen == made[::-1]


async def test_jobs_are_filtered_by_status_model_and_text(idle_api: Api) -> None:
    fox = await idle_api.generate("A red FOX")
    owl = await idle_api.generate("100% owl_", model="mock/darkroom")
    await idle_api.call("POST", f"{API}/jobs/{owl['id']}/cancel")

    async def ids(**query: str) -> list[str]:
        _, _, page = await idle_api.call("GET", f"{API}/jobs", params=query)
        return [job["id"] for job in page["items"]]

    assert await ids(status="pending") == await ids(status="queued") == [fox["id"]]
    assert await ids(status="cancelled") == [owl["id"]]
    assert await ids(q="fox") == [fox["id"]]
    assert await ids(q="100%") == [owl["id"]]
    assert await ids(q="%") == [owl["id"]]
    assert await ids(model="other/model") == []
    assert await ids(created_after="2000-01-01T00:00:00Z", limit="1") == [owl["id"]]
    assert await ids(created_before="2000-01-01") == []


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "-1"},
        {"limit": str(2**63)},
        {"cursor": "zzz"},
        {"cursor": "%ff"},
        {"status": "unknown"},
        {"q": "a\x00"},
        {"created_after": "yesterday"},
    ],
)
async def test_a_bad_query_is_422(idle_api: Api, query: dict[str, str]) -> None:
    status, _, problem = await idle_api.call("GET", f"{API}/jobs", params=query)
    assert (status, problem["code"]) == (422, "invalid_request")


async def test_cancel_is_idempotent_and_409_on_a_completed_job(api: Api) -> None:
    done = await api.finished(await api.generate())
    status, _, problem = await api.call("POST", f"{API}/jobs/{done['id']}/cancel")
    assert (status, problem["code"]) == (409, "conflict")
    slow = await api.generate(parameters={"latency_s": 60, "width": 64, "height": 64})
    for _ in range(2):
        assert (await api.call("POST", f"{API}/jobs/{slow['id']}/cancel"))[0] == 200
    assert (await api.finished(slow))["status"] == "canceled"


async def test_retry_makes_a_new_job_of_a_failed_one_only(api: Api) -> None:
    failed = await api.finished(await api.generate(parameters={"fault": "failure", "latency_s": 0}))
    assert (failed["status"], bool(failed["error"]["message"])) == ("failed", True)
    status, headers, again = await api.call("POST", f"{API}/jobs/{failed['id']}/retry")
    assert (status, again["retry_of"]) == (202, failed["id"])
    assert headers["location"] == f"{API}/jobs/{again['id']}"
    assert again["id"] != failed["id"]
    done = await api.finished(await api.generate())
    assert (await api.call("POST", f"{API}/jobs/{done['id']}/retry"))[0] == 409


async def test_delete_removes_the_job_and_its_files(api: Api) -> None:
    done = await api.finished(await api.generate())
    assert (await api.call("DELETE", f"{API}/jobs/{done['id']}"))[0] == 204
    assert (await api.call("GET", f"{API}/status/{done['id']}"))[0] == 404
    assert (await api.call("GET", done["media_path"]))[0] == 404
    assert (await api.call("DELETE", f"{API}/jobs/{done['id']}"))[0] == 404
    while await api.runtime.artifacts.remove_trash():
        pass
    kept = list((api.runtime.settings.artifacts_dir).rglob(f"{done['artifacts'][0]['key']}"))
    assert kept == []


async def test_delete_of_a_job_at_work_is_409(idle_api: Api) -> None:
    job = await idle_api.generate()
    assert (await idle_api.call("DELETE", f"{API}/jobs/{job['id']}"))[0] == 409


async def test_the_detail_tells_the_timeline_the_attempts_and_the_cost(api: Api) -> None:
    detail = await api.finished(await api.generate())
    types = [event["type"] for event in detail["timeline"]]
    assert [t for t in types if t != "progress"] == [
        "created",
        "submitted",
        "accepted",
        "storing",
        "succeeded",
    ]
    assert [attempt["state"] for attempt in detail["attempts"]] == ["succeeded"]
    assert detail["cost"]["calls"] == 1


async def test_stats_count_what_there_is(api: Api) -> None:
    await api.finished(await api.generate())
    await api.finished(await api.generate(parameters={"fault": "moderation", "latency_s": 0}))
    _, _, stats = await api.call("GET", f"{API}/stats")
    assert (stats["jobs"]["completed"], stats["jobs"]["failed"]) == (1, 1)
    assert (stats["error_rate"], stats["errors"]) == (0.5, {"moderation": 1})
    assert stats["duration_s"]["p50"] > 0
    assert len(stats["workers"]) == 1


async def test_the_system_tells_its_parts_and_its_last_hour(api: Api) -> None:
    await api.finished(await api.generate())
    await api.finished(await api.generate(parameters={"fault": "moderation", "latency_s": 0}))
    status, _, system = await api.call("GET", f"{API}/system")
    assert status == 200
    assert (system["mode"] == "embedded") is (system["database"] == "sqlite")
    assert (system["broker"], system["storage"], system["mock_mode"]) == ("in-process", "local", True)
    assert len(system["minutes"]) == 60
    totals = {
        key: sum(minute[key] for minute in system["minutes"])
        for key in ("accepted", "begun", "completed", "failed")
    }
    assert totals == {"accepted": 2, "begun": 2, "completed": 1, "failed": 1}
    assert (system["queue_depth"], system["in_flight"]) == (0, 0)
    assert system["run_s"]["p50"] > 0
    assert system["wait_s"]["p95"] >= 0
    (provider,) = system["providers"]
    assert (provider["name"], provider["calls_last_hour"], provider["in_flight"]) == ("mock", 2, 0)


async def test_health_names_every_part(api: Api) -> None:
    status, _, health = await api.call("GET", "/health")
    assert (status, health["status"]) == (200, "ok")
    assert set(health["components"]) == {"database", "broker", "worker", "storage", "providers"}
    assert (await api.call("GET", f"{API}/health/live"))[2]["status"] == "ok"
    assert (await api.call("GET", f"{API}/health/ready"))[0] == 200


async def test_health_is_503_without_a_worker_but_jobs_are_still_taken(idle_api: Api) -> None:
    status, _, health = await idle_api.call("GET", "/health/ready")
    assert (status, health["components"]["worker"]["status"]) == (503, "failing")
    assert (await idle_api.generate())["status"] == "pending"


async def test_models_say_how_long_they_take_once_that_is_known(api: Api) -> None:
    _, _, before = await api.call("GET", f"{API}/models")
    assert before["items"][0]["typical_s"] is None
    await api.finished(await api.generate())
    _, _, after = await api.call("GET", f"{API}/models")
    assert 0.05 <= after["items"][0]["typical_s"] < 60


async def test_a_queued_job_says_how_many_go_first(idle_api: Api) -> None:
    first, second = await idle_api.generate(), await idle_api.generate()
    urgent = await idle_api.generate(priority=5)
    for job, ahead in ((urgent, 0), (first, 1), (second, 2)):
        _, _, detail = await idle_api.call("GET", f"{API}/jobs/{job['id']}")
        assert detail["ahead"] == ahead


async def test_models_carry_the_schema_of_their_input(idle_api: Api) -> None:
    _, _, models = await idle_api.call("GET", f"{API}/models")
    assert models["mock_mode"] is True
    assert "REPLICATE_API_TOKEN" in models["connect_with"]
    assert models["items"][0]["default"] is True
    assert models["items"][0]["input_schema"]["properties"]["width"]["maximum"] >= 1024


async def test_the_openapi_document_and_its_pages_work_offline(idle_api: Api) -> None:
    _, _, document = await idle_api.call("GET", f"{API}/openapi.json")
    assert f"{API}/generate" in document["paths"]
    assert "/generate" not in document["paths"]
    for page in ("/docs", "/redoc"):
        async with idle_api.http.get(idle_api.url + page) as response:
            text = await response.text()
        assert response.status == 200
        assert "https://" not in text.replace("http://www.w3.org", "")


async def test_an_unknown_address_of_the_api_is_a_problem_document(idle_api: Api) -> None:
    status, headers, problem = await idle_api.call("GET", f"{API}/nothing", headers={"accept": "text/html"})
    assert (status, headers["content-type"], problem["status"]) == (404, "application/problem+json", 404)


async def test_a_foreign_host_and_a_foreign_origin_are_refused(idle_api: Api) -> None:
    assert (await idle_api.call("GET", "/health", headers={"Host": "evil.example"}))[0] == 403
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        status, _, _ = await idle_api.call("POST", f"{API}/generate", json={"prompt": "x"}, headers=headers)
        assert status == 403
    own = {"Origin": idle_api.url, "Sec-Fetch-Site": "same-origin"}
    assert (await idle_api.call("POST", f"{API}/generate", json={"prompt": "x"}, headers=own))[0] == 202


async def test_two_hundred_submits_at_once_are_all_kept_in_few_commits(idle_api: Api) -> None:
    jobs = await asyncio.gather(*(idle_api.generate(f"prompt {n}") for n in range(200)))
    assert len({job["id"] for job in jobs}) == 200
    stats = (await idle_api.call("GET", f"{API}/stats"))[2]
    assert stats["queue_depth"] == 200


async def test_events_of_a_job_resume_after_the_last_one_seen(api: Api) -> None:
    job = await api.finished(await api.generate())
    ids = [event["id"] for event in job["timeline"]]
    url = f"{api.url}{API}/jobs/{job['id']}/events"
    async with api.http.get(url, headers={"Last-Event-ID": str(ids[1])}) as stream:
        text = (await stream.read()).decode()
    assert [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")] == ids[2:]
    async with api.http.get(url, headers={"Last-Event-ID": str(ids[-1])}) as stream:
        assert stream.status == 204


async def test_the_feed_of_all_jobs_shows_every_event_once(api: Api) -> None:
    async with api.http.get(f"{api.url}{API}/events") as stream:
        await stream.content.readuntil(b"\n\n")
        jobs = [await api.generate(f"prompt {n}") for n in range(3)]
        seen: list[dict[str, object]] = []
        while sum(event["type"] == "succeeded" for event in seen) < 3:
            block = (await stream.content.readuntil(b"\n\n")).decode()
            seen += [json.loads(line[6:]) for line in block.splitlines() if line.startswith("data: ")]
    assert len({event["id"] for event in seen}) == len(seen)
    assert {event["job_id"] for event in seen} == {job["id"] for job in jobs}


async def test_jobs_are_refused_with_507_when_the_disk_is_nearly_full(settings: Settings) -> None:
    full = settings.model_copy(update={"min_free_bytes": 2**60})
    async with serving(full) as api:
        status, headers, problem = await api.call("POST", f"{API}/generate", json={"prompt": "x"})
        assert (status, problem["code"]) == (507, "storage_full")
        assert headers["retry-after"].isdigit()
        assert (await api.call("GET", f"{API}/jobs"))[0] == 200
