"""What `mediagen audit` does: compare what providers sold with the ledger, and say it."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from mediagen.clock import SystemClock
from mediagen.commands import terminal
from mediagen.commands.connection import Json
from mediagen.commands.terminal import plain
from mediagen.errors import InvalidRequest
from mediagen.jobs.audit import Audit, audit
from mediagen.jobs.model import CallRecord
from mediagen.jobs.view import timestamp
from mediagen.providers import Registry, load_registry
from mediagen.providers.base import Prediction, Provider, ProviderContext
from mediagen.runtime import build_database
from mediagen.safefetch import Fetcher
from mediagen.settings import Settings, load_settings

_SPAN = re.compile(r"(\d{1,6})([smhd])")
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SHOWN = 20  # of each kind of finding; --json shows all


def span_ms(text: str) -> int:
    """Return the milliseconds of a span such as `90m`, `24h` or `7d`. Raises `InvalidRequest`."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise InvalidRequest(f"--since {text!r} is no span of time; write 90m, 24h or 7d")
    return int(found[1]) * _UNITS_MS[found[2]]


def run(name: str | None, since: str, *, as_json: bool) -> bool:
    """Audit and say what was found; return whether provider and ledger agree."""
    audits = asyncio.run(examine(load_settings(), name, span_ms(since)))
    if as_json:
        terminal.print_json([shown(found) for found in audits])
    else:
        for part in tables(audits):
            terminal.stdout().print(part, soft_wrap=True)
    return all(found.clean for found in audits)


async def examine(settings: Settings, name: str | None, last_ms: int) -> list[Audit]:
    """Audit one provider, or all that cost money. Raises `ProviderError` where one can't list what it sold."""
    clock, grace_s = SystemClock(), settings.reconcile_grace
    async with AsyncExitStack() as stack:
        fetcher = Fetcher(max_bytes=settings.max_output_bytes)
        stack.push_async_callback(fetcher.close)
        providers = load_registry(ProviderContext(settings=settings, clock=clock, fetcher=fetcher))
        stack.push_async_callback(providers.close)
        chosen = _chosen(providers, name)
        if not chosen:
            return []
        db = build_database(settings, clock)
        stack.push_async_callback(db.close)
        await db.start()
        return [await audit(db, each, last_ms=last_ms, grace_s=grace_s) for each in chosen]


def _chosen(providers: Registry, name: str | None) -> Sequence[Provider]:
    if name is None:
        return [each for each in providers if each.capabilities.billed]
    found = providers.get(name)
    if found is None:
        known = ", ".join(each.name for each in providers)
        raise InvalidRequest(f"{name!r} is no provider that is configured here; there is {known}")
    return [found]


# ---------------------------------------------------------------------------------------------- shown


def shown(found: Audit) -> Json:
    """Return the audit for programs."""
    return {
        "provider": found.provider,
        "since": timestamp(found.since_ms),
        "ok": found.clean,
        "sold": found.sold,
        "in_ledger": found.charged,
        "orphans": [
            {
                "ref": each.ref,
                "status": each.status.value,
                "job": (each.marker.job or None) if each.marker else None,
                "created_at": timestamp(each.created_at_ms),
            }
            for each in found.orphans
        ],
        "missing": [
            {"ref": each.provider_ref, "job": each.job_id, "created_at": timestamp(each.created_at)}
            for each in found.missing
        ],
        "bought_twice": [
            {"job": calls[0].job_id, "refs": [call.provider_ref for call in calls if call.provider_ref]}
            for calls in found.bought_twice
        ],
        "undecided": [each.ref for each in found.undecided],
        "unsure": [
            {"job": each.job_id, "call": each.id, "created_at": timestamp(each.created_at), "seen": each.seen}
            for each in found.unsure
        ],
        "others": [
            {"ref": each.ref, "installation": each.marker.installation if each.marker else None}
            for each in found.others
        ],
        "unreadable": found.unreadable,
    }


def tables(audits: Sequence[Audit]) -> Iterator[Table | Text]:
    """Yield what people read: a line for each provider, then what was found."""
    if not audits:
        yield Text("No provider that costs money is configured: there is nothing to audit.")
        return
    yield _summary(audits)
    for found in audits:
        yield from _findings(found)


def _summary(audits: Sequence[Audit]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("provider", "since"):
        table.add_column(column, no_wrap=True)
    for column in ("sold", "in the ledger", "orphans", "missing", "bought twice", "may be charged"):
        table.add_column(column, no_wrap=True, justify="right")
    for found in audits:
        since = datetime.fromtimestamp(found.since_ms / 1000, UTC).astimezone()
        faults = (found.orphans, found.missing, found.bought_twice, found.unsure)
        table.add_row(
            plain(found.provider),
            f"{since:%Y-%m-%d %H:%M:%S}",
            str(found.sold),
            str(found.charged),
            *(Text(str(len(fault)), "bold red" if fault else "green") for fault in faults),
        )
    return table


def _findings(found: Audit) -> Iterator[Text]:
    yield from _listed("orphan", [_orphan(each) for each in found.orphans])
    yield from _listed("missing", [f"{each.provider_ref}, job {each.job_id}" for each in found.missing])
    yield from _listed("bought twice", [f"job {calls[0].job_id}" for calls in found.bought_twice])
    yield from _listed("may be charged", [_unsure(call) for call in found.unsure])
    if found.others:
        yield Text(f"{len(found.others)} more were sold to other installations with the same account", "dim")
    if found.undecided:
        yield Text(
            f"{len(found.undecided)} more may belong to calls whose answer is still out: "
            "look again when those jobs have moved on",
            "yellow",
        )
    if found.unreadable:
        yield Text(
            f"{found.unreadable} more in the provider's list can't be read, and may be anybody's", "yellow"
        )


def _orphan(prediction: Prediction) -> str:
    of = f", job {prediction.marker.job}" if prediction.marker and prediction.marker.job else ""
    return f"{prediction.ref}, {prediction.status}{of}"


def _unsure(call: CallRecord) -> str:
    seen = f": {call.seen}" if call.seen else ""
    way_out = terminal.advice(f"settle it with: mediagen jobs settle {call.job_id} --adopt REF, or --absent")
    return f"job {call.job_id}{seen}; {way_out}"


def _listed(kind: str, lines: Sequence[str]) -> Iterator[Text]:
    for line in lines[:_SHOWN]:
        yield Text(f"{kind}: ", "red") + plain(line)
    if len(lines) > _SHOWN:
        yield Text(f"... and {len(lines) - _SHOWN} more; --json shows all", "dim")
