"""What the native API refuses, or does only once."""

import gzip
import json

import pytest

from tests.api.conftest import API, Api


async def test_a_retry_with_a_key_can_be_repeated(api: Api) -> None:
    failed = await api.finished(await api.generate(parameters={"fault": "moderation", "latency_s": 0}))
    path, key = f"{API}/jobs/{failed['id']}/retry", {"Idempotency-Key": "again-1"}
    first = await api.call("POST", path, headers=key)
    second = await api.call("POST", path, headers=key)
    assert (first[0], second[0]) == (202, 202)
    assert second[2]["id"] == first[2]["id"] != failed["id"]
    assert (first[2]["retry_of"], second[1]["idempotent-replayed"]) == (failed["id"], "true")
    status, _, problem = await api.call("POST", f"{API}/generate", json={"prompt": "a cat"}, headers=key)
    assert (status, problem["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/done",
        "https://example.com:8443/done",
        "https://example.com:99999/",
        "https://127.0.0.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://localhost/",
        "https://10.0.0.1/",
    ],
)
async def test_a_webhook_that_could_never_be_rung_is_refused_at_once(api: Api, url: str) -> None:
    status, _, problem = await api.call("POST", f"{API}/generate", json={"prompt": "x", "webhook_url": url})
    assert (status, problem["errors"][0]["field"]) == (422, "webhook_url")
    assert "WEBHOOK_ALLOW_PRIVATE" in problem["detail"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/generate"), ("DELETE", "/stats"), ("POST", "/jobs")])
async def test_a_wrong_method_is_405_and_names_the_right_ones(api: Api, method: str, path: str) -> None:
    for prefix in (API, ""):
        status, headers, problem = await api.call(method, f"{prefix}{path}")
        assert (status, problem["status"]) == (405, 405)
        assert headers["allow"] in ("POST", "GET")


async def test_a_body_that_is_packed_is_refused_and_says_how_to_send_it(api: Api) -> None:
    plain = json.dumps({"prompt": "a fox"}).encode()
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    packed = await api.call("POST", f"{API}/generate", data=gzip.compress(plain), headers=headers)
    assert packed[0] == 422
    assert "must be sent plain, without the content encoding 'gzip'" in packed[2]["detail"]
    headers["Content-Encoding"] = "identity"
    assert (await api.call("POST", f"{API}/generate", data=plain, headers=headers))[0] == 202


async def test_a_retry_that_is_pressed_again_and_again_is_one_job(api: Api) -> None:
    failed = await api.finished(await api.generate(parameters={"fault": "moderation", "latency_s": 0}))
    path = f"{API}/jobs/{failed['id']}/retry"
    ids = {(await api.call("POST", path))[2]["id"] for _ in range(5)}
    assert len(ids) == 1


async def test_two_keys_are_refused(idle_api: Api) -> None:
    headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    status, _, problem = await idle_api.call("POST", f"{API}/generate", json={"prompt": "x"}, headers=headers)
    assert (status, problem["detail"]) == (422, "Idempotency-Key was sent 2 times; send one")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ('{"prompt": "a", "prompt": "b"}', "prompt"),
        ('{"prompt": "a", "parameters": {"seed": 1, "x": 2, "seed": 3}}', "seed"),
        ('{"prompt": "a", "metadata": {"list": [{"a": 1, "\\u0061": 2}]}}', "a"),
        (
            f'{{"prompt": "a", {",".join(chr(34) + str(n) + chr(34) + ":1" for n in range(90_000))}, "7": 2}}',
            "7",
        ),
    ],
)
async def test_a_name_that_comes_twice_in_one_object_is_refused(idle_api: Api, body: str, name: str) -> None:
    headers = {"Content-Type": "application/json"}
    status, _, problem = await idle_api.call("POST", f"{API}/generate", data=body, headers=headers)
    assert (status, problem["detail"]) == (422, f"{name!r} comes twice in one object")
    once = '{"prompt": "a: b: c", "metadata": {"url": "https://a.example:80/", "a": {"b": 1}, "c": {"b": 2}}}'
    assert (await idle_api.call("POST", f"{API}/generate", data=once, headers=headers))[0] == 202


async def test_a_number_that_no_reader_takes_is_an_error_of_the_body(idle_api: Api) -> None:
    body = '{"prompt": "a: b", "parameters": {"seed": ' + "7" * 5_000 + "}}"
    headers = {"Content-Type": "application/json"}
    assert (await idle_api.call("POST", f"{API}/generate", data=body, headers=headers))[0] == 422
