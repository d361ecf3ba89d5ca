"""What a run starts and writes ends with it; what is left of one that nobody cleaned up after ends with the next."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes import keeper, ports
from tests.fakes.ports import free_port

WAIT = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
RUN = "from tests.fakes import kept; kept.keep(); import tempfile; print(tempfile.gettempdir(), flush=True); input()"
SHARE = """
from tests.fakes import kept
kept.keep()
import multiprocessing
lock = multiprocessing.get_context("spawn").Lock()
print(lock._semlock.name, flush=True)
input()
"""
HOLD = "from tests.fakes.ports import free_port; print(free_port(), flush=True); input()"


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """The folder of a run that has its lock, beside which others lie."""
    own = tmp_path / f"{keeper.PREFIX}own"
    own.mkdir()
    return own


def started(command: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    """Start what waits for the end of its input, with its temporary folder there."""
    env = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)


def test_what_a_dead_run_left_ends_when_the_next_one_begins(beside: Path) -> None:
    dead = beside.with_name(f"{keeper.PREFIX}dead")
    dead.mkdir()
    (dead / keeper.LOCK).touch()
    with started(WAIT, dead / "within") as left:
        keeper.end_dead_runs(beside)
        assert left.wait() < 0
    assert [path.name for path in beside.parent.iterdir()] == [beside.name]


def test_what_a_living_run_has_is_left_alone(beside: Path) -> None:
    with started([sys.executable, "-c", RUN], beside.parent) as living:
        assert living.stdout is not None
        theirs = Path(living.stdout.readline().decode().strip())
        with started(WAIT, theirs) as of_theirs:
            keeper.end_dead_runs(beside)
            assert of_theirs.poll() is None
            assert theirs.is_dir()
            living.communicate(b"\n")
            assert of_theirs.wait() < 0  # as the run has ended
    assert not theirs.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="a semaphore that is shared is a file on Linux alone")
def test_semaphores_of_a_killed_run_are_removed(beside: Path) -> None:
    with started([sys.executable, "-c", SHARE], beside.parent) as killed:
        assert killed.stdout is not None
        semaphore = Path(f"/dev/shm/sem.{killed.stdout.readline().decode().strip().removeprefix('/')}")
        assert semaphore.exists()
        killed.kill()
    while list(beside.parent.iterdir()) != [beside]:
        time.sleep(0.05)  # whoever removes it is nobody's child
    assert not semaphore.exists()


def test_only_what_is_within_the_folder_belongs_to_the_run(beside: Path) -> None:
    with started(WAIT, beside.with_name(beside.name + "er")) as other:
        assert keeper.of_run(beside, keeper.running()) == []
        other.communicate()


def test_processes_are_found_with_ps_too(beside: Path) -> None:
    every = "-AEww" if sys.platform == "darwin" else "axeww"
    with started(WAIT, beside) as ours:
        assert ours.stdout is not None
        ours.stdout.readline()
        found = keeper.of_run(beside, list(keeper.from_ps(every)))
        assert [each.pid for each in found] == [ours.pid]
        ours.communicate()


def test_a_port_is_not_given_to_two_processes() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = int(other.stdout.readline())
        mine = {free_port() for _ in range(20)}
        assert len(mine) == 20
        assert not ports._is_ours(theirs)
        other.communicate("\n")
    assert ports._is_ours(theirs)
