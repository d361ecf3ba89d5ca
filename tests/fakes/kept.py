"""What a run of tests, proofs or measurements starts and writes ends with it, even when it is killed.

`keep()` gives the run a temporary folder of its own and a keeper (`keeper.py`), which outlives it, ends what is left,
and removes the folder. Every process that a run starts sees that folder as TMPDIR: by inheritance, or by `mark()`
where a process is given an environment of its own.
"""

import atexit
import fcntl
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.fakes import keeper

_KEEPER_S = 60.0


def keep() -> None:
    """Begin a run. It ends with this process."""
    beside = Path(tempfile.gettempdir()).resolve()
    new = Path(tempfile.mkdtemp(prefix="", dir=beside))
    new.chmod(0o711)  # PostgreSQL works in it as another user
    lock = os.open(new / keeper.LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)  # held until we and the keeper have ended
    folder = new.rename(beside / f"{keeper.PREFIX}{new.name}")  # now seen by others, and locked
    watching = subprocess.Popen(
        [sys.executable, "-I", "-S", keeper.__file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[lock],
        env={"PATH": os.environ["PATH"]},  # without a mark of ours or of a run around us
        cwd="/",
        start_new_session=True,  # Ctrl-C does not reach it
    )
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    atexit.register(_end, watching)


def _end(watching: "subprocess.Popen[bytes]") -> None:
    assert watching.stdin is not None
    watching.stdin.close()
    with suppress(subprocess.TimeoutExpired):  # it goes on without us, on a very busy machine
        watching.wait(_KEEPER_S)


def mark() -> dict[str, str]:
    """Return what the environment of a process must hold that is given one of its own."""
    return {"TMPDIR": tempfile.gettempdir()}


def lasting() -> Path:
    """Return a folder for what is to outlive the run."""
    folder = Path(tempfile.gettempdir())
    return folder.parent if folder.name.startswith(keeper.PREFIX) else folder


def memory() -> Path | None:
    """Return a folder in memory, None where there is none to write in. It goes with the run."""
    if not os.access(keeper.MEMORY, os.W_OK):
        return None
    folder = keeper.MEMORY / Path(tempfile.gettempdir()).name
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
