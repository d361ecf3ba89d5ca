"""Names of jobs and calls: UUIDs, as markers demand, that a trace shows in short."""

import re

INSTALLATION = "51".rjust(16, "0")
_SHORT = re.compile(r"([0-9a-f]{8})-0000-([47])000-8000-000000000000")
_WHAT = {"4": "job", "7": "call"}


def job_id(number: int) -> str:
    """Return the id of a job."""
    return f"{number:08x}-0000-4000-8000-000000000000"


def call_id(number: int) -> str:
    """Return the id of a call."""
    return f"{number:08x}-0000-7000-8000-000000000000"


def shorten_ids(text: str) -> str:
    """Return the text with `job-3` in place of a long id."""
    return _SHORT.sub(lambda found: f"{_WHAT[found[2]]}-{int(found[1], 16)}", text)
