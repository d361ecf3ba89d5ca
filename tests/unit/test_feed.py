"""The feed: every reader gets every event once, in order, from where it left off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from mediagen.db.engine import Connection, SQLiteDatabase, T, Transaction
from mediagen.db.migrate import migrate_sqlite
from mediagen.errors import Unavailable
from mediagen.jobs import events
from mediagen.jobs.feed import Feed
from mediagen.jobs.model import EventType, JobEvent
from tests.fakes.clock import ManualClock

LAG = 1000  # events that a reader's queue holds


class FlakyDatabase(SQLiteDatabase):
    """A database whose reads fail while it is told so."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, ManualClock())
        self.failing = False
        self.failed = asyncio.Event()

    async def read(self, fn: Transaction[T]) -> T:
        if self.failing:
            self.failed.set()
            raise Unavailable("no reads now")
        return await super().read(fn)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    migrate_sqlite(tmp_path / "jobs.db")
    return tmp_path / "jobs.db"


@pytest.fixture
async def db(path: Path) -> AsyncIterator[FlakyDatabase]:
    db = FlakyDatabase(path)
    await db.start()
    yield db
    await db.close()


@pytest.fixture
async def feed(db: FlakyDatabase) -> AsyncIterator[Feed]:
    feed = Feed(db)
    yield feed
    await feed.close()


async def happen(db: SQLiteDatabase, count: int = 1, job_id: str = "job-1") -> None:
    """Let events happen to a job, in one transaction."""
    facts = [(job_id, EventType.PROGRESS, {"n": n}) for n in range(count)]

    def write(connection: Connection) -> None:
        events.append_many(connection, facts)

    await db.transact(write)


async def take(reading: AsyncIterator[JobEvent], count: int) -> list[int]:
    """Return the ids of the next events."""
    async with asyncio.timeout(20):
        return [(await anext(reading)).id for _ in range(count)]


async def test_a_reader_gets_what_happened_after_an_id_and_then_what_happens(
    db: FlakyDatabase, feed: Feed
) -> None:
    await happen(db, 5)
    async with aclosing(feed.follow(after=2)) as reading:  # type: ignore[type-var]  # it is a generator
        assert await take(reading, 3) == [3, 4, 5]
        await happen(db, 2)
        assert await take(reading, 2) == [6, 7]


async def test_a_reader_without_an_id_gets_only_what_happens_from_now_on(
    db: FlakyDatabase, feed: Feed
) -> None:
    await happen(db, 5)
    async with aclosing(feed.follow()) as reading:  # type: ignore[type-var]
        upcoming = asyncio.create_task(take(reading, 2))
        while not upcoming.done():
            await happen(db)
    first, second = await upcoming
    assert first > 5
    assert second == first + 1


async def test_an_event_tells_what_happened_to_which_job_and_when(db: FlakyDatabase, feed: Feed) -> None:
    await happen(db, job_id="job-7")
    async with aclosing(feed.follow(after=0)) as reading:  # type: ignore[type-var]
        event = await anext(reading)
    assert event == JobEvent(id=1, job_id="job-7", type="progress", at=ManualClock().now_ms(), data={"n": 0})


async def test_a_reader_of_one_job_gets_only_its_events(db: FlakyDatabase, feed: Feed) -> None:
    for n in range(6):
        await happen(db, job_id=f"job-{n % 2}")
    async with aclosing(feed.follow(job_id="job-1", after=2)) as reading:  # type: ignore[type-var]
        assert await take(reading, 2) == [4, 6]
        await happen(db, 3, job_id="job-0")
        await happen(db, 1, job_id="job-1")
        assert await take(reading, 1) == [10]


async def test_nothing_is_lost_or_repeated_between_the_past_and_the_present(
    db: FlakyDatabase, feed: Feed
) -> None:
    async def write() -> None:
        for _ in range(60):
            await happen(db, 25)

    writing = asyncio.create_task(write())
    readers = []
    for _ in range(5):
        reading = feed.follow(after=0)
        readers.append(asyncio.create_task(take(reading, 1500)))
        await happen(db)
    assert [await reader for reader in readers] == [list(range(1, 1501))] * 5
    await writing


async def test_readers_do_not_take_events_from_each_other(db: FlakyDatabase, feed: Feed) -> None:
    await happen(db, 10)
    readers = [asyncio.create_task(take(feed.follow(after=after), 13 - after)) for after in (0, 4, 9)]
    await happen(db, 3)
    assert [await reader for reader in readers] == [list(range(after + 1, 14)) for after in (0, 4, 9)]


async def test_a_slow_reader_reads_what_it_missed_from_the_database_without_a_gap(
    db: FlakyDatabase, feed: Feed
) -> None:
    async with (
        aclosing(feed.follow(after=0)) as slow,  # type: ignore[type-var]
        aclosing(feed.follow(after=0)) as quick,  # type: ignore[type-var]
    ):
        await happen(db)
        assert await take(slow, 1) == await take(quick, 1) == [1]
        for _ in range(25):
            await happen(db, LAG // 10)
            await take(quick, LAG // 10)  # so that all of it was handed out to both
        assert await take(slow, 25 * LAG // 10) == list(range(2, 2 + 25 * LAG // 10))
        await happen(db)
        assert await take(slow, 1) == await take(quick, 1) == [2 + 25 * LAG // 10]


async def test_events_that_another_process_wrote_are_seen(db: FlakyDatabase, feed: Feed, path: Path) -> None:
    other = SQLiteDatabase(path, ManualClock())
    await other.start()
    async with aclosing(feed.follow(after=0)) as reading:  # type: ignore[type-var]
        await happen(db)
        assert await take(reading, 1) == [1]
        await happen(other, 2)
        assert await take(reading, 2) == [2, 3]
    await other.close()


async def test_a_database_that_could_not_be_read_for_a_moment_leaves_no_gap(
    db: FlakyDatabase, feed: Feed
) -> None:
    async with aclosing(feed.follow(after=0)) as reading:  # type: ignore[type-var]
        await happen(db)
        assert await take(reading, 1) == [1]
        db.failing = True
        await happen(db)
        await db.failed.wait()
        db.failing = False
        assert await take(reading, 1) == [2]


async def test_a_reader_that_comes_after_the_last_one_left_is_served(db: FlakyDatabase, feed: Feed) -> None:
    for expected in (1, 2):
        async with aclosing(feed.follow(after=expected - 1)) as reading:  # type: ignore[type-var]
            await happen(db)
            assert await take(reading, 1) == [expected]


async def test_closing_ends_all_readers(db: FlakyDatabase, feed: Feed) -> None:
    async def read_all(reading: AsyncIterator[JobEvent]) -> list[int]:
        return [event.id async for event in reading]

    await happen(db, 3)
    first = feed.follow(after=0)
    assert await take(first, 1) == [1]
    waiting = asyncio.create_task(read_all(feed.follow(after=3)))
    await asyncio.sleep(0)
    await feed.close()
    async with asyncio.timeout(10):
        assert set(await read_all(first)) <= {2, 3}
        assert await waiting == []
        assert await read_all(feed.follow(after=0)) == []


async def test_closing_at_the_moment_of_an_event_ends_readers_that_nobody_reads(
    db: FlakyDatabase, feed: Feed
) -> None:
    idle = feed.follow(after=0)
    await happen(db)
    assert await take(idle, 1) == [1]
    async with aclosing(feed.follow(after=1)) as reading:  # type: ignore[type-var]
        upcoming = asyncio.create_task(take(reading, 1))
        await happen(db)
        assert await upcoming == [2]
    for _ in range(3):
        await db.read(events.last_id)  # behind the feed's own last look: it waits for a ring now
    await happen(db)
    async with asyncio.timeout(2) as limit:
        await feed.close()
    assert not limit.expired()
    await idle.aclose()  # type: ignore[attr-defined]


async def test_closing_twice_and_without_a_reader_is_harmless(feed: Feed) -> None:
    await feed.close()
    await feed.close()
