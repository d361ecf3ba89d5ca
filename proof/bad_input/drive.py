"""Drives odd requests against a running server, one at a time, and watches what each of them leaves behind."""

import asyncio
import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp

from mediagen.runtime import hook_token
from proof.bad_input.corpus import corpus
from proof.bad_input.judge import Fault, fault_of, is_parsers, json_of
from proof.bad_input.places import Case, cases, operations
from proof.bad_input.rows import Rows, hold
from proof.bad_input.wire import Answer, NoAnswer, exchange
from proof.serving import Server
from proof.table import Moves

API = "/api/v1"
_HONEST = {"prompt": "a red fox", "parameters": {"width": 64, "height": 64, "latency_s": 0}}
_NEVER_MS = 10**14
_LOOK_S = 0.5
_QUIET_S = 20.0  # so long no job may end before the rest is canceled


@dataclass(kw_only=True)
class Report:
    """What came of the requests."""

    requests: int = 0
    accepted: int = 0  # jobs that were made of odd input
    families: dict[str, Counter[str]] = field(default_factory=dict)  # of each family: answers by kind
    places: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)
    faults: list[tuple[Fault, str, str]] = field(default_factory=list)  # with the case and the details
    aftermath: list[str] = field(default_factory=list)  # what was wrong with the server after all that
    memory_growth_mib: float = 0.0

    def count(self, case: Case, outcome: str) -> None:
        self.requests += 1
        self.families.setdefault(case.value.family, Counter())[outcome] += 1
        self.places.add(f"{case.operation.label}, {case.place}")
        self.values.add(case.value.label)


def choose(every: Sequence[Case], most: int, rng: Random) -> list[Case]:
    """Return `most` cases at random: first such that each value, then each place, has its turn; 0 takes all."""
    shuffled = rng.sample(every, len(every))
    seen: set[str] = set()
    first: list[Case] = []
    rest: list[Case] = []
    for case in shuffled:
        keys = {case.value.label, f"{case.operation.label}, {case.place}"}
        (first if keys - seen else rest).append(case)
        seen |= keys
    return (first + rest)[: most or None]


class Drive:
    """One run against one server, which nobody else uses."""

    def __init__(self, server: Server, http: aiohttp.ClientSession) -> None:
        self._server = server
        self._http = http
        self.report = Report()

    async def run(self, most: int, rng: Random, progress: Moves) -> Report:
        """Send at least one and at most `most` requests (0: all there are), then look at the server."""
        known = await self._prepare()
        self._rows = Rows(self._server.database_url)
        try:
            document = await self._json(f"{API}/openapi.json")
            every = [
                case
                for operation in operations(document, API)
                for case in cases(operation, known.get(operation.method, known["GET"]), corpus())
            ]
            chosen = choose(every, most, rng)
            before = self._server.memory_mib()
            for done, case in enumerate(chosen):
                progress(done, len(chosen))
                await self._try(case)
            self.report.memory_growth_mib = self._server.memory_mib().peak - before.peak
        finally:
            self._rows.close()
        await self._look_after()
        return self.report

    # ------------------------------------------------------------------------------------------ before

    async def _prepare(self) -> Mapping[str, Mapping[str, str]]:
        """Make a job, hold all that come after it, and return honest path segments by method."""
        job = await self._submitted()
        async with self._http.get(f"{self._server.url}{API}/jobs/{job['id']}/events") as events:
            await events.read()
        done = await self._json(f"{API}/jobs/{job['id']}")
        self._provider = done["provider"]
        hold(self._server.database_url, self._provider, _NEVER_MS)
        waiting = await self._submitted()
        call_id = done["attempts"][0]["call_id"]
        key = base64.b64decode((self._server.data_dir / "hook.key").read_text())
        honest = {
            "job_id": done["id"],
            "key": done["artifacts"][0]["key"],
            "provider": done["provider"],
            "token": hook_token(key, call_id),
            "call_id": call_id,
            "file": "app.js",
            "rest": "nothing",
        }
        return {
            "GET": honest,
            "DELETE": honest | {"job_id": waiting["id"]},
        }  # so that neither is ever deleted

    async def _submitted(self) -> dict[str, Any]:
        async with self._http.post(f"{self._server.url}{API}/generate", json=_HONEST) as response:
            response.raise_for_status()
            return dict(await response.json())

    async def _json(self, path: str) -> Any:
        async with self._http.get(f"{self._server.url}{path}") as response:
            response.raise_for_status()
            return await response.json()

    # ------------------------------------------------------------------------------------------ one request

    async def _try(self, case: Case) -> None:
        before = self._rows.counts()
        try:
            answer = await exchange(
                self._server.port, case.request(), method=case.method, whole=case.value.whole
            )
        except NoAnswer as error:
            self.report.count(case, "no answer")
            if case.value.whole:
                self._blame(Fault.NO_ANSWER, case, str(error))
            return
        self.report.count(case, _outcome(answer))
        if fault := fault_of(answer, case.method, api=case.operation.api):
            self._blame(fault, case, f"{answer.status} {answer.media_type} {answer.body[:300]!r}")
        after = self._rows.counts()
        added = {table: after[table] - before[table] for table in after if after[table] > before[table]}
        if answer.status >= 400 and added:
            self._blame(Fault.ROWS, case, f"{answer.status}, then {added}")
        if answer.status == 202:
            await self._check_kept(case, json_of(answer))

    async def _check_kept(self, case: Case, job: Any) -> None:
        self.report.accepted += 1
        if case.place != "prompt" or case.value.text is None:
            return
        found = await self._json(f"{API}/status/{job['id']}")
        if not found["prompt"] == job["prompt"] == case.value.text:
            self._blame(Fault.CHANGED, case, ascii(found["prompt"][:100]))

    def _blame(self, fault: Fault, case: Case, details: str) -> None:
        self.report.faults.append((fault, case.label, details))

    # ------------------------------------------------------------------------------------------ after

    async def _look_after(self) -> None:
        """Note what is not as it should be: health, the list of all jobs, and the jobs' own ends."""
        wrong = self.report.aftermath
        if not self._server.running:
            wrong.append("the server has ended")
            return
        hold(self._server.database_url, self._provider, 0)
        health = await self._json("/health")
        if health["status"] != "ok":
            wrong.append(f"health: {health}")
        left = await self._drained()
        if left:
            wrong.append(f"{left} jobs of odd input came to no end")
        listed = len(await self._listed())
        stored = sum((await self._json(f"{API}/stats"))["jobs"].values())
        if listed != stored:
            wrong.append(f"the list shows {listed} jobs of {stored}")
        crashes = self._server.output.count("crashed")
        if crashes:
            wrong.append(f"the log tells of {crashes} crashes")

    async def _drained(self) -> int:
        """Let the jobs be made, cancel what does not move, and return how many have not ended even then."""
        if await self._moved_on():
            for job in await self._listed("status=pending") + await self._listed("status=processing"):
                async with self._http.post(f"{self._server.url}{API}/jobs/{job}/cancel"):
                    pass
        return await self._moved_on()

    async def _moved_on(self) -> int:
        """Return how many jobs are at work once all have ended, or none has for a while."""
        least, quiet_s = await self._unfinished(), 0.0
        while least and quiet_s < _QUIET_S:
            await asyncio.sleep(_LOOK_S)
            left = await self._unfinished()
            quiet_s = 0.0 if left < least else quiet_s + _LOOK_S
            least = min(left, least)
        return least

    async def _unfinished(self) -> int:
        counts = (await self._json(f"{API}/stats"))["jobs"]
        return int(counts["pending"] + counts["processing"])

    async def _listed(self, query: str = "") -> list[str]:
        """Return the ids of all jobs, page by page."""
        listed: list[str] = []
        cursor = ""
        while True:
            page = await self._json(f"{API}/jobs?limit=100&{query}{cursor}")
            listed += [job["id"] for job in page["items"]]
            if page["next_cursor"] is None:
                return listed
            cursor = f"&cursor={page['next_cursor']}"


def _outcome(answer: Answer) -> str:
    if is_parsers(answer):
        return "refused by the HTTP layer"
    return f"{answer.status // 100}xx"
