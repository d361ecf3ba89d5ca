"""The SQLite database: group commit, readers that can't write, and what happens when it can't be used."""

import asyncio
import fcntl
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from mediagen.db.engine import Connection, SQLiteDatabase, now_ms
from mediagen.db.migrate import migrate_sqlite
from mediagen.db.tables import trash
from mediagen.errors import LeaseLost, SettingsError, StorageFull, Unavailable
from tests.fakes.clock import ManualClock

GROUP_MAX = 512


@pytest.fixture
def path(tmp_path: Path) -> Path:
    migrate_sqlite(tmp_path / "jobs.db")
    return tmp_path / "jobs.db"


@pytest.fixture
async def db(path: Path) -> AsyncIterator[SQLiteDatabase]:
    db = SQLiteDatabase(path, ManualClock(), busy_timeout_s=0.2)
    await db.start()
    yield db
    await db.close()


def add(key: str) -> Callable[[Connection], str]:
    """Return a function that writes a row and returns its key."""

    def write(connection: Connection) -> str:
        connection.execute(insert(trash).values(key=key, created_at=now_ms(connection)))
        return key

    return write


def keys(connection: Connection) -> list[str]:
    return list(connection.execute(select(trash.c.key).order_by(trash.c.key)).scalars())


@asynccontextmanager
async def commits(
    db: SQLiteDatabase, note: Callable[[], object] = lambda: None
) -> AsyncIterator[list[object]]:
    """Collect what `note` returns at every commit of the writer's, right before it is done."""
    seen: list[object] = []

    def listen(connection: Connection, listener: Callable[[str], object] | None) -> None:
        driver = connection.connection.dbapi_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.set_trace_callback(listener)

    def heard(statement: str) -> None:
        if statement == "COMMIT":
            seen.append(note())

    await db.transact(lambda connection: listen(connection, heard))
    seen.clear()  # that was the commit of listening
    yield seen
    await db.transact(lambda connection: listen(connection, None))


@asynccontextmanager
async def busy(db: SQLiteDatabase) -> AsyncIterator[None]:
    """Keep the writer busy for as long as the context lasts, so that what comes meanwhile waits together."""
    begun, done = threading.Event(), threading.Event()

    def hold(_connection: Connection) -> None:
        begun.set()
        assert done.wait(10)

    holding = asyncio.create_task(db.transact(hold))
    assert await asyncio.to_thread(begun.wait, 10)
    yield
    done.set()
    await holding


async def together(db: SQLiteDatabase, *functions: Callable[[Connection], object]) -> list[object]:
    """Run the functions in one group; return what each returned or raised."""
    async with busy(db):
        tasks = [asyncio.create_task(db.transact(fn)) for fn in functions]
        await asyncio.sleep(0)  # lets the tasks put their work into the queue
    return list(await asyncio.gather(*tasks, return_exceptions=True))


# ---------------------------------------------------------------------------------------------- group commit


async def test_functions_that_wait_together_share_one_commit(db: SQLiteDatabase) -> None:
    async with commits(db) as seen:
        results = await together(db, *(add(f"{n:03}") for n in range(200)))
    assert len(seen) == 2  # of the one that they waited for, and theirs
    assert results == await db.read(keys) == [f"{n:03}" for n in range(200)]


async def test_a_group_is_bounded(db: SQLiteDatabase) -> None:
    async with commits(db) as seen:
        await together(db, *(add(str(n)) for n in range(GROUP_MAX + 1)))
    assert len(seen) == 3


async def test_a_function_alone_is_committed_at_once(db: SQLiteDatabase) -> None:
    async with commits(db) as seen:
        for n in range(3):
            await db.transact(add(str(n)))
    assert len(seen) == 3


async def test_nobody_gets_an_answer_before_the_commit(db: SQLiteDatabase) -> None:
    tasks: list[asyncio.Task[str]] = []
    async with commits(db, lambda: [task.done() for task in tasks]) as answered:
        async with busy(db):
            tasks.append(asyncio.create_task(db.transact(add("x"))))
            await asyncio.sleep(0)
        await tasks[0]
    assert answered == [[False], [False]]


async def test_a_function_that_fails_leaves_the_others_of_its_group_and_nothing_of_itself(
    db: SQLiteDatabase,
) -> None:
    def fail(connection: Connection) -> None:
        add("half")(connection)
        raise LeaseLost("too late")

    first, failed, last = await together(db, add("first"), fail, add("last"))
    assert (first, last) == ("first", "last")
    assert isinstance(failed, LeaseLost)
    assert await db.read(keys) == ["first", "last"]


async def test_a_row_that_the_database_refuses_fails_its_own_function_alone(db: SQLiteDatabase) -> None:
    first, refused, last = await together(db, add("same"), add("same"), add("other"))
    assert (first, last) == ("same", "other")
    assert isinstance(refused, IntegrityError)


async def test_functions_of_a_group_see_what_those_before_them_wrote(db: SQLiteDatabase) -> None:
    _, seen = await together(db, add("first"), keys)
    assert seen == ["first"]


async def test_a_caller_that_gave_up_does_not_hurt_the_others(db: SQLiteDatabase) -> None:
    async with busy(db):
        impatient, patient = (asyncio.create_task(db.transact(add(key))) for key in ("a", "b"))
        await asyncio.sleep(0)
        impatient.cancel()
    assert await patient == "b"
    assert await db.read(keys) == ["a", "b"]


async def test_every_connection_is_durable_and_checks_foreign_keys(db: SQLiteDatabase) -> None:
    def pragmas(connection: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names]

    assert await db.transact(pragmas) == await db.read(pragmas) == ["wal", 2, 1, 200]


async def test_time_in_a_transaction_is_the_clock_s(path: Path) -> None:
    clock = ManualClock()
    db = SQLiteDatabase(path, clock)
    await db.start()
    clock.advance(7)
    assert await db.transact(now_ms) == await db.read(now_ms) == clock.now_ms()
    await db.close()


# ---------------------------------------------------------------------------------------------- reading


async def test_a_reader_can_not_write(db: SQLiteDatabase) -> None:
    with pytest.raises(Unavailable, match="readonly"):
        await db.read(add("x"))
    assert await db.read(keys) == []


async def test_readers_go_on_while_a_writer_is_at_work_and_see_what_is_committed(db: SQLiteDatabase) -> None:
    await db.transact(add("old"))
    written, done = threading.Event(), threading.Event()

    def write(connection: Connection) -> None:
        add("new")(connection)
        written.set()
        assert done.wait(10)

    writing = asyncio.create_task(db.transact(write))
    assert await asyncio.to_thread(written.wait, 10)
    assert await db.read(keys) == ["old"]
    done.set()
    await writing
    assert await db.read(keys) == ["new", "old"]


async def test_a_reader_that_fails_leaves_the_others_alone(db: SQLiteDatabase) -> None:
    def fail(_connection: Connection) -> None:
        raise LeaseLost("no")

    results = await asyncio.gather(*(db.read(fn) for fn in (keys, fail, keys)), return_exceptions=True)
    assert [type(result) for result in results] == [list, LeaseLost, list]


# ---------------------------------------------------------------------------------------------- commits are heard


async def test_listeners_hear_of_commits_and_of_nothing_else(db: SQLiteDatabase) -> None:
    heard: list[None] = []
    db.on_commit(lambda: heard.append(None))
    await db.read(keys)
    with pytest.raises(IntegrityError):
        await db.transact(lambda c: (add("x")(c), add("x")(c)))
    assert heard == []
    await db.transact(add("x"))
    assert len(heard) == 1


# ---------------------------------------------------------------------------------------------- out of order

LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
"""


@asynccontextmanager
async def locked_by_another_process(path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LOCK, str(path), stdin=pipe, stdout=pipe
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"locked\n"
    yield process
    await process.communicate(b"go\n")


async def test_a_write_that_another_process_holds_up_for_too_long_is_unavailable_for_now(
    db: SQLiteDatabase, path: Path
) -> None:
    async with locked_by_another_process(path):
        with pytest.raises(Unavailable, match="locked"):
            await db.transact(add("x"))
        assert await db.read(keys) == []
    assert await db.transact(add("x")) == "x"


async def test_a_write_waits_for_another_process_within_the_timeout(path: Path) -> None:
    db = SQLiteDatabase(path, ManualClock(), busy_timeout_s=30)
    await db.start()
    async with locked_by_another_process(path):
        writing = asyncio.create_task(db.transact(add("x")))
        await db.read(keys)
        assert not writing.done()
    assert await writing == "x"
    await db.close()


def leave_pages(pages: int) -> Callable[[Connection], int]:
    """Return a function that makes the disk full after so many more pages."""

    def limit(connection: Connection) -> int:
        used = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        return int(connection.exec_driver_sql(f"PRAGMA max_page_count={used + pages}").scalar_one())

    return limit


async def test_a_full_disk_is_storage_full_and_nothing_is_half_written(db: SQLiteDatabase) -> None:
    await db.transact(leave_pages(4))

    def fill(connection: Connection) -> None:
        for n in range(100):
            add(f"{n:04000}")(connection)

    with pytest.raises(StorageFull):
        await db.transact(fill)
    assert await db.read(keys) == []
    await db.transact(leave_pages(1000))
    await db.transact(fill)
    assert len(await db.read(keys)) == 100


async def test_a_disk_that_fills_in_the_middle_of_a_group_answers_nobody_with_success(
    db: SQLiteDatabase,
) -> None:
    await db.transact(leave_pages(4))
    results = await together(db, add("small"), *(add(f"{n:04000}") for n in range(20)), add("after"))
    kept = [result for result in results if isinstance(result, str)]
    assert all(isinstance(result, (str, StorageFull)) for result in results)
    assert len(kept) < len(results)
    assert await db.read(keys) == sorted(kept)


async def test_a_missing_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="mediagen migrate"):
        await SQLiteDatabase(tmp_path / "none.db", ManualClock()).start()


async def test_a_file_that_is_no_database_is_refused_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.write_bytes(b"no database " * 1000)
    db = SQLiteDatabase(path, ManualClock())
    with pytest.raises(Unavailable, match=r"jobs\.db"):
        await db.start()
    with pytest.raises(Unavailable):
        await db.transact(keys)
    await db.close()


# ---------------------------------------------------------------------------------------------- the end


async def test_close_finishes_what_was_begun_and_takes_nothing_more(db: SQLiteDatabase) -> None:
    async with busy(db):
        writing = [asyncio.create_task(db.transact(add(str(n)))) for n in range(10)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(db.close())
        await asyncio.sleep(0)
        for use in (db.transact, db.read):
            with pytest.raises(Unavailable, match="closed"):
                await use(keys)
        assert not closing.done()
    await closing
    assert await asyncio.gather(*writing) == [str(n) for n in range(10)]


async def test_what_was_kept_is_there_after_the_next_start(db: SQLiteDatabase, path: Path) -> None:
    await db.transact(add("x"))
    await db.close()
    again = SQLiteDatabase(path, ManualClock())
    await again.start()
    assert await again.read(keys) == ["x"]
    await again.close()


async def test_closing_again_and_before_the_start_is_harmless(db: SQLiteDatabase, path: Path) -> None:
    await db.close()
    await db.close()
    await SQLiteDatabase(path, ManualClock()).close()


# ---------------------------------------------------------------------------------------------- signs of life


async def test_a_worker_removes_the_signs_of_dead_ones_and_of_no_others(
    db: SQLiteDatabase, path: Path
) -> None:
    signs = path.with_name("jobs.db.workers")
    async with db.presence("living"):
        (signs / "killed").touch()
        (signs / "killed, too").touch()
        async with db.presence("new"):
            assert {sign.name for sign in signs.iterdir()} == {"living", "new"}
            assert await db.dead(["living", "killed", "new", "killed, too"]) == ["killed", "killed, too"]
    assert list(signs.iterdir()) == []


async def test_a_sign_that_was_swept_before_it_was_held_is_made_again(
    db: SQLiteDatabase, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock
    swept: list[str] = []

    def swept_once(file: IO[str], how: int) -> None:
        if not swept:
            swept.append(file.name)
            Path(file.name).unlink()
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", swept_once)
    async with db.presence("new"):
        assert swept == [str(path.with_name("jobs.db.workers") / "new")]
        assert await db.dead(["new"]) == []
