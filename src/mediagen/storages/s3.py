"""S3-compatible storage: AWS S3, SeaweedFS, MinIO, Ceph, R2 and others, through obstore.

Its synchronous calls run in threads: the asynchronous ones abort the process at exit now and then. The client is
made lazily, once per process, because it does not survive a fork.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from mediagen.errors import Conflict, NotFound, SettingsError, Unavailable
from mediagen.settings import ENV_CONFIG
from mediagen.storages.base import KEY_PATTERN, Storage, StoredFile

T = TypeVar("T")

_READ_BYTES = 1024 * 1024
_WHOLE_BYTES = 4 * 1024 * 1024  # files up to this size are read in one piece
_MULTIPART_BYTES = 8 * 1024 * 1024
_TIMEOUT_S = 15


class S3Settings(BaseSettings):
    """Where the bucket is and who we are."""

    model_config = ENV_CONFIG

    s3_endpoint: str = Field("", description="Address of the service; empty is AWS.")
    s3_region: str = Field("us-east-1", description="Region of the bucket.")
    s3_bucket: str = Field("mediagen", min_length=3, max_length=63, description="Bucket; made when missing.")
    s3_access_key: str = Field("", description="Access key; empty takes the machine's own identity.")
    s3_secret_key: SecretStr = Field(SecretStr(""), description="Secret key.")


class S3Storage(Storage):
    """Files in one bucket."""

    name = "s3"

    def __init__(self, settings: S3Settings, temp_dir: Path) -> None:
        self._settings = settings
        self.temp_dir = temp_dir

    async def start(self) -> None:
        try:
            self.temp_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"DATA_DIR: {str(self.temp_dir)!r} can't be written: {error.strerror}"
            ) from error
        try:
            await self._run(self._ensure_bucket)
        except Unavailable as error:
            raise SettingsError(f"S3_ENDPOINT={self._settings.s3_endpoint!r}: {error}") from error

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

    async def check(self) -> str:
        await self._run(self._probe)
        return f"bucket {self._settings.s3_bucket} at {self._settings.s3_endpoint or 'AWS'}"

    # --- all below runs in threads

    @cached_property
    def _store(self) -> Any:
        from obstore.store import S3Store

        own = self._settings
        keys: dict[str, Any] = {}
        if own.s3_access_key:
            keys = {
                "access_key_id": own.s3_access_key,
                "secret_access_key": own.s3_secret_key.get_secret_value(),
            }
        if own.s3_endpoint:
            keys |= {"endpoint": own.s3_endpoint.rstrip("/"), "virtual_hosted_style_request": False}
        return S3Store(
            own.s3_bucket,
            region=own.s3_region,
            client_options={
                "allow_http": own.s3_endpoint.startswith("http:"),
                "timeout": timedelta(seconds=300),
                "connect_timeout": timedelta(seconds=_TIMEOUT_S),
            },
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=_TIMEOUT_S)},
            **keys,
        )

    async def _run(self, deed: Callable[[], T]) -> T:
        def guarded() -> T:
            with _translated():
                return deed()

        return await asyncio.to_thread(guarded)

    def _ensure_bucket(self) -> None:
        import obstore

        try:
            next(iter(obstore.list(self._store, chunk_size=1)), None)
        except obstore.exceptions.BaseError as error:
            if "NoSuchBucket" not in str(error):
                raise
            self._create_bucket()

    def _create_bucket(self) -> None:
        """Make the bucket by a signed request; the library itself has no call for it."""
        import obstore

        url = obstore.sign(self._store, "PUT", "", timedelta(minutes=1))
        bucket = self._settings.s3_bucket
        try:
            with urlopen(Request(url, method="PUT"), timeout=_TIMEOUT_S):  # noqa: S310  our own endpoint
                return
        except (HTTPError, URLError) as error:
            raise SettingsError(f"S3_BUCKET={bucket!r} does not exist and can't be made: {error}") from error

    def _put(self, key: str, file: Path) -> None:
        """Create the object; what is there already must be the same bytes."""
        import obstore

        try:
            if file.stat().st_size <= _MULTIPART_BYTES:
                obstore.put(self._store, key, file.read_bytes(), mode="create", use_multipart=False)
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
            obstore.put(self._store, key, stream, use_multipart=True, chunk_size=_MULTIPART_BYTES)

    def _demand_same_bytes(self, key: str, file: Path) -> None:
        import obstore

        there = hashlib.sha256()
        for piece in obstore.get(self._store, key).stream(min_chunk_size=_READ_BYTES):
            there.update(piece)
        with file.open("rb") as stream:
            ours = hashlib.file_digest(stream, "sha256")
        if there.digest() != ours.digest():
            raise Conflict(f"The key {key!r} holds another file already")

    def _range(self, key: str, start: int, end: int) -> bytes:
        import obstore

        return bytes(obstore.get_range(self._store, key, start=start, end=end))

    def _stat(self, key: str) -> StoredFile | None:
        import obstore

        try:
            return StoredFile(key=key, size_bytes=obstore.head(self._store, key)["size"])
        except FileNotFoundError:
            return None

    def _delete(self, key: str) -> None:
        import obstore

        with suppress(FileNotFoundError):
            obstore.delete(self._store, key)

    def _probe(self) -> None:
        import obstore

        key = f"probe-{secrets.token_hex(8)}"
        obstore.put(self._store, key, b"mediagen")
        try:
            if bytes(obstore.get(self._store, key).bytes()) != b"mediagen":
                raise Unavailable("The storage gave other bytes back than were written")
        finally:
            obstore.delete(self._store, key)


def _checked(key: str) -> str:
    if not KEY_PATTERN.fullmatch(key):
        raise ValueError(f"{key!r} is no storage key")
    return key


@contextmanager
def _translated() -> Iterator[None]:
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise Unavailable("the storage refuses S3_ACCESS_KEY and S3_SECRET_KEY") from error
    except FileNotFoundError as error:
        raise NotFound("The storage has no such file") from error
    except (BaseError, OSError) as error:
        raise Unavailable(f"the storage can't be used now: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
