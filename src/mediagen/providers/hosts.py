"""Hosts of one's own network from which outputs may be fetched: a setting of each provider whose outputs are links."""

import re
from collections.abc import Iterable

from yarl import URL

from mediagen.addresses import parse_url
from mediagen.errors import FetchBlocked

_WEB_PORTS = (80, 443)
_ENTRY = re.compile(r"[^/?#@]+")


def check_hosts(entries: Iterable[str]) -> None:
    """Raise `ValueError`, naming the entry, unless each is `host` or `host:port`."""
    for entry in entries:
        _place_of(entry)


def is_among(url: str, entries: Iterable[str]) -> bool:
    """Tell whether the URL leads to one of the hosts; without a port an entry means the web's own, 80 and 443."""
    try:
        target = parse_url(url)
    except FetchBlocked:
        return False
    return any(
        target.host == host and (target.port == port or (port is None and target.port in _WEB_PORTS))
        for host, port in map(_place_of, entries)
    )


def origin_of(url: URL) -> tuple[str, str, int | None]:
    """Return what two URLs of one server have in common."""
    return url.scheme, url.host or "", url.port


def _place_of(entry: str) -> tuple[str, int | None]:
    try:
        if not _ENTRY.fullmatch(entry):
            raise FetchBlocked("it has more than a host and a port")
        url = parse_url(f"http://{entry}")
    except FetchBlocked as error:
        raise ValueError(f"{entry!r} is no host: {error}; write host or host:port") from error
    return url.host or "", url.explicit_port
