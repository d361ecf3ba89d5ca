"""A module's logger in a test's hand: one that was used before can't be captured any more."""

from types import ModuleType
from typing import Any

import pytest


def hear_warnings(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> list[dict[str, Any]]:
    """Return the list that the module's warnings go to from now on; nothing else may be logged."""
    heard: list[dict[str, Any]] = []

    class Log:
        def warning(self, event: str, **fields: Any) -> None:
            heard.append({"event": event, **fields})

    monkeypatch.setattr(module, "log", Log())
    return heard
