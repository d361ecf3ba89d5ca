"""The documents tell the truth: paths exist, settings are listed, providers are named in one file only."""

import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from mediagen.providers import provider_classes
from mediagen.settings import Settings

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "mediagen"


def _named_settings() -> set[str]:
    text = (ROOT / ".env.example").read_text()
    return set(re.findall(r"^# ([A-Z0-9_]+)=", text, re.M))


def _all_settings() -> dict[str, object]:
    modules = [
        import_module(f"mediagen.{folder}.{info.name}")
        for folder in ("providers", "storages")
        for info in pkgutil.iter_modules([str(SOURCE / folder)])
    ]
    kinds = {Settings} | {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, BaseSettings) and value.__module__ == module.__name__
    }
    return {name.upper(): field.default for kind in kinds for name, field in kind.model_fields.items()}


def test_the_table_where_do_i_add_names_paths_that_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    table = text.split("## Where do I add ...?")[1].split("\n## ")[0]
    paths = re.findall(r"`((?:src|tests|docs|\.)[A-Za-z0-9_./-]*)`", table)
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")), ids=str)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_env_example_lists_every_setting_and_no_other() -> None:
    assert _named_settings() == set(_all_settings())


def test_env_example_shows_the_true_defaults() -> None:
    text = (ROOT / ".env.example").read_text()
    shown = dict(re.findall(r"^# ([A-Z0-9_]+)=(.*)$", text, re.M))
    wrong = {}
    for name, default in _all_settings().items():
        if isinstance(default, tuple):
            expected = ",".join(default)
        elif isinstance(default, bool):
            expected = str(default).lower()
        elif default is None or not isinstance(default, (str, int, float)):
            continue
        else:
            expected = str(default)
        if shown[name] != expected:
            wrong[name] = (shown[name], expected)
    assert wrong == {}


@pytest.mark.parametrize("name", [kind.name for kind in provider_classes()])
def test_a_provider_is_named_in_its_own_file_only(name: str) -> None:
    """A second file that knows a provider's name would have to be changed with it."""
    pattern = re.compile(rf"\b{re.escape(name)}\b(?!_mode| mode)", re.I)
    own = {SOURCE / "providers" / f"{name}.py", *(SOURCE / "providers" / name).rglob("*.py")}
    allowed = {"mock mode", "mock_mode"}
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in SOURCE.rglob("*.py")
        if path not in own
        for line in path.read_text().splitlines()
        if pattern.search(line)
        and not any(phrase in line.lower() for phrase in allowed)
        and 'examples=["' not in line
    ]
    assert found == []


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("folder", ["src", "tests", "proof", "bench"])
def test_no_file_is_longer_than_400_lines(folder: str) -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 400 and "migrations/versions" not in str(path)
    }
    assert long == {}
