"""The storage of files, and the part of the artifact service that steps use, over it."""

from collections.abc import Callable

from mediagen.artifacts import repository
from mediagen.artifacts.model import Artifact, ThumbnailState
from mediagen.db.engine import Database
from mediagen.errors import InvalidMedia, StorageFull, Unavailable
from mediagen.safefetch import Download
from proof.simulation.book import END
from proof.simulation.faults import Fault, Faults
from proof.simulation.kernel import Kernel, Pause

_OUTAGES_MS = (500, 60_000, 900_000)


class Files:
    """The storage that all processes share; it outlives them all. It may be down for a while."""

    def __init__(self, kernel: Kernel, faults: Faults, choose: Callable[[tuple[int, ...]], int]) -> None:
        self.kept: dict[str, bytes] = {}
        self.waiting: dict[str, bytes] = {}  # fetched and not stored yet, on the workers' own disk
        self.doubted: dict[str, bytes] = {}  # what looked cut off when it was fetched last
        self._kernel = kernel
        self._faults = faults
        self._choose = choose
        self._down_until = 0
        self._full_until = 0

    def check_write(self) -> None:
        """Raise `Unavailable` while it is down or full."""
        if self._faults.strikes(Fault.DISK_FULL):
            self._full_until = self._kernel.now + self._choose(_OUTAGES_MS)
        if self._kernel.now < self._full_until:
            raise StorageFull("The disk is full")
        self.check()

    def check(self) -> None:
        """Raise `Unavailable` while it is down."""
        if self._faults.strikes(Fault.STORAGE_DOWN):
            self._down_until = self._kernel.now + self._choose(_OUTAGES_MS)
        if self._kernel.now < self._down_until:
            raise Unavailable("The storage can't be reached")


class SimKeeper:
    """Keeps files in the order in which the artifact service does: file first, then the row."""

    def __init__(self, files: Files, db: Database, delay: Callable[[], int]) -> None:
        self._files = files
        self._db = db
        self._delay = delay

    async def ingest(self, job_id: str, secret: str, idx: int, download: Download) -> Artifact:
        data = b"".join([chunk async for chunk in download.chunks])
        key = f"{secret}-{idx}.txt"
        if not data.endswith(END) and self._files.doubted.get(key) != data:
            self._files.doubted[key] = data
            raise InvalidMedia("The output looks cut off; it is fetched once more")
        return await self._keep(data, job_id, key, idx)

    async def resume(self, job_id: str, secret: str, idx: int) -> bool:
        key = f"{secret}-{idx}.txt"
        if key not in self._files.waiting:
            return False
        await self._keep(self._files.waiting[key], job_id, key, idx)
        self._files.waiting.pop(key, None)
        return True

    async def begun(self, secret: str, idx: int) -> None:
        """Return that nothing of it is here: here every try fetches all of it."""

    async def _keep(self, data: bytes, job_id: str, key: str, idx: int) -> Artifact:
        try:
            await self._put(key, data)
        except Unavailable:
            self._files.waiting[key] = data
            raise
        artifact = Artifact(
            key=key,
            job_id=job_id,
            idx=idx,
            sha256="",
            size_bytes=len(data),
            media_type="text/plain",
            kind="text",
            width=None,
            height=None,
            thumbnail=ThumbnailState.NONE,
            placeholder=None,
            created_at=0,
            doubt=None if data.endswith(END) else "It looks cut off",
        )
        return await self._db.transact(lambda connection: repository.record(connection, artifact))

    async def spool(self, call_id: str, outputs: list[bytes]) -> None:
        for idx, data in enumerate(outputs):
            await self._put(f"spool/{call_id}/{idx}", data)
        await self._put(f"spool/{call_id}/count", str(len(outputs)).encode())

    async def spooled(self, call_id: str) -> list[bytes] | None:
        await Pause(self._delay())
        self._files.check()
        try:
            count = int(self._files.kept[f"spool/{call_id}/count"])
            return [self._files.kept[f"spool/{call_id}/{idx}"] for idx in range(count)]
        except KeyError:
            return None

    async def unspool(self, call_id: str) -> None:
        await Pause(self._delay())
        self._files.check()
        for key in [key for key in self._files.kept if key.startswith(f"spool/{call_id}/")]:
            del self._files.kept[key]

    async def _put(self, key: str, data: bytes) -> None:
        await Pause(self._delay())
        self._files.check_write()
        self._files.kept[key] = data
