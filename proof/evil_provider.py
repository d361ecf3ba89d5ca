"""A provider at its worst, in a process of its own, that keeps a book of what it sold.

    python -m proof.evil_provider --seed 7 --port 8901 --faults all

It speaks Replicate's HTTP API. What happens to a create is decided by the seed, the prompt and how often that
prompt came, so that the same seed is as evil again. The prompt names the job: `GET /_book` tells per prediction
which job it was sold for and how it ended. `POST /_calm` ends the faults of what comes later.

With `--faults all` it also says what proves nothing: it has another clock, shows inputs changed, answers for
somebody else, says 404 by mistake, fails to cancel, lists what is no prediction and what others bought, and packs
files. With `old` it loses answers, lists late and fails, no more.

Nothing here breaks the assumption that never paying twice rests on (docs/explanation/never-pay-twice.md): a
create that arrived is in the list of predictions after `LISTED_AFTER_S` at the latest, unless it is told otherwise.
"""

import argparse
import asyncio
import contextlib
import random
import sys
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from aiohttp import web

from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_data import Kept, Switches

T = TypeVar("T")

TRANSIENT = "Prediction interrupted; please retry (code: PA)"
FINAL = "the model could not make it: a dimension does not fit"

LISTED_AFTER_S = 4.0
"""The longest time from a create's arrival to its place in the list: `_PAUSE_S`, and then the list's lag."""

_PAUSE_S = 1.5  # at most, before a create is looked at
_SLOW_ANSWER_S = 4.0
_BAD_DOWNLOADS = 2  # of one prediction at most: links come back
_TRANSIENT_FAILURES = 3  # of one prompt at most: attempts are bounded


@dataclass
class Fate(Switches):
    """What happens to one create."""

    name: str = "good"
    slow_answer_s: float = 0.0  # from the purchase to the answer
    lost: bool = False  # the connection breaks before anything is bought


_CREATES = (  # weight, then what happens to the create
    (56, Fate()),
    (14, Fate(name="answers late", slow_answer_s=_SLOW_ANSWER_S)),
    (6, Fate(name="502 after it was bought", after_accept="502")),
    (6, Fate(name="dropped after it was bought", after_accept="drop")),
    (3, Fate(name="answer cut off", after_accept="truncated")),
    (3, Fate(name="answer cut short", after_accept="malformed")),
    (2, Fate(name="answer without id", after_accept="no_id")),
    (2, Fate(name="never answers", after_accept="hang")),
    (3, Fate(name="500, nothing bought", refuse=500)),
    (3, Fate(name="dropped, nothing bought", lost=True)),
    (2, Fate(name="429", refuse=429, retry_after="1", refuse_detail="Request was throttled")),
)
_TRICKS: tuple[tuple[int, dict[str, Any]], ...] = (  # what else happens to a create and its prediction
    (50, {}),
    (6, {"echo": "default"}),
    (4, {"echo": "order,strip"}),
    (4, {"shown_model": "acme/painter-2"}),
    (6, {"after_accept": "other"}),
    (3, {"after_accept": "other", "answer_webhook": False}),
    (3, {"after_accept": "foreign"}),
    (3, {"after_accept": "html404"}),
    (4, {"look_says": "404", "look_times": 1}),
    (3, {"look_says": "html502", "look_times": 2}),
    (3, {"cancel_says": "404"}),
    (3, {"cancel_says": "ignored"}),
    (3, {"output": "dict"}),
    (3, {"file_encoding": "gzip"}),
    (2, {"file_encoding": "utf-8"}),
)
_LISTED = ((70, ""), *((5, adds) for adds in ("null", "string", "nan", "others", "hooked", "repeated")))
_OFFSETS_S = (-150.0, -90.0, 0.0, 90.0, 150.0)
_OTHERS_PER_S = 0.5
FAULTS = ("all", "old")

_ENDS = ((89, ""), (8, TRANSIENT), (3, FINAL))
_DOWNLOADS = ((80, "png"), (8, "gone"), (8, "truncated"), (4, "empty"))


class EvilProvider(FakeReplicate):
    """The fake, with a fate for every create and none too good for the free requests."""

    def __init__(
        self, seed: int, *, port: int = 0, listed_after_s: float = LISTED_AFTER_S, faults: str = "old"
    ) -> None:
        super().__init__(port=port)
        self._tricks = faults == "all"
        if self._tricks:
            self.switches.clock_offset_s = random.Random(f"{seed}/clock").choice(_OFFSETS_S)
            self.switches.others_per_s, self.switches.others_prompt = _OTHERS_PER_S, "same"
        self._list_lag_s = listed_after_s - _PAUSE_S
        self._seed = seed
        self._calm = False
        self._chance = random.Random(seed)
        self._creates: Counter[str] = Counter()
        self._transient: Counter[str] = Counter()
        self._downloads: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def fate(self, prompt: str) -> Fate:
        """Decide the next create of the prompt."""
        self._creates[prompt] += 1
        chance = random.Random(f"{self._seed}/{prompt}/{self._creates[prompt]}")
        fate = Fate() if self._calm else replace(_pick(chance, _CREATES))
        fate.latency_s = chance.uniform(0.1, 0.3 if self._calm else 2.0)
        if self._calm:
            return fate
        fate.slow_answer_s *= chance.random()
        fate.answer_delay_s = _PAUSE_S * chance.random() if chance.random() < 0.1 else 0.0
        fate.list_lag_s = self._list_lag_s * chance.random() ** 2
        fate.fail = _pick(chance, _ENDS)
        if fate.fail == TRANSIENT:
            self._transient[prompt] += 1
            if self._transient[prompt] > _TRANSIENT_FAILURES:
                fate.fail = ""
        self.faults[fate.name] += 1
        return self._tricked(fate, prompt) if self._tricks else fate

    def _tricked(self, fate: Fate, prompt: str) -> Fate:
        """Add what proves nothing, by a chance of its own: what else happens is as before with the same seed."""
        chance = random.Random(f"{self._seed}/{prompt}/{self._creates[prompt]}/tricks")
        tricks = _pick(chance, _TRICKS)
        if tricks and not (fate.after_accept and "after_accept" in tricks):
            fate = replace(fate, **tricks)
            self.faults["trick " + " ".join(f"{name}={value}" for name, value in tricks.items())] += 1
        return fate

    def book(self) -> list[dict[str, str | None]]:
        """Return what was sold, in the order of sale."""
        return [
            {"ref": kept.id, "job": kept.prompt, "status": kept.status, "error": kept.error}
            for kept in self.sold
        ]

    # --- the server

    def _app(self) -> web.Application:
        app = super()._app()
        app.add_routes([web.get("/_book", self._show_book), web.post("/_calm", self._calm_down)])
        return app

    async def _show_book(self, _request: web.Request) -> web.Response:
        others = {kept.id: kept.prompt for kept in self.kept.values() if kept.tenant}
        return web.json_response({"sold": self.book(), "faults": self.faults, "others": others})

    async def _calm_down(self, _request: web.Request) -> web.Response:
        self._calm = True
        self.switches.others_per_s = 0.0
        return web.json_response({})

    async def _create(self, request: web.Request) -> web.StreamResponse:
        fate = self.fate(str((await request.json())["input"]["prompt"]))
        if fate.lost:
            _hang_up(request)
            return web.Response()
        request["fate"] = fate
        return await super()._create(request)

    def switches_of(self, request: web.Request, _given: object) -> Switches:
        fate: Fate = request["fate"]
        return fate

    async def _answer(self, request: web.Request, kept: Kept, fault: str) -> web.StreamResponse:
        fate: Fate = request["fate"]
        await asyncio.sleep(fate.slow_answer_s)
        return await super()._answer(request, kept, fault)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        return self._trouble(request) or await super()._get(request)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        self.switches.list_adds = "" if self._calm or not self._tricks else _pick(self._chance, _LISTED)
        return self._trouble(request) or await super()._list(request)

    def _trouble(self, request: web.Request) -> web.Response | None:
        """Fail some of the free requests."""
        dice = 1.0 if self._calm else self._chance.random()
        if dice < 0.03:
            return web.json_response({"detail": "try later"}, status=503)
        if dice < 0.05:
            _hang_up(request)
            return web.Response()
        return None

    async def _file(self, request: web.Request) -> web.StreamResponse:
        kept = self._known(request)
        if kept is None:
            return await super()._file(request)
        self._downloads[kept.id] += 1
        is_evil = not self._calm and self._downloads[kept.id] <= _BAD_DOWNLOADS
        kept.switches.file = _pick(self._chance, _DOWNLOADS) if is_evil else "png"
        if kept.switches.file != "png":
            self.faults[f"download {kept.switches.file}"] += 1
        return await super()._file(request)


def _pick(chance: random.Random, weighted: tuple[tuple[int, T], ...]) -> T:
    [picked] = chance.choices([value for _, value in weighted], [weight for weight, _ in weighted])
    return picked


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _serve(seed: int, port: int, listed_after_s: float, faults: str) -> None:
    async with EvilProvider(seed, port=port, listed_after_s=listed_after_s, faults=faults) as provider:
        sys.stdout.write(f"{provider.url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def main() -> None:
    """Serve until the process is told to end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--listed-after", type=float, default=LISTED_AFTER_S, help="seconds")
    parser.add_argument("--faults", choices=FAULTS, default="old")
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(given.seed, given.port, given.listed_after, given.faults))


if __name__ == "__main__":
    main()
