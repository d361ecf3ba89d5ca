"""No URL that a user or a provider gives leads to an internal address: counted at the socket, case by case."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from mediagen.errors import FetchBlocked, FetchError
from tests.fakes.loopback import INTERNAL, OK, PUBLIC, World, note_connects, redirect
from tests.unit.test_addresses import FORBIDDEN as ALL_FORBIDDEN
from tests.unit.test_addresses import ODD_URLS
from tests.unit.test_addresses import PUBLIC as PUBLIC_ADDRESSES

FORBIDDEN = [
    address for address in ALL_FORBIDDEN if address != PUBLIC
]  # which the tests' policy lets through
MORE_PUBLIC = """
1.0.0.1 8.8.4.4 9.9.9.9 13.107.42.14 20.112.52.29 31.13.72.36 52.216.0.1 64.6.64.6 76.76.2.0 93.184.216.34
104.18.32.7 140.82.112.3 142.250.74.46 151.101.1.69 172.64.0.1 185.199.108.153 208.67.222.222 223.5.5.5
2001:4860::1 2606:4700:4700::1111 2620:fe::fe 2a00:1450:4009:80b::200e 2a04:4e42::81 2600:1f18::1 2400:3200::1
""".split()  # noqa: SIM905  a table reads better
LOOPBACK_V6 = [
    "0:0:0:0:0:0:0:1", "0000:0000:0000:0000:0000:0000:0000:0001", "::0001", "0::1", "::ffff:127.0.0.1",
    "::FFFF:7F00:1",
    "::ffff:7f00:0001", "0:0:0:0:0:ffff:127.0.0.1", "::ffff:0:127.0.0.1", "::127.0.0.1", "::7f00:1",
    "64:ff9b::127.0.0.1",
    "64:ff9b:1::127.0.0.1", "2002:7f00:0001::", "2002:7f00:1::1", "2001:0:7f00:1::", "fe80::1", "::ffff:10.1.2.3",
    "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::ffff:192.168.0.1", "::ffff:0.0.0.0", "2001:db8::127.0.0.1",
    "0::0",
]  # fmt: skip
LOOPBACK_V4 = [
    # as numbers
    "2130706433", "0x7f000001", "0X7F000001", "017700000001", "4294967297", "-2130706432", "2130706433.",
    # in parts
    "127.1", "127.0.1", "127.0.0.1.", "0127.0.0.1", "0177.0.0.1", "0177.0.0.01", "0x7f.0.0.1",
    "0x7f.0x0.0x0.0x1", "127.0x1",
    "127.00000.00000.00001", "127.0.0.1.0", "0", "0.0", "0x0", "00.00.00.00", "256.256.256.256", "127.0.0.256",
    "383.0.0.1",
    "169.254.43518", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "169.254.169.254.", "10.1", "0xA.1",
    "012.0.0.1",
    # in other letters
    "①②⑦.⓪.⓪.①", "１２７.０.０.１", "127。0。0。1", "127．0．0．1", "127｡0｡0｡1", "𝟏𝟐𝟕.𝟎.𝟎.𝟏", "0𝗑7f.1",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ.", "%6c%6f%63alhost", "127%2e0%2e0%2e1", "127.0.0.1%00.example", "127.0.0.1%09", "%31%32%37.0.0.1",
]  # fmt: skip
AUTHORITIES = [
    "good.example@internal.example", "good.example:80@internal.example", "@internal.example", ":@internal.example",
    "good.example%40internal.example@internal.example", "internal.example\\@good.example",
    "internal.example\\.good.example",
    "internal.example%2F@good.example", "good.example\\@internal.example", "internal.example;good.example",
    "internal.example:80@",
    "good.example internal.example", "good.example\tinternal.example", "good.example\r\nHost: internal.example",
    "internal.example:80:80", "internal.example:", "internal.example:0x50", "internal.example:-80",
    "internal.example:080000",
    "[internal.example]", "[::1]internal.example", "internal.example,good.example",
]  # fmt: skip
PORTS = [
    1, 7, 11, 19, 20, 21, 22, 23, 25, 53, 69, 79, 110, 111, 135, 139, 143, 389, 445, 465, 587, 993, 1433, 2049,
    2181, 2375,
    2379, 3000, 3306, 4444, 5000, 5432, 5672, 5984, 6379, 6443, 8000, 8080, 8443, 9000, 9092, 9200, 10250,
    11211, 15672,
    27017, 50070, 65535,
]  # fmt: skip
SCHEMES = [
    "file:///etc/passwd", "FILE:///etc/passwd", "file://localhost/etc/passwd", "ftp://good.example/x",
    "gopher://good.example/_x",
    "dict://good.example:11211/stat", "ldap://good.example/", "sftp://good.example/", "tftp://good.example/x",
    "jar:http://good.example!/x",
    "netdoc:///etc/passwd", "ws://good.example/", "wss://good.example/", "unix:///run/docker.sock",
    "http+unix://%2Frun/x",
    "javascript:alert(1)", "data:text/html,x", "blob:http://good.example/x", "view-source:http://good.example/",
    "about:blank",
    "php://filter/x", "expect://id", "smb://good.example/x", "ssh://good.example/", "httpx://good.example/",
    "http:good.example",
    "http:/good.example/", "http:\\\\good.example\\", "https:///internal.example/", "//internal.example:22/",
    "https://", "http:///",
]  # fmt: skip


NAMES = {  # no address to any library: names as others are, in the form that is looked up
    "0b1111111": "0b1111111",
    "١٢٧.٠.٠.١": "xn--9hbcp.xn--8hb.xn--8hb.xn--9hb",
    "internal.example\u2044good.example": "internal.xn--examplegood-lx3f.example",
    "localhost": "localhost",
    "LOCALHOST": "localhost",
    "metadata.google.internal": "metadata.google.internal",
    "127.0.0.1.nip.example": "127.0.0.1.nip.example",
    "1.0.0.127.in-addr.arpa": "1.0.0.127.in-addr.arpa",
    "ip6-localhost": "ip6-localhost",
    "host.docker.internal": "host.docker.internal",
    "kubernetes.default.svc": "kubernetes.default.svc",
}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    return note_connects(monkeypatch)


def in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


async def expect_blocked(world: World, url: str) -> None:
    with pytest.raises(FetchBlocked):
        await world.fetch(url)


# --- what a name resolves to


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_a_name_with_a_forbidden_address_is_not_connected_to(
    world: World, connects: list[Any], address: str
) -> None:
    world.names["rebind.example"] = [(address, 80)]
    await expect_blocked(world, "http://rebind.example/")
    assert (connects, world.lookups) == ([], ["rebind.example"])


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_a_forbidden_address_behind_a_good_one_blocks_both(
    world: World, connects: list[Any], address: str
) -> None:
    world.names["rebind.example"] = [(PUBLIC, 80), ("1.1.1.1", 80), (address, 80)]
    await expect_blocked(world, "https://rebind.example/")
    assert connects == []


@pytest.mark.parametrize(
    "address", ["", "localhost", "127.1", "0x7f.1", "::1%1", "1.1.1.1 ", "example.com", "1.1.1.1/32"]
)
async def test_an_answer_that_is_no_plain_address_is_not_connected_to(
    world: World, connects: list[Any], address: str
) -> None:
    world.names["rebind.example"] = [(address, 80)]
    await expect_blocked(world, "http://rebind.example/")
    assert connects == []


@pytest.mark.parametrize("address", [*PUBLIC_ADDRESSES, *MORE_PUBLIC])
async def test_an_ordinary_address_is_connected_to(world: World, connects: list[Any], address: str) -> None:
    world.names["files.example"] = [(address, 80)]
    with pytest.raises(FetchError) as failure:
        await world.fetch("http://files.example/")
    assert type(failure.value) is FetchError
    assert [(sent[0], sent[1]) for sent in connects] == [(address, 80)]


# --- rebinding: a name that changes its answer


REBINDINGS: dict[str, list[list[str]]] = {
    "good, then internal": [[PUBLIC], [INTERNAL]],
    "good twice, then internal": [[PUBLIC], [PUBLIC], [INTERNAL]],
    "good, then metadata": [[PUBLIC], ["169.254.169.254"]],
    "good, then both": [[PUBLIC], [PUBLIC, INTERNAL]],
    "good, then IPv6 loopback": [[PUBLIC], ["::1"]],
    "good, then mapped": [[PUBLIC], ["::ffff:127.0.0.1"]],
    "good, then NAT64": [[PUBLIC], ["64:ff9b::7f00:1"]],
    "good, then nothing plain": [[PUBLIC], ["localhost"]],
}


@pytest.mark.parametrize("answers", REBINDINGS.values(), ids=REBINDINGS.keys())
@pytest.mark.parametrize("hop", ["the next fetch", "a redirect to itself"])
async def test_a_rebound_name_is_checked_at_every_connection(
    world: World, connects: list[Any], answers: list[list[str]], hop: str
) -> None:
    goes_on = redirect("http://rebind.example/", "Connection: close")
    ends = OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    good = await world.server("good.example", goes_on if hop == "a redirect to itself" else ends)
    internal = await world.server("internal.example", host=INTERNAL)
    ports = {PUBLIC: good.port, INTERNAL: internal.port}
    coming = iter(answers)

    async def rebinding(_host: str, _port: int) -> Sequence[tuple[str, int]]:
        return [(address, ports.get(address, 80)) for address in next(coming)]

    fetcher = world.fetcher(resolver=rebinding)

    async def fetch_again_and_again() -> None:
        for _ in answers:
            async with fetcher.open("http://rebind.example/"):
                pass

    with pytest.raises(FetchBlocked):
        await fetch_again_and_again()
    assert connects == [(PUBLIC, good.port)] * (len(answers) - 1)
    assert await internal.connections() == 0


async def test_many_fetches_at_once_each_check_their_own_answer(world: World, connects: list[Any]) -> None:
    good = await world.server("good.example")
    turn = 0

    async def by_turns(_host: str, _port: int) -> Sequence[tuple[str, int]]:
        nonlocal turn
        turn += 1
        return [(PUBLIC, good.port)] if turn % 2 else [(INTERNAL, good.port)]

    fetcher = world.fetcher(resolver=by_turns)

    async def fetch(number: int) -> bool:
        try:
            async with fetcher.open(f"http://rebind.example/{number}") as download:
                return [chunk async for chunk in download.chunks] == [b"file"]
        except FetchBlocked:
            return False

    arrived = await asyncio.gather(*(fetch(number) for number in range(40)))
    assert sum(arrived) == len(connects) == 20
    assert set(connects) == {(PUBLIC, good.port)}


# --- what stands in the URL


@pytest.mark.parametrize("address", [*FORBIDDEN, *LOOPBACK_V6])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_forbidden_address_in_the_url_is_not_connected_to(
    world: World, connects: list[Any], scheme: str, address: str
) -> None:
    await expect_blocked(world, f"{scheme}://{in_url(address)}/latest/meta-data/")
    assert (connects, world.lookups) == ([], [])


@pytest.mark.parametrize("host", LOOPBACK_V4, ids=ascii)
async def test_an_address_in_other_clothes_is_neither_looked_up_nor_connected_to(
    world: World, connects: list[Any], host: str
) -> None:
    await expect_blocked(world, f"http://{host}/")
    assert (connects, world.lookups) == ([], [])


@pytest.mark.parametrize(("host", "name"), NAMES.items(), ids=ascii)
async def test_a_name_is_checked_by_its_answers_whatever_it_looks_like(
    world: World, connects: list[Any], host: str, name: str
) -> None:
    world.names[name] = [(INTERNAL, 80)]
    await expect_blocked(world, f"http://{host}/")
    assert (connects, world.lookups) == ([], [name])


@pytest.mark.parametrize("url", ODD_URLS, ids=lambda url: ascii(url)[:60])
async def test_an_odd_url_reaches_nothing(world: World, connects: list[Any], url: str) -> None:
    if url.startswith("data:"):
        assert await world.fetch(url) == b"x"
    else:
        await expect_blocked(world, url)
    assert (connects, world.lookups) == ([], [])


@pytest.mark.parametrize("authority", AUTHORITIES, ids=ascii)
async def test_a_host_with_two_readings_reaches_neither(
    world: World, connects: list[Any], authority: str
) -> None:
    await world.server("good.example")
    internal = await world.server("internal.example", host=INTERNAL)
    await expect_blocked(world, f"http://{authority}/")
    assert connects == []
    assert await internal.connections() == 0


@pytest.mark.parametrize("port", PORTS)
async def test_an_odd_port_is_neither_looked_up_nor_connected_to(
    world: World, connects: list[Any], port: int
) -> None:
    await world.server("good.example")
    for scheme in ("http", "https"):
        await expect_blocked(world, f"{scheme}://good.example:{port}/")
    assert (connects, world.lookups) == ([], [])


# --- where a redirect leads


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "[::1]",
        "169.254.169.254",
        "[::ffff:127.0.0.1]",
        "10.0.0.1",
        "2130706433",
        "internal.example",
    ],
)
async def test_a_redirect_of_any_kind_leads_to_no_internal_address(
    world: World, connects: list[Any], status: int, address: str
) -> None:
    answer = redirect(f"http://{address}/").replace(b"302", str(status).encode())
    good = await world.server("good.example", answer)
    internal = await world.server("internal.example", host=INTERNAL)
    await expect_blocked(world, "http://good.example/")
    assert connects == [(PUBLIC, good.port)]
    assert await internal.connections() == 0


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_a_redirect_leads_to_no_forbidden_address(
    world: World, connects: list[Any], address: str
) -> None:
    good = await world.server("good.example", redirect(f"http://{in_url(address)}/"))
    await expect_blocked(world, "http://good.example/")
    assert connects == [(PUBLIC, good.port)]


@pytest.mark.parametrize(
    "location", [*SCHEMES, *(f"http://{host}/" for host in LOOPBACK_V4 if host.isascii())]
)
async def test_a_redirect_leads_to_no_other_scheme_and_no_odd_host(
    world: World, connects: list[Any], location: str
) -> None:
    good = await world.server("good.example", redirect(location))
    await expect_blocked(world, "http://good.example/")
    assert set(connects) == {(PUBLIC, good.port)}


@pytest.mark.parametrize("hops", [1, 2, 3])
async def test_the_last_of_several_redirects_is_checked_as_the_first(
    world: World, connects: list[Any], hops: int
) -> None:
    for hop in range(hops):
        following = f"http://hop{hop + 1}.example/" if hop + 1 < hops else f"http://{INTERNAL}/"
        await world.server(f"hop{hop}.example", redirect(following))
    await expect_blocked(world, "http://hop0.example/")
    assert [host for host, _ in connects] == [PUBLIC] * hops


# --- webhooks


@pytest.mark.parametrize("address", [*FORBIDDEN, *LOOPBACK_V6])
async def test_a_webhook_goes_to_no_forbidden_address(
    world: World, connects: list[Any], address: str
) -> None:
    world.names["hook.example"] = [(address, 443)]
    for host in (in_url(address), "hook.example"):
        with pytest.raises(FetchBlocked):
            await world.fetcher().post(f"https://{host}/", b"{}", {})
    assert connects == []


@pytest.mark.parametrize("url", [*(f"https://{host}/" for host in LOOPBACK_V4), *SCHEMES], ids=ascii)
async def test_a_webhook_goes_to_no_odd_host_and_by_no_other_scheme(
    world: World, connects: list[Any], url: str
) -> None:
    with pytest.raises(FetchBlocked):
        await world.fetcher().post(url, b"{}", {})
    assert (connects, world.lookups) == ([], [])
