"""What `mediagen doctor` looks at: every part of an installation, and how to mend what is wrong.

No file is created that is not removed again: a doctor may look before the first start. (A bucket is, as at the start.)
"""

import asyncio
import os
import platform
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

import mediagen
from mediagen.artifacts.thumbnails import Thumbnailer
from mediagen.clock import Clock, SystemClock
from mediagen.commands import terminal
from mediagen.commands.configuration import database_of, misspelled
from mediagen.commands.connection import Json, Remote, running_server
from mediagen.commands.doctor_providers import check_providers
from mediagen.commands.findings import Finding, Verdict, fail, ok, warn
from mediagen.db.inspection import Inspection, inspect_database, inspect_sqlite
from mediagen.db.migrate import HEAD
from mediagen.errors import MediagenError, SettingsError
from mediagen.runtime import build_broker, build_database, build_storage, is_postgres
from mediagen.server import refuse_open_door
from mediagen.settings import Settings, load_settings
from mediagen.storages.local import LocalStorage
from mediagen.telemetry import redact

OLDEST_PYTHON = (3, 11)

_TIMEOUT_S = 30.0
_WRITTEN_MS = 1_763_000_000_000  # November 2025: no clock that is right shows an earlier time
_AHEAD_MS = 60_000
_GIB = 1024**3


Check = Callable[[Settings, Clock], Awaitable[Sequence[Finding]]]


def run(*, as_json: bool) -> bool:
    """Look at every part and say what was found; return whether nothing fails."""
    findings = asyncio.run(examine(SystemClock()))
    well = not any(finding.status is Verdict.FAIL for finding in findings)
    shown = [finding.shown for finding in findings]
    if as_json:
        terminal.print_json({"ok": well, "checks": shown})
    else:
        terminal.stdout().print(terminal.findings_table(shown))
    return well


async def examine(clock: Clock) -> list[Finding]:
    """Look at every part; whatever is broken is a finding, never an exception."""
    findings = [check_python(sys.version_info[:3])]
    try:
        settings = load_settings()
    except SettingsError as error:
        mend = "correct them in the environment or in .env; the other checks need them"
        return [*findings, fail("Settings", str(error), mend)]
    source = "the environment and .env" if await asyncio.to_thread(Path(".env").exists) else "the environment"
    findings.append(ok("Settings", f"readable, from {source}"))
    findings += [warn("Settings", sentence, "correct the name") for sentence in misspelled()]
    found = await asyncio.gather(*(_guarded(name, check, settings, clock) for name, check in CHECKS.items()))
    return findings + [finding for several in found for finding in several]


async def _guarded(name: str, check: Check, settings: Settings, clock: Clock) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await check(settings, clock)
    except MediagenError as error:
        return [fail(name, str(error))]
    except TimeoutError:
        return [fail(name, f"no answer within {_TIMEOUT_S:.0f} s")]
    except Exception as error:  # noqa: BLE001  what is broken in unforeseen ways is to be told, too
        return [fail(name, f"{type(error).__name__}: {error}", "install mediagen again, or report this line")]


def check_python(version: Sequence[int]) -> Finding:
    """Tell whether this version of Python is new enough."""
    shown = ".".join(str(part) for part in version)
    if tuple(version[:2]) < OLDEST_PYTHON:
        return fail("Python", shown, "install Python 3.11 or newer, and mediagen in it")
    return ok(
        "Python", f"{shown} on {platform.system()} {platform.machine()}, mediagen {mediagen.__version__}"
    )


# ---------------------------------------------------------------------------------------------- disk


async def check_data_folder(settings: Settings, _: Clock) -> Sequence[Finding]:
    """Look whether DATA_DIR can be written and has room, and whether its keys are the owner's alone."""
    return await asyncio.to_thread(_data_folder, settings)


def _data_folder(settings: Settings) -> list[Finding]:
    folder, name = settings.data_dir, "Data folder"
    if not folder.exists():
        parent = next(path for path in folder.absolute().parents if path.exists())
        try:
            tempfile.TemporaryFile(dir=parent).close()
        except OSError as error:
            detail = f"{str(folder)!r} can't be made in {str(parent)!r}: {error.strerror}"
            return [fail(name, detail, "set DATA_DIR to another folder")]
        return [ok(name, f"{folder} (made at the first start)")]
    try:
        with tempfile.TemporaryFile(dir=folder):
            free = _free_bytes(folder)
    except OSError as error:
        mend = "make it yours with chown, or set DATA_DIR to another folder"
        return [fail(name, f"{str(folder)!r} can't be written: {error.strerror}", mend)]
    said = f"{folder}, {free / _GIB:.1f} GiB free"
    if free < settings.min_free_bytes:
        mend = f"free some space, or lower MIN_FREE_BYTES={settings.min_free_bytes}; new jobs are refused"
        return [fail(name, said, mend)]
    return [ok(name, said), *_open_keys(folder)]


def _free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _open_keys(folder: Path) -> list[Finding]:
    paths = (folder / "hook.key", folder / "webhook.key")
    open_ones = [str(path) for path in paths if path.exists() and path.stat().st_mode & 0o077]
    if not open_ones:
        return []
    mend = f"chmod 600 {' '.join(open_ones)}"
    return [warn("Keys", "others on this machine can read the keys that sign webhooks", mend)]


async def check_database(settings: Settings, clock: Clock) -> Sequence[Finding]:
    """Look at the database: its schema, whether it is sound, and whether its times are past."""
    where = database_of(settings)
    if is_postgres(settings):
        found = await _inspect_server(settings, clock)
    elif await asyncio.to_thread(Path(where).exists):
        found = await asyncio.to_thread(inspect_sqlite, Path(where))
    else:
        return [ok("Database", f"{where} (made at the first start)"), *_clock(None, clock)]
    return [_database(where, found), *_clock(found.newest_ms, clock)]


async def _inspect_server(settings: Settings, clock: Clock) -> Inspection:
    database = build_database(settings, clock)
    try:
        await database.start()
        return await database.read(inspect_database)
    finally:
        await database.close()


def _database(where: str, found: Inspection) -> Finding:
    name = "Database"
    if found.damage:
        mend = "stop mediagen, then bring a backup back, or rescue what is left with `sqlite3 FILE .recover`"
        return fail(name, f"{where} is damaged: {found.damage}", mend)
    if found.revision is None:
        return warn(name, f"{where} has no schema yet", "mediagen migrate (`serve` does it, too)")
    if found.revision > HEAD:
        return fail(
            name, f"{where} has schema {found.revision!r}; this version knows {HEAD!r}", "upgrade mediagen"
        )
    if found.revision != HEAD:
        return warn(name, f"{where} has schema {found.revision!r}, not {HEAD!r}", "mediagen migrate")
    return ok(name, f"{where}, schema {HEAD}, sound, {found.jobs} jobs")


def _clock(newest_ms: int | None, clock: Clock) -> list[Finding]:
    now = clock.now_ms()
    shown = f"{datetime.fromtimestamp(now / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if now < _WRITTEN_MS:
        return [fail("Clock", f"it says {shown}", "set it, for example with timedatectl set-ntp true")]
    if newest_ms is not None and newest_ms > now + _AHEAD_MS:
        ahead_s = (newest_ms - now) / 1000
        mend = "set the clock; until it has caught up jobs may wait for times that have passed"
        return [warn("Clock", f"{shown}, but a job was changed {ahead_s:.0f} s after that", mend)]
    return [ok("Clock", shown)]


async def check_storage(settings: Settings, _: Clock) -> Sequence[Finding]:
    """Write, read and delete a small file where artifacts lie."""
    storage, where = build_storage(settings), ""
    if isinstance(storage, LocalStorage):
        if not await asyncio.to_thread(storage.root.exists):
            return [ok("Storage", f"{storage.name}: {storage.root} (made at the first start)")]
        where = f"{storage.root}, "
    try:
        await storage.start()
        return [ok("Storage", f"{storage.name}: {where}{await storage.check()}")]
    finally:
        await storage.close()


async def check_broker(settings: Settings, _: Clock) -> Sequence[Finding]:
    """Look whether workers can be woken."""
    broker = build_broker(settings)
    try:
        return [ok("Broker", f"{broker.name}: {redact(await broker.check())}")]
    finally:
        await broker.close()


# ---------------------------------------------------------------------------------------------- server


async def check_server(settings: Settings, _: Clock) -> Sequence[Finding]:
    """Ask the running server for its health, or look whether one could start."""
    refuse_open_door(settings)
    async with aiohttp.ClientSession() as session:
        remote = await running_server(session, settings)
        if remote is not None:
            return _health(remote, await remote.health())
    problem = await asyncio.to_thread(_bind, settings)
    if problem:
        mend = "set PORT to a free one (above 1023), or stop the program that uses it"
        return [fail("Server", f"HOST={settings.host!r} PORT={settings.port} can't be used: {problem}", mend)]
    where = settings.own_url if settings.port else "a free port"
    return [ok("Server", f"none runs; `mediagen serve` starts it, with its worker, at {where}")]


def _health(remote: Remote, health: Json) -> list[Finding]:
    parts: dict[str, Json] = health["components"]
    sick = [
        fail(name.capitalize(), part["detail"], _MEND.get(name, ""))
        for name, part in parts.items()
        if part["status"] != "ok"
    ]
    sound = ", ".join(name for name, part in parts.items() if part["status"] == "ok")
    version = health["version"]
    said = f"runs at {remote.where}; sound: {sound or 'no part'}"
    if version != mediagen.__version__:
        mend = "stop it and start it again"
        return [
            warn("Server", f"{said}; it is version {version}, this is {mediagen.__version__}", mend),
            *sick,
        ]
    return [ok("Server", said), *sick]


_MEND = {
    "worker": "run `mediagen worker`, or start the server without --no-worker",
    "database": "see its log",
    "storage": "see its log",
}


def _bind(settings: Settings) -> str:
    """Return why nothing can listen there; empty when something can."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            return error.strerror or str(error)
    return ""


# ---------------------------------------------------------------------------------------------- pictures


async def check_pictures(_: Settings, clock: Clock) -> Sequence[Finding]:
    """Make a thumbnail of a picture drawn here, in a child process as the worker does."""
    begun = clock.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "drawn.png"), Path(folder, "thumbnail.webp")
        await asyncio.to_thread(_draw, source)
        thumbnailer = Thumbnailer()
        try:
            made = await thumbnailer.make(source, target)
        finally:
            await thumbnailer.close()
    elapsed_s = clock.monotonic() - begun
    return [
        ok("Pictures", f"a child process made a thumbnail of {made.width}×{made.height} in {elapsed_s:.1f} s")
    ]


def _draw(path: Path) -> None:
    from PIL import Image, ImageDraw  # here, so that its absence is a finding

    picture = Image.new("RGB", (1280, 960), "midnightblue")
    ImageDraw.Draw(picture).ellipse((900, 120, 1100, 320), fill="ivory")
    picture.save(path)


CHECKS: dict[str, Check] = {
    "Data folder": check_data_folder,
    "Database": check_database,
    "Storage": check_storage,
    "Broker": check_broker,
    "Providers": check_providers,
    "Server": check_server,
    "Pictures": check_pictures,
}
