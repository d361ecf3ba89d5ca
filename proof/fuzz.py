"""Fuzz every operation that the OpenAPI document names, and hold the answers against the document.

    python -m proof.fuzz [--cases 50000] [--seed 1] [--json FILE]

Schemathesis makes the requests, half of them valid by the document and half not, with ids of jobs and files that
exist and with ids that do not; a real `mediagen serve` answers. What must hold: no answer of 5xx but the one of
/health that the document names, and every status, media type, body and header of an answer as documented. The
exit code is 1 when anything of this does not hold.
"""

import argparse
import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from proof.bad_input.rows import hold
from proof.command import finish, new_file, whole
from proof.serving import Server
from proof.table import Moves, progress, save, show

API = "/api/v1"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
_SHOWN = 30  # violations told in full
_TIMEOUT_S = 30
_STREAM = "text/event-stream"
_SMALL: dict[str, Any] = {"prompt": "a red fox", "parameters": {"width": 64, "height": 64, "latency_s": 0}}
_NEVER_MS = 10**14


@dataclass(kw_only=True)
class Line:
    """What came of one operation in one mode."""

    operation: str
    mode: str
    cases: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)  # by what is wrong; with an example each
    examples: dict[str, str] = field(default_factory=dict)


class Fuzz:
    """One run against one server, which nobody else uses."""

    def __init__(self, url: str, known: Mapping[str, Mapping[str, Sequence[str]]], rng_seed: int) -> None:
        """`known` holds path parameters that exist, by method and name; those of "GET" serve all others."""
        self._url = url
        self._known = known
        self._seed = rng_seed
        self._closed = False
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Connection"] = (
            "close"  # what is left of a stream must not meet the next answer
        )
        self._schema = schemathesis.openapi.from_url(f"{url}{API}/openapi.json")

    def run(self, cases: int, moves: Moves) -> list[Line]:
        """Send about so many requests; operations with little to vary get fewer, the others their share."""
        work = sorted(
            self._work(), key=lambda pair: len(list(pair[0].iter_parameters())) + 9 * bool(pair[0].body)
        )
        lines: list[Line] = []
        done = 0
        for index, (operation, mode) in enumerate(work):
            share = max(1, (cases - done) // (len(work) - index))
            line = Line(operation=operation.label, mode=mode.value)
            self._fuzz(operation, mode, share, line)
            lines.append(line)
            done += line.cases
            moves(done, max(cases, done))
        return lines

    def _work(self) -> Iterator[tuple[Any, GenerationMode]]:
        for result in self._schema.get_all_operations():
            if not isinstance(result, Ok):
                raise result.err()
            for mode in GenerationMode:
                yield result.ok(), mode

    def _fuzz(self, operation: Any, mode: GenerationMode, most: int, line: Line) -> None:
        @seed(self._seed)
        @settings(
            max_examples=most,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=self._cases(operation, mode))
        def send(case: Any) -> None:
            self._send(case, line)

        with suppress(Unsatisfiable):  # nothing can be wrong with a request that has nothing in it
            send()

    def _cases(self, operation: Any, mode: GenerationMode) -> st.SearchStrategy[Any]:
        """Return requests with ids of all sorts, and with those that exist."""
        known = self._known.get(operation.method.upper(), self._known["GET"])
        names = [parameter.name for parameter in operation.path_parameters]
        anything = operation.as_strategy(mode)
        if not names:
            return anything  # type: ignore[no-any-return]
        existing = st.fixed_dictionaries({name: st.sampled_from(known[name]) for name in names})
        return anything | existing.flatmap(lambda ids: operation.as_strategy(mode, path_parameters=ids))  # type: ignore[no-any-return]

    def _send(self, case: Any, line: Line) -> None:
        if self._closed:  # a thread can't be canceled: it ends itself
            raise KeyboardInterrupt
        line.cases += 1
        options = case.as_transport_kwargs(base_url=self._url)
        try:
            with self._session.request(**options, timeout=_TIMEOUT_S, stream=True) as response:
                if response.headers.get("content-type", "").startswith(_STREAM):
                    response._content = b""  # it does not end; its head is what is looked at
                    self._session.close()  # what is left of it must not meet the next answer; a new one opens
                line.statuses[response.status_code] += 1
                case.validate_response(response, checks=CHECKS)
        except FailureGroup as group:
            for failure in group.exceptions:
                self._blame(line, f"{failure.title}: {failure.message}", case)
        except requests.RequestException as error:
            self._blame(line, f"no answer: {error!r}", case)

    def _blame(self, line: Line, what: str, case: Any) -> None:
        key = " ".join(what.split())[:200]
        line.violations[key] += 1
        line.examples.setdefault(key, case.as_curl_command(base_url=self._url)[:600])

    def close(self) -> None:
        """Send nothing more."""
        self._closed = True
        self._session.close()


# ---------------------------------------------------------------------------------------------- what exists


def prepare(server: Server) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Make jobs of each kind, hold all that come after them, and return what exists, by method."""
    api = f"{server.url}{API}"
    done, doomed = (_finished(api, _submit(api)) for _ in range(2))
    hold(server.database_url, done["provider"], _NEVER_MS)
    waiting, stopped = (_submit(api) for _ in range(2))
    requests.post(f"{api}/jobs/{stopped}/cancel", timeout=_TIMEOUT_S)
    keys = [artifact["key"] for artifact in done["artifacts"]]
    return {
        "GET": {"job_id": [done["id"], waiting, stopped], "key": keys},
        "DELETE": {"job_id": [waiting, doomed["id"]], "key": keys},
    }


def _submit(api: str) -> str:
    answer = requests.post(f"{api}/generate", json=_SMALL, timeout=_TIMEOUT_S)
    answer.raise_for_status()
    return str(answer.json()["id"])


def _finished(api: str, job_id: str) -> dict[str, Any]:
    requests.get(f"{api}/jobs/{job_id}/events", timeout=_TIMEOUT_S).raise_for_status()
    return dict(requests.get(f"{api}/jobs/{job_id}", timeout=_TIMEOUT_S).json())


# ---------------------------------------------------------------------------------------------- the command


async def fuzz(cases: int, rng_seed: int, folder: Path) -> tuple[list[Line], list[str]]:
    """Fuzz a server in `folder`; return a line for each operation and mode, and what was wrong afterwards."""
    async with Server(folder) as server:
        known = await asyncio.to_thread(prepare, server)
        with progress("cases") as moves:
            run = Fuzz(server.url, known, rng_seed)
            try:
                lines = await asyncio.to_thread(run.run, cases, moves)
            finally:
                run.close()
        wrong = [f"the log: {line}"[:600] for line in server.output.splitlines() if "crashed" in line]
        health = await asyncio.to_thread(requests.get, f"{server.url}/health", timeout=_TIMEOUT_S)
        if health.status_code != 200:
            wrong.append(f"afterwards: {health.text}")
        return lines, wrong


def summary(lines: Sequence[Line], wrong: Sequence[str]) -> dict[str, Any]:
    """Return the figures as JSON."""
    found = [
        f"{line.operation}, {line.mode}: {what} ({count} times); {line.examples[what]}"
        for line in lines
        for what, count in line.violations.items()
    ]
    return {
        "operations": len({line.operation for line in lines}),
        "cases": sum(line.cases for line in lines),
        "by_operation": [
            {
                "operation": line.operation,
                "mode": line.mode,
                "cases": line.cases,
                "statuses": dict(sorted(line.statuses.items())),
            }
            for line in lines
        ],
        "violations": [*found, *wrong],
    }


def main() -> int:
    """Run from the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m proof.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=whole(1), default=50_000, help="at least one of each operation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=new_file, help="write the figures there, too")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        lines, wrong = asyncio.run(fuzz(asked.cases, asked.seed, Path(folder)))
    result = summary(lines, wrong)
    save(asked.json, result)
    found = result["violations"]
    told = f"{result['cases']:,} cases of {result['operations']} operations, {len(found)} kinds of violation"
    rows = [_row(line) for line in sorted(lines, key=lambda line: (line.operation, line.mode))]
    headings = ("operation", "mode", "cases", "answers", "violations")
    show("Fuzz", headings, rows, [told, *found[:_SHOWN]])
    return 1 if found else 0


def _row(line: Line) -> tuple[object, ...]:
    answers = " ".join(f"{status}:{count}" for status, count in sorted(line.statuses.items()))
    return line.operation, line.mode, line.cases, answers, sum(line.violations.values())


if __name__ == "__main__":
    finish(main)
