"""Where the fetcher goes and where it does not, against real servers on loopback."""

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from mediagen.errors import FetchBlocked, FetchError, FetchTooLarge
from tests.fakes.loopback import INTERNAL, OK, PUBLIC, World, note_connects, redirect

LITERALS = [
    "http://127.0.0.1/",
    "https://127.0.0.1/",
    "http://0.0.0.0/",
    "http://10.0.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://168.63.129.16/",
    "http://[::]/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[fd00:ec2::254]/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://127.1/",
]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    return note_connects(monkeypatch)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of files.example and its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl program to make a certificate")
    key, cert = (tmp_path_factory.mktemp("tls") / name for name in ("key.pem", "cert.pem"))
    command = (
        f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=files"
    )
    alternative = ["-addext", "subjectAltName=DNS:files.example"]
    subprocess.run(
        [*command.split(), *alternative, "-keyout", key, "-out", cert], check=True, capture_output=True
    )
    cert.write_bytes(cert.read_bytes() + key.read_bytes())
    return cert


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def client_tls(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


def trusts_origin(origin: str) -> Callable[[str], bool]:
    return lambda url: url.startswith(f"{origin}/")


# --- names and addresses


async def test_file_at_a_public_address_arrives(world: World) -> None:
    await world.server("files.example")
    assert await world.fetch("http://files.example/a.png") == b"file"


async def test_host_and_signed_path_reach_the_server_as_written(world: World) -> None:
    server = await world.server("files.example")
    await world.fetch("http://FILES.example/a%2fb%7E?sig=%2B+%41/==#end")
    assert server.requests[0].startswith(b"GET /a%2fb%7E?sig=%2B+%41/== HTTP/1.1\r\nHost: files.example\r\n")


async def test_name_of_an_internal_address_is_blocked_and_not_connected_to(world: World) -> None:
    server = await world.server("rebind.example", host=INTERNAL)
    with pytest.raises(FetchBlocked, match=r"rebind\.example"):
        await world.fetch("http://rebind.example/")
    assert await server.connections() == 0


@pytest.mark.parametrize("first", [PUBLIC, INTERNAL])
async def test_one_forbidden_address_among_good_ones_blocks_them_all(world: World, first: str) -> None:
    good = await world.server("good.example")
    bad = await world.server("bad.example", host=INTERNAL)
    both = world.names["good.example"] + world.names["bad.example"]
    world.names["mixed.example"] = sorted(both, key=lambda answer: answer[0] != first)
    with pytest.raises(FetchBlocked):
        await world.fetch("http://mixed.example/")
    assert (await good.connections(), await bad.connections()) == (0, 0)


@pytest.mark.parametrize("url", LITERALS)
async def test_forbidden_address_in_the_url_is_blocked_without_a_connect(
    world: World, connects: list[Any], url: str
) -> None:
    with pytest.raises(FetchBlocked):
        await world.fetch(url)
    assert (connects, world.lookups) == ([], [])


async def test_connects_are_seen_where_they_are_made(world: World, connects: list[Any]) -> None:
    server = await world.server("files.example")
    await world.fetch("http://files.example/")
    assert connects == [(PUBLIC, server.port)]


async def test_name_is_looked_up_once_for_check_and_connect(world: World) -> None:
    good = await world.server("rebind.example")
    internal = await world.server("other.example", host=INTERNAL)
    answers = [world.names["rebind.example"], world.names["other.example"]]

    async def rebinding(host: str, port: int) -> Sequence[tuple[str, int]]:
        world.lookups.append(host)
        return answers.pop(0)

    assert await world.fetch("http://rebind.example/", resolver=rebinding) == b"file"
    assert world.lookups == ["rebind.example"]
    assert (await good.connections(), await internal.connections()) == (1, 0)


async def test_next_connection_to_a_rebound_name_is_checked_again(world: World) -> None:
    await world.server("rebind.example", OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
    fetcher = world.fetcher()
    async with fetcher.open("http://rebind.example/"):
        pass
    internal = await world.server("rebind.example", host=INTERNAL)
    with pytest.raises(FetchBlocked):
        await fetcher.open("http://rebind.example/").__aenter__()
    assert await internal.connections() == 0


@pytest.mark.parametrize("answers", [None, []])
async def test_name_without_address_may_be_tried_again(
    world: World, answers: list[tuple[str, int]] | None
) -> None:
    if answers is not None:
        world.names["nowhere.example"] = answers
    with pytest.raises(FetchError) as failure:
        await world.fetch("http://nowhere.example/")
    assert type(failure.value) is FetchError
    assert isinstance(failure.value.__cause__, OSError)


@pytest.mark.parametrize("port", [22, 6379, 8080])
async def test_odd_port_is_blocked_before_the_lookup(world: World, port: int) -> None:
    await world.server("files.example")
    with pytest.raises(FetchBlocked, match=str(port)):
        await world.fetch(f"http://files.example:{port}/")
    assert world.lookups == []


# --- redirects


async def test_redirects_are_followed_relative_ones_too(world: World) -> None:
    await world.server("a.example", redirect("http://b.example/x/y?z"))
    hop = await world.server("b.example", redirect("//files.example/end"))
    files = await world.server("files.example")
    assert await world.fetch("http://a.example/") == b"file"
    assert hop.requests[0].startswith(b"GET /x/y?z ")
    assert files.requests[0].startswith(b"GET /end ")


@pytest.mark.parametrize(
    "location",
    [
        "http://internal.example/",
        "//internal.example/",
        "http://good.example@internal.example/",
        "http://internal.example:8080/",
        "http://internal.example./",
        "http://internal.example\\@good.example/",
        "file:///etc/passwd",
        "ftp://good.example/",
        "data:,x",
        "http://[::1/",
        *LITERALS,
    ],
)
async def test_redirect_to_a_forbidden_place_is_blocked_without_a_connect(
    world: World, connects: list[Any], location: str
) -> None:
    good = await world.server("good.example", redirect(location))
    internal = await world.server("internal.example", host=INTERNAL)
    with pytest.raises(FetchBlocked):
        await world.fetch("http://good.example/")
    assert connects == [(PUBLIC, good.port)]
    assert await internal.connections() == 0


async def test_third_redirect_is_the_last(world: World) -> None:
    await world.server("a.example", redirect("http://b.example/"))
    await world.server("b.example", redirect("http://c.example/"))
    await world.server("c.example", redirect("http://files.example/"))
    await world.server("files.example")
    assert await world.fetch("http://a.example/") == b"file"


async def test_redirect_loop_is_blocked_after_three_redirects(world: World) -> None:
    server = await world.server("loop.example", redirect("/"))
    with pytest.raises(FetchBlocked, match="3 redirects"):
        await world.fetch("http://loop.example/")
    assert len(server.requests) == 4


async def test_redirect_to_nowhere_may_be_tried_again(world: World) -> None:
    await world.server("files.example", b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(FetchError) as failure:
        await world.fetch("http://files.example/")
    assert type(failure.value) is FetchError


# --- what is sent


async def test_neither_cookies_nor_environment_add_anything_to_a_request(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    proxy = await world.server("proxy.example")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{PUBLIC}:{proxy.port}")
    (tmp_path / "netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server = await world.server("files.example", redirect("/again", "Set-Cookie: a=b"))
    with pytest.raises(FetchBlocked, match="redirects"):
        await world.fetch("http://files.example/")
    names = {line.partition(b":")[0] for line in server.requests[-1].split(b"\r\n")[1:] if line}
    assert names == {b"Host", b"Accept", b"Accept-Encoding", b"User-Agent"}
    assert b"Accept-Encoding: identity\r\n" in server.requests[-1]
    assert await proxy.connections() == 0


async def test_certificate_is_checked_against_the_name_in_the_url(
    world: World, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    await world.server("files.example", tls=server_tls)
    assert await world.fetch("https://files.example/", tls=client_tls) == b"file"


@pytest.mark.parametrize("knows_certificate", [True, False])
async def test_certificate_of_another_name_or_of_nobody_is_an_error(
    world: World, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, knows_certificate: bool
) -> None:
    name = "other.example" if knows_certificate else "files.example"
    server = await world.server(name, tls=server_tls)
    with pytest.raises(FetchError, match="Certificate"):
        await (
            world.fetcher(tls=client_tls if knows_certificate else None).open(f"https://{name}/").__aenter__()
        )
    assert server.requests == []


# --- origins that the operator trusts


async def test_trusted_origin_is_fetched_at_any_port_and_address(world: World) -> None:
    server = await world.server("gpu.example", host=INTERNAL)
    origin = f"http://{INTERNAL}:{server.port}"
    assert await world.fetch(f"{origin}/out.png", trusts=trusts_origin(origin)) == b"file"


async def test_trusted_origin_may_not_lead_to_an_untrusted_one(world: World, connects: list[Any]) -> None:
    internal = await world.server("internal.example", host=INTERNAL)
    trusted = await world.server("gpu.example", redirect("http://internal.example/"), host=INTERNAL)
    with pytest.raises(FetchBlocked):
        await world.fetch("http://gpu.example/", trusts=trusts_origin("http://gpu.example"))
    assert connects == [(INTERNAL, trusted.port)]
    assert await internal.connections() == 0


async def test_public_origin_may_lead_to_a_trusted_one(world: World) -> None:
    await world.server("gpu.example", host=INTERNAL)
    await world.server("files.example", redirect("http://gpu.example/"))
    assert await world.fetch("http://files.example/", trusts=trusts_origin("http://gpu.example")) == b"file"


@pytest.mark.parametrize(
    "location", ["http://user@gpu.example/", "file:///etc/passwd", "http://gpu.example./"]
)
async def test_trust_excuses_no_odd_url(world: World, location: str) -> None:
    await world.server("gpu.example", redirect(location), host=INTERNAL)
    with pytest.raises(FetchBlocked):
        await world.fetch("http://gpu.example/", trusts=lambda _url: True)


async def test_trust_lifts_no_byte_cap(world: World) -> None:
    await world.server("gpu.example", host=INTERNAL)
    with pytest.raises(FetchTooLarge):
        await world.fetch("http://gpu.example/", trusts=lambda _url: True, max_bytes=3)


async def test_connection_made_in_trust_serves_no_untrusted_url(world: World) -> None:
    server = await world.server("gpu.example", host=INTERNAL)
    fetcher = world.fetcher()
    async with fetcher.open("http://gpu.example/", trusts=lambda _url: True) as download:
        assert [chunk async for chunk in download.chunks] == [b"file"]
    with pytest.raises(FetchBlocked):
        await fetcher.open("http://gpu.example/").__aenter__()
    assert len(server.requests) == 1


async def test_trust_is_asked_for_the_url_in_the_form_that_is_sent(world: World) -> None:
    await world.server("files.example")
    asked: list[str] = []

    def trusts(url: str) -> bool:
        asked.append(url)
        return False

    await world.fetch("HTTP://Files.Example:80?a", trusts=trusts)
    assert asked == ["http://files.example/?a"]


# --- webhooks


async def test_webhook_arrives_with_body_and_headers(
    world: World, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    server = await world.server("files.example", tls=server_tls)
    fetcher = world.fetcher(tls=client_tls)
    assert await fetcher.post("https://files.example/hook", b"{}", {"webhook-id": "msg_1"}) == 200
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook HTTP/1.1\r\nHost: files.example\r\n")
    assert b"webhook-id: msg_1\r\n" in head
    assert body == b"{}"


@pytest.mark.parametrize("status", [204, 301, 307, 400, 410, 429, 500])
async def test_status_of_a_webhook_is_returned_and_redirects_are_not_followed(
    world: World, status: int
) -> None:
    answer = f"HTTP/1.1 {status} X\r\nLocation: http://{INTERNAL}/\r\nContent-Length: 0\r\n\r\n"
    server = await world.server("hook.example", answer.encode())
    assert await world.fetcher().post("http://hook.example/", b"{}", {}, allow_private=True) == status
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://hook.example/", PUBLIC),
        ("https://hook.example:8443/", PUBLIC),
        ("https://user@hook.example/", PUBLIC),
        ("https://hook.example/", INTERNAL),
    ],
)
async def test_webhook_to_http_odd_ports_or_private_addresses_is_blocked(
    world: World, url: str, host: str
) -> None:
    server = await world.server("hook.example", host=host)
    with pytest.raises(FetchBlocked):
        await world.fetcher().post(url, b"{}", {})
    assert await server.connections() == 0


async def test_webhook_goes_to_a_private_http_server_when_allowed(world: World) -> None:
    server = await world.server("hook.example", host=INTERNAL)
    url = f"http://{INTERNAL}:{server.port}/hook"
    assert await world.fetcher().post(url, b"{}", {}, allow_private=True) == 200
