"""What was measured, as a table for people and as JSON for programs."""

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One number of one contender, once a round."""

    name: str
    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def shown(self, unit: str) -> str:
        text = _number(self.median)
        if len(self.values) > 1 and _number(min(self.values)) != _number(max(self.values)):
            text += f" ({_number(min(self.values))}–{_number(max(self.values))})"
        return f"{text} {unit}"


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A bound of the ratio us / other, or of our own number where there is no other."""

    sign: Literal[">=", "<="]
    limit: float

    def met(self, value: float) -> bool:
        return value >= self.limit if self.sign == ">=" else value <= self.limit


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: a number of ours, what it is measured against, and the goal."""

    path: str
    what: str
    unit: str
    us: Measure
    other: Measure | None = None
    goal: Goal | None = None

    @property
    def ratios(self) -> list[float]:
        """Us over the other, round by round."""
        if self.other is None:
            return []
        pairs = zip(self.us.values, self.other.values, strict=True)
        return [us / other for us, other in pairs if other]

    @property
    def verdict(self) -> bool | None:
        """Whether the goal is met; None without one, or without the number to judge it by."""
        judged = self.ratios if self.other is not None else list(self.us.values)
        if self.goal is None or not judged:
            return None
        return self.goal.met(statistics.median(judged))


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Something that could not be measured here, and why."""

    path: str
    why: str


@dataclass(kw_only=True)
class Report:
    """All rows of one run."""

    rows: list[Row] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what makes the figures differ from what they should be

    def show(self, console: Console) -> None:
        """Print the table."""
        table = Table(title="medians (lowest–highest) of the rounds; ratio = us / other, round by round")
        for name in ("path", "what", "us", "other", "ratio", "goal", "met"):
            table.add_column(name, justify="left" if name in ("path", "what") else "right")
        for row in self.rows:
            table.add_row(*_cells(row))
        console.print(table)
        for note in dict.fromkeys(self.notes):
            console.print(f"Mind: {note}", style="bold red", highlight=False)
        for missing in self.missing:
            console.print(f"{missing.path}: not measured: {missing.why}", style="yellow", highlight=False)

    def save(self, path: Path) -> None:
        """Write the JSON."""
        rows = [
            {**asdict(row), "ratios": row.ratios, "median": row.us.median, "met": row.verdict}
            for row in self.rows
        ]
        missing = [asdict(missing) for missing in self.missing]
        found = {"machine": machine(), "rows": rows, "missing": missing, "notes": self.notes}
        path.write_text(json.dumps(found, indent=2) + "\n")


def machine() -> dict[str, object]:
    """Say where and when this ran."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def _cells(row: Row) -> Iterable[str]:
    is_ratio = row.other is not None
    yield row.path
    yield row.what
    yield row.us.shown(row.unit)
    yield "" if row.other is None else f"{row.other.name}: {row.other.shown(row.unit)}"
    yield _spread(row.ratios)
    yield "" if row.goal is None else f"{row.goal.sign} {_number(row.goal.limit)}" + ("x" if is_ratio else "")
    yield {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[row.verdict]


def _spread(ratios: Sequence[float]) -> str:
    if not ratios:
        return ""
    text = f"{_number(statistics.median(ratios))}x"
    return text if len(ratios) == 1 else f"{text} ({_number(min(ratios))}–{_number(max(ratios))})"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
