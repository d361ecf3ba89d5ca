"""The PostgreSQL database: what it hears, who it takes for dead, and what happens when the server goes away."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import psycopg
import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.util import await_only

from mediagen.clock import SystemClock
from mediagen.db import dialect
from mediagen.db.engine import Connection, now_ms
from mediagen.db.migrate import migrate_postgres
from mediagen.db.postgres import PostgresDatabase, normalized, shown
from mediagen.db.tables import trash
from mediagen.errors import LeaseLost, SettingsError, Unavailable
from tests.fakes.servers import database, demand
from tests.fakes.started import OwnPostgres, postgres_bin


@pytest.fixture
def url() -> Iterator[str]:
    with database() as url:
        yield url


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresDatabase]:
    db = PostgresDatabase(url, SystemClock())
    await db.start()
    try:
        yield db
    finally:
        await db.close()


@pytest.fixture
async def db(url: str) -> AsyncIterator[PostgresDatabase]:
    async with opened(url) as db:
        yield db


def add(key: str) -> Callable[[Connection], str]:
    """Return a function that writes a row and returns its key."""

    def write(connection: Connection) -> str:
        connection.execute(insert(trash).values(key=key, created_at=now_ms(connection)))
        return key

    return write


def keys(connection: Connection) -> list[str]:
    return list(connection.execute(select(trash.c.key).order_by(trash.c.key)).scalars())


def end_sessions(url: str, query_like: str) -> None:
    """End the sessions whose last statement looks so, as a broken network would; they are gone on return."""
    with psycopg.connect(url, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query LIKE %s AND pid <> pg_backend_pid()",
            (query_like,),
        ).fetchall()
    assert ended


# ---------------------------------------------------------------------------------------------- transactions


async def test_what_was_written_is_read_by_everybody_when_transact_returns(
    db: PostgresDatabase, url: str
) -> None:
    assert await db.transact(add("a")) == "a"
    async with opened(url) as other:
        assert await other.read(keys) == ["a"]


async def test_an_error_undoes_its_own_transaction_and_is_raised_as_it_is(db: PostgresDatabase) -> None:
    def fail(connection: Connection) -> None:
        add("a")(connection)
        raise LeaseLost("late")

    with pytest.raises(LeaseLost, match="late"):
        await db.transact(fail)
    await db.transact(add("b"))
    with pytest.raises(IntegrityError):
        await db.transact(add("b"))
    assert await db.read(keys) == ["b"]


async def test_a_read_can_t_write(db: PostgresDatabase) -> None:
    with pytest.raises(Unavailable):
        await db.read(add("a"))
    assert await db.read(keys) == []


@pytest.mark.parametrize("has_last", [True, False])
async def test_an_error_that_was_passed_over_is_told_at_the_end(db: PostgresDatabase, has_last: bool) -> None:
    def write(connection: Connection) -> None:
        add("a")(connection)
        dialect.last(connection, lambda *_: None, ["a fact"] * has_last)
        with suppress(ProgrammingError):
            connection.execute(text("SELECT nothing"))

    with pytest.raises(RuntimeError, match="passed over"):
        await db.transact(write)
    assert await db.read(keys) == []


async def test_a_transaction_that_is_given_up_leaves_nothing_and_others_go_on(
    db: PostgresDatabase,
) -> None:
    def slow(connection: Connection) -> None:
        add("a")(connection)
        connection.execute(text("SELECT pg_sleep(30)"))

    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await db.transact(slow)
    assert await db.transact(add("a")) == "a"


async def test_transactions_that_lock_each_other_out_are_run_again(db: PostgresDatabase, url: str) -> None:
    for key in "ab":
        await db.transact(add(key))
    tries = 0
    both_hold_one = asyncio.Barrier(2)

    def swap(first: str, then: str) -> Callable[[Connection], None]:
        def run(connection: Connection) -> None:
            nonlocal tries
            tries += 1
            connection.execute(trash.update().where(trash.c.key == first).values(created_at=1))
            if tries <= 2:
                await_only(both_hold_one.wait())
            connection.execute(trash.update().where(trash.c.key == then).values(created_at=2))

        return run

    await asyncio.gather(db.transact(swap("a", "b")), db.transact(swap("b", "a")))
    assert tries > 2  # the one that was refused may meet the other again before that one ends


async def test_a_transaction_that_is_refused_again_and_again_is_unavailable(db: PostgresDatabase) -> None:
    tries = 0

    def collide(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        connection.execute(text("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$"))

    with pytest.raises(Unavailable, match="too busy"):
        await db.transact(collide)
    assert tries == 3


# ---------------------------------------------------------------------------------------------- time


async def test_time_is_the_server_s_and_does_not_stand_still_in_a_transaction(url: str) -> None:
    db = PostgresDatabase(url, SystemClock())
    await db.start()
    try:

        def look(connection: Connection) -> tuple[int, int]:
            before = now_ms(connection)
            connection.execute(text("SELECT pg_sleep(0.05)"))
            return before, now_ms(connection)

        before, after = await db.read(look)
    finally:
        await db.close()
    assert abs(before - time.time() * 1000) < 60_000
    assert 40 <= after - before < 5_000


async def test_time_is_never_ahead_so_that_what_is_due_now_is_due_for_everybody(db: PostgresDatabase) -> None:
    exact = text("SELECT extract(epoch FROM clock_timestamp()) * 1000")

    def lead_ms(connection: Connection) -> float:
        return now_ms(connection) - float(connection.execute(exact).scalar_one())

    assert max([await db.read(lead_ms) for _ in range(100)]) <= 0


# ---------------------------------------------------------------------------------------------- hearing of commits


def note(connection: Connection) -> None:
    dialect.last(connection, lambda _connection, _rows: None, ["a fact"])


async def test_a_commit_with_events_is_heard_in_another_process_within_moments(
    db: PostgresDatabase, url: str
) -> None:
    async with opened(url) as other:
        heard = asyncio.Event()
        await other.transact(note)
        other.on_change(heard.set)
        begun = time.monotonic()
        await db.transact(note)
        async with asyncio.timeout(5):
            await heard.wait()
        assert time.monotonic() - begun < 1


async def test_a_commit_without_events_is_not_told(db: PostgresDatabase, url: str) -> None:
    async with opened(url) as other:
        heard: list[str] = []
        done = asyncio.Event()
        other.on_change(lambda: heard.append("x"))
        await db.transact(add("a"))
        other.on_change(done.set)
        await db.transact(note)
        async with asyncio.timeout(5):
            await done.wait()
        assert len(heard) <= 2  # the beginning, and the one commit with events


async def test_after_a_break_it_listens_again_and_says_that_something_may_have_been_missed(
    db: PostgresDatabase, url: str
) -> None:
    first, again = asyncio.Event(), asyncio.Event()
    db.on_change(first.set)
    await db.transact(note)
    async with asyncio.timeout(5):
        await first.wait()
    db.on_change(again.set)
    end_sessions(url, "LISTEN%")
    async with asyncio.timeout(5):
        await again.wait()


# ---------------------------------------------------------------------------------------------- signs of life


async def until_dead(db: PostgresDatabase, names: list[str]) -> None:
    """Wait for it: the server ends a session some moments after its client has left."""
    async with asyncio.timeout(10):
        while await db.dead(names) != names:
            pass


async def test_a_worker_lives_from_the_first_moment_of_its_presence_to_the_last(
    db: PostgresDatabase, url: str
) -> None:
    async with opened(url) as other:
        async with other.presence("w1"):
            assert await db.dead(["w1", "w2"]) == ["w2"]
        await until_dead(db, ["w1", "w2"])


async def test_signs_in_another_database_of_the_server_say_nothing(db: PostgresDatabase) -> None:
    with database() as elsewhere:
        async with opened(elsewhere) as other, other.presence("w1"):
            assert await db.dead(["w1"]) == ["w1"]


PRESENT = """
import asyncio, sys
from mediagen.clock import SystemClock
from mediagen.db.postgres import PostgresDatabase
async def main():
    db = PostgresDatabase(sys.argv[1], SystemClock())
    await db.start()
    async with db.presence("w1"):
        print("here", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_killed_worker_is_known_to_be_dead_without_waiting_for_its_lease(
    db: PostgresDatabase, url: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PRESENT, url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"here\n"
    assert await db.dead(["w1"]) == []
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await until_dead(db, ["w1"])


async def test_a_sign_that_broke_comes_back_and_nobody_is_taken_for_dead_meanwhile(
    db: PostgresDatabase, url: str
) -> None:
    async with opened(url) as other, other.presence("w1"), db.presence("w2"):
        end_sessions(url, "SELECT pg_advisory_lock%")  # of both, as when the server restarts
        judged: list[str] = []
        async with asyncio.timeout(10):
            while db._judges_from <= time.monotonic():
                judged += await db.dead(["w1"])
            while time.monotonic() < db._judges_from:
                judged += await db.dead(["w1"])
                await asyncio.sleep(0.05)
        assert judged == []
        assert await db.dead(["w1", "w3"]) == ["w3"]


# ---------------------------------------------------------------------------------------------- the server goes away


@pytest.fixture
def own() -> Iterator[OwnPostgres]:
    demand(postgres_bin(), "PostgreSQL")
    with OwnPostgres() as server:
        migrate_postgres(server.url)
        yield server


async def test_while_the_server_is_away_all_is_unavailable_and_then_goes_on(own: OwnPostgres) -> None:
    async with opened(own.url) as db:
        await db.transact(add("a"))
        await asyncio.to_thread(own.stop, signal.SIGQUIT)
        for _ in range(2):
            with pytest.raises(Unavailable):
                await db.transact(add("b"))
            with pytest.raises(Unavailable):
                await db.read(keys)
        await asyncio.to_thread(own.start)
        assert await db.transact(add("c")) == "c"
        assert await db.read(keys) == ["a", "c"]


async def test_sessions_that_ended_while_unused_are_replaced_unseen(db: PostgresDatabase, url: str) -> None:
    at_once = asyncio.Barrier(4)
    await asyncio.gather(*[db.read(lambda c: await_only(at_once.wait())) for _ in range(4)])
    end_sessions(url, "COMMIT%")
    await db.transact(add("a"))
    assert await asyncio.gather(*[db.read(keys) for _ in range(4)]) == [["a"]] * 4


async def test_transactions_that_a_restart_meets_are_unavailable_or_kept(own: OwnPostgres) -> None:
    async with opened(own.url) as db:
        kept: list[str] = []

        async def write(lane: int) -> None:
            for number in range(300):
                key = f"{lane}-{number:03}"
                try:
                    kept.append(await db.transact(add(key)))
                except Unavailable:
                    await asyncio.sleep(0.01)

        lanes = [asyncio.create_task(write(lane)) for lane in range(8)]
        for number in (signal.SIGINT, signal.SIGQUIT):
            await asyncio.to_thread(own.restart, number)
        await asyncio.gather(*lanes)
        assert set(kept) <= set(await db.read(keys))
        assert len(kept) > 100


async def test_a_server_that_is_not_there_at_the_start_is_named_without_its_password() -> None:
    db = PostgresDatabase("postgresql://u:secret@127.0.0.1:1/x", SystemClock())
    with pytest.raises(SettingsError, match=r"u:\*\*\*@127\.0\.0\.1:1/x does not answer"):
        await db.start()
    await db.close()


async def test_a_closed_database_is_unavailable_and_closing_again_is_no_error(url: str) -> None:
    async with opened(url) as db:
        await db.close()
        with pytest.raises(Unavailable, match="stopping"):
            await db.transact(add("a"))


# ---------------------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "given",
    [
        "postgres://u:p@h:1/d",
        "postgresql://u:p@h:1/d",
        "postgresql+asyncpg://u:p@h:1/d",
        "postgresql+psycopg2://u:p@h:1/d",
    ],
)
def test_every_form_of_address_leads_to_the_same_server(given: str) -> None:
    assert str(normalized(given)) == "postgresql+psycopg://u:***@h:1/d"
    assert "p@" not in shown(normalized(given))


@pytest.mark.parametrize("given", ["mysql://u@h/d", "postgresql", "postgres:/h/d", ""])
def test_an_address_of_something_else_is_refused(given: str) -> None:
    with pytest.raises(SettingsError, match="postgresql://user:password@host/name"):
        normalized(given)
