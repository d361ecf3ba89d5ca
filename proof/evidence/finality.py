"""Scenes about endings: one negative answer is not the end of what was paid for."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from proof.evidence import acts, odd_files
from proof.evidence.scene import Act, Scene

_CANCELED = frozenset({"canceled"})
_GONE = frozenset({"prediction_gone", "output_lost"})
_ANY = frozenset({"failed", "canceled"})
_LOST = {"after_accept": "drop", "after_times": 1}


def _scene(
    name: str, shows: str, faults: Mapping[str, Any], *, act: Act = acts.straight, **more: Any
) -> Scene:
    return Scene(
        name=name,
        shows=shows,
        part="finality",
        act=act,
        faults=faults,
        **{"jobs": 10, "bound_s": 30.0, **more},
    )


def _looks(name: str, shows: str, **faults: Any) -> Scene:
    """Return a scene whose looks come one by one, so that no list answers in their place."""
    return _scene(f"look-{name}", shows, {"latency_s": 1.5, **faults}, gap_s=0.4)


_LOOKS = (
    _looks("404-once", "the first look is told 404", look_says="404", look_times=1),
    _looks(
        "404-lag", "404 for 2 s, not listed either: reads lag", look_says="404", look_for_s=2, list_lag_s=2
    ),
    _looks("404-html", "a gateway says 404 once", look_says="html404", look_times=1),
    _looks("403-html", "a gateway says 403 three times", look_says="html403", look_times=3),
    _looks("502-html", "a gateway says 502 three times", look_says="html502", look_times=3),
    _looks(
        "404-storing",
        "404 on the look that asks for a new link",
        look_says="404",
        look_ended=True,
        look_passes=1,
        look_times=1,
        link_dies=True,
    ),
    _scene(
        "look-410", "control: gone for good", {"look_says": "410", "list_lag_s": -1}, gap_s=0.4, fair=_GONE
    ),
    _scene(
        "look-404-ever",
        "control: 404 for ever, and not listed",
        {"look_says": "404", "list_lag_s": -1},
        gap_s=0.4,
        fair=_GONE,
    ),
)

_CREATES = (
    *(
        _scene(
            f"create-{status}-html",
            f"a gateway answers a create with {status}",
            {"refuse": status, "refuse_html": True, "refuse_times": 1},
            bound_s=100.0,
        )
        for status in (404, 403, 502)
    ),
    *(
        _scene(
            f"create-{says}-bought",
            f"the same ({says}), and it was bought",
            {"after_accept": says, "after_times": 1},
            bound_s=100.0,
        )
        for says in ("html404", "html403")
    ),
)

_CANCELS = (
    *(
        _scene(
            f"cancel-{says}",
            f"a cancel is told {says}, the prediction succeeds 4 s on",
            {"cancel_says": says, "latency_s": 4},
            act=acts.canceled,
            fair=_CANCELED,
        )
        for says in ("404", "500", "html502", "hang", "ignored", "late")
    ),
    *(
        _scene(
            f"deadline-{says}",
            f"over its time, the cancel is told {says}, it succeeds",
            {"cancel_says": says, "latency_s": 9, "heeds_deadline": False},
            settings={"JOB_TIMEOUT": "2"},
        )
        for says in ("404", "500")
    ),
)


def _file(name: str, shows: str, *, bytes_of: bytes | None = None, faults: Any = (), **more: Any) -> Scene:
    given = {"file_bytes": base64.b64encode(bytes_of).decode()} if bytes_of else {}
    return _scene(f"file-{name}", shows, {**given, **dict(faults)}, file=bytes_of, **more)


_BIG = bytes(2_000_000)
_FILES = (
    _file("late", "the output is empty for 8 s", faults={"file": "empty", "file_for_s": 8}),
    _file(
        "error-page",
        "its link gives an error page for 8 s",
        faults={"file": "page", "file_for_s": 8},
        beyond=True,
    ),
    *(
        _file(name, f"it comes with Content-Encoding: {name}", faults={"file_encoding": name})
        for name in ("gzip", "aws-chunked", "utf-8")
    ),
    _file("dead-link", "control: the first link is dead", faults={"link_dies": True}),
    _file(
        "breaks-thrice",
        "control: the line breaks at 60 %, three times",
        faults={"file": "broken", "file_times": 3},
    ),
    _file("breaks", "the line breaks at 60 % every time, with Range", faults={"file": "broken"}),
    _file(
        "breaks-rangeless",
        "it breaks three times, without Range",
        faults={"file": "broken", "file_times": 3, "file_ranges": False},
    ),
    *(
        _file(
            f"at-{at}",
            f"it lies at another {at} of one's own",
            faults={"file_at": at},
            settings={"REPLICATE_OUTPUT_HOSTS": "{elsewhere}"},
        )
        for at in ("port", "host")
    ),
    _file("jpeg-end", "a JPEG without its end mark", bytes_of=odd_files.jpeg_without_end()),
    _file("gif-end", "a GIF without its trailer", bytes_of=odd_files.gif_without_trailer()),
    _file("wav-2gib", "a WAV whose header says 2 GiB", bytes_of=odd_files.streamed_wav()),
    _file(
        "mp4-box", "a film with an unknown box before its index", bytes_of=odd_files.mp4_with_unknown_box()
    ),
    _file(
        "avif-box", "an AVIF with a box of 2^64 bytes", bytes_of=odd_files.avif_with_huge_box(), bound_s=60.0
    ),
    _file(
        "png-size", "a PNG wider than 2^31, on PostgreSQL", bytes_of=odd_files.huge_png(), on_postgres=True
    ),
    _file(
        "slow",
        "2 MB at 6 kB/s",
        bytes_of=_BIG,
        faults={"file_rate": 6_000},
        jobs=4,
        bound_s=420.0,
        takes_long=True,
    ),
)

_LISTS = (
    *(
        _scene(
            f"list-{adds}",
            f"answers are lost, and the list holds: {adds}",
            {**_LOST, "list_adds": adds},
            bound_s=45.0,
            audits=True,
        )
        for adds in (
            "null",
            "string",
            "empty",
            "nan",
            "deep",
            "huge",
            "others",
            "hooked",
            "repeated",
            "shuffled",
        )
    ),
    _scene(
        "list-page-repeats",
        "answers are lost, and a page repeats itself for ever",
        {**_LOST, "list_pages": "repeats"},
        page_size=4,
        bound_s=45.0,
        fair=frozenset({"outcome_unknown"}),
    ),
    _scene(
        "list-page-empty",
        "answers are lost, empty pages in between",
        {**_LOST, "list_pages": "empty"},
        page_size=4,
        bound_s=45.0,
    ),
    _scene(
        "list-page-cut",
        "answers are lost, and the list ends too early",
        {**_LOST, "list_pages": "cut"},
        page_size=4,
        bound_s=45.0,
        fair=frozenset({"outcome_unknown"}),
        beyond=True,
    ),
    _scene(
        "list-502",
        "answers are lost, and the list is told 502 ten times",
        {**_LOST, "list_says": "html502", "list_times": 10},
        bound_s=60.0,
    ),
)

_ODD = (
    *(
        _scene(f"look-{odd}", f"a prediction with {odd} beside its output", {"odd": odd})
        for odd in ("nan", "deep")
    ),
    _scene(
        "look-huge", "a prediction with 24 MB of logs", {"odd": "huge", "latency_s": 1}, jobs=3, bound_s=60.0
    ),
    *(_scene(f"output-{odd}", f"an output with {odd} in it", {"output": odd}) for odd in ("nan", "deep")),
    _scene("output-huge", "an output with 24 MB of text in it", {"output": "huge"}, jobs=3, bound_s=60.0),
    _scene("output-dict", "control: a link and a seed", {"output": "dict"}),
    _scene("cold", "control: started long after the create", {"cold_s": 6}),
    _scene("partial-failed", "it fails with a part of its outputs", {"fail": "boom", "partial": True}),
    _scene("partial-canceled", "it is canceled with a part of them", {"canceled": True, "partial": True}),
)

_KEYED = (
    _scene(
        "cog-503",
        "a provider with keys says 503 for ever",
        {},
        act=acts.cog_down,
        provider="cog",
        settings={"JOB_TIMEOUT": "5", "COG_CONCURRENCY": "10"},
        fair=_ANY,
        bound_s=60.0,
    ),
    _scene(
        "cog-503-cancel",
        "the same, and the jobs are canceled",
        {},
        act=acts.cog_down_canceled,
        provider="cog",
        settings={"COG_CONCURRENCY": "10"},
        fair=_ANY,
        bound_s=12.0,
    ),
    _scene(
        "cog-other",
        "a provider with keys answers for somebody else",
        {},
        act=acts.cog_for_another,
        provider="cog",
        settings={"JOB_TIMEOUT": "5", "COG_CONCURRENCY": "10"},
        fair=_ANY,
        bound_s=60.0,
    ),
)

_KILLS = (
    _scene(
        "killed-often",
        "killed twelve times while it fetches what is paid for",
        {"file": "hang"},
        act=acts.killed_often,
        settings={"LEASE_S": "1"},
        jobs=4,
        bound_s=60.0,
    ),
)

SCENES: Sequence[Scene] = (
    *_LOOKS,
    *_CREATES,
    *_CANCELS,
    *_FILES,
    *_LISTS,
    *_ODD,
    *_KEYED,
    *_KILLS,
)
