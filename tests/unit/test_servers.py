"""The servers of the tests: started from packages where a machine has none, and nothing of anybody's is emptied."""

import threading
from collections.abc import Iterator

import psycopg
import pytest
from redis import Redis

from mediagen.brokers.celery import celery_app
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


def test_a_redis_database_that_holds_what_is_not_ours_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    servers.demand(started.redis_binary(), "Redis")
    with OwnRedis() as server:
        monkeypatch.setattr(servers, "_redis_url", lambda: server.url)
        url = servers.redis_url()
        with Redis.from_url(url) as client:
            client.flushdb()
            client.set("somebody's", "1")
            with pytest.raises(CantStart, match="not empty"):
                servers.redis_url()
            assert client.get("somebody's") == b"1"


def test_two_tests_never_have_the_rabbitmq_at_the_same_time_and_leave_nothing_there() -> None:
    if servers.rabbitmq_source() is None:
        return  # what the tests leave out is said when they start
    order = []

    def second() -> None:
        with servers.rabbitmq():
            order.append("second")

    with servers.rabbitmq() as url:
        other = threading.Thread(target=second)
        other.start()
        celery_app(url).send_task("nothing", retry=False)
        other.join(0.5)
        order.append("first")
    other.join()
    assert order == ["first", "second"]
    with servers.rabbitmq_connection(url) as connection:
        assert not servers.has_rings(connection)
