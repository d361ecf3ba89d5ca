"""The marker: what makes a call of ours known again at a provider, in its list and in an older copy of the database.

It is the last part of the path of the webhook address that the create carries, `INSTALLATION.JOB.CALL`. A provider
that shows the address again shows whose the prediction is. Where providers can't reach us the address leads nowhere.
"""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

NOWHERE = "https://mediagen.invalid"
"""Where markers are addressed to without PUBLIC_URL: a name that is reserved to never exist (RFC 2606)."""

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_MARKER = re.compile(
    rf"/hooks/[^/]+/[^/]+/(?:(?P<installation>[0-9a-f]{{16}})\.(?P<job>{_UUID})\.)?(?P<call>{_UUID})/?",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Marker:
    """Whose a prediction is."""

    installation: str  # 16 hexadecimal digits; empty in addresses made before they named it, as `job` is then
    job: str
    call: str

    def __str__(self) -> str:
        return f"{self.installation}.{self.job}.{self.call}" if self.installation else self.call


def marker_in(address: Any) -> Marker | None:
    """Return the marker in a webhook address as a provider shows it; None for what is not one of mediagen's."""
    try:
        path = urlsplit(address).path if isinstance(address, str) else ""
    except ValueError:
        return None
    found = _MARKER.search(path)
    if found is None or found.end() != len(path):
        return None
    parts = {name: (value or "").lower() for name, value in found.groupdict().items()}
    return Marker(**parts)
