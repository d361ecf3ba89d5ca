"""A small server that speaks Replicate's HTTP API, draws real pictures, and fails as told.

In a test, in the same event loop:

    async with FakeReplicate() as fake:
        fake.switches.after_accept = "drop"
        ...
        await fake.until(lambda: fake.stats()["created"] == 1)

As a process of its own, steered by `POST /_control` and counted by `GET /_stats`:

    python -m tests.fakes.replicate --port 8901

A switch can also be set for one create alone, in its input: `{"prompt": "...", "fake": {"fail": "boom"}}`.
"""

import argparse
import asyncio
import json
import secrets
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, fields, replace
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

from tests.fakes.replicate_data import (
    ENDED,
    VERSION,
    Kept,
    Seen,
    Switches,
    draw,
    iso,
    now_ms,
    seconds,
    version_of,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeReplicate:
    """A fake Replicate on one port for one `async with` block. Attributes may be changed at any time."""

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, token: str = "r8_fake", page_size: int = 100
    ):
        self.switches = Switches()
        self.token = token
        self.page_size = page_size
        self.url = ""
        self.creates: list[Seen] = []
        self.kept: dict[str, Kept] = {}
        self.rung: list[tuple[str, str]] = []  # webhooks that were delivered: (prediction id, its status)
        self.unheard: list[str] = []  # webhook URLs that could not be reached
        self.asked: Counter[str] = Counter()  # requests by method and route
        self._times: Counter[str] = Counter()  # creates by prompt
        self._address = (host, port)
        self._changed = asyncio.Condition()
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- for tests

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._address).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()
        await self._runner.cleanup()

    async def until(self, holds: Callable[[], bool], timeout_s: float = 10) -> None:
        """Wait until `holds`, looked at whenever a create arrived or a prediction or webhook moved on."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(holds)

    async def ended(self, ref: str) -> None:
        await self.until(lambda: self.kept[ref].status in ENDED)

    def finish(self, ref: str) -> None:
        """End the prediction now."""
        self.kept[ref].released.set()

    def reveal(self) -> None:
        """Show all predictions in the list."""
        for kept in self.kept.values():
            kept.hidden_until = 0

    def stats(self) -> dict[str, Any]:
        """Count what was bought: in all, by prompt, and by the webhook URL that names the call."""
        by_prompt = Counter(kept.prompt for kept in self.kept.values())
        return {
            "requests": len(self.creates),
            "created": len(self.kept),
            "by_prompt": dict(by_prompt),
            "by_marker": dict(Counter(kept.webhook for kept in self.kept.values() if kept.webhook)),
            "bought_twice": sorted(prompt for prompt, times in by_prompt.items() if times > 1),
            "by_status": dict(Counter(kept.status for kept in self.kept.values())),
        }

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
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        self.asked[f"{request.method} {resource.canonical if resource else '?'}"] += 1
        if request.path.startswith("/v1/") and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _problem(401, "You did not pass a valid authentication token")
        return await handler(request)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        given = body["input"] if isinstance(body.get("input"), dict) else {}
        self.creates.append(Seen(path=request.path, headers=dict(request.headers), body=body))
        await self._tell()
        try:
            switches = self.switches_of(request, given)
        except TypeError as error:
            return _problem(422, f"input.fake: {error}")
        self._times[str(given.get("prompt"))] += 1
        times = self._times[str(given.get("prompt"))]
        await asyncio.sleep(switches.answer_delay_s)
        if switches.refuse and not 0 <= switches.refuse_times < times:
            headers = {"Retry-After": switches.retry_after} if switches.retry_after else {}
            return _problem(switches.refuse, switches.refuse_detail, headers)
        owner, name = request.match_info.get("owner", "acme"), request.match_info.get("name", "model")
        if owner == "missing":
            return _problem(404, "The requested resource could not be found.")
        if not isinstance(given.get("prompt"), str):
            return _problem(422, "- input: prompt is required\n")
        kept = self._buy(f"{owner}/{name}", request, body, switches)
        await self._tell()
        has_fault = switches.after_accept and not 0 <= switches.after_times < times
        return await self._answer(request, kept, switches.after_accept if has_fault else "")

    def switches_of(self, _request: web.Request, given: dict[str, Any]) -> Switches:
        return replace(self.switches, **given.get("fake", {}))

    def _buy(self, model: str, request: web.Request, body: dict[str, Any], switches: Switches) -> Kept:
        now, lag = asyncio.get_running_loop().time(), switches.list_lag_s
        kept = Kept(
            id=secrets.token_hex(13),
            model=model,
            version=body.get("version", "hidden"),
            input=body["input"],
            webhook=body.get("webhook"),
            events=body.get("webhook_events_filter") or ["completed"],
            switches=switches,
            cancel_after_s=seconds(request.headers.get("Cancel-After", "")),
            created_ms=now_ms(),
            hidden_until=float("inf") if lag < 0 else now + lag,
        )
        self.kept[kept.id] = kept
        task = asyncio.create_task(self._run(kept))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return kept

    async def _answer(self, request: web.Request, kept: Kept, fault: str) -> web.StreamResponse:
        whole = json.dumps(self._view(kept)).encode()
        match fault:
            case "":
                return web.Response(status=201, body=whole, content_type="application/json")
            case "drop":
                _drop(request)
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
                return await _truncated(request, whole, status=201)
        return _problem(int(fault), "Bad gateway")

    async def _run(self, kept: Kept) -> None:
        """Bring one prediction from its start to its end."""
        kept.status, kept.started_ms = "processing", now_ms()
        kept.logs = (
            "Using seed: 42\n  0%|          | 0/4 [00:00<?, ?it/s]\r 50%|#####     | 2/4 [00:01<00:01]"
        )
        await self._ring(kept, "start")
        latency_s = kept.switches.latency_s if kept.switches.latency_s >= 0 else float("inf")
        limit_s = min(latency_s, float("inf") if kept.cancel_after_s is None else kept.cancel_after_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(None if limit_s == float("inf") else limit_s):
                await kept.released.wait()
        if kept.status == "processing":
            is_late = limit_s < latency_s and not kept.released.is_set()
            self._end(kept, "canceled" if is_late else "")
        await self._ring(kept, "completed")

    def _end(self, kept: Kept, status: str) -> None:
        kept.completed_ms = now_ms()
        if kept.switches.moderation:
            kept.error = (
                "The input or output was flagged as sensitive. Please try again with different inputs. (E005)"
            )
        elif kept.switches.fail:
            kept.error = kept.switches.fail
        kept.status = status or ("failed" if kept.error else "succeeded")
        kept.logs += "\r100%|##########| 4/4 [00:02<00:00]\n"

    async def _ring(self, kept: Kept, event: str) -> None:
        await self._tell()
        if not kept.webhook or event not in kept.events or not kept.switches.send_webhooks:
            return
        view = self._view(kept)
        try:
            async with self._client.post(kept.webhook, json=view):
                self.rung.append((kept.id, view["status"]))
        except (aiohttp.ClientError, TimeoutError):
            self.unheard.append(kept.webhook)
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _view(self, kept: Kept) -> dict[str, Any]:
        removed = kept.switches.data_removed and kept.status in ENDED
        at = f"{self.url}/v1/predictions/{kept.id}"
        shown = {
            "id": kept.id,
            "model": kept.model,
            "version": kept.version,
            "input": {} if removed else kept.input,
            "logs": "" if removed else kept.logs,
            "output": None if removed or kept.status != "succeeded" else self._output(kept),
            "data_removed": removed,
            "error": kept.error,
            "source": "api",
            "status": kept.status,
            "created_at": iso(kept.created_ms),
            "started_at": iso(kept.started_ms),
            "completed_at": iso(kept.completed_ms),
            "metrics": {"predict_time": 0.5} if kept.completed_ms else {},
            "urls": {"get": at, "cancel": f"{at}/cancel", "web": f"https://replicate.com/p/{kept.id}"},
        }
        if kept.webhook and kept.switches.echo_webhook:
            shown |= {"webhook": kept.webhook, "webhook_events_filter": kept.events}
        return shown

    def _output(self, kept: Kept) -> Any:
        count = kept.input.get("num_outputs", 1)
        links = [f"{self.url}/files/{kept.id}/{index}.png" for index in range(count)]
        shapes = {"list": links, "string": links[0], "dict": {"image": links[0], "seed": 42}, "none": None}
        return shapes.get(kept.switches.output, ["A ", "cat", "."])

    async def _list(self, request: web.Request) -> web.StreamResponse:
        now = asyncio.get_running_loop().time()
        newest = [kept for kept in reversed(self.kept.values()) if kept.hidden_until <= now]
        cursor = request.query.get("cursor")
        start = next((i + 1 for i, kept in enumerate(newest) if kept.id == cursor), 0)
        page = newest[start : start + self.page_size]
        more = len(newest) > start + self.page_size
        following = f"{self.url}/v1/predictions?cursor={page[-1].id}" if more else None
        return web.json_response(
            {"previous": None, "next": following, "results": [self._view(kept) for kept in page]}
        )

    async def _get(self, request: web.Request) -> web.StreamResponse:
        kept = self.kept.get(request.match_info["ref"])
        return web.json_response(self._view(kept)) if kept else _problem(404, "Prediction not found")

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        kept = self.kept.get(request.match_info["ref"])
        if kept is None:
            return _problem(404, "Prediction not found")
        if kept.status not in ENDED:
            kept.status, kept.completed_ms = "canceled", now_ms()
            kept.released.set()
        return web.json_response(self._view(kept))

    async def _account(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"type": "user", "username": "acme", "name": "Acme"})

    async def _model(self, request: web.Request) -> web.StreamResponse:
        owner, name = request.match_info["owner"], request.match_info["name"]
        if owner == "missing":
            return _problem(404, "The requested resource could not be found.")
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
        kept = self.kept.get(request.match_info["ref"])
        kind = kept.switches.file if kept else "gone"
        if kept is None or kind == "gone":
            return _problem(404, "The link has expired")
        if kind == "redirect":
            return web.Response(status=302, headers={"Location": kept.switches.redirect_to})
        if kind == "html":
            return web.Response(text="<script>alert(1)</script>", content_type="image/png")
        picture = b"" if kind == "empty" else await asyncio.to_thread(draw, kept.input)
        if kind == "truncated":
            return await _truncated(request, picture, status=200)
        return web.Response(body=picture, content_type="image/png")

    async def _stats(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(self.stats())

    async def _control(self, request: web.Request) -> web.StreamResponse:
        """Set switches, and answer with all of them."""
        given = await request.json()
        unknown = given.keys() - {switch.name for switch in fields(Switches)}
        if unknown:
            return _problem(422, f"no such switches: {sorted(unknown)}")
        for name, value in given.items():
            setattr(self.switches, name, value)
        return web.json_response(asdict(self.switches))


def _problem(status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(
        {"title": "Error", "detail": detail, "status": status}, status=status, headers=headers
    )


def _drop(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _truncated(request: web.Request, whole: bytes, *, status: int) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers={"Content-Length": str(len(whole))})
    await response.prepare(request)
    await response.write(whole[: len(whole) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


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
