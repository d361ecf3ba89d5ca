"""One output on its way into the artifacts, in a test's hand."""

import os
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mediagen.artifacts.model import Artifact
from mediagen.artifacts.service import ArtifactService
from mediagen.ranges import Resume
from mediagen.safefetch import Download

SECRET = "s3cret"
FILE = b"RIFF" + struct.pack("<I", 3_000_000) + b"WAVE" + os.urandom(2_999_996)


async def pieces(data: bytes, error: BaseException | None = None) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 65_536):
        yield data[start : start + 65_536]
    if error:
        raise error


def sent(data: bytes, error: BaseException | None = None, **more: Any) -> Download:
    """Return a download whose length was announced, unless told otherwise."""
    described = {"size_bytes": len(data), "media_type": None, "framed": True, **more}
    return Download(chunks=pieces(data, error), **described)


class Inbox:
    """One output of one job on its way in."""

    def __init__(self, artifacts: ArtifactService, job_id: str, folder: Path) -> None:
        self.artifacts = artifacts
        self.job_id = job_id
        self.folder = folder

    async def take(self, download: Download) -> Artifact:
        return await self.artifacts.ingest(self.job_id, SECRET, 0, download)

    async def fail(self, download: Download, error: type[Exception]) -> None:
        with pytest.raises(error):
            await self.take(download)

    async def begun(self) -> Resume | None:
        return await self.artifacts.begun(SECRET, 0)

    async def go_on(self, whole: bytes, error: BaseException | None = None) -> Download:
        """Return what a server that keeps to the rules answers."""
        resume = await self.begun() or Resume()
        rest = whole[resume.offset :]
        validator = resume.validator or '"one"'
        return sent(rest, error, start=resume.offset, size_bytes=len(whole), validator=validator)

    def left(self) -> list[str]:
        return sorted(path.name.partition("-")[0] for path in self.folder.iterdir())
