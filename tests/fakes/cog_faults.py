"""A small server that speaks Cog's protocol and fails as told; `cog/` holds a real one, which generates."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import web

Put = Callable[[web.Request], Awaitable[web.StreamResponse]]


class CogFaults:
    """A server on a free port of this machine for one `async with` block.

    What the next PUTs meet is set by `answers`, `fails`, `drops` and the like; the rest by attributes.
    What arrived is in `puts` (id and body) and `cancels` (ids); `arrived` is set with the first PUT.
    """

    def __init__(self) -> None:
        self.url = ""
        self.puts: list[tuple[str, Any]] = []
        self.cancels: list[str] = []
        self.schema_looks = 0
        self.arrived = asyncio.Event()
        self.cancel_status = 200
        self.cancel_body = "{}"
        self.health: Any = {"status": "READY", "version": {"coglet": "0.23.1"}}
        self.schema: Any = None
        self._over = asyncio.Event()
        self._put: Put
        self.answers(200, {"status": "succeeded", "output": "data:text/plain,done"})
        self._runner = web.AppRunner(self._app(), shutdown_timeout=1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        await self._runner.cleanup()

    def answers(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        """Answer with this JSON, or with this text as it is."""
        text = body if isinstance(body, str) else json.dumps(body)

        async def put(_request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, text=text, content_type="application/json", headers=headers)

        self._put = put

    def fails(self, status: int) -> None:
        """Answer every PUT with this error of a gateway, for ever."""

        async def put(_request: web.Request) -> web.StreamResponse:
            page = f"<html><body><h1>{status}</h1></body></html>"
            return web.Response(status=status, text=page, content_type="text/html")

        self._put = put

    def answers_for_another(self) -> None:
        """Answer with a prediction that is somebody else's: another id, input and output."""
        another = {"id": "f" * 26, "input": {"prompt": "somebody's"}, "status": "succeeded"}
        self.answers(200, {**another, "output": "data:text/plain,somebody's"})

    def drops(self) -> None:
        """Reset the connection instead of answering."""

        async def put(request: web.Request) -> web.StreamResponse:
            _reset(request)
            return web.Response()

        self._put = put

    def breaks_off(self) -> None:
        """Reset the connection in the middle of the answer."""

        async def put(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(
                headers={"Content-Type": "application/json", "Content-Length": "1000"}
            )
            await response.prepare(request)
            await response.write(b'{"status": "succeeded", "output": "data:')
            _reset(request)
            return response

        self._put = put

    def hangs(self) -> None:
        """Keep the connection and never answer."""

        async def put(_request: web.Request) -> web.StreamResponse:
            await self._over.wait()
            return web.Response()

        self._put = put

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_put("/predictions/{id}", self._on_put)
        app.router.add_post("/predictions/{id}/cancel", self._on_cancel)
        app.router.add_get("/health-check", self._on_health)
        app.router.add_get("/openapi.json", self._on_schema)
        return app

    async def _on_put(self, request: web.Request) -> web.StreamResponse:
        self.puts.append((request.match_info["id"], await request.json()))
        self.arrived.set()
        return await self._put(request)

    async def _on_cancel(self, request: web.Request) -> web.StreamResponse:
        self.cancels.append(request.match_info["id"])
        return web.Response(text=self.cancel_body, status=self.cancel_status, content_type="application/json")

    async def _on_health(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(self.health)

    async def _on_schema(self, _request: web.Request) -> web.StreamResponse:
        self.schema_looks += 1
        if self.schema is None:
            return web.json_response({"error": "OpenAPI schema not available"}, status=503)
        return web.json_response(self.schema)


def _reset(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()
