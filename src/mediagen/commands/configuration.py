"""What an installation runs with, for people: its settings and where they come from, and what it says when ready."""

import sys
from collections.abc import Iterator

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource

import mediagen
from mediagen.commands import terminal
from mediagen.providers import provider_classes
from mediagen.runtime import Runtime
from mediagen.settings import Settings, load
from mediagen.telemetry import redact

HIDDEN = "(hidden)"

Row = tuple[str, str, str]


def run(*, as_json: bool) -> None:
    """Say all settings."""
    rows = effective()
    if as_json:
        terminal.print_json({name: {"value": value, "from": source} for name, value, source in rows})
    else:
        terminal.stdout().print(terminal.settings_table(rows))


def effective() -> list[Row]:
    """Return all settings; secrets are hidden. Raises `SettingsError` as the start does."""
    kinds: list[type[BaseSettings]] = [Settings, *_provider_settings()]
    return [row for kind in kinds for row in _rows(kind)]


def _provider_settings() -> Iterator[type[BaseSettings]]:
    """Yield the settings classes that stand in the providers' modules."""
    for module in dict.fromkeys(kind.__module__ for kind in provider_classes()):
        for value in vars(sys.modules[module]).values():
            if isinstance(value, type) and issubclass(value, BaseSettings) and value.__module__ == module:
                yield value


def _rows(kind: type[BaseSettings]) -> list[Row]:
    settings = load(kind)
    in_env, in_file = EnvSettingsSource(kind)(), DotEnvSettingsSource(kind)()
    rows = []
    for name, field in kind.model_fields.items():
        source = "environment" if name in in_env else ".env" if name in in_file else "default"
        rows.append((name.upper(), _shown(getattr(settings, name), field), source))
    return rows


def _shown(value: object, field: FieldInfo) -> str:
    if isinstance(value, SecretStr):
        return HIDDEN if value.get_secret_value() else ""
    if field.repr is False:
        return HIDDEN if value else ""
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else redact(str(value))


def ready_rows(url: str, runtime: Runtime, *, worker: bool) -> list[tuple[str, str]]:
    """Return what `serve` says of itself: name and value."""
    providers = runtime.providers
    rows = [("Page", url), ("API", f"{url}/docs"), ("Data", str(runtime.settings.data_dir.absolute()))]
    if providers.mock_mode:
        rows.append(("Provider", "mock mode: pictures are drawn here and cost nothing"))
        rows += [("", f"set {settings} to connect one")] if (settings := connecting_settings()) else []
    else:
        names = ", ".join(provider.name for provider in providers if not provider.fallback)
        rows.append(("Provider", f"{names}; {providers.default_model} unless a job names another model"))
    if not worker:
        rows.append(("Worker", "none here: jobs wait until another process runs them"))
    return rows


def announce(url: str, runtime: Runtime, worker: bool) -> None:
    """Say on stdout that the server answers, and where."""
    terminal.stdout().print(
        terminal.ready_block(ready_rows(url, runtime, worker=worker), mediagen.__version__)
    )


def connecting_settings() -> str:
    """Return the settings of which each connects a provider, in words; empty when no provider has one."""
    return " or ".join(kind.connect_with for kind in provider_classes() if kind.connect_with)
