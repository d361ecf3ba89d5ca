"""What may be concluded from a provider's list about a call whose answer was lost. Pure: entries in, findings out.

A search that found nothing proves nothing. An entry is not the call only if it says so itself: it carries another
marker, shows none where ours would be shown, was made at another time by the provider's own clock, or shows another
prompt. All else could be the call, and as long as it could, the call is neither bought again nor taken for it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mediagen.providers.base import Call, Findings, Prediction, PredictionStatus
from mediagen.providers.likeness import Likeness, compare, has_its_prompt
from mediagen.providers.markers import Marker, marker_in

BEFORE_MS = 15_000
"""How long before its intent a call can seem to be made: clocks are read to the second, and drift."""

AFTER_MS = 120_000
"""How long after its intent a call can have arrived and been given its time of creation."""

SET_MS = 3_600_000
"""How wrong a clock can have been when it dated a call, and right again before anyone looked."""

_MOST_KINDS = 1_000
_MOST_BARE = 1_000
_NAMED = 5  # of those that may be the call
_HOST = re.compile(r"[a-z0-9_.-]*[a-z0-9]|[0-9a-f.:]+")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of a provider's list, read as far as it can be read."""

    prediction: Prediction | None  # None: it can't be read
    webhook: str | None = None  # the address that it shows; None when it shows none
    input: Any = None  # as shown; None when it shows none
    removed: bool = False  # the provider has removed its data
    made_ms: int | None = None  # when it was made, by the provider's clock
    model: Any = None  # as shown, of any type
    version: Any = None

    @property
    def ref(self) -> str:
        """Return the provider's own id of it, empty when it can't be read."""
        return self.prediction.ref if self.prediction else ""

    @property
    def marker(self) -> Marker | None:
        return marker_in(self.webhook)


@dataclass(frozen=True, kw_only=True)
class Window:
    """When a call can have been made, by the provider's clock."""

    from_ms: int
    to_ms: int

    @classmethod
    def of(cls, call: Call) -> "Window | None":
        """Return the call's window; None where the provider's clock was not known when it was sent."""
        if call.asked_at_ms is None:
            return None
        return cls(from_ms=call.asked_at_ms - BEFORE_MS, to_ms=call.asked_at_ms + AFTER_MS)

    def holds(self, made_ms: int) -> bool:
        """Tell whether a call of that time can be the one."""
        return self.from_ms <= made_ms <= self.to_ms

    @property
    def back_to_ms(self) -> int:
        """Back to when a list must be read to show all that can be a doubt."""
        return self.from_ms - SET_MS

    def is_near(self, made_ms: int) -> bool:
        """Tell whether a call could show that time if the provider's clock was wrong for a while."""
        return self.back_to_ms <= made_ms <= self.to_ms + SET_MS


_Kind = tuple[str, str | None, bool]
"""Installation, host of the address, and whether the data was removed."""


class Shown:
    """Which entries show markers, learned from all that carry one.

    A provider may drop them with the data that it removes, show those alone that lead somewhere, or show them no
    more from one day on. So what was seen counts for entries of the same kind only, of this installation, with
    addresses at this host, removed or not, and for those that are no newer than what was seen.
    """

    def __init__(self) -> None:
        self._newest_ms: dict[_Kind, int] = {}  # when the newest entry with a marker was made

    def learn(self, entry: Entry) -> None:
        """Note that the provider shows markers on entries of this kind and age."""
        marker = entry.marker
        if marker is None or entry.made_ms is None or len(self._newest_ms) >= _MOST_KINDS:
            return
        kind = (marker.installation, host_of(entry.webhook), entry.removed)
        self._newest_ms[kind] = max(entry.made_ms, self._newest_ms.get(kind, entry.made_ms))

    def knows(self, call: Call) -> bool:
        """Tell whether markers such as the call's were seen at all, on entries that show their input."""
        marker = marker_in(call.webhook_url)
        return (
            marker is not None and (marker.installation, host_of(call.webhook_url), False) in self._newest_ms
        )

    def on(self, entry: Entry, call: Call) -> bool:
        """Tell whether the call's marker would be shown if the entry were it."""
        marker = marker_in(call.webhook_url)
        if marker is None or entry.made_ms is None:
            return False
        newest_ms = self._newest_ms.get((marker.installation, host_of(call.webhook_url), entry.removed))
        return newest_ms is not None and newest_ms >= entry.made_ms


def any_model(_: Entry) -> bool:
    """Take any model for the call's."""
    return True


class Search:
    """Weighs the entries of a list for one call, in one pass."""

    def __init__(
        self, call: Call, is_model: Callable[[Entry], bool] = any_model, *, trusts_times: bool = True
    ) -> None:
        """`is_model` tells whether the model that an entry shows may be the call's: models have several names.

        Without `trusts_times` entries may be dated by another clock: then no time rules one out.
        """
        self.call = call
        self._trusts_times = trusts_times
        self.window = Window.of(call)
        self._is_model = is_model
        self._ours: dict[str, Prediction] = {}
        self._siblings: dict[str, Prediction] = {}
        self._unmarked: dict[str, tuple[Entry, Likeness]] = {}
        self._misdated: dict[str, Entry] = {}
        self._bare: set[str] = set()
        self._unreadable = 0

    def weigh(self, entry: Entry) -> None:
        """Look at one entry; the same one twice counts once."""
        if entry.webhook is None and entry.ref and not entry.removed and len(self._bare) < _MOST_BARE:
            self._bare.add(entry.ref)
        if (marker := entry.marker) is not None:
            self._weigh_marked(entry, marker)
        elif self._is_anothers(entry):
            return
        elif self._in_time(entry):
            self._weigh_unmarked(entry)
        elif self._is_near(entry):
            self._weigh_misdated(entry)

    def _weigh_marked(self, entry: Entry, marker: Marker) -> None:
        is_ours = marker.call == self.call.id.lower()
        if entry.prediction is None:
            self._unreadable += is_ours
        elif is_ours:
            self._ours[entry.ref] = entry.prediction
        elif self._is_of_our_job(marker):
            self._siblings[entry.ref] = entry.prediction

    def _weigh_unmarked(self, entry: Entry) -> None:
        likeness = Likeness.UNCLEAR if entry.removed else compare(self.call.input, entry.input)
        if likeness is Likeness.OTHER:
            return
        if entry.prediction is None:
            self._unreadable += 1
            return
        # An unknown time, a renamed model, or an address like ours that could not be read is a doubt; none of
        # them says whose it is.
        is_timed = self.window is not None and entry.made_ms is not None and self.window.holds(entry.made_ms)
        if likeness is Likeness.EQUAL and not (is_timed and not entry.webhook and self._is_model(entry)):
            likeness = Likeness.UNCLEAR
        self._unmarked[entry.ref] = (entry, likeness)

    def _weigh_misdated(self, entry: Entry) -> None:
        """Doubt an entry of another time that shows our prompt: a clock may have been wrong for a while."""
        is_alike = not entry.removed and has_its_prompt(self.call.input, entry.input)
        if is_alike and entry.prediction is not None:
            self._misdated[entry.ref] = entry

    def _is_of_our_job(self, marker: Marker) -> bool:
        own = self.call.marker
        return own is not None and (own.installation, own.job) == (marker.installation, marker.job)

    def _in_time(self, entry: Entry) -> bool:
        if self.window is None or entry.made_ms is None or not self._trusts_times:
            return True
        return self.window.holds(entry.made_ms)

    def _is_near(self, entry: Entry) -> bool:
        return self.window is not None and entry.made_ms is not None and self.window.is_near(entry.made_ms)

    def _is_anothers(self, entry: Entry) -> bool:
        """Tell whether the entry shows an address at another host, and none that is ours cut off."""
        host, own = host_of(entry.webhook), self.call.webhook_url or ""
        return host is not None and host != host_of(own) and not own.startswith(entry.webhook or "")

    def unclear(self, shown: Shown) -> list[str]:
        """Return the refs of those that may be the call and show no marker: a look at them may show more."""
        return [entry.ref for entry, _ in self._open(shown) if entry.ref]

    def _open(self, shown: Shown) -> list[tuple[Entry, Likeness]]:
        """Return the unmarked that may be the call. One with just its input may be it whatever else is marked."""
        open_ = [
            (entry, likeness)
            for entry, likeness in self._unmarked.values()
            if likeness is Likeness.EQUAL or not shown.on(entry, self.call)
        ]
        if not shown.knows(self.call):
            open_ += [(entry, Likeness.UNCLEAR) for entry in self._misdated.values()]
        return open_

    def weigh_again(self, entry: Entry) -> None:
        """Take what an entry shows by itself in place of what the list shows of it."""
        self._unmarked.pop(entry.ref, None)
        self._misdated.pop(entry.ref, None)
        self.weigh(entry)

    def findings(self, shown: Shown, *, why: str = "") -> Findings:
        """Return what all entries come to. `why` tells what kept the list from being read whole, empty for nothing."""
        open_ = [
            (entry.prediction, likeness)
            for entry, likeness in self._open(shown)
            if entry.prediction is not None
        ]
        alike = [prediction for prediction, likeness in open_ if likeness is Likeness.EQUAL]
        alike.sort(key=lambda each: each.created_at_ms or 0)
        unclear = [prediction.ref for prediction, likeness in open_ if likeness is Likeness.UNCLEAR]
        return Findings(
            ours=min(self._ours.values(), key=_worth, default=None),
            alike=alike,
            doubtful=[*unclear, *[""] * self._unreadable],
            siblings=list(self._siblings.values()),
            unmarked=sorted(self._bare),
            whole=not why,
            seen=_seen([each.ref for each in alike], unclear, self._unreadable, why),
        )


def _worth(prediction: Prediction) -> int:
    """Order several predictions of one call: what has been made first, what may still be made next."""
    return {PredictionStatus.SUCCEEDED: 0, PredictionStatus.RUNNING: 1}.get(prediction.status, 2)


def host_of(address: str | None) -> str | None:
    """Return the host of a web address; None for anything else, such as one that is masked or cut off."""
    try:
        parts = urlsplit(address or "")
        host = parts.hostname
    except ValueError:
        return None
    return host if host and parts.scheme in ("http", "https") and _HOST.fullmatch(host) else None


def _seen(alike: Sequence[str], unclear: Sequence[str], unreadable: int, why: str) -> str:
    said = []
    if alike:
        said.append(f"{_few(alike)}: unmarked, with the same input, made at that time")
    if unclear:
        said.append(f"{_few(unclear)} may be it and can't be compared")
    if unreadable:
        said.append(f"{unreadable} of that time can't be read")
    if why:
        said.append(why)
    return "; ".join(said)


def _few(refs: Sequence[str]) -> str:
    more = f" and {len(refs) - _NAMED} more" if len(refs) > _NAMED else ""
    return f"{', '.join(refs[:_NAMED])}{more}"
