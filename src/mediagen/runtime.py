"""Settings in, a running installation out: builds every part once, and closes them in the opposite order."""

import asyncio
import base64
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import unquote, urlsplit

import structlog

from mediagen.artifacts.service import ArtifactService
from mediagen.artifacts.thumbnails import Thumbnailer
from mediagen.brokers.base import Broker
from mediagen.brokers.inprocess import InProcessBroker
from mediagen.clock import Clock, SystemClock
from mediagen.db.engine import Database, SQLiteDatabase
from mediagen.db.migrate import migrate_postgres, migrate_sqlite
from mediagen.db.reserve import keep_reserve
from mediagen.errors import SettingsError, Unavailable
from mediagen.jobs.feed import Feed
from mediagen.jobs.gates import GatePolicy
from mediagen.jobs.service import JobService
from mediagen.jobs.traits import installation_id
from mediagen.jobs.view import Links
from mediagen.providers import Registry, load_registry, provider_classes
from mediagen.providers.base import ProviderContext
from mediagen.providers.markers import NOWHERE, Marker
from mediagen.safefetch import Fetcher
from mediagen.settings import Settings, load
from mediagen.storages.base import Storage
from mediagen.storages.local import LocalStorage

log = structlog.get_logger(__name__)

_SECRET = re.compile(r"[A-Za-z0-9+/]{43}=")  # 32 bytes in base64

T = TypeVar("T")

_LOOK_AGAIN_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """What signs: as set, else made at the first start and kept in DATA_DIR, readable by the owner alone."""

    webhook: str = field(repr=False)  # whsec_...: our webhooks to users
    hook: bytes = field(repr=False)  # marks the addresses at which providers may ring


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Everything that the API, the worker and the commands are made from. One per process."""

    settings: Settings
    clock: Clock
    db: Database
    storage: Storage
    broker: Broker
    providers: Registry
    fetcher: Fetcher
    feed: Feed
    jobs: JobService
    artifacts: ArtifactService
    secrets: Secrets
    links: Links
    installation: str  # what tells our calls from another installation's; it lies in the database
    closing: AsyncExitStack

    @classmethod
    async def start(cls, settings: Settings, clock: Clock | None = None) -> Self:
        """Build and open every part; migrates the database first. Raises `SettingsError` with the way out."""
        clock = clock or SystemClock()
        async with AsyncExitStack() as stack:
            keys = load_secrets(settings)
            db = await _open_database(settings, clock)
            stack.push_async_callback(db.close)
            storage = build_storage(settings)
            await when_there(storage.start, settings, clock)
            stack.push_async_callback(storage.close)
            fetcher = Fetcher(max_bytes=settings.max_output_bytes)
            stack.push_async_callback(fetcher.close)
            providers = load_registry(ProviderContext(settings=settings, clock=clock, fetcher=fetcher))
            stack.push_async_callback(providers.close)
            broker = build_broker(settings)
            db.on_change(broker.wake)
            stack.push_async_callback(broker.close)
            await _say_if_away(broker)
            feed = Feed(db)
            stack.push_async_callback(feed.close)
            artifacts = ArtifactService(db, storage, Thumbnailer())
            stack.push_async_callback(artifacts.close)
            jobs = JobService(
                storage=storage,
                db=db,
                clock=clock,
                providers=providers,
                broker=broker,
                feed=feed,
                settings=settings,
            )
            _say_mode(providers)
            return cls(
                settings=settings,
                clock=clock,
                db=db,
                storage=storage,
                broker=broker,
                providers=providers,
                fetcher=fetcher,
                feed=feed,
                jobs=jobs,
                artifacts=artifacts,
                secrets=keys,
                links=build_links(settings),
                installation=await db.transact(lambda c: installation_id(c, clock)),
                closing=stack.pop_all(),
            )

    async def close(self) -> None:
        """Close every part. Idempotent."""
        await self.closing.aclose()

    def policies(self) -> dict[str, GatePolicy]:
        """Return how fast and how many calls may go to each provider."""
        default = self.settings.provider_creates_per_s
        return {
            provider.name: GatePolicy(
                creates_per_s=provider.capabilities.creates_per_s or default,
                max_in_flight=provider.capabilities.max_in_flight,
            )
            for provider in self.providers
        }

    @property
    def hooks_at(self) -> str | None:
        """Return where the addresses that creates carry begin; None when they carry none."""
        if self.settings.public_url:
            return self.links.base_url
        return NOWHERE if self.settings.mark_calls else None

    def hook_url(self, provider: str, marker: Marker) -> str | None:
        """Return the address that a create carries: the provider calls back there, and shows it again.

        It names the call, so that the provider's own list tells whose it is, and can't be guessed. Without
        PUBLIC_URL it leads nowhere and only marks. None when MARK_CALLS is off and nothing can be called back.
        """
        if self.hooks_at is None:
            return None
        return f"{self.hooks_at}/hooks/{provider}/{hook_token(self.secrets.hook, marker.call)}/{marker}"


def hook_token(key: bytes, call_id: str) -> str:
    """Return what proves that a hook's address was made by us."""
    digest = hmac.new(key, call_id.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:18]).decode()


def build_links(settings: Settings) -> Links:
    """Return where clients reach this server. Without PUBLIC_URL links are paths of this host and port."""
    return Links(prefix=settings.api_v1_prefix, base_url=settings.public_url.rstrip("/") or settings.own_url)


def celery_url(settings: Settings) -> str:
    """Return what Celery's messages travel over; empty for none."""
    return settings.celery_broker_url or settings.redis_url


def build_broker(settings: Settings) -> Broker:
    """Return the broker that the settings name."""
    url = celery_url(settings)
    if not url:
        return InProcessBroker()
    from mediagen.brokers.celery import CeleryBroker  # 0.3 s to import, and only where it is used

    setting = "CELERY_BROKER_URL" if settings.celery_broker_url else "REDIS_URL"
    return CeleryBroker(url, setting, settings.celery_queue)


def build_storage(settings: Settings) -> Storage:
    """Return the storage that the settings name."""
    incoming = settings.data_dir / "incoming"
    match settings.storage_type:  # each is imported only where it is used
        case "s3":
            from mediagen.storages.s3 import S3Settings, S3Storage

            return S3Storage(load(S3Settings), incoming)
        case "gcs":
            from mediagen.storages.gcs import GcsSettings, GcsStorage

            return GcsStorage(load(GcsSettings), incoming)
        case "azure":
            from mediagen.storages.azure import AzureSettings, AzureStorage

            return AzureStorage(load(AzureSettings), incoming)
        case "local":
            return LocalStorage(settings.artifacts_dir, settings.min_free_bytes)


def sqlite_path(settings: Settings) -> Path:
    """Return the file that DATABASE_URL names. Raises `SettingsError` for databases of other kinds."""
    if not settings.database_url:
        return settings.data_dir / "mediagen.db"
    url = urlsplit(settings.database_url)
    if url.scheme.partition("+")[0] != "sqlite":
        raise SettingsError(
            f"DATABASE_URL names a {url.scheme!r} database, which mediagen does not know; use sqlite:///path or postgresql://..."
        )
    path = unquote(url.path)[1:]
    if not path or path == ":memory:":
        raise SettingsError(
            "DATABASE_URL must name a file, such as sqlite:///data/mediagen.db: memory forgets jobs"
        )
    return Path(path)


def is_postgres(settings: Settings) -> bool:
    """Tell whether DATABASE_URL names a PostgreSQL server."""
    return settings.database_url.partition(":")[0].partition("+")[0] in ("postgres", "postgresql")


def migrate(settings: Settings) -> bool:
    """Create or upgrade the schema of the database that the settings name; return whether anything was done."""
    if is_postgres(settings):
        return migrate_postgres(settings.database_url)
    return migrate_sqlite(sqlite_path(settings))


def build_database(settings: Settings, clock: Clock) -> Database:
    """Return the database that the settings name, closed still."""
    if is_postgres(settings):
        from mediagen.db.postgres import PostgresDatabase  # the driver costs 0.1 s to import

        return PostgresDatabase(settings.database_url, clock)
    return SQLiteDatabase(sqlite_path(settings), clock)


async def when_there(deed: Callable[[], Awaitable[T]], settings: Settings, clock: Clock) -> T:
    """Do what needs another server; while that is refused do it again, for START_WAIT_S.

    Containers start in any order, and a server may need a minute. Raises the last `SettingsError`.
    """
    until, said = clock.monotonic() + settings.start_wait_s, ""
    while True:
        try:
            return await deed()
        except SettingsError as error:
            if clock.monotonic() >= until:
                raise
            if str(error) != said:
                said = str(error)
                log.warning("start.waiting", reason=said)
        await clock.sleep(_LOOK_AGAIN_S)


async def migrate_when_there(settings: Settings, clock: Clock | None = None) -> bool:
    """Do what `migrate` does, as soon as the database is there."""
    return await when_there(lambda: asyncio.to_thread(migrate, settings), settings, clock or SystemClock())


async def _open_database(settings: Settings, clock: Clock) -> Database:
    if not is_postgres(settings):
        await asyncio.to_thread(keep_reserve, sqlite_path(settings).parent)
    await migrate_when_there(settings, clock)
    db = build_database(settings, clock)
    await db.start()
    return db


def load_secrets(settings: Settings) -> Secrets:
    """Return the installation's secrets, making those that are missing."""
    folder = settings.data_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        hook = settings.hook_secret.encode() or base64.b64decode(_secret_file(folder / "hook.key"))
        webhook = settings.webhook_secret or f"whsec_{_secret_file(folder / 'webhook.key')}"
    except OSError as error:
        raise SettingsError(f"DATA_DIR={str(folder)!r} can't be written: {error.strerror}") from error
    return Secrets(webhook=webhook, hook=hook)


def _secret_file(path: Path) -> str:
    """Return what the file holds; the first process makes it, whole or not at all."""
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(base64.b64encode(secrets.token_bytes(32)).decode())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # fails when another process was first
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    text = path.read_text(errors="replace").strip()
    if not _SECRET.fullmatch(text):
        raise SettingsError(
            f"{str(path)!r} is damaged; put it back from a backup, or delete it to get a new one"
        )
    return text


async def _say_if_away(broker: Broker) -> None:
    try:
        await broker.check()
    except Unavailable as error:  # nothing is lost without it
        log.warning("broker.unreachable", say=str(error))


def _say_mode(providers: Registry) -> None:
    if providers.mock_mode:
        names = " or ".join(kind.connect_with for kind in provider_classes() if kind.connect_with)
        log.warning(
            "provider.mock_mode",
            say=f"MOCK MODE: no provider is connected; pictures are drawn here and cost nothing. Set {names}.",
        )
