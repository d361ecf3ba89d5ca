"""Which URLs and addresses may be reached for users and providers, who may mean harm.

An address is allowed only when a table of our own calls it public: `ipaddress.is_global` answers differently
from one Python release to the next and misses cloud metadata, relays and translated addresses.
"""

import asyncio
import re
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Protocol

from yarl import URL

from mediagen.errors import FetchBlocked

# IANA IPv4 Special-Purpose Address Registry, multicast, and what clouds added. Blocks in it that are
# reachable from everywhere (AS112, AMT) serve no files, so they are no exception here.
_FORBIDDEN_V4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # "this network"; 0.0.0.0 reaches this machine
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; a cloud's metadata too (100.100.100.200)
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's host agent, although in public space
        "169.254.0.0/16",  # link-local; most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata too (192.0.0.192)
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)

# All IPv6 unicast that is routed lies in here. So loopback, link-local, unique local (fc00::/7), the old
# site-local (fec0::/10), multicast, IPv4 in other clothes (::/96, ::ffff:0:0/96, ::ffff:0:0:0/96), both NAT64
# prefixes (64:ff9b::/96, 64:ff9b:1::/48), 100::/64 and 5f00::/16 are out without being named.
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
_FORBIDDEN_V6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments: Teredo (2001::/32), ORCHID (2001:10::/28, 2001:20::/28), ...
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which holds any IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # 6bone, given back
        "3fff::/20",  # documentation
    )
)
_ISATAP = (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")  # RFC 5214: then the IPv4 address that it tunnels to

_MAX_URL_CHARS = 8192  # presigned links with session tokens reach about 3,000
_NOT_IN_A_URL = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")
_URL = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.IGNORECASE | re.ASCII)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(?P<port>:[0-9]{1,5})?")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_ENDS_IN_A_NUMBER = re.compile(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$")


class Resolver(Protocol):
    """Look up host names."""

    async def __call__(self, host: str, port: int) -> Sequence[tuple[str, int]]:
        """Return the (IP address, port) pairs to connect to, the best first. Raises `OSError` for none."""


class SystemResolver:
    """Look up host names as the machine does.

    In threads of its own: a lookup can't be stopped, and names whose servers never answer must not take the
    threads that write files.
    """

    def __init__(self, threads: int = 8) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="resolve")

    async def __call__(self, host: str, port: int) -> Sequence[tuple[str, int]]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _look_up, host, port)

    def close(self) -> None:
        """Let the threads end, without waiting for them."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int) -> list[tuple[str, int]]:
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [(str(address[0]), port) for *_, address in infos]


def is_public(address: str) -> bool:
    """Tell whether an IP address may be reached for strangers. What is no IP address may not."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return _is_public_v4(ip) if isinstance(ip, IPv4Address) else _is_public_v6(ip)


def is_ip_address(host: str) -> bool:
    """Tell whether a host is an IP address, and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_public_v4(ip: IPv4Address) -> bool:
    return not any(ip in block for block in _FORBIDDEN_V4)


def _is_public_v6(ip: IPv6Address) -> bool:
    return (
        ip in _GLOBAL_UNICAST_V6
        and ip.scope_id is None
        and ip.packed[8:12] not in _ISATAP
        and not any(ip in block for block in _FORBIDDEN_V6)
    )


def parse_url(text: str) -> URL:
    """Return an http or https URL in the one form that is checked and then sent. Raises `FetchBlocked`.

    Strict on purpose: where two parsers could see two hosts (backslashes, spaces, user names, odd numbers)
    the URL is refused. Path and query stay as written when they are ASCII, for they may be signed.
    """
    if len(text) > _MAX_URL_CHARS or _NOT_IN_A_URL.search(text):
        raise FetchBlocked(
            f"the URL is longer than {_MAX_URL_CHARS} characters or has spaces, control characters or "
            "backslashes; percent-encode them"
        )
    url = _URL.fullmatch(text)
    if url is None:
        raise FetchBlocked("only http:// and https:// URLs are fetched; this one is neither")
    authority = _AUTHORITY.fullmatch(url["authority"])
    if authority is None:
        raise FetchBlocked("the URL has no plain host; write it as https://host/path, without a user name")
    origin = f"{url['scheme'].lower()}://{_canonical_host(authority['host'])}{authority['port'] or ''}"
    try:
        parsed = URL(origin + url["rest"], encoded=url["rest"].isascii())
        parsed.port  # noqa: B018  raises when it is over 65535
    except ValueError as error:
        raise FetchBlocked(f"the port or path of the URL on {authority['host']!r} is malformed") from error
    return parsed


def check_port(url: URL) -> None:
    """Raise `FetchBlocked` unless the URL goes to a web server's usual port."""
    if url.port not in (80, 443):
        raise FetchBlocked(f"port {url.port} of {url.host!r} is not reached; only 80 and 443 are")


def _canonical_host(host: str) -> str:
    try:
        if host.startswith("["):
            return f"[{IPv6Address(host[1:-1])}]"
        name = host.lower() if host.isascii() else URL.build(scheme="http", host=host).raw_host or ""
        if not _NAME.fullmatch(name):
            raise ValueError("not a DNS name")
        # "2130706433", "0177.0.0.1" and "0x7f.1" are 127.0.0.1 to the C library: take the plain form only.
        return str(IPv4Address(name)) if _ENDS_IN_A_NUMBER.search(name) else name
    except ValueError as error:
        raise FetchBlocked(f"{host!r} is no host name or plain IP address") from error
