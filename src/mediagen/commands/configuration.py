"""What an installation runs with, for people: its settings and where they come from, and what it says when ready."""

import pkgutil
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource

import mediagen
from mediagen import storages
from mediagen.commands import terminal
from mediagen.providers import provider_classes
from mediagen.runtime import Runtime, is_postgres, sqlite_path
from mediagen.settings import Settings, load
from mediagen.telemetry import redact

HIDDEN = "(hidden)"

_NEAR = 0.85  # of 1: one letter of eight

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
    return [row for kind in _kinds() for row in _rows(kind)]


def misspelled() -> list[str]:
    """Return a sentence for each name in .env that is no setting, but nearly one. Other names are others' matter."""
    known = [name.upper() for kind in _kinds() for name in kind.model_fields]
    found = []
    for name in (name.upper() for name in DotEnvSettingsSource(Settings).env_vars):
        near = get_close_matches(name, known, n=1, cutoff=_NEAR)
        if near and name not in known:
            found.append(f"{name} in .env is no setting; {near[0]} is")
    return found


def _kinds() -> list[type[BaseSettings]]:
    return [Settings, *_back_end_settings()]


def _back_end_settings() -> Iterator[type[BaseSettings]]:
    """Yield the settings classes that stand in the modules of storages and providers."""
    stored = [f"{storages.__name__}.{found.name}" for found in pkgutil.iter_modules(storages.__path__)]
    for name in dict.fromkeys([*stored, *(kind.__module__ for kind in provider_classes())]):
        for value in vars(import_module(name)).values():
            if isinstance(value, type) and issubclass(value, BaseSettings) and value.__module__ == name:
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
    if isinstance(value, str) and "://" in value:
        return address(value)
    if field.repr is False:
        return HIDDEN if value else ""
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else redact(str(value))


def address(url: str) -> str:
    """Return the URL without all that could be a secret: user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def database_of(settings: Settings) -> str:
    """Return where jobs lie: a path, or an address without its password."""
    return address(settings.database_url) if is_postgres(settings) else str(sqlite_path(settings))


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
        rows.append(
            ("Worker", f"none here: `{terminal.CALLED} worker` runs the jobs, on this machine or another")
        )
    rows += [("Misspelled", sentence) for sentence in misspelled()]
    return rows


def announce(url: str, runtime: Runtime, worker: bool) -> None:
    """Say on stdout that the server answers, and where."""
    terminal.stdout().print(
        terminal.ready_block(ready_rows(url, runtime, worker=worker), mediagen.__version__)
    )


def connecting_settings() -> str:
    """Return the settings of which each connects a provider, in words; empty when no provider has one."""
    return " or ".join(kind.connect_with for kind in provider_classes() if kind.connect_with)
