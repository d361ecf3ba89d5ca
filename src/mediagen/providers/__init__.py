"""The registry of providers: finds them, and says which one runs a model.

A provider is a module in this package (or an entry point in the group `mediagen.providers`) with a subclass
of `Provider`. Nothing else in the source names it.
"""

import inspect
import pkgutil
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from importlib.metadata import entry_points

from mediagen.errors import SettingsError, UnknownModel
from mediagen.providers.base import Model, Provider, ProviderContext


class Registry:
    """The providers that this installation has configured."""

    def __init__(self, providers: Sequence[Provider], default_model: str = "") -> None:
        """With several, those that take any model name are asked last, and the fallback gives no default."""
        if not providers:
            raise SettingsError("No provider is configured")
        self._providers = sorted(providers, key=lambda p: (p.fallback, p.takes_any_model, p.name))
        self.mock_mode = all(provider.fallback for provider in providers)
        for provider in providers:
            provider.stands_in = self.mock_mode
        self._asked = sorted(self._providers, key=lambda p: p.takes_any_model)
        self.default_model = default_model or self._providers[0].default_model
        self.of_model(self.default_model)

    def __iter__(self) -> Iterator[Provider]:
        return iter(self._providers)

    def get(self, name: str) -> Provider | None:
        """Return the provider of that name, or None when it is not configured (any more)."""
        return next((provider for provider in self._providers if provider.name == name), None)

    def of_model(self, model: str) -> Provider:
        """Return the provider that runs the model. Raises `UnknownModel`."""
        for provider in self._asked:
            if provider.accepts(model):
                return provider
        names = ", ".join(provider.default_model for provider in self._providers)
        raise UnknownModel(
            f"No provider runs the model {model!r}; there is, for example, {names}",
            {"model": "unknown model"},
        )

    async def models(self) -> list[Model]:
        """Return all models on offer, the default one first."""
        found = [model for provider in self._providers for model in await provider.models()]
        return sorted(found, key=lambda model: model.id != self.default_model)

    async def close(self) -> None:
        """Close all providers."""
        for provider in self._providers:
            await provider.close()


def load_registry(context: ProviderContext) -> Registry:
    """Return the providers that the environment configures. Raises `SettingsError` naming a bad setting."""
    found = [kind.from_env(context) for kind in provider_classes()]
    return Registry([provider for provider in found if provider is not None], context.settings.default_model)


def provider_classes() -> list[type[Provider]]:
    """Return the classes of all providers that are installed, configured or not, by name."""
    modules = [import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    own = [value for module in modules for value in _classes_in(module.__name__, vars(module).values())]
    foreign = [point.load() for point in entry_points(group="mediagen.providers")]
    return sorted([*own, *foreign], key=lambda kind: kind.name)


def _classes_in(module: str, values: Iterable[object]) -> list[type[Provider]]:
    return [
        value
        for value in values
        if inspect.isclass(value)
        and issubclass(value, Provider)
        and value.__module__ == module
        and not inspect.isabstract(value)
    ]
