"""What may be concluded from a provider's list about a call whose answer was lost. Pure: entries in, findings out.

A search that found nothing proves nothing. An entry is not the call only if it says so itself: it carries another
marker, shows none where ours would be shown, was made at another time by the provider's own clock, or shows another
prompt. All else could be the call, and as long as it could, the call is neither bought again nor taken for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from mediagen.providers.base import Call, Findings, Prediction
from mediagen.providers.markers import Marker, marker_in

BEFORE_MS = 15_000
"""How long before its intent a call can seem to be made: clocks are read to the second, and drift."""

AFTER_MS = 120_000
"""How long after its intent a call can have arrived and been given its time of creation."""

_PROMPT = "prompt"
_LONG_TEXT = 20  # characters from which on a text is taken for the prompt, where no input is called so
_ELLIPSES = ("...", "…")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of a provider's list, read as far as it can be read."""

    prediction: Prediction | None  # None: it can't be read
    webhook: str | None = None  # the address that it shows; None when it shows none
    input: Any = None  # as shown; None when it shows none
    removed: bool = False  # the provider has removed its data
    made_ms: int | None = None  # when it was made, by the provider's clock

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


class Likeness(Enum):
    """How an input that is shown compares with the one that was sent."""

    EQUAL = auto()  # all that can be compared is equal, the prompt included
    UNCLEAR = auto()  # it may be the one that was sent
    OTHER = auto()  # its prompt is another one


class Shown:
    """Which entries show markers, learned from those that carry one of our installation."""

    def __init__(self) -> None:
        self._kinds: set[bool] = set()  # whether their data was removed

    def learn(self, entry: Entry, installation: str) -> None:
        """Note that the provider shows markers on entries of this kind."""
        marker = entry.marker
        if marker is not None and installation and marker.installation == installation:
            self._kinds.add(entry.removed)

    def on(self, entry: Entry) -> bool:
        """Tell whether our marker would be shown on an entry of this kind."""
        return entry.removed in self._kinds

    @property
    def any(self) -> bool:
        """Whether markers were seen at all."""
        return bool(self._kinds)


class Search:
    """Weighs the entries of a list for one call, in one pass."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.window = Window.of(call)
        self._ours: list[Prediction] = []
        self._siblings: dict[str, Prediction] = {}
        self._unmarked: dict[str, tuple[Entry, Likeness]] = {}
        self._unreadable = 0

    def weigh(self, entry: Entry) -> None:
        """Look at one entry; the same one twice counts once."""
        if (marker := entry.marker) is not None:
            if entry.prediction is not None and marker.call == self.call.id.lower():
                self._ours.append(entry.prediction)
            elif entry.prediction is not None and self._is_of_our_job(marker):
                self._siblings[entry.ref] = entry.prediction
            return
        if not self._in_time(entry) or entry.webhook:  # it would show our address, not another's
            return
        if entry.prediction is None:
            self._unreadable += 1
            return
        likeness = Likeness.UNCLEAR if entry.removed else compare(self.call.input, entry.input)
        if likeness is not Likeness.OTHER:
            self._unmarked[entry.ref] = (entry, likeness)

    def _is_of_our_job(self, marker: Marker) -> bool:
        own = self.call.marker
        return own is not None and (own.installation, own.job) == (marker.installation, marker.job)

    def _in_time(self, entry: Entry) -> bool:
        if self.window is None or entry.made_ms is None:
            return True
        return self.window.from_ms <= entry.made_ms <= self.window.to_ms

    def findings(self, shown: Shown, *, whole: bool, why: str = "") -> Findings:
        """Return what all entries come to. `why` tells what kept the list from being read whole."""
        marked = self.call.marker is not None and self.call.webhook_url is not None
        open_ = [
            (entry.prediction, likeness)
            for entry, likeness in self._unmarked.values()
            if entry.prediction is not None and not (marked and shown.on(entry))
        ]
        alike = [prediction for prediction, likeness in open_ if likeness is Likeness.EQUAL]
        unclear = [prediction.ref for prediction, likeness in open_ if likeness is Likeness.UNCLEAR]
        doubtful = [*unclear, *[""] * self._unreadable]
        return Findings(
            ours=next((each for each in self._ours if not each.ended), next(iter(self._ours), None)),
            alike=alike,
            doubtful=doubtful,
            siblings=list(self._siblings.values()),
            whole=whole,
            seen=_seen(len(alike), unclear, self._unreadable, why),
        )


def _seen(alike: int, unclear: Iterable[str], unreadable: int, why: str) -> str:
    said = []
    if alike:
        said.append(f"{alike} unmarked with the same input were made at that time")
    if refs := list(unclear):
        said.append(f"{', '.join(refs[:5])} may be it and can't be compared")
    if unreadable:
        said.append(f"{unreadable} of that time can't be read")
    if why:
        said.append(why)
    return "; ".join(said)


# ---------------------------------------------------------------------------------------------- inputs


def compare(sent: Mapping[str, Any], shown: Any) -> Likeness:
    """Compare an input with the one that a provider shows of it.

    Providers add defaults, coerce types, put links in place of data, trim texts and remove inputs. Only another
    prompt is another input; other differences leave it open.
    """
    if not isinstance(shown, Mapping) or (sent and not shown):
        return Likeness.UNCLEAR
    name = _prompt_of(sent)
    equal = [_same(value, shown[key]) if key in shown else False for key, value in sent.items()]
    if name is not None and name in shown and _is_other_text(sent[name], shown[name]):
        return Likeness.OTHER
    compared = [same for same in equal if same is not None]
    has_prompt = name is None or _same(sent[name], shown.get(name)) is True
    return Likeness.EQUAL if compared and all(compared) and has_prompt else Likeness.UNCLEAR


def _prompt_of(sent: Mapping[str, Any]) -> str | None:
    """Return the name of the input that tells requests apart best."""
    if isinstance(sent.get(_PROMPT), str):
        return _PROMPT
    texts = {
        k: v for k, v in sent.items() if isinstance(v, str) and len(v) >= _LONG_TEXT and not is_address(v)
    }
    return max(texts, key=lambda key: len(texts[key]), default=None)


def _is_other_text(sent: Any, shown: Any) -> bool:
    if not isinstance(shown, str) or not shown.strip():
        return False
    one, other = _words(sent), _words(shown)
    cut = other.rstrip("".join(_ELLIPSES)) if other.endswith(_ELLIPSES) else None
    return one != other and not (cut is not None and one.startswith(cut))


def _words(text: str) -> str:
    return " ".join(text.split())


def _same(sent: Any, shown: Any) -> bool | None:
    """Tell whether two values are the same; None where that can't be told."""
    if is_address(sent) or is_address(shown):
        return None
    if isinstance(sent, str) and isinstance(shown, str):
        return _words(sent) == _words(shown)
    if isinstance(sent, Mapping) and isinstance(shown, Mapping):
        return _all_same([_same(value, shown[key]) if key in shown else False for key, value in sent.items()])
    if isinstance(sent, (list, tuple)) and isinstance(shown, (list, tuple)):
        if len(sent) != len(shown):
            return False
        return _all_same([_same(one, other) for one, other in zip(sent, shown, strict=True)])
    return bool(_plain(sent) == _plain(shown))


def _all_same(found: list[bool | None]) -> bool | None:
    known = [same for same in found if same is not None]
    return all(known) if known or not found else None


def _plain(value: Any) -> Any:
    """Return a value in the form in which 1, 1.0 and "1" are one, and true is not 1."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, str):
        text = value.strip().lower()
        try:
            return float(text)
        except ValueError:
            return text
    return value


def is_address(value: Any) -> bool:
    """Tell whether a value is a link or data URI: another address may lead to the same file."""
    return isinstance(value, str) and value[:8].lower().startswith(("http://", "https://", "data:"))
