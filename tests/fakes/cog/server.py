"""A real Cog server for tests: an environment of its own from `locks/cog.txt`, a process, a free port."""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.fakes.ports import free_port

ROOT = Path(__file__).resolve().parents[3]
LOCK = ROOT / "locks" / "cog.txt"
ENVIRONMENT = ROOT / ".tools" / "cog"
MODEL = Path(__file__).with_name("predict.py")
SCHEMA = Path(__file__).with_name("openapi_schema.json")
_PREDICTIONS = Path("/tmp/coglet/predictions")  # where Cog leaves an empty folder for each prediction


class CogUnavailable(Exception):
    """The server's environment can't be made here; the message says what to install."""


def environment() -> Path:
    """Return the folder of programs of Cog's environment; make it first if the lock file is a new one.

    Safe to call from several processes at a time: the first makes it and the others wait.
    Raises `CogUnavailable`.
    """
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    stamp = ENVIRONMENT / "made-from"
    wanted = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()
    with _only_one(ENVIRONMENT.with_suffix(".lock")):
        if not (stamp.is_file() and stamp.read_text() == wanted):
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
            _make()
            stamp.write_text(wanted)
    return ENVIRONMENT / "bin"


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make() -> None:
    python = str(ENVIRONMENT / "bin" / "python")
    if uv := _uv():
        _run(uv, "venv", "--python", sys.executable, str(ENVIRONMENT))
        _run(uv, "pip", "install", "--python", python, "--require-hashes", "-r", str(LOCK))
    else:
        _run(sys.executable, "-m", "venv", str(ENVIRONMENT))
        _run(python, "-m", "pip", "install", "-q", "--require-hashes", "-r", str(LOCK))


def _uv() -> str | None:
    own = ROOT / ".tools" / "bin" / "uv"
    return os.environ.get("UV") or shutil.which("uv") or (str(own) if own.is_file() else None)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, check=False, text=True, capture_output=True, timeout=100)
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    else:
        if done.returncode == 0:
            return
        said = (done.stderr or done.stdout)[-2000:]
    raise CogUnavailable(
        f"{' '.join(command)!r} failed, so there is no Cog to test with. It needs Linux, or macOS on ARM, "
        f"a package index, and uv (or the venv module and pip).\n{said}"
    )


class CogServer:
    """A Cog server on this machine's loopback, for one `with` block. It runs one prediction at a time.

    `url` is where it listens. `stop()` ends it; `kill()` ends it at once, as a crash would.
    """

    def __init__(self) -> None:
        self.url = ""
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, timeout_s: float = 30) -> None:
        """Start it and wait until it is ready. Raises `CogUnavailable`, or `TimeoutError` with its log."""
        programs = environment()
        self._folder = tempfile.TemporaryDirectory(prefix="cog-")
        project = Path(self._folder.name)
        shutil.copy(MODEL, project)
        (project / ".cog").mkdir()
        shutil.copy(SCHEMA, project / ".cog")
        try:
            self._launch(programs, project)
            self.wait_until("READY", timeout_s)
        except BaseException:
            self.stop()
            raise

    def health(self) -> dict[str, Any]:
        """Return what it says of itself, such as `{"status": "READY"}`."""
        with urllib.request.urlopen(f"{self.url}/health-check", timeout=5) as answer:
            health: dict[str, Any] = json.load(answer)
        return health

    def wait_until(self, status: str, timeout_s: float = 30) -> None:
        """Wait until it says so of itself. Raises `TimeoutError` with its log, at once when it has ended."""
        self._wait(lambda: self._is(status), f"become {status}", timeout_s)

    def wait_until_drawing(self, prediction_id: str, timeout_s: float = 30) -> None:
        """Wait until the model itself runs; Cog 0.23 may lose a cancel that comes before that.

        Raises `TimeoutError` as `wait_until` does.
        """
        self._wait(lambda: self._is_drawing(prediction_id), f"draw for {prediction_id!r}", timeout_s)

    def stop(self) -> None:
        """End it, and remove what it and Cog have written. Idempotent."""
        self._end(signal.SIGTERM)
        if self._folder is not None:
            self._forget_predictions()
            self._folder.cleanup()
            self._folder = None

    def kill(self) -> None:
        """End it without a chance to answer anybody."""
        self._end(signal.SIGKILL)

    def _launch(self, programs: Path, project: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        settings = {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",  # Cog starts its worker as "python"
            "COG_PREDICT_TYPE_STUB": "predict.py:Runner",
            "PORT": str(port),
            "TMPDIR": str(project),  # which also says what run it is of
        }
        with (project / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [programs / "python", "-m", "cog.server.http", "--host", "127.0.0.1"],
                cwd=project,
                env=settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait(self, met: Callable[[], bool], what: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not met():
            if time.monotonic() > deadline or self._process is None or self._process.poll() is not None:
                raise TimeoutError(f"the Cog server at {self.url} did not {what}:\n{self._log()[-3000:]}")
            time.sleep(0.01)

    def _is(self, status: str) -> bool:
        try:
            return bool(self.health()["status"] == status)
        except (OSError, ValueError):  # not listening yet
            return False

    def _is_drawing(self, prediction_id: str) -> bool:
        return any('"drawing ' in line and prediction_id in line for line in self._log().splitlines())

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for step in (how, signal.SIGKILL):  # the last one also ends a worker that its server left behind
            try:
                os.killpg(process.pid, step)
                process.wait(timeout=5)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        process.wait()

    def _log(self) -> str:
        return (Path(self._folder.name) / "log").read_text(errors="replace") if self._folder else ""

    def _forget_predictions(self) -> None:
        for line in self._log().splitlines():
            if '"Starting prediction"' in line:
                folder = _PREDICTIONS / json.loads(line)["fields"]["prediction_id"]
                for empty in (folder / "inputs", folder / "outputs", folder):
                    with suppress(OSError):
                        empty.rmdir()
