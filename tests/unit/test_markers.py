"""What makes a call of ours known again, whatever stands where an address is expected."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagen.providers.markers import NOWHERE, Marker, marker_in

INSTALLATION = "0123456789abcdef"
JOB = "0191f3a4-1111-7abc-8def-0123456789ab"
CALL = "0191f3a4-2222-7abc-8def-0123456789ab"
OURS = Marker(installation=INSTALLATION, job=JOB, call=CALL)
OLD = Marker(installation="", job="", call=CALL)


@pytest.mark.parametrize(
    ("address", "marker"),
    [
        (f"{NOWHERE}/hooks/replicate/token/{OURS}", OURS),
        (f"https://gw.example/under/a/prefix/hooks/replicate/tok_en-1/{OURS}", OURS),
        (f"https://gw.example/hooks/replicate/token/{OURS}/", OURS),
        (f"https://gw.example/hooks/replicate/token/{OURS}?x=1#y", OURS),
        (f"HTTPS://GW.EXAMPLE/HOOKS/REPLICATE/TOKEN/{str(OURS).upper()}", OURS),
        (f"http://10.0.0.7:8000/hooks/replicate/token/{CALL}", OLD),
        (f"https://gw.example/hooks/replicate/token/{OURS}/more", None),
        (f"https://gw.example/hooks/replicate/token/x{OURS}", None),
        (f"https://gw.example/hooks/replicate/token/{INSTALLATION}.{CALL}", None),
        (f"https://gw.example/hooks/replicate/{CALL}", None),
        (f"https://gw.example/?to=/hooks/replicate/token/{CALL}", None),
        (f"https://gw.example/{CALL}", None),
        ("https://[broken", None),
        ("", None),
        (None, None),
        ({"url": CALL}, None),
        (7, None),
    ],
)
def test_the_end_of_the_path_names_the_call(address: Any, marker: Marker | None) -> None:
    assert marker_in(address) == marker


@given(st.text() | st.from_regex(r"https?://\S+/hooks/\S+", fullmatch=True))
def test_any_text_is_survived(address: str) -> None:
    marker_in(address)


def test_a_marker_is_written_as_it_is_read() -> None:
    assert marker_in(f"{NOWHERE}/hooks/a/b/{OURS}") == OURS
    assert marker_in(f"{NOWHERE}/hooks/a/b/{OLD}") == OLD
