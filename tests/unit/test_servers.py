"""The servers of the tests: started from packages where a machine has none, and nothing of anybody's is emptied."""

import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from redis import Redis

from mediagen.brokers.celery import QUEUE, celery_app
from tests.fakes import servers, started
from tests.fakes.started import CantStart, OwnPostgres, OwnRedis


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that has no server's programs of its own."""
    monkeypatch.setattr(started, "_INSTALLED", ())
    monkeypatch.setattr("shutil.which", lambda _: None)
    started.postgres_bin.cache_clear()
    started.redis_binary.cache_clear()
    yield
    started.postgres_bin.cache_clear()
    started.redis_binary.cache_clear()


def test_where_there_is_no_postgresql_one_is_started_from_a_package(bare_machine: None) -> None:
    servers.demand(started.postgres_bin(), "PostgreSQL")
    with OwnPostgres() as server, psycopg.connect(server.url) as connection:
        assert connection.info.server_version >= started.OLDEST_POSTGRES * 10_000


def test_where_there_is_no_redis_one_is_started_from_a_package(bare_machine: None) -> None:
    servers.demand(started.redis_binary(), "Redis")
    with OwnRedis() as server, Redis.from_url(server.url) as client:
        assert client.ping()


@pytest.fixture
def shared_redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnRedis]:
    """A server that others use, too."""
    servers.demand(started.redis_binary(), "Redis")
    with OwnRedis() as server:
        monkeypatch.setattr(servers, "_redis_url", lambda: server.url)
        servers._redis_database.cache_clear()
        yield server
    servers._redis_database.cache_clear()


def numbered(server: OwnRedis, number: int) -> Redis:
    return Redis.from_url(f"{server.url.rpartition('/')[0]}/{number}")


def test_a_redis_database_that_holds_what_is_not_ours_is_left_as_it_is(shared_redis: OwnRedis) -> None:
    with numbered(shared_redis, 10) as client:
        client.set("somebody's", "1")
        assert servers.redis_url().endswith("/11")
        assert client.get("somebody's") == b"1"
    servers._redis_database.cache_clear()
    for number in range(11, 16):
        with numbered(shared_redis, number) as client:
            client.flushdb()
            client.set("somebody's", "1")
    with pytest.raises(CantStart, match="not empty"):
        servers.redis_url()


def test_two_runs_take_two_redis_databases_and_that_of_a_killed_one_is_taken_over(
    shared_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        monkeypatch.setattr(servers, "_ME", f"{servers._THIS_HOST}_{other.pid}")
        assert servers.redis_url().endswith("/10")
        monkeypatch.undo()
        monkeypatch.setattr(servers, "_redis_url", lambda: shared_redis.url)
        servers._redis_database.cache_clear()
        assert servers.redis_url().endswith("/11")
        other.communicate(b"\n")
    servers._redis_database.cache_clear()
    assert servers.redis_url().endswith("/10")


def test_two_tests_never_have_the_same_queue_and_leave_none() -> None:
    if servers.rabbitmq_source() is None:
        return  # what the tests leave out is said when they start
    with servers.rabbitmq() as one, servers.rabbitmq() as other:
        names = {one["CELERY_QUEUE"], other["CELERY_QUEUE"]}
        assert len(names) == 2
        assert QUEUE not in names  # of whoever uses mediagen on this machine
        for settings in (one, other):
            celery_app(settings["CELERY_BROKER_URL"], settings["CELERY_QUEUE"]).send_task(
                "nothing", retry=False
            )
        with servers.rabbitmq_connection(one["CELERY_BROKER_URL"]) as connection:
            assert all(servers.rabbitmq_has(connection, queue=name) for name in names)
    with servers.rabbitmq_connection(one["CELERY_BROKER_URL"]) as connection:
        assert not any(servers.rabbitmq_has(connection, queue=name) for name in names)
        assert not any(servers.rabbitmq_has(connection, exchange=name) for name in names)


def test_a_queue_that_a_killed_run_left_is_removed_by_the_next_one() -> None:
    source = servers.rabbitmq_source()
    if source is None:
        return
    with servers.rabbitmq_connection(source.url) as connection:
        left = servers.RABBITMQ_QUEUES[-1]
        with connection.channel() as channel:
            channel.queue_declare(left, auto_delete=False)
        with servers.rabbitmq():
            assert not servers.rabbitmq_has(connection, queue=left)
