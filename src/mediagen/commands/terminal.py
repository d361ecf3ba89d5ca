"""How commands look: results on stdout, all else on stderr, colours only on a terminal.

Texts of users, providers and servers pass `plain`: an escape sequence in a prompt must not reach the terminal.
"""

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from mediagen.clock import SystemClock
from mediagen.telemetry import redact

Json = dict[str, Any]

SHORT = 6
"""Last characters of an id that stand for it; the first ones are a time and much the same in all."""

CALLED = os.environ.get("MEDIAGEN_COMMAND", "mediagen")
"""How the user calls us; a script that wraps the command sets it to its own name, so that hints can be followed."""

_COMMAND = re.compile(r"\bmediagen (?=(serve|generate|jobs|doctor|migrate|config)\b)")
_PIPE_WIDTH = 200  # characters; where no terminal says how many there is no reason to break lines
_STYLES = {
    "pending": "yellow",
    "processing": "cyan",
    "completed": "green",
    "failed": "bold red",
    "canceled": "dim",
    "ok": "green",
    "warn": "yellow",
    "fail": "bold red",
}
_HINTS = {
    "moderation": "The provider's safety rules refuse it; change the prompt.",
    "rejected": "The provider refuses this input; change the prompt or the parameters.",
    "timed_out": "If the model needs longer, submit it again with a longer --timeout, or raise JOB_TIMEOUT",
    "expired": "It waited longer than JOB_EXPIRY. See `mediagen doctor`, then: mediagen jobs retry {id}",
    "provider_unreachable": "See `mediagen doctor`, then: mediagen jobs retry {id}",
    "outcome_unknown": "It may have been charged. Look at the provider's own list, then: "
    "mediagen jobs settle {id} --adopt REF, or --absent",
}
_HINT = "Try it again with: mediagen jobs retry {id}"


def stdout() -> Console:
    """Return the console for results."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False, markup=False)


def stderr() -> Console:
    """Return the console for everything else."""
    width = None if sys.stderr.isatty() else _PIPE_WIDTH
    return Console(stderr=True, width=width, highlight=False, markup=False)


def complain(message: str) -> None:
    """Say what went wrong, in one sentence."""
    _print(Text("error: ", "bold red") + plain(advice(redact(message))))


def say(message: str, style: str = "dim") -> None:
    """Say something that is no result."""
    _print(plain(advice(message), style))


def _print(text: Text) -> None:
    console = stderr()
    console.print(text, soft_wrap=not console.is_terminal)


def print_json(value: object) -> None:
    """Print a result for programs."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def advice(text: str) -> str:
    """Return a text of ours with its commands as the user has to type them."""
    return _COMMAND.sub(f"{CALLED} ", text)


def plain(text: object, style: str = "") -> Text:
    """Return the text with everything taken out that would command the terminal."""
    return Text("".join(c if c.isprintable() else " " for c in str(text)), style)


def now() -> datetime:
    """Return the time by which ages are told."""
    return datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC)


# ---------------------------------------------------------------------------------------------- words


def short(job: Mapping[str, Any]) -> str:
    """Return the part of its id that a job goes by."""
    return str(job["id"])[-SHORT:]


def span(seconds: float) -> str:
    """Return a length of time with two units at most: `3.2 s`, `2 min 5 s`, `1 h 3 min`, `4 d`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d"


def size(size_bytes: int) -> str:
    """Return a number of bytes as people read it."""
    amount = float(size_bytes)
    for unit in ("B", "KB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def took_s(job: Mapping[str, Any]) -> float | None:
    """Return seconds from submit to end, or None while it runs."""
    if not job["completed_at"]:
        return None
    return (_time(job["completed_at"]) - _time(job["created_at"])).total_seconds()


def described(artifact: Mapping[str, Any]) -> str:
    """Return what a file is, such as `1024×768 image/png, 1.2 MB`."""
    pixels = f"{artifact['width']}×{artifact['height']} " if artifact["width"] else ""
    return f"{pixels}{artifact['media_type']}, {size(artifact['size_bytes'])}"


def hint(job: Mapping[str, Any]) -> str:
    """Return what to do about a failed job."""
    code = (job["error"] or {}).get("code", "")
    if code == "outcome_unknown" and not _may_be_charged(job):
        code = ""  # it is settled
    return _HINTS.get(code, _HINT).format(id=short(job))


def _may_be_charged(job: Mapping[str, Any]) -> bool:
    """Tell whether nobody knows if one of its calls was bought; where its calls are not shown it may be so."""
    calls = job.get("attempts")
    return calls is None or any(call["may_be_charged"] for call in calls)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _age(text: str, now: datetime) -> str:
    """Return how long ago that was, in the largest unit that fits."""
    seconds = max(0, round((now - _time(text)).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


# ---------------------------------------------------------------------------------------------- jobs


def jobs_table(jobs: Sequence[Json], now: datetime) -> Table:
    """Return a table with a line for each job."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0), expand=True)
    table.add_column("id", no_wrap=True, style="bold")
    table.add_column("status", no_wrap=True)
    table.add_column("model", no_wrap=True, overflow="ellipsis", max_width=32)
    table.add_column("prompt", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("age", no_wrap=True, justify="right")
    table.add_column("took", no_wrap=True, justify="right")
    for job in jobs:
        took = took_s(job)
        table.add_row(
            plain(short(job)),
            _status(job),
            plain(job["model"]),
            plain(job["prompt"]),
            Text(_age(job["created_at"], now), "dim"),
            Text("" if took is None else span(took), "dim"),
        )
    return table


def _status(job: Mapping[str, Any]) -> Text:
    style = _STYLES.get(job["status"], "")
    percent = f" {job['progress']:.0%}" if job["status"] == "processing" and job["progress"] else ""
    return Text("● ", style) + plain(f"{job['status']}{percent}", style)


def job_details(job: Json, now: datetime) -> Table:
    """Return all about a job: what was asked, what became of it, and what happened when."""
    table = _grid()
    for name, value in _facts(job, now):
        table.add_row(Text(name, "dim"), value)
    table.add_row(Text("Timeline", "dim"), _timeline(job["timeline"]))
    return table


def _timeline(events: Sequence[Json]) -> Table:
    """Return a line for each event; of progress reports in a row only the last one."""
    table = _grid()
    table.add_column(overflow="fold")
    followers = [*(event["type"] for event in events[1:]), ""]
    for event, follower in zip(events, followers, strict=False):
        if event["type"] == follower == "progress":
            continue
        data = {name: value for name, value in event["data"].items() if value not in ("", None)}
        said = "  ".join(f"{name}={value}" for name, value in data.items())
        time = f"{_local(event['at']):%H:%M:%S.%f}"[:-3]
        table.add_row(Text(time, "dim"), plain(event["type"]), plain(said, "dim"))
    return table


def _facts(job: Json, now: datetime) -> Iterator[tuple[str, Text]]:
    took = took_s(job)
    ending = f" in {span(took)}" if took is not None else f": {job['message']}"
    yield "Job", plain(job["id"], "bold")
    yield "Status", _status(job) + plain(ending)
    yield "Prompt", plain(job["prompt"])
    yield "Model", plain(job["model"])
    if job["parameters"]:
        yield "Parameters", plain(" ".join(f"{name}={value!r}" for name, value in job["parameters"].items()))
    yield "Created", plain(f"{_local(job['created_at']):%Y-%m-%d %H:%M:%S}, {_age(job['created_at'], now)}")
    yield "Attempts", plain(f"{job['attempt']} of {job['max_attempts']}{_cost(job)}")
    if job["retry_of"]:
        yield "Repeats", plain(job["retry_of"])
    for idx, artifact in enumerate(job["artifacts"]):
        yield "" if idx else "Files", plain(artifact["url"]) + Text(f"  {described(artifact)}", "dim")
    if job["error"]:
        yield "Error", plain(f"{job['error']['message']} ({job['error']['code']})", "red")
    if job["status"] == "failed":
        yield "", plain(advice(hint(job)), "dim")
    if job["artifacts"]:
        yield "", Text(advice(f"Save with: mediagen jobs save {short(job)}"), "dim")


def _cost(job: Json) -> str:
    usd = (job.get("cost") or {}).get("usd")
    if not usd:
        return "" if usd is None else ", free of charge"
    return f", {usd:.{4 if usd >= 0.001 else 6}f} USD"  # the ledger counts millionths


def _local(text: str) -> datetime:
    return _time(text).astimezone()


# ---------------------------------------------------------------------------------------------- progress


class Watcher(Protocol):
    """Shows how a job goes on."""

    def show(self, job: Mapping[str, Any]) -> None:
        """Show the job as it is now."""


@contextmanager
def watching() -> Iterator[Watcher]:
    """Show a moving bar on a terminal, and a line for each change elsewhere."""
    console = stderr()
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        SpinnerColumn(style="cyan"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._said = ""

    def show(self, job: Mapping[str, Any]) -> None:
        if job["message"] != self._said:
            self._said = job["message"]
            self._console.print(plain(self._said), soft_wrap=True)


class _Bar:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("Submitting", total=None)

    def show(self, job: Mapping[str, Any]) -> None:
        done = job["progress"]
        self._progress.update(
            self._task,
            description=plain(job["message"]).plain[:60],
            total=None if done is None else 1.0,
            completed=done or 0.0,
        )


# ---------------------------------------------------------------------------------------------- the installation


def ready_block(rows: Sequence[tuple[str, str]], version: str) -> Table:
    """Return what `serve` says when it answers."""
    table = _grid()
    table.add_row(Text("mediagen", "bold"), Text(f"{version} is ready", "green"))
    for name, value in rows:
        table.add_row(Text(name, "dim"), plain(value, "cyan" if value.startswith("http") else ""))
    table.add_row("", Text("Ctrl+C stops", "dim"))
    return table


def findings_table(findings: Sequence[Mapping[str, str]]) -> Table:
    """Return what `doctor` found: a line for each part, and below it how to mend what is wrong."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for finding in findings:
        mend = (
            Text("\n→ ", "yellow") + plain(advice(finding["mend"]), "yellow") if finding["mend"] else Text()
        )
        style = _STYLES[finding["status"]]
        table.add_row(
            Text(f"{finding['status']:<4}", style),
            Text(finding["name"]),
            plain(advice(finding["detail"])) + mend,
        )
    return table


def settings_table(rows: Sequence[tuple[str, str, str]]) -> Table:
    """Return settings: name, value, source."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("setting", "value", "from"):
        table.add_column(column, overflow="fold")
    for name, value, source in rows:
        style = "dim" if source == "default" else ""
        table.add_row(Text(name, "" if style else "bold"), plain(value, style), Text(source, style))
    return table


def _grid() -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table
