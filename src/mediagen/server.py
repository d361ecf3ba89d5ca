"""The server process: the API and, in it, the worker."""

import asyncio
import gc
import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import structlog
import uvicorn

from mediagen.api.app import build_app
from mediagen.api.protocol import BoundedProtocol
from mediagen.errors import SettingsError
from mediagen.runtime import Runtime
from mediagen.settings import Settings
from mediagen.worker.embedded import working

log = structlog.get_logger(__name__)

_GRACE_S = 10
_BACKLOG = 2048
_LOOK_TICKS = 50  # of 0.1 s, between looks for requests that are late


Ready = Callable[[str, Runtime], None]
"""Told the address, and what answers there, once it does."""


async def serve(settings: Settings, *, worker: bool, ready: Ready) -> None:
    """Serve until a signal comes; tells `ready` once it answers. Raises `SettingsError`."""
    refuse_open_door(settings)
    with _listen(settings) as listener:
        bound = settings.model_copy(update={"port": listener.getsockname()[1]})
        runtime = await Runtime.start(bound)
        try:
            if worker:
                async with working(runtime):
                    await _answer(runtime, listener, ready)
            else:
                await _answer(runtime, listener, ready)
        finally:
            await runtime.close()


async def _answer(runtime: Runtime, listener: socket.socket, ready: Ready) -> None:
    config = uvicorn.Config(
        build_app(runtime),
        access_log=False,  # costs a third of the throughput; a proxy's log or /stats tells more
        log_config=None,
        server_header=False,
        http=BoundedProtocol,
        ws="none",  # there is no web socket here, and an upgrade to one would pass the guard by
        proxy_headers=False,  # PUBLIC_URL says how clients reach us; what a request claims is not believed
        timeout_graceful_shutdown=_GRACE_S,
        lifespan="off",
    )
    host, port = listener.getsockname()[:2]
    server = _Server(config, runtime, lambda: ready(f"http://{_shown(host)}:{port}", runtime))
    gc.collect()
    gc.freeze()  # what exists now stays; full collections over it only cost latency
    gc.set_threshold(50_000, 50, 100)
    await server.serve([listener])


class _Server(uvicorn.Server):
    """Says when it answers, and ends the event streams at the first signal: they would hold the shutdown up."""

    def __init__(self, config: uvicorn.Config, runtime: Runtime, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._runtime = runtime
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take signals while serving. Unlike uvicorn's own it does not raise them again at the end.

        That would end the process before the worker has finished its steps.
        """
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)

    async def on_tick(self, counter: int) -> bool:
        if counter % _LOOK_TICKS == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, BoundedProtocol):
                    connection.end_if_late()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        log.info("server.stopping")
        self._closing = asyncio.get_event_loop().create_task(self._runtime.feed.close())
        super().handle_exit(sig, frame)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)  # now, so that of two servers the second learns that it is late
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"HOST={settings.host!r} PORT={settings.port} can't be listened on ({error.strerror}); "
            "set PORT to a free one, or stop what uses it"
        ) from error
    return listener


def refuse_open_door(settings: Settings) -> None:
    """Raise `SettingsError` when anybody on the network could spend the owner's money; warn where that is allowed."""
    if _is_loopback(settings.host):
        return
    if settings.allow_unauthenticated:
        log.warning(
            "server.open_to_the_network",
            say=f"HOST={settings.host!r} can be reached from other machines, and ALLOW_UNAUTHENTICATED is set: "
            "anybody there can spend your money.",
        )
        return
    raise SettingsError(
        f"HOST={settings.host!r} can be reached from other machines, and there is no access control: anybody "
        "could spend your money. Listen on 127.0.0.1 behind a proxy that asks for a password, or set "
        "ALLOW_UNAUTHENTICATED=true if the network is trusted"
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
