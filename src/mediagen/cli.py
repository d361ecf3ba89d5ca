"""The command line. Each command reaches an installation and does one thing; `--help` is its manual.

What is heavy is imported inside the commands: `--help` and `--version` answer at once.
"""

import asyncio
import errno
import json
import sys
from collections.abc import Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer
from typer.core import TyperGroup

import mediagen
from mediagen.errors import InvalidRequest, MediagenError, NotFound, SettingsError

if TYPE_CHECKING:
    from mediagen.connection import Installation, Json, Purpose
    from mediagen.runtime import Runtime
    from mediagen.saving import Target
    from mediagen.settings import Settings

FAILED, BAD_USE, INTERRUPTED = 1, 2, 130

T = TypeVar("T")


class _Commands(TyperGroup):
    """Says errors made for people in one sentence on stderr, and ends with the exit code of their kind."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except MediagenError as error:
            bad_use = isinstance(error, (SettingsError, InvalidRequest, NotFound))
            raise _complaint(str(error), BAD_USE if bad_use else FAILED) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of our output has gone
                raise
            named = f": {error.filename!r}" if error.filename else ""
            raise _complaint(f"{error.strerror or error}{named}", FAILED) from error


def _complaint(message: str, code: int) -> typer.Exit:
    from mediagen.terminal import complain

    complain(message)
    return typer.Exit(code)


_EPILOG = """[bold]Examples[/]

[cyan]mediagen serve[/]  [dim]the page, the API and a worker at http://127.0.0.1:8000[/]

[cyan]mediagen generate "a red fox in the snow" -o fox.png -p width=768 -p seed=3[/]

[cyan]mediagen jobs --status failed[/]  [dim]then: mediagen jobs retry 3f2a1b[/]

[bold]Exit codes[/]  0 done · 1 the job or a check failed, or it can't be done now · 2 bad use or settings · 130 Ctrl+C

[bold]Settings[/] come from the environment and from [cyan].env[/]; [cyan]mediagen config[/] shows them all."""

app = typer.Typer(
    name="mediagen",
    cls=_Commands,
    help="Pictures and other media from prompts: [bold]durable jobs[/], on this machine or at a provider.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # their frames would show values, secrets among them
    context_settings={"help_option_names": ["-h", "--help"]},
)
jobs_app = typer.Typer(
    name="jobs",
    help="List jobs; show, save, cancel, retry or delete one. An id may be its last 6 characters.",
    invoke_without_command=True,
    rich_markup_mode="rich",
)
app.add_typer(jobs_app)

Server = Annotated[
    str | None,
    typer.Option(
        "--server", metavar="URL", envvar="MEDIAGEN_URL", help="A running server; else the one at HOST:PORT, if any."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="The whole id, or its last 6 characters or more.")]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FILE", help="File or folder; - is stdout. Else named after the prompt."),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace a file that has the name already.")]
Status = Literal["pending", "processing", "completed", "failed", "canceled"]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mediagen {mediagen.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before a command."""


# ---------------------------------------------------------------------------------------------- the installation


@app.command(rich_help_panel="Installation")
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; else HOST.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one; else PORT.")] = None,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Run jobs in this process, too.")] = True,
) -> None:
    """Serve the page and the API, and run jobs, until Ctrl+C."""
    from mediagen import server
    from mediagen.settings import load_settings
    from mediagen.telemetry import set_up_logging

    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = load_settings(**given)
    set_up_logging(debug=settings.debug)
    asyncio.run(server.serve(settings, worker=worker, ready=lambda url, on: _show_ready(url, on, worker)))


def _show_ready(url: str, runtime: "Runtime", worker: bool) -> None:
    from mediagen import terminal
    from mediagen.providers import provider_classes

    names = ", ".join(provider.name for provider in runtime.providers)
    settings = " or ".join(kind.connect_with for kind in provider_classes() if kind.connect_with)
    rows = [("Page", url), ("API", f"{url}/docs"), ("Data", str(runtime.settings.data_dir))]
    if runtime.providers.mock_mode:
        rows.append(("Provider", "mock mode: pictures are drawn here and cost nothing"))
        rows += [("", f"set {settings} to connect a provider")] if settings else []
    else:
        rows.append(("Provider", f"{names}; {runtime.providers.default_model} unless a job names another model"))
    if not worker:
        rows.append(("Worker", "none here: jobs wait for another process"))
    terminal.stdout().print(terminal.ready_block(rows, mediagen.__version__))


@app.command(rich_help_panel="Installation")
def doctor(as_json: AsJson = False) -> None:
    """Check every part and say how to mend it."""
    from mediagen import terminal
    from mediagen.clock import SystemClock
    from mediagen.doctor import Verdict, examine

    _quiet_logging(debug=False)
    findings = asyncio.run(examine(SystemClock()))
    shown = [finding.shown for finding in findings]
    failed = sum(finding.status is Verdict.FAIL for finding in findings)
    if as_json:
        _print_json({"ok": not failed, "checks": shown})
    else:
        terminal.stdout().print(terminal.findings_table(shown))
    if failed:
        raise typer.Exit(FAILED)


@app.command(rich_help_panel="Installation")
def migrate() -> None:
    """Create or upgrade the database; `serve` does it, too."""
    from mediagen.db.migrate import HEAD, migrate_sqlite
    from mediagen.runtime import sqlite_path
    from mediagen.settings import load_settings

    _quiet_logging(debug=False)
    path = sqlite_path(load_settings())
    existed = path.exists()
    changed = migrate_sqlite(path)
    done = "Upgraded" if existed else "Created"
    typer.echo(f"{done} {path}: schema {HEAD}" if changed else f"{path} has schema {HEAD} already")


@app.command(rich_help_panel="Installation")
def config(as_json: AsJson = False) -> None:
    """Show every setting, its value and where that comes from; secrets are hidden."""
    from mediagen import terminal
    from mediagen.configuration import effective

    rows = effective()
    if as_json:
        _print_json({name: {"value": value, "from": source} for name, value, source in rows})
    else:
        terminal.stdout().print(terminal.settings_table(rows))


# ---------------------------------------------------------------------------------------------- generate


@app.command(rich_help_panel="Jobs")
def generate(
    prompt: Annotated[str, typer.Argument(help="What to make.")],
    output: Output = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="owner/name[:version]; see the page.")] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="An input of the model, as JSON or text; repeatable."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the files, or only submit.")] = True,
    force: Force = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Submit a job, wait for it and save its files; the last line on stdout is the path."""
    from mediagen.connection import Purpose
    from mediagen.saving import Target

    request = {"prompt": prompt, "model": model, "parameters": dict(_parameter(text) for text in parameters or ())}
    if not wait and (output or force):
        raise InvalidRequest("--no-wait saves nothing; leave -o and --force out, or wait for the job")
    if output == "-" and as_json:
        raise InvalidRequest("-o - and --json both write to stdout; take one of them")
    if not wait:
        job = _run(_submit(request, server))
        _print_json(job) if as_json else typer.echo(job["id"])
        return
    target = Target.of(output, force=force)
    following = _Following(target)
    following.run(following.new_job(request, server), Purpose.WORK, server, as_json=as_json)
