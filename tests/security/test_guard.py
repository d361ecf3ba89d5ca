"""Pages of other sites can neither change nor read anything here: hosts, origins, forms, beacons, rebinding."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Page

from mediagen.settings import Settings
from proof.bad_input.judge import json_of
from proof.bad_input.wire import Answer, exchange
from tests.api.conftest import API, Api, serving
from tests.fakes.rawhttp import app_server
from tests.security.chromium import launched

GOOD_HOSTS = [
    "localhost", "LOCALHOST", "LocalHost:80", "localhost:8000", "localhost:65535", "127.0.0.1", "127.0.0.1:1",
    "[::1]",
    "[::1]:8000",
]  # fmt: skip
BAD_HOSTS = [
    # names that an attacker owns, and that may lead here for a while
    "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example.", "evil",
    "127.0.0.1.nip.example", "localtest.example", "xn--lcalhost-p4a.example", "rebind.evil.example:80",
    # several readings
    "localhost@evil.example", "evil.example@localhost", "localhost:80@evil.example", "localhost, evil.example",
    "evil.example, localhost", "localhost evil.example", "localhost;evil.example", "localhost#evil.example",
    "localhost?evil.example", "localhost/evil.example", "evil.example/localhost", "localhost\\evil.example",
    "localhost%00.evil.example", "%6cocalhost", "localhost:80:80", "localhost:80, localhost:81", "http://localhost",
    # other spellings of this machine, which nobody's browser uses by itself
    "localhost.", "127.1", "127.0.0.1.", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "127.0.0.2",
    "::1", "[::]",
    "[::ffff:127.0.0.1]", "[0:0:0:0:0:0:0:1]", "[::1", "::1]", "ip6-localhost", "localhost.localdomain",
    # no host, or no port
    "", ":", ":80", "localhost:", "localhost:x", "localhost:-1", "localhost:+80", "*", "null", "localhost:８０",
]  # fmt: skip
BAD_ORIGINS = [
    "http://evil.example", "https://evil.example", "http://evil.example:8000", "null", "", "file://", "http://",
    "chrome-extension://abcdefghijklmnop", "https://localhost.evil.example", "http://127.0.0.1.evil.example",
    "http://localhost@evil.example", "http://evil.example@", "http://[::1", "http://[", "//evil.example",
    "evil.example",
    "localhost", "http://localhost.", "http://127.1", "http://0.0.0.0", "http://127.0.0.2", "about:blank",
    "data:", "*",
    "http://localhost, http://evil.example",
]  # fmt: skip
GENERATE = json.dumps({"prompt": "x"})
BODIES = {
    "application/json": GENERATE,
    "text/plain": GENERATE,
    "text/plain;charset=UTF-8": GENERATE,
    "application/x-www-form-urlencoded": "prompt=x",
    "multipart/form-data; boundary=b": '--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nx\r\n--b--\r\n',
    "text/xml": GENERATE,
    "": GENERATE,
}
SIMPLE = [media_type for media_type in BODIES if media_type != "application/json"]
SIGNS = [
    *({"Origin": origin} for origin in BAD_ORIGINS),
    *(
        {"Sec-Fetch-Site": site}
        for site in ("cross-site", "same-site", "Cross-Site", "", "x", "same-origin, cross-site")
    ),
    {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
]


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    async with serving(settings, worker=False) as running:
        yield running


async def ask(
    api: Api, method: str, path: str, headers: Mapping[str, str] | None = None, body: str = ""
) -> Answer:
    """Send a request with exactly these headers, Host: localhost unless another is among them."""
    sent = {"Host": "localhost", **(headers or {}), "Content-Length": str(len(body)), "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    port = int(api.url.rpartition(":")[2])
    return await exchange(port, f"{method} {path} HTTP/1.1\r\n{head}\r\n{body}".encode(), method=method)


async def jobs(api: Api) -> list[dict[str, Any]]:
    _, _, page = await api.call("GET", f"{API}/jobs?limit=100")
    return list(page["items"])


# --- which names are answered to


@pytest.mark.parametrize("host", GOOD_HOSTS)
async def test_the_machines_own_names_are_answered_to(api: Api, host: str) -> None:
    assert (await ask(api, "GET", "/health/live", {"Host": host})).status == 200


@pytest.mark.parametrize("host", BAD_HOSTS)
async def test_any_other_name_is_refused_also_to_read(api: Api, host: str) -> None:
    await api.generate("secret prompt")
    for path in ("/", f"{API}/jobs"):
        answer = await ask(api, "GET", path, {"Host": host})
        assert answer.status in (400, 403), path
        assert b"secret prompt" not in answer.body


@pytest.mark.parametrize(
    "lines",
    [
        "",
        "Host: localhost\r\nHost: evil.example\r\n",
        "Host: evil.example\r\nHost: localhost\r\n",
        "Host: localhost\r\nHost: localhost\r\n",
        "X-Forwarded-Host: localhost\r\nHost: evil.example\r\n",
        "Host: localhost\r\n .evil.example\r\n",
    ],
)
async def test_no_name_or_two_names_are_refused(api: Api, lines: str) -> None:
    request = f"GET /health/live HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode()
    assert (await exchange(int(api.url.rpartition(":")[2]), request)).status in (400, 403)


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-Host",
        "X-Forwarded-Server",
        "X-Host",
        "Forwarded",
        "X-Original-Host",
        "X-HTTP-Host-Override",
    ],
)
async def test_a_name_that_a_client_claims_elsewhere_is_in_no_answer(api: Api, header: str) -> None:
    await api.generate()
    value = "host=evil.example" if header == "Forwarded" else "evil.example"
    answer = await ask(api, "GET", f"{API}/jobs?limit=1", {header: value})
    assert answer.status == 200
    assert b"evil.example" not in answer.body
    assert "evil.example" not in str(answer.headers)


async def test_a_refusal_is_a_problem_that_names_the_setting_and_is_no_page(api: Api) -> None:
    answer = await ask(api, "GET", "/", {"Host": "<script>alert(1)</script>"})
    assert (answer.status, answer.media_type) == (403, "application/problem+json")
    assert "ALLOWED_HOSTS" in json_of(answer)["detail"]
    assert answer.header("x-content-type-options") == "nosniff"


# --- who may change something


@pytest.mark.parametrize("sign", SIGNS, ids=str)
async def test_a_post_of_another_site_is_refused(
    api: Api, sign: dict[str, str], record_property: Callable[[str, object], None]
) -> None:
    record_property("cases", len(BODIES))
    for media_type, body in BODIES.items():
        answer = await ask(api, "POST", f"{API}/generate", {"Content-Type": media_type, **sign}, body)
        assert (answer.status, json_of(answer)["code"]) == (403, "forbidden"), media_type
        assert await jobs(api) == [], media_type


@pytest.mark.parametrize("media_type", SIMPLE)
async def test_a_post_that_a_form_or_beacon_can_send_is_refused_without_any_sign_too(
    api: Api, media_type: str
) -> None:
    answer = await ask(api, "POST", f"{API}/generate", {"Content-Type": media_type}, BODIES[media_type])
    assert answer.status == 422
    assert await jobs(api) == []


@pytest.mark.parametrize("sign", SIGNS, ids=str)
async def test_another_site_can_not_touch_a_job(api: Api, sign: dict[str, str]) -> None:
    job = await api.generate()
    for method, action in (("POST", "/cancel"), ("POST", "/retry"), ("DELETE", "")):
        answer = await ask(api, method, f"{API}/jobs/{job['id']}{action}", sign)
        assert answer.status == 403, (method, action)
        assert [job["status"] for job in await jobs(api)] == ["pending"], (method, action)


@pytest.mark.parametrize("action", ["/cancel", "/retry"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_what_changes_something_is_no_get(api: Api, method: str, action: str) -> None:
    job = await api.generate()
    assert (await ask(api, method, f"{API}/jobs/{job['id']}{action}")).status in (404, 405)
    assert [job["status"] for job in await jobs(api)] == ["pending"]


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "GET"])
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1"])
async def test_no_preflight_is_granted(api: Api, method: str, origin: str) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "content-type",
    }
    answer = await ask(api, "OPTIONS", f"{API}/generate", asked)
    assert answer.status >= 400
    assert not [name for name, _ in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("path", ["/jobs", "/stats", "/models", "/health", "/openapi.json"])
async def test_no_answer_lets_another_site_read_it(api: Api, path: str) -> None:
    answer = await ask(api, "GET", f"{API}{path}", {"Origin": "http://evil.example"})
    assert not [name for name, _ in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "override", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"]
)
async def test_no_header_turns_a_get_into_a_delete(api: Api, override: str) -> None:
    job = await api.generate()
    assert (await ask(api, "GET", f"{API}/jobs/{job['id']}", {override: "DELETE"})).status == 200
    assert len(await jobs(api)) == 1


# --- the same from a real page in a real browser

ATTACK = """
async ([target, job]) => {
  const settled = [], body = JSON.stringify({prompt: "attack"});
  const post = (path, options) => settled.push(fetch(target + path, {method: "POST", ...options}).then(
    (answer) => answer.status || answer.type, () => "refused"));
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/json", "text/plain;charset=UTF-8"]) {
    post("/generate", {body, mode: "no-cors", headers: {"content-type": type}});
    post("/generate", {body, headers: {"content-type": type}});
    post("/generate", {body, mode: "no-cors", credentials: "include", referrerPolicy: "no-referrer", headers: {"content-type": type}});
    post("/generate", {body, mode: "no-cors", keepalive: true, headers: {"content-type": type}});
    try { navigator.sendBeacon(target + "/generate", new Blob([body], {type})) } catch {}
  }
  navigator.sendBeacon(target + "/generate", body);
  navigator.sendBeacon(target + "/generate", new URLSearchParams({prompt: "attack"}));
  const data = new FormData(); data.append("prompt", "attack");
  navigator.sendBeacon(target + "/generate", data);
  for (const action of ["cancel", "retry"]) post(`/jobs/${job}/${action}`, {mode: "no-cors"});
  settled.push(fetch(`${target}/jobs/${job}`, {method: "DELETE"}).then((answer) => answer.status, () => "refused"));
  const read = [];
  for (const path of ["/jobs", `/jobs/${job}`, "/stats", "/events"])
    settled.push(fetch(target + path).then(async (answer) => read.push(await answer.text()), () => "refused"));
  const element = (tag, properties) => new Promise((done) => {
    const made = Object.assign(document.createElement(tag), {onload: done, onerror: done, ...properties});
    document.body.append(made);
    setTimeout(done, 3000);
  });
  settled.push(element("script", {src: `${target}/jobs`}), element("img", {src: `${target}/jobs/${job}/cancel`}));
  settled.push(element("iframe", {src: `${target}/jobs`}).then(() => { try { read.push(frames[0].document.body.innerText) } catch {} }));
  for (const enctype of ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"])
    for (const path of ["/generate", `/jobs/${job}/cancel`]) {
      const name = `f${Math.random()}`, frame = element("iframe", {name});
      const form = Object.assign(document.createElement("form"), {method: "post", action: target + path, enctype, target: name});
      form.append(Object.assign(document.createElement("input"), {name: '{"prompt": "attack", "metadata": {"x": "', value: '"}}'}));
      document.body.append(form);
      form.submit();
      settled.push(frame);
    }
  await Promise.all(settled);
  return read.filter((text) => text.includes("secret prompt"));
}
"""  # noqa: E501


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with launched(["--host-resolver-rules=MAP evil.example 127.0.0.1"]) as running:
        yield running


@pytest.fixture
async def page(browser: Browser) -> Page:
    return await browser.new_page()


@pytest.fixture
async def evil_site() -> AsyncIterator[str]:
    async def serve(_request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>evil</title><body>", content_type="text/html")

    async with app_server(serve) as url:
        yield url


@pytest.mark.browser
@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1", "localhost"])
async def test_a_hostile_page_in_a_real_browser_changes_and_reads_nothing(
    api: Api, evil_site: str, page: Page, name: str
) -> None:
    job = await api.generate("secret prompt")
    await page.goto(evil_site.replace("127.0.0.1", name))
    leaked = await page.evaluate(ATTACK, [f"{api.url}{API}", job["id"]])
    assert leaked == []
    found = await jobs(api)
    assert [(job["prompt"], job["status"], job["cancel_requested"]) for job in found] == [
        ("secret prompt", "pending", False)
    ]


@pytest.mark.browser
async def test_a_name_that_was_rebound_to_this_machine_reads_nothing(api: Api, page: Page) -> None:
    await api.generate("secret prompt")
    for path in ("/", f"{API}/jobs"):
        answer = await page.goto(api.url.replace("127.0.0.1", "evil.example") + path)
        assert answer is not None
        assert answer.status == 403
        assert "secret prompt" not in await page.content()
    status = await page.evaluate(
        "(path) => fetch(path, {method: 'POST', body: '{\"prompt\": \"x\"}', headers: {'content-type': 'application/json'}})"  # noqa: E501
        ".then((answer) => answer.status)",
        f"{API}/generate",
    )
    assert status == 403
    assert len(await jobs(api)) == 1
