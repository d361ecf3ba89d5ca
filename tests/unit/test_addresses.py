"""The address table and the strict reading of URLs, without any network but the machine's own names."""

import pytest

from mediagen.addresses import SystemResolver, check_port, is_public, parse_url
from mediagen.errors import FetchBlocked

FORBIDDEN = """
0.0.0.0 0.1.2.3 0.255.255.255 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255
127.0.0.1 127.0.0.2 127.255.255.254 168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2
172.16.0.1 172.17.0.1 172.31.255.255 192.0.0.1 192.0.0.9 192.0.0.192 192.0.2.1 192.31.196.1 192.52.193.1
192.88.99.1 192.168.0.1 192.168.255.255 192.175.48.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1
224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.254 255.255.255.255
:: ::1 ::2 ::127.0.0.1 ::10.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
::ffff:8.8.8.8 ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b::808:808 64:ff9b:1::a00:1
100::1 100:0:0:1::1 2001::1 2001:0:4136:e378:8000:63bf:80ff:fffe 2001:2::1 2001:4:112::1 2001:10::1
2001:20::1 2001:30::1 2001:1ff:ffff::1 2001:db8::1 2001:db8:ffff:ffff::1 2002:7f00:1:: 2002:a00:1::
2002:a9fe:a9fe:: 2002:808:808:: 2001:470:1f0b::5efe:a00:1 2001:470:1f0b:0:200:5efe:7f00:1 2620:4f:8000::1
3ffe::1 3fff::1 3fff:fff:ffff::1 4000::1 5f00::1 8000::1 fc00::1 fd00::1 fd00:ec2::254 fdff::1
fe80::1 fe80::1%eth0 fec0::1 feff::1 ff02::1 ff0e::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
2606:4700::6810:1%1
""".split()  # noqa: SIM905  a table reads better

PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.1 104.16.0.1 126.255.255.255 128.0.0.1
168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.1 172.15.255.255 172.32.0.1 192.0.1.1 192.0.3.1
192.167.255.255 192.169.0.1 198.17.255.255 198.20.0.1 203.0.112.1 203.0.114.1 223.255.255.255
2001:200::1 2001:4860:4860::8888 2001:470:1f0b::1 2001:db7::1 2001:db9::1 2003::1 2400:cb00::1
2606:4700::6810:1 2620:4f:8001::1 2a00:1450:4001::1 2c0f::1 3ffd::1
""".split()  # noqa: SIM905  a table reads better

NO_ADDRESSES = [
    "",
    "localhost",
    "example.com",
    "127.1",
    "0177.0.0.1",
    "2130706433",
    "0x7f.0.0.1",
    "1.1.1.1 ",
    "1.1.1",
]

ODD_URLS = [
    # not http
    "", "/etc/passwd", "//example.com/x", "file:///etc/passwd", "ftp://example.com/x", "gopher://example.com/x",
    "ws://example.com/x", "unix:///run/x.sock", "http:/example.com/x", "http:example.com", "httpſ://example.com/x",
    "data:,x", "javascript:alert(1)",
    # no host, or more than one reading of it
    "http://", "http:///x", "https://?x", "https://#x", "http://:80/x", "http://example.com:/x",
    "http://user@example.com/x", "http://user:secret@example.com/x", "http://@example.com/x",
    "http://example.com@127.0.0.1/x", "http://a@b@example.com/x", "http://example.com:80@127.0.0.1/x",
    "http://example.com\\@127.0.0.1/x", "http:\\\\example.com/x", "http://exa mple.com/x", " http://example.com/x",
    "http://example.com/x\r\nHost: internal", "http://example.com/\tx", "http://exam\nple.com/x", "http://a\x00b.com/",
    "http://%31%32%37.0.0.1/x", "http://example.com%00.internal/x", "http://a,b.com/x", "http://a..b.com/x",
    "http://.example.com/x", "http://-a.com/x", "http://a-.com/x", f"http://{'a' * 64}.com/x",
    f"http://{'a.' * 127}com/x", "http://example.com./x", "http://localhost./x", "http://127.0.0.1./x",
    # numbers that the C library takes for addresses
    "http://2130706433/x", "http://0x7f000001/x", "http://0x7F.1/x", "http://0177.0.0.1/x", "http://017700000001/x",
    "http://127.1/x", "http://127.0.1/x", "http://0/x", "http://127.0.0.0x1/x", "http://127.0.0.01/x",
    "http://127.0.0.1.5/x", "http://256.1.1.1/x", "http://1.2.3/x", "http://example.1/x", "http://example.0x/x",
    # brackets
    "http://[::1/x", "http://::1/x", "http://[]/x", "http://[::1]x/x", "http://x[::1]/x", "http://[fe80::1%eth0]/x",
    "http://[fe80::1%25eth0]/x", "http://[127.0.0.1]/x", "http://[::1]]/x", "http://[v1.fe80]/x", "http://[1::2::3]/x",
    # ports
    "http://example.com:99999/x", "http://example.com:-1/x", "http://example.com:+80/x", "http://example.com:8_0/x",
    "http://example.com:８０/x", "http://example.com:80:80/x", "http://example.com:http/x",
    # names that IDNA refuses, or that it turns into something else
    "http://\u200d/x", "http://a\u200bb.com/x", "http://xn--\u00fc.com/x", "http://\ud800.com/x", "http://\uff0f/x",
    "http://a\u2100b.com/x", "http://example\uff0ecom\uff0e/x", "http://" + "\u00fc" * 80 + ".com/x",
    "http://example.com/\ud800",
    # length
    "http://example.com/" + "x" * 8192,
]  # fmt: skip


@pytest.mark.parametrize("address", FORBIDDEN)
def test_address_that_is_not_for_strangers_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_ordinary_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_plain_address_is_not_public(text: str) -> None:
    assert not is_public(text)


@pytest.mark.parametrize("url", ODD_URLS, ids=lambda url: ascii(url)[:60])
def test_odd_url_is_blocked_and_raises_nothing_else(url: str) -> None:
    with pytest.raises(FetchBlocked):
        parse_url(url)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://EXAMPLE.com:443/A", "https://example.com/A"),
        ("http://my_service:5000/x", "http://my_service:5000/x"),
        ("https://bücher.example/x", "https://xn--bcher-kva.example/x"),
        ("https://example.com/bücher", "https://example.com/b%C3%BCcher"),
        ("http://[2606:4700:0::1]/x", "http://[2606:4700::1]/x"),
        ("http://①.①.①.①/x", "http://1.1.1.1/x"),
        ("http://127。0。0。1/x", "http://127.0.0.1/x"),
        ("https://example.com?a=1", "https://example.com/?a=1"),
        ("https://example.com//a/../b", "https://example.com//a/../b"),
        (
            "https://example.com/a%2fb%7E?x=%2B+%41&sig=a/b==",
            "https://example.com/a%2fb%7E?x=%2B+%41&sig=a/b==",
        ),
    ],
)
def test_url_gets_one_form_in_which_a_signed_path_stays_as_written(written: str, sent: str) -> None:
    url = parse_url(written)
    assert f"{url.origin()}{url.raw_path_qs}" == sent


def test_refusal_never_repeats_a_password() -> None:
    with pytest.raises(FetchBlocked) as refusal:
        parse_url("https://user:hunter2@example.com/x")
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    "url", ["http://a.example/", "https://a.example/", "http://a.example:443/", "https://a.example:80/"]
)
def test_usual_ports_are_reached(url: str) -> None:
    check_port(parse_url(url))


@pytest.mark.parametrize("port", [0, 1, 22, 25, 81, 442, 444, 6379, 8080, 65535])
def test_other_ports_are_blocked(port: int) -> None:
    with pytest.raises(FetchBlocked, match=str(port)):
        check_port(parse_url(f"https://a.example:{port}/"))


async def test_system_resolver_returns_addresses_with_the_port_asked_for() -> None:
    resolver = SystemResolver()
    try:
        answers = await resolver("localhost", 81)
    finally:
        resolver.close()
    assert set(answers) <= {("127.0.0.1", 81), ("::1", 81)}
    assert answers
