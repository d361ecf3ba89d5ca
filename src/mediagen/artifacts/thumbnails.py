"""Small pictures of images, made by a process of its own (`thumbnail_child.py`), as the bytes may be hostile.

Making one costs ten to twenty times the download of the image: do it when the job has ended.
"""

import asyncio
import base64
import errno
import json
import math
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediagen.artifacts import media
from mediagen.errors import InvalidMedia, StorageFull, Unavailable

LONGEST_SIDE = 640
"""Pixels."""

CHILD = (sys.executable, "-I", "-m", "mediagen.artifacts.thumbnail_child")

_MAX_FILE_BYTES = 4 * 1024**2
_MAX_PLACEHOLDER_BYTES = 200
_START_S = 60.0
"""A machine under load may take long to import Pillow."""


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A WebP without metadata, upright, of the first frame, never larger than the image itself."""

    width: int  # pixels, `LONGEST_SIDE` at most
    height: int
    size_bytes: int
    placeholder: str  # data URI of a WebP of 16 pixels, 300 characters at most, to be shown blurred meanwhile


class Thumbnailer:
    """Makes thumbnails, with `children` processes at a time, started when first needed.

    A process is killed when an image takes longer than `job_timeout_s`, and replaced after `images_per_child`
    images, so that memory that decoders lose comes back. It dies with the process that started it.
    """

    def __init__(
        self,
        *,
        children: int = 1,
        job_timeout_s: float = 10.0,
        images_per_child: int = 200,
        command: Sequence[str] = CHILD,
    ) -> None:
        self._slots = asyncio.Semaphore(children)
        self._job_timeout_s = job_timeout_s
        self._images_per_child = images_per_child
        self._command = (*command, str(math.ceil(job_timeout_s)))
        self._idle: list[_Child] = []
        self._children: set[_Child] = set()
        self._closed = False

    async def make(self, source: Path, target: Path) -> Thumbnail:
        """Write a thumbnail of the image `source` to `target`, replacing what is there.

        Raises `InvalidMedia` when the image is none, is damaged or costs too much, and then writes nothing;
        `Unavailable` or `StorageFull` when the process can't run or the disk is full.
        """
        async with self._slots:
            drawing = await self._draw(source)
        try:
            await asyncio.to_thread(target.write_bytes, drawing.file)
        except OSError as error:
            kind = StorageFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else Unavailable
            raise kind(f"can't write a thumbnail: {error.strerror}") from error
        return Thumbnail(
            width=drawing.width,
            height=drawing.height,
            size_bytes=len(drawing.file),
            placeholder="data:image/webp;base64," + base64.b64encode(drawing.placeholder).decode(),
        )

    async def close(self) -> None:
        """End all processes; a `make` under way raises `Unavailable`. Idempotent."""
        self._closed = True
        for child in list(self._children):
            await self._end(child)

    async def _draw(self, source: Path) -> "_Drawing":
        while True:
            child = await self._take()
            used = child.images > 0
            try:
                return await self._ask(child, source)
            except (_ChildDied, TimeoutError) as error:
                if self._closed:
                    raise Unavailable("the server is stopping") from error
                # A process may die of what it drew before; with a new one it is the image.
                if not used or isinstance(error, TimeoutError):
                    raise InvalidMedia(f"drawing {source.name!r} took too much time or memory") from error

    async def _ask(self, child: "_Child", source: Path) -> "_Drawing":
        try:
            async with asyncio.timeout(self._job_timeout_s):
                return await child.draw(source)
        finally:
            if child.in_step and child.images < self._images_per_child:
                self._idle.append(child)
            else:
                await self._end(child)

    async def _take(self) -> "_Child":
        if self._closed:
            raise Unavailable("the server is stopping")
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
            await self._end(child)
        return await self._start()

    async def _start(self) -> "_Child":
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, env=_environment(), start_new_session=True
            )
        except OSError as error:
            raise Unavailable(f"can't start a process for thumbnails: {error.strerror}") from error
        child = _Child(process)
        self._children.add(child)
        try:
            async with asyncio.timeout(_START_S):
                await child.ready()
        except (_ChildDied, TimeoutError) as error:
            raise Unavailable(
                "the process for thumbnails does not start; its error output says why"
            ) from error
        finally:
            if self._closed or not child.in_step:
                await self._end(child)
        return child

    async def _end(self, child: "_Child") -> None:
        await child.end()
        self._children.discard(child)  # not before: when this is canceled, `close` tries again


class _ChildDied(Exception):
    """No answer, or none to trust, came from the child."""


@dataclass(frozen=True, kw_only=True)
class _Drawing:
    width: int
    height: int
    file: bytes
    placeholder: bytes


class _Child:
    """One process. `in_step` tells that no answer is outstanding, so that it can be asked again."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._requests, self._answers = process, process.stdin, process.stdout
        self.images = 0
        self.in_step = False

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def ready(self) -> None:
        if "ready" not in await self._header():
            raise _ChildDied("it did not say that it is ready")
        self.in_step = True

    async def draw(self, source: Path) -> _Drawing:
        self.in_step = False
        self.images += 1
        request = {"source": str(source), "longest_side": LONGEST_SIDE}
        self._requests.write(json.dumps(request).encode() + b"\n")
        header = await self._header()
        if "error" in header:
            self.in_step = True
            raise InvalidMedia(f"{source.name!r} can't be drawn: {header['error']}")
        drawing = _Drawing(
            width=_number(header, "width", LONGEST_SIDE),
            height=_number(header, "height", LONGEST_SIDE),
            file=await self._file(_number(header, "thumbnail", _MAX_FILE_BYTES)),
            placeholder=await self._file(_number(header, "placeholder", _MAX_PLACEHOLDER_BYTES)),
        )
        self.in_step = True
        return drawing

    async def end(self) -> None:
        """Kill it and wait for its end. It holds nothing that could be lost. Idempotent."""
        self.in_step = False
        with suppress(ProcessLookupError):
            self._process.kill()
        self._requests.close()
        await self._process.wait()
        with suppress(RuntimeError):  # somebody else is reading to the end
            await self._answers.read()  # only then asyncio closes the pipe

    async def _header(self) -> dict[str, Any]:
        try:
            header = json.loads(await self._answers.readline())
        except (ValueError, RecursionError) as error:
            raise _ChildDied("its answer is no line of JSON") from error
        if not isinstance(header, dict):
            raise _ChildDied("its answer is no object")
        return header

    async def _file(self, length: int) -> bytes:
        """Read one file and make sure that it is what we will serve it as, whatever became of the child."""
        try:
            file = await self._answers.readexactly(length)
        except asyncio.IncompleteReadError as error:
            raise _ChildDied("it ended within its answer") from error
        if media.sniff(file[: media.SNIFF_BYTES], Path()) != media.WEBP:
            raise _ChildDied("its answer is no WebP")
        return file


def _number(header: dict[str, Any], name: str, largest: int) -> int:
    value = header.get(name)
    if not isinstance(value, int) or not 0 < value <= largest:
        raise _ChildDied(f"its answer has {name}={value!r}")
    return value


def _environment() -> dict[str, str]:
    """Return what Python may need to start, and no token or password of ours."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
