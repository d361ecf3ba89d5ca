"""A run of the tests that is killed leaves nothing behind: no process, no folder, no shared memory."""

import asyncio
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.crash.long_run import TELL
from tests.fakes.keeper import Running, running, with_children
from tests.release import gate
from tests.security.chromium import path_of_chromium

ROOT = Path(__file__).parents[2]
UP_S = 90.0
GONE_S = 40.0
SAID = "said"
HALVES = 2
ONE_PROCESS = ("::test_of_all",)
SEVERAL = ("::test_of_files_and_browsers", "::test_of_jobs")


@pytest.fixture
def temp() -> Iterator[Path]:
    """A folder for temporary ones, in which PostgreSQL can work as another user."""
    with tempfile.TemporaryDirectory(prefix="") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@asynccontextmanager
async def a_run(tests: Sequence[str], temp: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start the tests; yield their run once all that they start is up."""
    up: asyncio.Queue[bytes] = asyncio.Queue()

    async def told(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up.put_nowait(await reader.readline())
        writer.close()

    listening = await asyncio.start_server(told, "127.0.0.1", 0)
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env = {**outside, TELL: str(listening.sockets[0].getsockname()[1]), "TMPDIR": str(temp)}
    with (temp / SAID).open("wb") as said:
        run = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pytest", *(["-n", "2"] if len(tests) > 1 else ["-p", "no:xdist"])),
            *(f"tests/crash/long_run.py{test}" for test in tests),
            cwd=ROOT,
            env=env,
            stdout=said,
            stderr=said,
            start_new_session=True,  # a terminal's foreground, which Ctrl-C reaches
        )
    try:
        await until_up(up, run, temp)
        yield run
    finally:
        listening.close()
        if run.returncode is None:
            run.kill()
        await run.wait()


async def until_up(up: "asyncio.Queue[bytes]", run: asyncio.subprocess.Process, temp: Path) -> None:
    """Wait until both halves of the run are; fail with what the run said when it ends before."""
    ended = asyncio.create_task(run.wait())
    for _ in range(HALVES):
        told = asyncio.create_task(up.get())
        await asyncio.wait([ended, told], timeout=UP_S, return_when=asyncio.FIRST_COMPLETED)
        if not told.done():
            pytest.fail((temp / SAID).read_text())
    ended.cancel()


def started_by(run: asyncio.subprocess.Process) -> list[Running]:
    """Return all processes below it."""
    now = running()
    return [
        each
        for each in with_children([each for each in now if each.pid == run.pid], now)
        if each.pid != run.pid
    ]


def still_there(those: Sequence[Running]) -> list[Running]:
    """Return those that run on, known by id and name."""
    now = {(each.pid, each.name) for each in running()}
    return [each for each in those if (each.pid, each.name) in now]


def shared_memory(those: Sequence[Running]) -> set[Path]:
    """Return what they share in memory by a name, where the system tells."""
    found: set[str] = set()
    for each in those:
        maps = Path(f"/proc/{each.pid}/maps")
        if maps.exists():
            found |= set(re.findall(r"/dev/shm/\S+", maps.read_text()))
    return {path for path in map(Path, found) if path.exists()}


def until_gone(those: Sequence[Running], temp: Path) -> None:
    """Wait until none of them lives and their folder is empty. No parent is left to be told of their ends."""
    deadline = time.monotonic() + GONE_S
    while left := [*still_there(those), *(path for path in temp.iterdir() if path.name != SAID)]:
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(0.05)


ENDS = [
    (ONE_PROCESS, signal.SIGINT),
    (SEVERAL, signal.SIGKILL),
    (ONE_PROCESS, signal.SIGTERM),
    (ONE_PROCESS, signal.SIGKILL),
    (SEVERAL, signal.SIGINT),
    (SEVERAL, signal.SIGTERM),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("end", gate(ENDS, *ENDS[:2]), ids=lambda end: f"{len(end[0])} {end[1].name}")
async def test_a_run_that_is_killed_leaves_nothing_behind(
    end: tuple[Sequence[str], signal.Signals], temp: Path
) -> None:
    tests, number = end
    if tests is SEVERAL:
        path_of_chromium()
    async with a_run(tests, temp) as run:
        those = started_by(run)
        names = {each.name for each in those}
        assert {"postgres", "redis-server"} <= names, names
        memory = shared_memory(those)
        if number is signal.SIGINT:  # a terminal tells all of its foreground
            os.killpg(run.pid, number)
        else:
            run.send_signal(number)
        await run.wait()
        await asyncio.to_thread(until_gone, those, temp)
    assert [path for path in memory if path.exists()] == []
