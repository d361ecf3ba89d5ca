"""The command line. Each command reaches an installation and does one thing; `--help` is its manual.

What is heavy is imported inside the commands: `--help` and `--version` answer at once.
"""

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

import mediagen
from mediagen.commands.group import FAILED, INTERRUPTED, Commands
from mediagen.errors import InvalidRequest

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    from mediagen.commands.connection import Installation, Json, Purpose
    from mediagen.commands.saving import Target

    Act: TypeAlias = Callable[[Installation], Awaitable[T]]

_EPILOG = """[bold]Examples[/]
  [cyan]mediagen serve[/]  [dim]the page, the API and a worker at http://127.0.0.1:8000[/]
  [cyan]mediagen generate "a red fox in the snow" -o fox.png -p width=768 -p seed=3[/]
  [cyan]mediagen jobs --status failed[/]  [dim]then: mediagen jobs retry 3f2a1b[/]

[bold]Exit codes[/]  0 done, 1 the job or a check failed or it can't be done now, 2 bad use or settings, 130 Ctrl+C

[bold]Settings[/] come from the environment and from [cyan].env[/]; [cyan]mediagen config[/] shows them all."""

app = typer.Typer(
    name="mediagen",
    cls=Commands,
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
    typer.Option("--server", metavar="URL", envvar="MEDIAGEN_URL", help="A server; else that at HOST:PORT."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="The whole id, or its last 6 characters or more.")]
Output = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="File or folder, - for stdout; else made from the prompt."
    ),
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


# ---------------------------------------------------------------------------------------------- generate


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What to make.")],
    output: Output = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="owner/name[:version]; see the page.")
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--param", "-p", metavar="NAME=VALUE", help="Input of the model, JSON or text; repeatable."
        ),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.001, max=86_400, help="Seconds to make it in, 5 more at most.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Or only submit, and print the id.")] = True,
    force: Force = False,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Submit a job, wait for it and save its files; the last line on stdout is the path."""
    from mediagen.commands.parameters import parameter

    request: Json = {
        "prompt": prompt,
        "model": model,
        "parameters": dict(map(parameter, parameters or ())),
    }
    request |= {} if timeout is None else {"timeout_s": timeout}
    if not wait and (output or force):
        raise InvalidRequest("--no-wait saves nothing; leave -o and --force out, or wait for the job")
    if wait:
        target = _target(output, force, as_json)
        _follow(lambda installation: installation.submit(request), target, server, as_json=as_json)
        return
    job = _with("queue", server, lambda installation: installation.submit(request))
    _tell(job, as_json, job["id"])


def _follow(start: "Act[Json]", target: "Target", server: str | None, *, as_json: bool) -> None:
    """Start or find a job, follow it to its end, save its files, and say how it went."""
    from mediagen.commands import terminal
    from mediagen.commands.saving import Follower

    follower = Follower(target)
    try:
        job = _with("work", server, lambda installation: follower.run(installation, start))
    except KeyboardInterrupt:
        terminal.say(follower.farewell)
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        terminal.print_json({**job, "saved": [str(path) for path in follower.saved]})
    for path in () if as_json else follower.saved:
        typer.echo(path)
    if job["status"] != "completed":
        raise typer.Exit(FAILED)


# ---------------------------------------------------------------------------------------------- the installation


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; else HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port, 0 for a free one; else PORT.")
    ] = None,
    worker: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Run jobs in this process, too.")
    ] = True,
) -> None:
    """Serve the page and the API, and run jobs, until Ctrl+C."""
    import uvloop

    from mediagen import server
    from mediagen.commands.configuration import announce
    from mediagen.settings import load_settings
    from mediagen.telemetry import set_up_logging

    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = load_settings(**given)
    set_up_logging(debug=settings.debug)
    uvloop.run(
        server.serve(settings, worker=worker, ready=lambda url, runtime: announce(url, runtime, worker))
    )


@app.command()
def worker() -> None:
    """Run jobs in a process of its own, beside servers started with --no-worker, until Ctrl+C.

    Start as many as you like, on any machine that reaches the database. With REDIS_URL or CELERY_BROKER_URL it is a
    Celery worker that servers wake at once; without, it hears from PostgreSQL or looks every WORKER_POLL_INTERVAL.
    """
    from mediagen.settings import load_settings
    from mediagen.telemetry import set_up_logging
    from mediagen.worker import process

    settings = load_settings()
    set_up_logging(debug=settings.debug)
    process.run(settings)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check every part and say how to mend it."""
    from mediagen.commands.doctor import run

    _quiet_logging(debug=False)
    if not run(as_json=as_json):
        raise typer.Exit(FAILED)


@app.command()
def audit(
    provider: Annotated[str | None, typer.Argument(help="Only this one; else all that cost money.")] = None,
    since: Annotated[str, typer.Option(metavar="SPAN", help="How far back: 90m, 24h, 7d.")] = "24h",
    as_json: AsJson = False,
) -> None:
    """Compare what providers sold with what this database knows of; exit code 1 when they differ."""
    from mediagen.commands import auditing

    _quiet_logging(debug=False)
    if not auditing.run(provider, since, as_json=as_json):
        raise typer.Exit(FAILED)


@app.command("migrate")
def migrate_database() -> None:
    """Create or upgrade the database; `serve` does it, too."""
    from mediagen.commands.configuration import database_of
    from mediagen.db.migrate import HEAD
    from mediagen.runtime import migrate_when_there
    from mediagen.settings import load_settings

    _quiet_logging(debug=False)
    settings = load_settings()
    changed, where = asyncio.run(migrate_when_there(settings)), database_of(settings)
    typer.echo(f"{where} has schema {HEAD} {'now' if changed else 'already'}")


@app.command()
def config(as_json: AsJson = False) -> None:
    """Show every setting, its value and where that comes from; secrets are hidden."""
    from mediagen.commands.configuration import run

    run(as_json=as_json)


# ---------------------------------------------------------------------------------------------- jobs


@jobs_app.callback()
def list_jobs(
    ctx: typer.Context,
    status: Annotated[Status | None, typer.Option(help="Only jobs with this status.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Only jobs of this model.")] = None,
    text: Annotated[
        str | None, typer.Option("--query", "-q", help="Only jobs with this text in the prompt.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="How many.")] = 20,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """List jobs, newest first."""
    if ctx.invoked_subcommand:
        return
    from mediagen.commands import terminal
    from mediagen.commands.connection import NoDatabase, Query

    query = Query(status=status, model=model, text=text, limit=limit)
    try:
        jobs = _with("look", server, lambda installation: installation.list(query))
    except NoDatabase:
        jobs = []
    if as_json:
        terminal.print_json(jobs)
    elif jobs:
        terminal.stdout().print(terminal.jobs_table(jobs, terminal.now()))
    elif status or model or text:
        terminal.say("No job is like that. All of them: mediagen jobs")
    else:
        terminal.say('No jobs. Make one with: mediagen generate "a red fox in the snow"')


@jobs_app.command()
def show(part: JobId, as_json: AsJson = False, server: Server = None) -> None:
    """Show all about a job: what was asked, what became of it, and what happened when."""
    from mediagen.commands import terminal

    job = _on_job("look", part, server, lambda installation, job_id: installation.get(job_id))
    if as_json:
        terminal.print_json(job)
    else:
        terminal.stdout().print(terminal.job_details(job, terminal.now()))


@jobs_app.command()
def save(
    part: JobId, output: Output = None, force: Force = False, as_json: AsJson = False, server: Server = None
) -> None:
    """Save a job's files, waiting for its end if that is still to come."""

    async def find(installation: "Installation") -> "Json":
        return await installation.get(await installation.resolve(part))

    _follow(find, _target(output, force, as_json), server, as_json=as_json)


@jobs_app.command()
def cancel(part: JobId, as_json: AsJson = False, server: Server = None) -> None:
    """Stop a job; what the provider has finished by then is kept."""
    job = _on_job("change", part, server, lambda installation, job_id: installation.cancel(job_id))
    said = "is canceled" if job["status"] == "canceled" else "is told to stop"
    _tell(job, as_json, f"{job['id']} {said}")


@jobs_app.command()
def retry(part: JobId, as_json: AsJson = False, server: Server = None) -> None:
    """Submit a failed or canceled job again, as a new job; prints its id."""
    job = _on_job("queue", part, server, lambda installation, job_id: installation.retry(job_id))
    _tell(job, as_json, job["id"])


@jobs_app.command()
def settle(
    part: JobId,
    absent: Annotated[bool, typer.Option("--absent", help="Nothing was bought: close the call.")] = False,
    adopt: Annotated[str | None, typer.Option(metavar="REF", help="It is REF; a new job keeps that.")] = None,
    as_json: AsJson = False,
    server: Server = None,
) -> None:
    """Settle a call whose outcome is unknown, after a look at the provider; buys nothing."""
    if absent == (adopt is not None):
        raise InvalidRequest("Give --absent or --adopt REF, one of them")
    purpose: Purpose = "change" if absent else "queue"
    job = _on_job(purpose, part, server, lambda found, job_id: found.settle(job_id, adopt))
    _tell(job, as_json, f"{job['id']} is settled: nothing was bought" if absent else job["id"])


@jobs_app.command()
def delete(part: JobId, server: Server = None) -> None:
    """Delete a finished job and its files for good."""

    async def act(installation: "Installation", job_id: str) -> str:
        await installation.delete(job_id)
        return job_id

    typer.echo(f"{_on_job('change', part, server, act)} is deleted")


# ---------------------------------------------------------------------------------------------- running


def _with(purpose: "Purpose", server: str | None, act: "Act[T]") -> T:
    """Reach the installation, let `act` do its work there, and return what that returned."""
    from mediagen.commands import terminal
    from mediagen.commands.connection import reach
    from mediagen.settings import load_settings

    settings = load_settings()
    _quiet_logging(debug=settings.debug)

    async def run() -> T:
        async with reach(settings, purpose, server) as installation:
            done = await act(installation)
            if purpose == "queue" and not installation.goes_on:
                terminal.say(
                    "No server runs: it waits for the next `mediagen serve`, or `mediagen jobs save ID`"
                )
            return done

    return asyncio.run(run())


def _on_job(
    purpose: "Purpose", part: str, server: str | None, act: "Callable[[Installation, str], Awaitable[T]]"
) -> T:
    """Do `act` on the job whose id has this part."""

    async def found(installation: "Installation") -> T:
        return await act(installation, await installation.resolve(part))

    return _with(purpose, server, found)


def _target(output: str | None, force: bool, as_json: bool) -> "Target":
    from mediagen.commands.saving import Target

    if output == "-" and as_json:
        raise InvalidRequest("-o - and --json both write to stdout; take one of them")
    return Target.of(output, force=force)


def _tell(job: "Json", as_json: bool, line: str) -> None:
    from mediagen.commands.terminal import print_json

    if as_json:
        print_json(job)
    else:
        typer.echo(line)


def _quiet_logging(*, debug: bool) -> None:
    """Log to stderr what went wrong inside, no more: commands speak for themselves."""
    import logging

    from mediagen.telemetry import set_up_logging

    set_up_logging(debug=debug)
    for handler in () if debug else logging.getLogger().handlers:
        handler.setLevel(logging.ERROR)
