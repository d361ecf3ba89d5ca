"""Whose the answer to a create or a look is, and what a refusal means: no more than it proves."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from mediagen.providers.answers import Answer
from mediagen.providers.base import Call, Prediction, PredictionStatus, RejectReason
from mediagen.providers.evidence import Entry, Window, host_of
from mediagen.providers.likeness import Likeness, compare, texts_in
from mediagen.providers.predictions import is_moderation
from mediagen.providers.replicate_models import Target

_REFUSALS: Final[Mapping[int, RejectReason]] = {
    **dict.fromkeys((400, 404, 413, 422), RejectReason.INVALID),
    **dict.fromkeys((401, 402), RejectReason.UNAUTHORIZED),
    403: RejectReason.FORBIDDEN,
    429: RejectReason.RATE_LIMITED,
}

SKEW_MS = 60_000  # how far the provider's clock may differ from the database's
_WEBHOOK = re.compile(r"(?<![\w.])webhook(?:_events_filter)?(?!\w)", re.IGNORECASE)


def as_sold(prediction: Prediction) -> Prediction:
    """Return it with the call that it names, and without its outputs: there can be many, with pictures in them."""
    call_id = prediction.marker.call if prediction.marker else None
    return replace(prediction, call_id=call_id, outputs=(), document=None)


def against(call: Call, target: Target, entry: Entry) -> str:
    """Return what in the answer to a create says that it is about another call; empty for nothing."""
    if (marker := entry.marker) is not None or entry.webhook == call.webhook_url is not None:
        is_ours = marker is None or marker.call == call.id.lower()
        return "" if is_ours else f"it rings for the call {marker}"
    if (host := host_of(entry.webhook)) is not None:
        return f"it rings at {host}"
    if entry.removed:
        return "its data is removed already"
    if is_in_time(call, entry) is False:
        return "it was made at another time"
    if compare(call.input, entry.input) is Likeness.OTHER:
        return "its prompt is another one"
    if not entry.input and target.is_other_name(entry) and target.is_other_version(entry):
        return f"its model is {entry.model}, version {entry.version}"
    return ""


def is_in_time(call: Call, entry: Entry) -> bool | None:
    """Tell whether an entry was made when the call was sent; None where either is not known."""
    window = Window.of(call)
    return None if window is None or entry.made_ms is None else window.holds(entry.made_ms)


def tells_the_time(call: Call, entry: Entry) -> bool | None:
    """Tell whether the provider dates a create's prediction by the clock of its answers; None: nothing is known.

    What is certainly about another call tells nothing.
    """
    marker = entry.marker
    if marker is None and (host_of(entry.webhook) is not None or entry.removed):
        return None
    is_ours = (
        marker.call == call.id.lower() if marker else compare(call.input, entry.input) is not Likeness.OTHER
    )
    return is_in_time(call, entry) if is_ours else None


def is_anothers(call: Call, entry: Entry) -> bool:
    """Tell whether the marker that is shown is one of another job; another call of ours the ledger may have lost."""
    marker, own = entry.marker, call.marker
    if marker is None or own is None or marker.call == call.id.lower():
        return False
    return (own.installation, own.job) != (marker.installation, marker.job)


def said_against(call: Call, entry: Entry) -> str:
    """Return what says that a prediction, named by somebody, is not the call's; empty for nothing."""
    if entry.marker is not None:
        return "" if entry.marker.call == call.id.lower() else "its marker names another call"
    return "its prompt is another one" if compare(call.input, entry.input) is Likeness.OTHER else ""


def made_after_ms(call: Call) -> int:
    """Return a time before which the call was certainly not made, by the provider's clock as far as it is known."""
    window = Window.of(call)
    return window.from_ms if window else call.created_at_ms - SKEW_MS


def lacks_outputs(prediction: Prediction) -> bool:
    """Tell whether it is made and shows nothing of that."""
    return prediction.status is PredictionStatus.SUCCEEDED and not prediction.outputs


def named(call: Call, prediction: Prediction) -> Prediction:
    """Return it with the call's id where its marker proves that it is the call's."""
    is_ours = prediction.marker is not None and prediction.marker.call == call.id.lower()
    return replace(prediction, call_id=call.id) if is_ours else prediction


def _is_its_own(answer: Answer) -> bool:
    """Tell whether a refusal is written as the API writes them; gateways on the way have other words."""
    return answer.own and not {"detail", "invalid_fields"}.isdisjoint(answer.json)


def _is_about_the_webhook(call: Call, answer: Answer, said: str) -> bool:
    """Tell whether a refusal names the address of ours, and not an input of that name or a prompt that holds it."""
    fields = answer.json.get("invalid_fields")
    names = (
        [field.get("field") for field in fields if isinstance(field, dict)]
        if isinstance(fields, list)
        else []
    )
    if any(isinstance(name, str) and name for name in names):
        return any(isinstance(name, str) and _WEBHOOK.fullmatch(name.strip()) for name in names)
    for text in sorted(texts_in(call.input), key=len, reverse=True):
        said = said.replace(text, " ")
    return bool(_WEBHOOK.search(said))


def reason_of(call: Call, answer: Answer, said: str) -> RejectReason | None:
    """Return why a create was certainly not carried out; None when the answer does not prove that.

    A gateway's page says nothing of what happened behind it.
    """
    reason = _REFUSALS.get(answer.status) if _is_its_own(answer) else None
    if reason is not RejectReason.INVALID:
        return reason
    if call.webhook_url and answer.status in (400, 422) and _is_about_the_webhook(call, answer, said):
        return RejectReason.MARKER
    return RejectReason.MODERATION if is_moderation(said) else reason
