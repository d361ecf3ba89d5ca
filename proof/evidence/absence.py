"""Scenes about buying again: a search that found nothing is no proof that nothing was bought."""

from collections.abc import Mapping, Sequence
from typing import Any

from proof.evidence import acts
from proof.evidence.scene import Act, Scene

_LOST = {"after_accept": "drop", "after_times": 1}  # the first create of each job is bought, its answer lost
_NEVER = {"lost_times": 1}  # the first create of each job breaks before anything is bought
_UNMARKED = {"MARK_CALLS": "false"}
_DATA = {"image": "data:image/png;base64,iVBORw0KGgo=", "steps": 4}
_OTHERS_HOOK = "https://other.example/hooks/replicate/0123456789abcdef/{id}"
_UNKNOWN = frozenset({"outcome_unknown"})
_REMOVED = frozenset({"prediction_gone", "output_lost", "output_invalid", "outcome_unknown"})


def _scene(
    name: str, shows: str, faults: Mapping[str, Any], *, act: Act = acts.straight, **more: Any
) -> Scene:
    return Scene(
        name=name,
        shows=shows,
        part="evidence",
        act=act,
        faults=faults,
        **{"jobs": 20, "bound_s": 45.0, **more},
    )


_CONTROLS = (
    _scene("lost", "control: answers are lost", _LOST),
    _scene("never", "control: creates never arrive", _NEVER),
    _scene("lost-unmarked", "control: lost, and calls carry no marker", _LOST, settings=_UNMARKED),
    _scene("never-unmarked", "control: never arrive, no marker", _NEVER, settings=_UNMARKED, fair=_UNKNOWN),
    _scene(
        "lost-public", "control: lost, with PUBLIC_URL", {**_LOST, "send_webhooks": False}, is_public=True
    ),
)

_REMOVED_INPUTS = (
    _scene(
        "removed",
        "back after the provider removed the inputs",
        {**_LOST, "removed_after_s": 0.5},
        act=acts.away,
        fair=_REMOVED,
    ),
    _scene(
        "removed-unmarked",
        "the same, no marker",
        {**_LOST, "removed_after_s": 0.5},
        act=acts.away,
        settings=_UNMARKED,
        fair=_REMOVED,
    ),
)

_CLOCKS = (
    _scene("clock-behind", "the provider's clock is 120 s behind", {**_LOST, "clock_offset_s": -120}),
    _scene("clock-ahead", "its clock is 150 s ahead", {**_LOST, "clock_offset_s": 150}),
    _scene(
        "clock-unmarked",
        "its clock is 120 s behind, no marker",
        {**_LOST, "clock_offset_s": -120},
        settings=_UNMARKED,
        fair=_UNKNOWN,
    ),
    _scene("clock-never", "120 s behind, and creates never arrive", {**_NEVER, "clock_offset_s": -120}),
    _scene(
        "clock-steps",
        "its clock steps back by 150 s under way",
        {**_LOST, "clock_step_s": -150, "clock_step_after": 10},
        fair=_UNKNOWN,
    ),
    _scene(
        "clock-pages",
        "120 s behind, PUBLIC_URL, a list of many pages",
        {**_LOST, "clock_offset_s": -120, "send_webhooks": False},
        jobs=40,
        page_size=5,
        is_public=True,
        bound_s=60.0,
    ),
    _scene(
        "date-none", "no Date header, clock 120 s behind", {**_LOST, "date": "none", "clock_offset_s": -120}
    ),
    _scene(
        "date-none-never",
        "no Date header, creates never arrive",
        {**_NEVER, "date": "none"},
        fair=_UNKNOWN,
    ),
    _scene("date-two", "two front ends 90 s apart", {**_LOST, "date": "two", "clock_offset_s": -90}),
    _scene(
        "date-two-never",
        "two front ends, creates never arrive",
        {**_NEVER, "date": "two"},
        fair=_UNKNOWN,
    ),
)


def _echo(name: str, shows: str, faults: Mapping[str, Any], **more: Any) -> Sequence[Scene]:
    """Return the scene with and without markers to go by."""
    given = {**_LOST, **faults}
    return (
        _scene(f"echo-{name}", shows, given, **more),
        _scene(
            f"echo-{name}-unmarked", f"{shows}; no marker", given, **more, settings=_UNMARKED, fair=_UNKNOWN
        ),
    )


_ECHOES = (
    *_echo("default", "the input shown has a default filled in", {"echo": "default"}),
    *_echo("link", "it shows a link for a data URI", {"echo": "link"}, parameters=_DATA),
    *_echo("text", "it shows numbers as text", {"echo": "text"}, parameters=_DATA),
    *_echo(
        "strip",
        "the prompt shown has no space at its end",
        {"echo": "strip"},
        prompt="picture {number} of {scene} ",
    ),
    *_echo("model", "the model shown has another name", {"shown_model": "acme/painter-2"}),
    *_echo("none", "the input is never shown", {"echo": "removed"}),
    _scene(
        "echo-order", "control: the keys come in another order", {**_LOST, "echo": "order"}, parameters=_DATA
    ),
    _scene(
        "marker-hidden",
        "a default filled in, and webhooks never shown",
        {**_LOST, "echo": "default", "echo_webhook": False},
        fair=_UNKNOWN,
    ),
    _scene(
        "marker-unlisted",
        "a default filled in, and webhooks not shown in the list",
        {**_LOST, "echo": "default", "list_webhook": False},
        fair=_UNKNOWN,
    ),
)

_ANSWERS = tuple(
    _scene(
        f"answer-{kind}{'' if shows else '-hidden'}",
        f"the create's answer is {words}{'' if shows else ', without its webhook'}",
        {"after_accept": kind, "after_times": 1, "answer_webhook": shows},
        jobs=30,
    )
    for kind, words in (("other", "another one of ours"), ("foreign", "one of another account"))
    for shows in (True, False)
)

_LATE = (
    _scene(
        "late-ring",
        "a webhook comes for a call given up as absent",
        {**_LOST, "list_lag_s": -1, "latency_s": 30, "ring_after_s": 18},
        act=acts.late_ring,
        is_public=True,
        bound_s=75.0,
    ),
)

_SAME = {"others_each": 1, "others_prompt": "same"}
_TENANTS = (
    _scene(
        "others", "others buy other things with the account", {**_LOST, "others_each": 2, "others_per_s": 3}
    ),
    _scene("others-same", "others buy the same, without webhooks", {**_LOST, **_SAME}, fair=_UNKNOWN),
    _scene("others-never", "the same, and ours never arrive", {**_NEVER, **_SAME}, fair=_UNKNOWN),
    _scene(
        "others-marked",
        "others buy the same with markers of theirs, ours never arrive",
        {**_NEVER, **_SAME, "others_webhook": _OTHERS_HOOK},
        fair=_UNKNOWN,
    ),
    _scene(
        "others-unmarked",
        "others buy the same, ours carry no marker",
        {**_LOST, **_SAME},
        settings=_UNMARKED,
        fair=_UNKNOWN,
    ),
)

_REFUSED = tuple(
    _scene(
        f"marker-refused-{status}",
        f"a webhook at .invalid is refused with {status}",
        {"refuse_webhook": status},
        jobs=10,
        bound_s=30.0,
        beyond=status == 400,  # MARK_CALLS=false is the way out, and only a person can know that
    )
    for status in (422, 400)
)

_COPIES = (
    _scene(
        "older-copy",
        "an older copy of the database is put back",
        {},
        act=acts.older_copy,
        bound_s=130.0,  # the copy remembers a 429, and then one job at a time probes
        fair=frozenset({"forgotten", "outcome_unknown"}),
    ),
)

SCENES: Sequence[Scene] = (
    *_CONTROLS,
    *_REMOVED_INPUTS,
    *_CLOCKS,
    *_ECHOES,
    *_ANSWERS,
    *_LATE,
    *_TENANTS,
    *_REFUSED,
    *_COPIES,
)
