"""Ends all that a run of tests, proofs or measurements left, once the run itself is gone, however it ended.

`kept.py` starts this as a process of its own. Its input ends with the run, even when that is killed. What belongs to
a run was given a TMPDIR within the run's folder, or is a child of such a process; that is how it is known, also when
its parent is gone. Runs that nobody cleaned up after are, when the next one starts: a lock tells whether a run lives.
"""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "mgrun-"  # short: browsers put sockets in it, whose paths have few bytes
LOCK = "lock"
_ENDS_IN_ORDER = "postgres"  # killed at once, it would leave shared memory behind
_ENDS_BY_ITSELF = "multiprocessing.resource_tracker"  # after the others, whose semaphores it removes
_ORDER_S = 10.0
_GLANCE_S = 0.05
_QUIET_GLANCES = 4  # what was being started when the run ended shows itself meanwhile
MEMORY = Path("/dev/shm")


@dataclass(frozen=True, kw_only=True)
class Running:
    """A process. `said` is its command line and its environment."""

    pid: int
    parent: int
    name: str
    said: str = field(repr=False)


def running() -> list[Running]:
    """Return the processes of this machine that have not ended. Of other users' the environment is not known."""
    return list(_from_proc() if Path("/proc/self/environ").exists() else from_ps("-AEww"))


def _from_proc() -> Iterator[Running]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            before, _, after = (folder / "stat").read_text(errors="replace").rpartition(")")
            state, parent = after.split()[:2]
            if state in "ZX":
                continue
            said = ""
            with suppress(PermissionError):
                both = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
                said = both.decode(errors="replace")
            yield Running(pid=int(folder.name), parent=int(parent), name=before.partition("(")[2], said=said)


def from_ps(every: str) -> Iterator[Running]:
    """Ask `ps`, where there is no /proc: `every` are its options for all processes with their environment."""
    command = ["ps", every, "-o", "pid=,ppid=,stat=,command="]
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        pid, parent, state, said = [*line.split(None, 3), ""][:4]
        if not state.startswith("Z"):
            name = Path(said.partition(" ")[0]).name
            yield Running(pid=int(pid), parent=int(parent), name=name, said=said)


def of_run(folder: Path, processes: Sequence[Running]) -> list[Running]:
    """Return those of a run, given its folder."""
    mark = re.compile(rf"(?:^|[\0 ])TMPDIR={re.escape(str(folder))}(?:[/\0 ]|$)")
    marked = [each for each in processes if mark.search(each.said)]
    return with_children(marked, processes)


def with_children(some: Sequence[Running], processes: Sequence[Running]) -> list[Running]:
    """Return some processes and all that they started, as far as those between live."""
    found = {each.pid: each for each in some}
    fresh = set(found)
    while fresh:
        children = [each for each in processes if each.parent in fresh and each.pid not in found]
        found |= {each.pid: each for each in children}
        fresh = {each.pid for each in children}
    return list(found.values())


def end(folder: Path) -> None:
    """End what belongs to the run, and remove what it wrote."""
    orderly_until = time.monotonic() + _ORDER_S
    quiet = 0
    while quiet < _QUIET_GLANCES:
        found = [each for each in of_run(folder, running()) if each.pid != os.getpid()]
        for each in found:
            _end(each, in_order=time.monotonic() < orderly_until)
        quiet = 0 if found else quiet + 1
        time.sleep(_GLANCE_S)
    for written in (folder, MEMORY / folder.name):
        shutil.rmtree(written, ignore_errors=True)


def _end(one: Running, *, in_order: bool) -> None:
    if in_order and _ENDS_BY_ITSELF in one.said:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.kill(one.pid, signal.SIGQUIT if in_order and one.name == _ENDS_IN_ORDER else signal.SIGKILL)


def end_dead_runs(beside: Path) -> None:
    """End what is left of runs whose keeper was killed, too, or whose machine was."""
    for folder in beside.parent.glob(f"{PREFIX}*"):
        with suppress(OSError), (folder / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused: it lives
            end(folder)


def main() -> None:
    """Wait for the end of the run whose folder is named."""
    folder = Path(sys.argv[1])
    end_dead_runs(folder)
    sys.stdin.buffer.read()
    end(folder)


if __name__ == "__main__":
    main()
