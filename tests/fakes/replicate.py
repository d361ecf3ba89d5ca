"""A small server that speaks Replicate's HTTP API, draws real pictures, and fails as told.

In a test, in the same event loop:

    async with FakeReplicate() as fake:
        fake.switches.after_accept = "drop"
        ...
        await fake.until(lambda: fake.stats()["created"] == 1)

As a process of its own, steered by `POST /_control` and counted by `GET /_stats`:

    python -m tests.fakes.replicate --port 8901

A switch can also be set for one create alone, in its input: `{"prompt": "...", "fake": {"fail": "boom"}}`.
Parts: replicate_book.py keeps what was sold and brings it to its end, replicate_clock.py tells the time,
replicate_views.py shows predictions, replicate_lists.py lists them, replicate_files.py serves their files,
replicate_gateway.py answers in place of the truth.
"""

import argparse
import asyncio
import json
import sys
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, fields, replace
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.fakes import replicate_files as files
from tests.fakes import replicate_gateway as gateway
from tests.fakes import replicate_lists as lists
from tests.fakes import replicate_views as views
from tests.fakes.replicate_book import Book
from tests.fakes.replicate_data import ENDED, VERSION, Kept, Seen, Switches, seconds, version_of

FAULTS = ("drop", "hang", "malformed", "truncated", "no_id", "other", "foreign")
"""What an answer can be but true, beside what `replicate_gateway.answer` knows: the last two are predictions of
another create, and of another account."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeReplicate(Book):
    """A fake Replicate on one port for one `async with` block. Attributes may be changed at any time."""

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, token: str = "r8_fake", page_size: int = 100
    ):
        super().__init__()
        self.token = token
        self.page_size = page_size
        self.asked: Counter[str] = Counter()  # requests by method and route
        self._times: Counter[str] = Counter()  # creates by prompt
        self._lists = 0
        self._address = (host, port)
        self._closing = asyncio.Event()

    # --- for tests

    async def __aenter__(self) -> Self:
        self._open()
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._address).start()
        await web.TCPSite(self._runner, self._address[0], 0).start()
        (host, port), (_, other) = (address[:2] for address in self._runner.addresses)
        self.url, self.elsewhere_url = f"http://{host}:{port}", f"http://{host}:{other}"
        self._spawn(self._others())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        await self._close_book()
        await self._runner.cleanup()

    # --- the server

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=64 * 1024**2)
        app.add_routes(
            [
                web.post("/v1/predictions", self._create),
                web.post("/v1/models/{owner}/{name}/predictions", self._create),
                web.get("/v1/predictions", self._list),
                web.get("/v1/predictions/{ref}", self._get),
                web.post("/v1/predictions/{ref}/cancel", self._cancel),
                web.get("/v1/account", self._account),
                web.get("/v1/models/{owner}/{name}", self._model),
                web.get("/v1/models/{owner}/{name}/versions/{version}", self._version),
                web.get("/files/{ref}/{index}.png", self._file),
                web.get("/_stats", self._stats),
                web.post("/_control", self._control),
            ]
        )
        app.on_response_prepare.append(self._stamp)
        return app

    async def _stamp(self, _request: web.Request, response: web.StreamResponse) -> None:
        self.clock.stamp(response, self.switches)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        self.asked[f"{request.method} {resource.canonical if resource else '?'}"] += 1
        if request.path.startswith("/v1/") and request.headers.get("Authorization") != f"Bearer {self.token}":
            return gateway.problem(401, "You did not pass a valid authentication token")
        return await handler(request)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        given = body["input"] if isinstance(body.get("input"), dict) else {}
        self.creates.append(Seen(path=request.path, headers=dict(request.headers), body=body))
        await self.tell()
        try:
            switches = self.switches_of(request, given)
        except TypeError as error:
            return gateway.problem(422, f"input.fake: {error}")
        self._times[str(given.get("prompt"))] += 1
        times = self._times[str(given.get("prompt"))]
        self.clock.creates += 1
        await asyncio.sleep(switches.answer_delay_s)
        owner, name = request.match_info.get("owner", "acme"), request.match_info.get("name", "model")
        self._others_buy(f"{owner}/{name}", given, self.switches.others_each)
        if times <= switches.lost_times or switches.lost_times < 0:
            gateway.drop(request)
            return web.Response()
        refusal = _refusal(switches, times, owner, body)
        if refusal is not None:
            return refusal
        kept = self._buy(f"{owner}/{name}", request, body, switches)
        await self.tell()
        has_fault = switches.after_accept and not 0 <= switches.after_times < times
        return await self._answer(request, kept, switches.after_accept if has_fault else "")

    def switches_of(self, _request: web.Request, given: dict[str, Any]) -> Switches:
        return replace(self.switches, **given.get("fake", {}))

    def _buy(self, model: str, request: web.Request, body: dict[str, Any], switches: Switches) -> Kept:
        return self._keep(
            model, body, switches, cancel_after_s=seconds(request.headers.get("Cancel-After", ""))
        )

    async def _answer(self, request: web.Request, kept: Kept, fault: str) -> web.StreamResponse:
        whole = json.dumps(self._view(kept)).encode()
        match fault:
            case "":
                return web.Response(status=201, body=whole, content_type="application/json")
            case "drop":
                gateway.drop(request)
                return web.Response()
            case "hang":
                await self._closing.wait()
                return web.Response()
            case "malformed":
                return web.Response(
                    status=201, body=whole[: len(whole) // 2], content_type="application/json"
                )
            case "no_id":
                return web.json_response({"status": "starting"}, status=201)
            case "truncated":
                return await gateway.truncated(request, whole, status=201)
            case "other" | "foreign":
                return self._answer_for_another(kept, fault)
        return gateway.answer(fault)

    def _answer_for_another(self, kept: Kept, fault: str) -> web.Response:
        others = [each for each in self.sold if each.prompt != kept.prompt]
        if fault == "foreign" or not others:
            given = {**kept.input, "prompt": f"a stranger's {kept.prompt}"}
            body = {"input": given, "webhook": f"https://stranger.example/hooks/{uuid.uuid4()}"}
            others = [self._keep(kept.model, body, Switches(send_webhooks=False), tenant="abroad")]
        view = self._view(others[-1])
        if not kept.switches.answer_webhook:
            view = {name: value for name, value in view.items() if not name.startswith("webhook")}
        return web.json_response(view, status=201)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        switches, now = self.switches, asyncio.get_running_loop().time()
        self._lists += 1
        if switches.list_says and not 0 <= switches.list_times < self._lists:
            return gateway.answer(switches.list_says)
        newest = [kept for kept in reversed(self.kept.values()) if kept.hidden_until <= now]
        cursor = request.query.get("cursor", "")
        page = lists.page_of(newest, cursor, self.page_size, switches.list_pages)
        entries = [lists.entry(self._linked(kept), kept) for kept in page.kept]
        if not cursor:
            entries = lists.with_odd(entries, switches, self.clock.now_ms(switches))
        following = f"{self.url}/v1/predictions?cursor={page.following}" if page.following else None
        return web.json_response({"previous": None, "next": following, "results": entries})

    async def _get(self, request: web.Request) -> web.StreamResponse:
        kept = self._known(request)
        if kept is None:
            return gateway.problem(404, "Prediction not found")
        kept.looks += kept.status in ENDED or not kept.switches.look_ended
        await self.tell()
        return (
            gateway.answer(kept.switches.look_says)
            if _is_hidden(kept)
            else web.json_response(self._linked(kept))
        )

    def _linked(self, kept: Kept) -> dict[str, Any]:
        """Show it, and count that links to its files were shown, if so."""
        kept.links += views.has_output(kept)
        return self._view(kept)

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        kept = self._known(request)
        if kept is None:
            return gateway.problem(404, "Prediction not found")
        kept.cancels += 1
        await self.tell()
        over = 0 <= kept.switches.cancel_times < kept.cancels
        match "" if over else kept.switches.cancel_says:
            case "":
                self._stop(kept)
            case "hang":
                await self._closing.wait()
            case "late":
                asyncio.get_running_loop().call_later(kept.switches.cancel_late_s, self._stop, kept)
            case "ignored":
                pass
            case says:
                return gateway.answer(says)
        return web.json_response(self._view(kept))

    def _stop(self, kept: Kept) -> None:
        if kept.status not in ENDED:
            self._close(kept, "canceled")
            kept.released.set()

    def _known(self, request: web.Request) -> Kept | None:
        ref = request.match_info["ref"]
        return self.kept.get(ref) or self.abroad.get(ref)

    async def _account(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"type": "user", "username": "acme", "name": "Acme"})

    async def _model(self, request: web.Request) -> web.StreamResponse:
        owner, name = request.match_info["owner"], request.match_info["name"]
        if owner == "missing":
            return gateway.problem(404, "The requested resource could not be found.")
        return web.json_response(
            {
                "url": f"https://replicate.com/{owner}/{name}",
                "owner": owner,
                "name": name,
                "description": f"{name} by {owner}",
                "visibility": "public",
                "run_count": 1,
                "latest_version": version_of(VERSION),
            }
        )

    async def _version(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(version_of(request.match_info["version"]))

    async def _file(self, request: web.Request) -> web.StreamResponse:
        kept = self._known(request)
        if kept is None:
            return gateway.problem(404, "The link has expired")
        return await files.serve(request, kept, files.kind_of(kept), self._closing)

    async def _stats(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(self.stats())

    async def _control(self, request: web.Request) -> web.StreamResponse:
        """Set switches, and answer with all of them."""
        given = await request.json()
        unknown = given.keys() - {switch.name for switch in fields(Switches)}
        if unknown:
            return gateway.problem(422, f"no such switches: {sorted(unknown)}")
        for name, value in given.items():
            setattr(self.switches, name, value)
        return web.json_response(asdict(self.switches))


def _refusal(switches: Switches, times: int, owner: str, body: dict[str, Any]) -> web.Response | None:
    """Return why nothing is bought, if that is so."""
    if switches.refuse and not 0 <= switches.refuse_times < times:
        if switches.refuse_html:
            return gateway.page(switches.refuse)
        headers = {"Retry-After": switches.retry_after} if switches.retry_after else {}
        return gateway.problem(switches.refuse, switches.refuse_detail, headers)
    if owner == "missing":
        return gateway.problem(404, "The requested resource could not be found.")
    if not isinstance(body.get("input"), dict) or not isinstance(body["input"].get("prompt"), str):
        return gateway.problem(422, "- input: prompt is required\n")
    if switches.refuse_webhook and ".invalid/" in str(body.get("webhook")):
        names_it = switches.refuse_webhook == 422
        words = (
            "- webhook: Does not match format 'uri'\n" if names_it else "That address can't be called back"
        )
        return gateway.problem(switches.refuse_webhook, words)
    return None


def _is_hidden(kept: Kept) -> bool:
    """Tell whether this look is told something else than the truth."""
    switches = kept.switches
    number = kept.looks - switches.look_passes
    counted = number > 0 and not 0 <= switches.look_times < number
    if switches.look_ended and kept.status not in ENDED:
        return False
    over = 0 <= switches.look_for_s < time.monotonic() - kept.made_at
    return bool(switches.look_says) and counted and not over


async def _serve(host: str, port: int, token: str) -> None:
    async with FakeReplicate(host=host, port=port, token=token) as fake:
        sys.stdout.write(f"{fake.url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A fake Replicate; prints its address when it is ready.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", default="r8_fake")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(given.host, given.port, given.token))
