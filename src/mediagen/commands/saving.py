"""Following a job to its end and writing its files: named before anything is bought, and never over another file."""

import asyncio
import hashlib
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mediagen.clock import Clock, SystemClock
from mediagen.commands import terminal
from mediagen.commands.connection import ENDED, Installation, Json
from mediagen.errors import Conflict, InvalidRequest, MediagenError, Unavailable

Start = Callable[[Installation], Awaitable[Json]]

_SLUG = 40  # characters of the prompt in a file's name
_ID = 6
_SAME = {"jpeg": "jpg", "jpe": "jpg", "jfif": "jpg", "tiff": "tif", "htm": "html", "mpeg": "mpg", "qt": "mov"}
_MEDIA = "png jpg webp gif avif tif bmp svg mp4 webm mov mpg mkv mp3 wav ogg flac m4a aac glb gltf"
_TYPED = frozenset(f"{_MEDIA} html xml pdf json txt zip".split())
"""Extensions that promise a type; `fox.final` promises none."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a job's files go: `path`, or a name made from the prompt in `folder`, or stdout."""

    folder: Path = Path()
    path: Path | None = None
    stdout: bool = False
    force: bool = False  # replace what has the name already

    @classmethod
    def of(cls, output: str | None, *, force: bool) -> Self:
        """Read what the user gave as -o. Raises `InvalidRequest` where nothing could be written later."""
        if output == "-":
            if sys.stdout.isatty():
                raise InvalidRequest(
                    "-o - writes the file's bytes, and this is a terminal; add > file or | program"
                )
            return cls(stdout=True)
        given = Path(os.environ.get("MEDIAGEN_CALLED_FROM", ""), output or ".")  # `./run` changes the folder
        path = None if given.is_dir() or (output or "").endswith("/") else given
        folder = given.parent if path else given
        if not folder.is_dir():
            raise InvalidRequest(f"There is no folder {str(folder)!r}; make it, or give another -o")
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise InvalidRequest(
                f"The folder {str(folder)!r} can't be written ({error.strerror}); give another -o"
            ) from error
        if path:
            _refuse_existing(path, force)
        return cls(folder=folder, path=path, force=force)

    def named(self, job: Mapping[str, Any], artifact: Mapping[str, Any]) -> Path:
        """Return the path of one file: `fox.png`, then `fox-2.png` ..."""
        number = f"-{artifact['index'] + 1}" if artifact["index"] else ""
        if self.path:
            return self.path.with_name(f"{self.path.stem}{number}{self.path.suffix}")
        name = f"{slug(job['prompt'])}-{job['id'][-_ID:]}{number}.{_extension(artifact)}"
        return self.folder / name


def slug(prompt: str) -> str:
    """Return the prompt's first words as a part of a file's name."""
    words = re.sub(r"[\W_]+", "-", prompt.lower()).strip("-")
    if len(words) > _SLUG:
        words = words[: _SLUG + 1].rpartition("-")[0] or words[:_SLUG]
    return words or "mediagen"


def contradicts(path: Path, artifact: Mapping[str, Any]) -> bool:
    """Tell whether the name promises another type than the file has."""
    promised, real = path.suffix.lower()[1:], _extension(artifact)
    promised, real = _SAME.get(promised, promised), _SAME.get(real, real)
    return promised in _TYPED and promised != real


class Follower:
    """Follows one job to its end and saves its files. One per command."""

    def __init__(self, target: Target) -> None:
        self.saved: list[Path] = []
        self._target = target
        self._job: Json | None = None
        self._goes_on = False

    async def run(self, installation: Installation, start: Start) -> Json:
        """Get the job from `start`, show how it goes on, save its files if it has any, and return it."""
        try:
            return await self._run(installation, start)
        except Unavailable as error:
            if self._job is None:
                raise
            name = terminal.short(self._job)
            raise Unavailable(f"{error}. Job {name} is not lost; later: mediagen jobs save {name}") from error

    async def _run(self, installation: Installation, start: Start) -> Json:
        self._goes_on = installation.goes_on
        if not installation.goes_on:
            terminal.say(f"No server runs; working in this process, in {installation.where}")
        with terminal.watching() as watcher:
            job = self._job = await start(installation)
            watcher.show(job)
            async with aclosing(installation.follow(job["id"])) as changes:
                async for job in changes:
                    if job["status"] not in ENDED:
                        watcher.show(job)
        self.saved = await save(installation, job, self._target, SystemClock())
        self._say_end(job)
        return job

    @property
    def farewell(self) -> str:
        """What to say when the user does not want to wait any longer."""
        if self._job is None:
            return "Interrupted. If a job was accepted, `mediagen jobs` lists it."
        name = terminal.short(self._job)
        if self._goes_on:
            return f"Interrupted; job {name} goes on. See: mediagen jobs show {name}"
        return (
            f"Interrupted; job {name} is kept and goes on with the next `mediagen serve` "
            f"or `mediagen jobs save {name}`. See: mediagen jobs show {name}"
        )

    def _say_end(self, job: Json) -> None:
        if job["status"] == "failed":
            error = job["error"]
            terminal.complain(f"the job failed: {error['message']} ({error['code']})")
            terminal.say(terminal.hint(job))
            terminal.say(f"All about it: mediagen jobs show {terminal.short(job)}")
        elif job["status"] == "canceled":
            terminal.complain(f"the job was canceled. All about it: mediagen jobs show {terminal.short(job)}")
        for path, artifact in zip(self.saved, job["artifacts"], strict=False):
            if contradicts(path, artifact):
                terminal.say(f"{path} is {artifact['media_type']}, whatever its name says", "yellow")
        if job["status"] == "completed":
            files = "; ".join(terminal.described(artifact) for artifact in job["artifacts"])
            terminal.say(f"Done in {terminal.span(terminal.took_s(job) or 0)}: {files}")
            self._say_left_out(job)

    def _say_left_out(self, job: Json) -> None:
        more = len(job["artifacts"]) - 1
        if self._target.stdout and more > 0:
            name = terminal.short(job)
            text = f"stdout took the first of {more + 1} files; for all of them: mediagen jobs save {name}"
            terminal.say(text, "yellow")


async def save(installation: Installation, job: Json, target: Target, clock: Clock) -> list[Path]:
    """Write all files of a finished job and return their paths (none for stdout).

    A name that was taken meanwhile by another file gets the job's id added; the other file stays as it is.
    """
    paths = []
    for artifact in job["artifacts"]:
        chunks = _verified(installation, artifact)
        if target.stdout:
            await _pour(chunks, sys.stdout.buffer.write)
            await asyncio.to_thread(sys.stdout.buffer.flush)
            break  # several files in one stream could not be told apart
        paths.append(await _write(chunks, target.named(job, artifact), job, force=target.force, clock=clock))
    return paths


async def _write(chunks: AsyncIterator[bytes], path: Path, job: Json, *, force: bool, clock: Clock) -> Path:
    draft = path.with_name(f".mediagen-{clock.new_secret()}.part")
    try:
        with await asyncio.to_thread(draft.open, "xb") as file:
            await _pour(chunks, file.write)
        return await asyncio.to_thread(_publish, draft, path, job["id"][-_ID:], force)
    finally:
        await asyncio.to_thread(draft.unlink, missing_ok=True)


async def _pour(chunks: AsyncIterator[bytes], write: Callable[[bytes], object]) -> None:
    async for chunk in chunks:
        await asyncio.to_thread(write, chunk)


async def _verified(installation: Installation, artifact: Json) -> AsyncIterator[bytes]:
    """Yield an artifact's bytes; raise `MediagenError` at the end when they are not those that were kept."""
    digest = hashlib.sha256()
    async with aclosing(installation.fetch(artifact)) as chunks:
        async for chunk in chunks:
            digest.update(chunk)
            yield chunk
    if digest.hexdigest() != artifact["sha256"]:
        raise MediagenError(f"The bytes of {artifact['key']} came damaged (another SHA-256); try it again")


def _publish(draft: Path, path: Path, job_id: str, force: bool) -> Path:
    """Give the draft its name, or one with the job's id in it if another file has the name."""
    if force:
        _refuse_existing(path, force)
        return draft.replace(path)
    for name in (path, path.with_name(f"{path.stem}-{job_id}{path.suffix}")):
        try:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # takes the name, for us alone
        except FileExistsError:
            continue
        return draft.replace(name)
    raise Conflict(f"{str(path)!r} exists already; --force replaces it")


def _refuse_existing(path: Path, force: bool) -> None:
    if path.exists() and not path.is_file():
        raise InvalidRequest(f"{str(path)!r} is no regular file; give another -o")
    if path.exists() and not force:
        raise InvalidRequest(f"{str(path)!r} exists already; give another -o, or --force to replace it")


def _extension(artifact: Mapping[str, Any]) -> str:
    return str(artifact["key"]).rpartition(".")[2]
