"""What `mediagen doctor` looks at of the providers: whether they answer, and what never paying twice rests on."""

import asyncio
from collections.abc import Sequence

from mediagen.clock import Clock
from mediagen.commands.configuration import connecting_settings
from mediagen.commands.findings import Finding, fail, ok, warn
from mediagen.errors import MediagenError, ProviderError, SettingsError
from mediagen.jobs.assumptions import Concern, concerns
from mediagen.providers import Registry, provider_classes
from mediagen.providers.base import Provider, ProviderContext
from mediagen.runtime import build_database, is_postgres, sqlite_path
from mediagen.safefetch import Fetcher
from mediagen.settings import Settings


async def check_providers(settings: Settings, clock: Clock) -> Sequence[Finding]:
    """Ask each configured provider how it is, and say how to connect one where there is none."""
    fetcher = Fetcher(max_bytes=settings.max_output_bytes)
    context = ProviderContext(settings=settings, clock=clock, fetcher=fetcher)
    findings: list[Finding] = []
    providers: list[Provider] = []
    try:
        for kind in await asyncio.to_thread(provider_classes):
            try:
                provider = kind.from_env(context)
            except SettingsError as error:
                findings.append(fail(_named(kind), str(error)))
                continue
            if provider is not None:
                providers.append(provider)
        for found in await asyncio.gather(*(_provider(settings, clock, provider) for provider in providers)):
            findings += found
        return [*findings, *_mode(Registry(providers, settings.default_model))]
    finally:
        for provider in providers:
            await provider.close()
        await fetcher.close()


async def _provider(settings: Settings, clock: Clock, provider: Provider) -> list[Finding]:
    name = _named(type(provider))
    try:
        findings = [ok(name, await provider.check())]
    except MediagenError as error:
        setting = provider.connect_with
        mend = f"check {setting} and the network" if setting else "check its settings and the network"
        return [fail(name, str(error), mend)]
    try:
        seen = await _concerns(settings, clock, provider)
    except ProviderError as error:
        do = "calls whose answers get lost wait until it can be read"
        return [*findings, warn(name, f"its list can't be read: {error}", do)]
    except MediagenError:  # the database's own check says what is wrong with it
        return findings
    return findings + [warn(name, concern.seen, concern.do) for concern in seen]


async def _concerns(settings: Settings, clock: Clock, provider: Provider) -> list[Concern]:
    """Return what was seen to fail of what never paying twice rests on."""
    if not is_postgres(settings) and not await asyncio.to_thread(sqlite_path(settings).exists):
        return []
    db = build_database(settings, clock)
    await db.start()
    try:
        return await concerns(db, provider)
    finally:
        await db.close()


def _named(kind: type[Provider]) -> str:
    return f"Provider {kind.name}"


def _mode(registry: Registry) -> list[Finding]:
    if not registry.mock_mode:
        return [ok("Models", f"{registry.default_model} unless a job names another")]
    settings = connecting_settings()
    said = "mock mode: no provider is connected; pictures are drawn here and cost nothing"
    return [warn("Models", said, f"set {settings} to connect one" if settings else "connect a provider")]
