"""Storage in a bucket of an object store, through obstore; the services differ in how they are opened alone.

Its synchronous calls run in threads: the asynchronous ones abort the process at exit now and then. The client is
made lazily, once per process, because it does not survive a fork.
"""

import asyncio
import hashlib
import secrets
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from mediagen.errors import Conflict, NotFound, SettingsError, Unavailable
from mediagen.storages.base import KEY_PATTERN, Storage, StoredFile, clear_old_files

T = TypeVar("T")

_READ_BYTES = 1024 * 1024
_WHOLE_BYTES = 4 * 1024 * 1024  # files up to this size are read in one piece
_MULTIPART_BYTES = 8 * 1024 * 1024
_MULTIPART_AT_ONCE = 4  # bounds the memory of an upload
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
TIMEOUT_S = 15


class BucketStorage(Storage):
    """Files in one bucket."""

    where: ClassVar[str]
    """The setting that names the bucket."""

    keys: ClassVar[str]
    """The settings that say who we are."""

    def __init__(self, bucket: str, temp_dir: Path, presign_s: int = 0) -> None:
        self.bucket = bucket
        self.temp_dir = temp_dir
        self._presign_s = presign_s

    @abstractmethod
    def open(self) -> Any:
        """Return the client of the bucket; runs in a thread, once per process."""

    @property
    def setting(self) -> str:
        """The setting, with its value, to look at when the service can't be used."""
        return f"{self.where}={self.bucket!r}"

    @property
    @abstractmethod
    def has_keys(self) -> bool:
        """Whether keys are set; without them the machine's own identity in the cloud is taken."""

    @abstractmethod
    def describe(self) -> str:
        """Return in a few words which bucket it is."""

    async def start(self) -> None:
        try:
            self.temp_dir.mkdir(parents=True, exist_ok=True)
            await asyncio.to_thread(clear_old_files, self.temp_dir)
        except OSError as error:
            raise SettingsError(
                f"DATA_DIR: {str(self.temp_dir)!r} can't be written: {error.strerror}"
            ) from error
        try:
            await self._run(self.ensure_bucket)
        except Unavailable as error:
            raise SettingsError(f"{self.setting}: {error}") from error

    async def put(self, key: str, file: Path) -> None:
        await self._run(lambda: self._put(_checked(key), file))

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        found = await self.stat(key)
        if found is None:
            raise NotFound(f"The storage has no file {key!r}")
        stop = found.size_bytes if end is None else min(end, found.size_bytes)
        step = stop - start if stop - start <= _WHOLE_BYTES else _READ_BYTES
        while start < stop:
            piece = await self._run(lambda: self._range(key, start, min(start + step, stop)))  # noqa: B023
            start += len(piece)
            yield piece

    async def stat(self, key: str) -> StoredFile | None:
        return await self._run(lambda: self._stat(_checked(key)))

    async def delete(self, key: str) -> None:
        await self._run(lambda: self._delete(_checked(key)))

    async def link(self, key: str) -> str | None:
        if not self._presign_s:
            return None
        return await self._run(lambda: self._sign(_checked(key)))

    async def check(self) -> str:
        await self._run(self._probe)
        return self.describe()

    # --- all below runs in threads

    @cached_property
    def store(self) -> Any:
        """The client of the bucket."""
        try:
            return self.open()
        except ValueError as error:  # keys that can't be right, before anything is sent
            raise SettingsError(f"{self.keys}: {_first_line(error)}") from error

    def ensure_bucket(self) -> None:
        """Raise `SettingsError` when there is no such bucket."""
        if not self.is_there():
            raise SettingsError(f"{self.where}={self.bucket!r} does not exist; make it first")

    def is_there(self) -> bool:
        """Return whether the bucket exists."""
        import obstore

        try:
            next(iter(obstore.list(self.store, chunk_size=1)), None)
        except obstore.exceptions.BaseError as error:
            if isinstance(error, FileNotFoundError) or any(word in str(error) for word in _NO_BUCKET):
                return False
            raise
        return True

    async def _run(self, deed: Callable[[], T]) -> T:
        def guarded() -> T:
            with self._translated():
                return deed()

        return await asyncio.to_thread(guarded)

    def _put(self, key: str, file: Path) -> None:
        """Create the object; what is there already must be the same bytes."""
        import obstore

        try:
            if file.stat().st_size <= _MULTIPART_BYTES:
                obstore.put(self.store, key, file.read_bytes(), mode="create", use_multipart=False)
            else:
                self._put_large(key, file)
        except (obstore.exceptions.AlreadyExistsError, FileExistsError):
            self._demand_same_bytes(key, file)
        file.unlink(missing_ok=True)

    def _put_large(self, key: str, file: Path) -> None:
        """Upload in parts, in bounded memory. Parts can't be sent on the condition that nothing is there yet."""
        import obstore

        if self._stat(key) is not None:
            self._demand_same_bytes(key, file)
            return
        with file.open("rb") as stream:
            obstore.put(
                self.store,
                key,
                stream,
                use_multipart=True,
                chunk_size=_MULTIPART_BYTES,
                max_concurrency=_MULTIPART_AT_ONCE,
            )

    def _demand_same_bytes(self, key: str, file: Path) -> None:
        import obstore

        there = hashlib.sha256()
        for piece in obstore.get(self.store, key).stream(min_chunk_size=_READ_BYTES):
            there.update(piece)
        with file.open("rb") as stream:
            ours = hashlib.file_digest(stream, "sha256")
        if there.digest() != ours.digest():
            raise Conflict(f"The key {key!r} holds another file already")

    def _range(self, key: str, start: int, end: int) -> bytes:
        import obstore

        return bytes(obstore.get_range(self.store, key, start=start, end=end))

    def _stat(self, key: str) -> StoredFile | None:
        import obstore

        try:
            return StoredFile(key=key, size_bytes=obstore.head(self.store, key)["size"])
        except FileNotFoundError:
            return None

    def _sign(self, key: str) -> str:
        import obstore

        url: str = obstore.sign(self.store, "GET", key, timedelta(seconds=self._presign_s))
        return url

    def _delete(self, key: str) -> None:
        import obstore

        with suppress(FileNotFoundError):
            obstore.delete(self.store, key)

    def _probe(self) -> None:
        import obstore

        key = f"probe-{secrets.token_hex(8)}"
        obstore.put(self.store, key, b"mediagen")
        try:
            if bytes(obstore.get(self.store, key).bytes()) != b"mediagen":
                raise Unavailable("The storage gave other bytes back than were written")
        finally:
            obstore.delete(self.store, key)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        try:
            yield
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise Unavailable(self._refused) from error
        except FileNotFoundError as error:
            raise NotFound("The storage has no such file") from error
        except (BaseError, OSError) as error:
            if "403 Forbidden" in str(error):  # of a list or another request that names no object
                raise Unavailable(self._refused) from error
            raise Unavailable(f"the storage can't be used now: {_first_line(error)}") from error

    @property
    def _refused(self) -> str:
        if self.has_keys:
            return f"the storage refuses {self.keys}"
        return f"no {self.keys} are set, and this machine has no identity of its own that the storage takes"


def client_options(*, plain_http: bool = False) -> dict[str, Any]:
    """Return how every service is spoken to, as arguments of an obstore client."""
    return {
        "client_options": {
            "allow_http": plain_http,
            "timeout": timedelta(seconds=300),
            "connect_timeout": timedelta(seconds=TIMEOUT_S),
        },
        "retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=TIMEOUT_S)},
    }


def _checked(key: str) -> str:
    if not KEY_PATTERN.fullmatch(key):
        raise ValueError(f"{key!r} is no storage key")
    return key


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
