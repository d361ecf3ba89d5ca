"""The fake Replicate's book: what it sold, to us and to others, and how each prediction comes to its end."""

import asyncio
import secrets
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

import aiohttp
from yarl import URL

from tests.fakes import replicate_views as views
from tests.fakes.replicate_clock import ProviderClock
from tests.fakes.replicate_data import ENDED, Kept, Seen, Switches

_RATE_LOOK_S = 0.1


class Book:
    """Predictions by id, while open; needs an event loop from `_open` on."""

    def __init__(self) -> None:
        self.switches = Switches()
        self.clock = ProviderClock()
        self.url = ""
        self.elsewhere_url = ""  # the same server on another port
        self.creates: list[Seen] = []
        self.kept: dict[str, Kept] = {}
        self.abroad: dict[str, Kept] = {}  # predictions of other accounts, in no list
        self.rung: list[tuple[str, str]] = []  # webhooks that were delivered: (prediction id, its status)
        self.unheard: list[str] = []  # webhook URLs that could not be reached
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def _open(self) -> None:
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))

    async def _close_book(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()

    # --- for tests

    async def until(self, holds: Callable[[], bool], timeout_s: float = 10) -> None:
        """Wait until `holds`, looked at whenever a create arrived or a prediction or webhook moved on."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(holds)

    async def ended(self, ref: str) -> None:
        await self.until(lambda: self.kept[ref].status in ENDED)

    def finish(self, ref: str) -> None:
        """End the prediction now."""
        self.kept[ref].released.set()

    def reveal(self) -> None:
        """Show all predictions in the list."""
        for kept in self.kept.values():
            kept.hidden_until = 0

    def buy_as_another(self, model: str, given: dict[str, Any], webhook: str | None) -> Kept:
        """Let another user of the account buy a prediction."""
        body = {"input": given} | ({"webhook": webhook} if webhook else {})
        return self._keep(model, body, replace(Switches(), send_webhooks=False), tenant="another")

    @property
    def sold(self) -> list[Kept]:
        """What was sold to us, in the order of sale."""
        return [kept for kept in self.kept.values() if not kept.tenant]

    def stats(self) -> dict[str, Any]:
        """Count what was bought: in all, by prompt, and by the webhook URL that names the call."""
        by_prompt = Counter(kept.prompt for kept in self.sold)
        return {
            "requests": len(self.creates),
            "created": len(self.sold),
            "by_prompt": dict(by_prompt),
            "by_marker": dict(Counter(kept.webhook for kept in self.sold if kept.webhook)),
            "bought_twice": sorted(prompt for prompt, times in by_prompt.items() if times > 1),
            "by_status": dict(Counter(kept.status for kept in self.sold)),
        }

    # --- sales

    def _keep(self, model: str, body: dict[str, Any], switches: Switches, **more: Any) -> Kept:
        now, lag = asyncio.get_running_loop().time(), switches.list_lag_s
        kept = Kept(
            id=secrets.token_hex(13),
            model=model,
            version=body.get("version", "hidden"),
            input=body["input"],
            webhook=body.get("webhook"),
            events=body.get("webhook_events_filter") or ["completed"],
            switches=switches,
            created_ms=self.clock.now_ms(self.switches),
            hidden_until=float("inf") if lag < 0 else now + lag,
            **{"cancel_after_s": None, **more},
        )
        (self.abroad if kept.tenant == "abroad" else self.kept)[kept.id] = kept
        self._spawn(self._run(kept))
        return kept

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _others_buy(self, model: str, ours: Any, count: int) -> None:
        """Let others buy so many, alike or not to what we ask for."""
        switches = self.switches
        for _ in range(count):
            given = {name: value for name, value in dict(ours).items() if name != "fake"}
            if switches.others_prompt != "same":
                given["prompt"] = f"somebody's {secrets.token_hex(4)}"
            webhook = switches.others_webhook.replace("{id}", str(uuid.uuid4()))
            self.buy_as_another(model, given, webhook or None)

    async def _others(self) -> None:
        """Let others buy all the time, at the rate of the moment."""
        while True:
            rate = self.switches.others_per_s
            await asyncio.sleep(1 / rate if rate else _RATE_LOOK_S)
            if self.switches.others_per_s and (sold := self.sold):
                self._others_buy(sold[-1].model, sold[-1].input, 1)

    # --- a prediction's way

    async def _run(self, kept: Kept) -> None:
        """Bring one prediction from its start to its end."""
        if kept.switches.cold_s:
            await _within(kept.released, kept.switches.cold_s)
        if kept.status == "starting":
            kept.status, kept.started_ms = "processing", self.clock.now_ms(self.switches)
            kept.logs = (
                "Using seed: 42\n  0%|          | 0/4 [00:00<?, ?it/s]\r 50%|#####     | 2/4 [00:01<00:01]"
            )
            await self._ring(kept, "start")
        latency_s = kept.switches.latency_s if kept.switches.latency_s >= 0 else float("inf")
        has_deadline = kept.cancel_after_s is not None and kept.switches.heeds_deadline
        limit_s = min(latency_s, kept.cancel_after_s or 0.0) if has_deadline else latency_s
        await _within(kept.released, limit_s)
        if kept.status == "processing":
            is_late = limit_s < latency_s and not kept.released.is_set()
            self._end(kept, "canceled" if is_late or kept.switches.canceled else "")
        await self._ring(kept, "completed")

    def _end(self, kept: Kept, status: str) -> None:
        if kept.switches.moderation:
            kept.error = (
                "The input or output was flagged as sensitive. Please try again with different inputs. (E005)"
            )
        elif kept.switches.fail:
            kept.error = kept.switches.fail
        kept.logs += "\r100%|##########| 4/4 [00:02<00:00]\n"
        self._close(kept, status or ("failed" if kept.error else "succeeded"))

    def _close(self, kept: Kept, status: str) -> None:
        kept.status, kept.completed_ms = status, self.clock.now_ms(self.switches)
        kept.ended_at = time.monotonic()

    async def _ring(self, kept: Kept, event: str) -> None:
        await self.tell()
        if not kept.webhook or event not in kept.events or not kept.switches.send_webhooks:
            return
        if kept.switches.ring_after_s:
            self._spawn(self._ring_at(kept, kept.webhook, kept.switches.ring_after_s))
        else:
            await self._ring_at(kept, kept.webhook, 0)

    async def _ring_at(self, kept: Kept, webhook: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        view = self._view(kept)
        try:
            if (URL(webhook).host or "").endswith(".invalid"):  # spares asking for a name that can't be
                raise TimeoutError
            async with self._client.post(webhook, json=view):
                self.rung.append((kept.id, view["status"]))
        except (aiohttp.ClientError, TimeoutError, ValueError):
            self.unheard.append(webhook)
        await self.tell()

    async def tell(self) -> None:
        """Let those who wait with `until` look again."""
        async with self._changed:
            self._changed.notify_all()

    def _view(self, kept: Kept) -> dict[str, Any]:
        return views.shown(kept, self.url, self._output(kept) if views.has_output(kept) else None)

    def _output(self, kept: Kept) -> Any:
        base = {"port": self.elsewhere_url, "host": self.elsewhere_url.replace("127.0.0.1", "localhost")}.get(
            kept.switches.file_at, self.url
        )
        query = f"?link={kept.links}" if kept.switches.link_dies else ""
        count = kept.input.get("num_outputs", 1)
        links = [f"{base}/files/{kept.id}/{index}.png{query}" for index in range(count)]
        return views.outputs(kept.switches.output, links)


async def _within(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, but not longer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(None if seconds == float("inf") else seconds):
            await event.wait()
