"""What the proofs of bad input and security show: how far they are, a table, and JSON."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table


class Moves(Protocol):
    """Told how much is done, and of how much."""

    def __call__(self, done: int, total: int, /) -> None: ...


@contextmanager
def progress(title: str) -> Iterator[Moves]:
    """Show a bar on stderr, on a terminal only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(title, total=None)

        def moves(done: int, total: int, /) -> None:
            bars.update(task, completed=done, total=total)

        yield moves


def show(title: str, headings: Sequence[str], rows: Sequence[Sequence[object]], lines: Sequence[str]) -> None:
    """Write a table and lines of text to stdout."""
    table = Table(title=title, title_justify="left")
    for idx, heading in enumerate(headings):
        words = idx == 0 or any(" " in str(row[idx]) for row in rows)
        table.add_column(heading, justify="left" if words else "right")
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120)
    console.print(table)
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def save(path: Path | None, result: Any) -> None:
    """Write the result as JSON, if a file was asked for."""
    if path is not None:
        path.write_text(json.dumps(result, indent=2, ensure_ascii=True) + "\n")
