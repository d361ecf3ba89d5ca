"""What every path is measured with: servers, peers and the load generator, all of which end with the lab."""

import asyncio
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import make_url

from bench.fakes import instant
from bench.load import Plan
from bench.peers import USUAL_QUEUE
from bench.processes import LOOPBACK, Process, python
from bench.report import Goal, Measure, Row
from mediagen.brokers.celery import QUEUE
from tests.fakes.ports import free_port

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured. Tests take little of everything."""

    rounds: int = 3
    seconds: float = 3.0  # of load in one turn
    scale: float = 1.0  # of counts of jobs, clients and bytes

    def count(self, full: int, *, least: int = 1) -> int:
        return max(least, int(full * self.scale))


@dataclass(frozen=True, kw_only=True)
class Load:
    """One turn under load."""

    rate: float  # answers a second
    p50_ms: float
    p99_ms: float
    cpu_us: float  # of the server, for one answer
    mb_s: float
    bodies: Sequence[str]


class Unmeasurable(Exception):
    """This machine lacks something; the message says what."""


class Lab:
    """A folder and processes for one `async with` block."""

    def __init__(self, size: Size, *, database_url: str = "", redis_url: str = "") -> None:
        """`database_url` empty means SQLite; else databases of our own are made on that PostgreSQL."""
        self.size = size
        self.notes: list[str] = []
        self._redis_url = redis_url
        self._server_url = database_url

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mediagen-bench-")))
            self._generator = await stack.enter_async_context(
                Process(python("bench.load"), self.folder, talks=True)
            )
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def is_postgres(self) -> bool:
        return bool(self._server_url)

    @property
    def database(self) -> str:
        """What jobs lie in, for people."""
        return "PostgreSQL" if self._server_url else "SQLite FULL"

    # ------------------------------------------------------------------------------------------ processes

    async def run(self, process: Process) -> Process:
        """Start a process that ends with the lab."""
        return await self._stack.enter_async_context(process)

    async def ours(self, *args: str, **env: str) -> Process:
        """Start `mediagen serve` on a database and in a folder of its own."""
        return await self.run(await self.server(*args, **env))

    async def server(self, *args: str, **env: str) -> Process:
        """Return a `mediagen serve` that is not started yet; webhooks reach it."""
        folder, port = self.new_folder(), free_port()
        given = {
            "DATA_DIR": str(folder / "data"),
            "DATABASE_URL": await self.new_database(),
            "MIN_FREE_BYTES": "0",
            "PORT": str(port),
            **env,
        }
        return Process(python("mediagen", "serve", *args), folder, env=given, port=port)

    async def provider(self) -> Process:
        """Start the fake provider."""
        port = free_port()
        command = python("bench.fakes.provider", "--port", str(port))
        return await self.run(Process(command, self.new_folder(), port=port))

    async def connected(self, provider: Process, *args: str, webhooks: bool = True, **env: str) -> Process:
        """Start `mediagen serve` with the fake provider as its only one, fast enough not to be the bound."""
        server = await self.server(
            *args,
            REPLICATE_API_TOKEN="r8_bench",
            REPLICATE_API_BASE_URL=f"http://{LOOPBACK}:{provider.port}",
            REPLICATE_DEFAULT_MODEL="bench/model",
            PROVIDER_CREATES_PER_S="10000",
            MAX_RETRIES="0",
            **env,
        )
        if webhooks:
            server.env["PUBLIC_URL"] = f"http://{LOOPBACK}:{server.port}"
        return await self.run(server)

    def worker(self, server: Process) -> Process:
        """Return a `mediagen worker` beside the server that is not started yet."""
        return Process(python("mediagen", "worker"), self.new_folder(), env=server.env)

    async def broker(self) -> str:
        """Return the Redis that rings between servers and workers. Raises `Unmeasurable` where there is none."""
        url = await self.redis(QUEUE)
        if not url:
            raise Unmeasurable("there is no Redis between the server and its worker")
        return url

    def instant(self) -> dict[str, str]:
        """Install the provider of `bench.fakes.instant`; return the environment in which it is found."""
        folder = self.new_folder()
        installed = folder / "bench_instant-1.dist-info"
        installed.mkdir()
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-instant\nVersion: 1\n")
        (installed / "entry_points.txt").write_text(
            "[mediagen.providers]\ninstant = bench.fakes.instant:InstantProvider\n"
        )
        return {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path]), "DEFAULT_MODEL": instant.MODEL}

    async def peer(self, name: str, **env: str) -> Process:
        """Start a server of `bench/peers`."""
        return await self.run(self._peer(name, env))

    def _peer(self, name: str, env: Mapping[str, str]) -> Process:
        port = free_port()
        command = python(f"bench.peers.{name}", "--port", str(port))
        return Process(command, self.new_folder(), env=env, port=port)

    def bare(self) -> Process:
        """Return FastAPI with one route that is not started yet."""
        return self._peer("bare", {})

    async def usual(self) -> Process:
        """Start the usual design."""
        return await self.run(await self.usual_design())

    async def usual_design(self) -> Process:
        """Return the usual design on the same kind of database. Without a Redis it is spared publishing."""
        url = make_url(await self.new_database() or f"sqlite:///{self.new_folder() / 'usual.db'}")
        driver = "postgresql+psycopg" if self._server_url else "sqlite+aiosqlite"
        shown = url.set(drivername=driver).render_as_string(hide_password=False)
        broker = await self.redis(USUAL_QUEUE)
        if not broker:
            self.notes.append(
                "there is no Redis, so the usual design did not publish to Celery and looks faster than it is"
            )
        return self._peer("usual", {"DATABASE_URL": shown, "REDIS_URL": broker})

    async def redis(self, queue: str) -> str:
        """Return a Redis for Celery's messages, empty where there is none; the queue is removed with the lab."""
        client = Redis.from_url(self._redis_url)
        try:
            await client.ping()
        except RedisError:
            await client.aclose()
            return ""
        names = (queue, f"_kombu.binding.{queue}", f"_kombu.binding_permanent.{queue}")
        self._stack.push_async_callback(client.aclose)
        self._stack.push_async_callback(client.delete, *names)
        return self._redis_url

    def new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder))

    async def new_database(self) -> str:
        """Make a database that is dropped with the lab; return its URL, empty for SQLite."""
        if not self._server_url:
            return ""
        server = make_url(self._server_url).set(drivername="postgresql")
        name = f"mediagen_bench_{secrets.token_hex(4)}"
        await _command(server.render_as_string(hide_password=False), f"CREATE DATABASE {name}")
        self._stack.push_async_callback(
            _command,
            server.render_as_string(hide_password=False),
            f"DROP DATABASE IF EXISTS {name} WITH (FORCE)",
        )
        return server.set(database=name).render_as_string(hide_password=False)

    # ------------------------------------------------------------------------------------------ load

    async def load(
        self,
        server: Process,
        requests: Sequence[bytes],
        *,
        status: int,
        connections: int = 64,
        seconds: float | None = None,
        count: int | None = None,
        keep_bodies: bool = False,
        rate: float | None = None,
    ) -> Load:
        """Load a server and return what was seen. Raises `Failed` when an answer has another status."""
        plan = Plan(
            port=server.port,
            requests=requests,
            connections=connections,
            seconds=self.size.seconds if seconds is None else seconds,
            count=count,
            keep_bodies=keep_bodies,
            rate=rate,
        )
        used_s = server.cpu_s
        seen = await self._generate(plan)
        used_s = server.cpu_s - used_s
        if set(seen["statuses"]) != {str(status)} or seen["broken"]:
            raise server.failed(f"answered {seen['statuses']}, {seen['broken']} broken off")
        return Load(
            rate=seen["answers"] / seen["seconds"],
            p50_ms=seen["p50_ms"],
            p99_ms=seen["p99_ms"],
            cpu_us=used_s / seen["answers"] * 1e6,
            mb_s=seen["body_bytes"] / seen["seconds"] / 1e6,
            bodies=seen["bodies"],
        )

    async def warm_up(self, server: Process, requests: Sequence[bytes], *, status: int) -> None:
        """Load a server until everything that it loads lazily is there."""
        await self.load(server, requests, status=status, seconds=min(1.0, self.size.seconds))

    async def _generate(self, plan: Plan) -> dict[str, Any]:
        requests = [request.decode("latin-1") for request in plan.requests]
        answer: dict[str, Any] = json.loads(
            await self._generator.ask(json.dumps({**asdict(plan), "requests": requests}))
        )
        return answer

    # ------------------------------------------------------------------------------------------ turns

    async def in_turn(self, turns: Mapping[str, Callable[[], Awaitable[T]]]) -> dict[str, list[T]]:
        """Give each contender one turn a round, in an order that turns around with each round."""
        seen: dict[str, list[T]] = {name: [] for name in turns}
        for index in range(self.size.rounds):
            for name in list(turns) if index % 2 == 0 else reversed(list(turns)):
                seen[name].append(await turns[name]())
        return seen


async def _command(url: str, statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(statement)


def get(path: str, **headers: str) -> bytes:
    """Return a GET request."""
    return _request("GET", path, b"", headers)


def post(path: str, body: object, **headers: str) -> bytes:
    """Return a POST request of JSON."""
    return _request("POST", path, json.dumps(body).encode(), {"content-type": "application/json", **headers})


def _request(method: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"host: {LOOPBACK}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"content-length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def submits(count: int = 64, **parameters: object) -> list[bytes]:
    """Return requests to generate, such as an app would send."""
    return [
        post(
            "/api/v1/generate",
            {
                "prompt": f"A red fox in the snow, number {number}, soft morning light, 35 mm",
                "parameters": {"width": 1024, "height": 768, "seed": number, **parameters},
                "metadata": {"user": f"user-{number}"},
            },
        )
        for number in range(count)
    ]


def versus(
    path: str,
    what: str,
    unit: str,
    seen: Mapping[str, Sequence[T]],
    other: str | None,
    value: Callable[[T], float],
    goal: Goal | None = None,
) -> Row:
    """Return one number of ours beside that of another contender of the same rounds."""
    return Row(
        path=path,
        what=what,
        unit=unit,
        us=_measure("us", seen["us"], value),
        other=_measure(other, seen[other], value) if other else None,
        goal=goal,
    )


def single(path: str, what: str, unit: str, values: Sequence[float], goal: Goal | None = None) -> Row:
    """Return a number that stands for itself."""
    return Row(path=path, what=what, unit=unit, us=Measure(name="us", values=values), goal=goal)


def percentile(values: Sequence[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def at_least(limit: float) -> Goal:
    return Goal(sign=">=", limit=limit)


def at_most(limit: float) -> Goal:
    return Goal(sign="<=", limit=limit)


def _measure(name: str, turns: Sequence[T], value: Callable[[T], float]) -> Measure:
    return Measure(name=name, values=[value(turn) for turn in turns])


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server said to one request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(port: int, request: bytes, *, timeout_s: float = 30.0) -> Answer:
    """Send one request over a connection of its own and return the answer."""
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lines = [line.partition(":") for line in head.split("\r\n")[1:-2]]
            headers = {name.lower(): value.strip() for name, _, value in lines}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        finally:
            writer.close()
    return Answer(status=int(head[9:12]), headers=headers, body=body)
