"""Headers: hosts, keys, ranges, tags, origins and lengths that no honest client sends."""

from collections.abc import Iterator

from proof.bad_input.value import Kind, Value

_VALUES: dict[str, list[bytes]] = {
    "Idempotency-Key": [
        b"", b" ", b"a", b"k" * 255, b"k" * 256, b"k" * 100_000, b"a b", b" a", b"a ", b"a\tb", b"\xe9",
        "schlüssel".encode(),
        "🔑".encode(), b"a\x00b", b"a\x1fb", b"a\x7fb", b"'; DROP TABLE jobs; --", b'"quoted"', b"a,b", b"..",
        b"%00", b"null",
    ],
    "Last-Event-ID": [
        b"", b"-1", b"0", b"1", b"999999999999999999", b"9223372036854775807", b"9223372036854775808",
        b"9" * 400, b"1.5",
        b"1e3", b"+1", b" 1", b"0x1", b"abc", b"\xb2", "٣".encode(), b"1, 2", b"\xff", b"NaN", b"1\x00",
    ],
    "Range": [
        b"", b"bytes", b"bytes=", b"bytes=-", b"bytes=0-", b"bytes=0-0", b"bytes=-1", b"bytes=-0", b"bytes=1-0",
        b"bytes=5-2",
        b"bytes=0-99999999999999999999", b"bytes=99999999999999999999-", b"bytes=-99999999999999999999",
        b"bytes=0-999999999",
        b"bytes=999999999-", b"bytes=0-0,1-1", b"bytes=" + b"0-," * 5000 + b"0-0", b"bytes=0-0,-1",
        b"bytes=a-b", b"bytes=0x0-1",
        b"bytes= 0-0", b"bytes=0 - 0", b"bytes=0-0-0", b"bytes=--1", b"bytes=+0-1", b"bytes=0-1;q=1",
        b"BYTES=0-0", b"items=0-1",
        b"bytes=\xd9\xa0-1", b"bytes=0-0\x00", b"bytes=1e1-", b"bytes=0-" + b"9" * 5000,
    ],
    "If-Range": [b"", b'"x"', b"W/\"x\"", b"Wed, 21 Oct 2026 07:28:00 GMT", b"never", b"\xff", b'"' * 5000],
    "If-None-Match": [
        b"", b"*", b'"x"', b'W/"x"', b'W/""', b"W/", b"x", b'"', b'"x', b'"a", "b", "c"', b"," * 5000,
        b'"x",' * 5000, b"\xff",
        b'"\x00"', b"*, *", b'w/"x"',
    ],
    "If-Match": [b"*", b'"x"'],
    "If-Modified-Since": [b"never", b"Wed, 21 Oct 2099 07:28:00 GMT", b"0"],
    "If-Unmodified-Since": [b"Wed, 21 Oct 1999 07:28:00 GMT"],
    "Host": [
        b"", b"evil.example", b"evil.example:8000", b"localhost:99999", b"localhost:-1", b"localhost:x",
        b"localhost.", b"LOCALHOST",
        b"localhost@evil.example", b"evil.example@localhost", b"localhost, evil.example", b"localhost/../x",
        b"127.1", b"2130706433",
        b"0x7f.1", b"0.0.0.0", b"[::1]", b"[::1]:80", b"::1", b"[::1", b"[::ffff:127.0.0.1]", b"localhost#x",
        b"localhost?x",
        b"local host", b"localhost\x00", b"\xff", "ｌｏｃａｌｈｏｓｔ".encode(), b"a" * 100_000, b"localhost:80:80",
        b"%6cocalhost", b":80", b":",
    ],
    "Origin": [
        b"", b"null", b"evil.example", b"http://evil.example", b"https://localhost.evil.example",
        b"http://localhost:1", b"http://",
        b"http://[::1", b"http://[", b"file://", b"chrome-extension://x", b"http://localhost@evil.example",
        b"http://a b", b"\xff",
        b"http://localhost http://evil.example", b"x" * 100_000, b"javascript:x", b"//localhost",
        b"http://[v1.x]", b"http://\xff",
    ],
    "Sec-Fetch-Site": [
        b"", b"cross-site", b"same-site", b"same-origin", b"none", b"None", b"x",
        b"same-origin, cross-site",
    ],
    "Accept": [
        b"", b"*/*", b"text/html", b"application/xml", b"text/event-stream", b"application/json;q=0",
        b"*/*;q=0", b"x", b";", b"\xff",
        b"application/problem+json", b"a/b," * 5000, b"application/json;q=2", b"image/webp",
        b"application/json; charset=utf-16",
    ],
    "Accept-Encoding": [b"", b"gzip", b"br", b"identity;q=0", b"*;q=0", b"x" * 10_000],
    "Accept-Language": [b"xx", b"de-DE," * 5000],
    "Prefer": [b"wait", b"wait=60", b"wait=-1", b"wait=x", b"respond-async"],
    "Authorization": [b"", b"Bearer", b"Bearer x", b"Basic x", b"Basic OmI=", b"Token " + b"x" * 50_000, b"\xff"],
    "Cookie": [b"", b"a=b", b"=" * 5000, b"a=b; a=c", b"\xff", b"a=" + b"x" * 50_000],
    "Connection": [b"close", b"keep-alive", b"x", b"upgrade", b"close, keep-alive", b"host"],
    "Upgrade": [b"h2c", b"websocket", b"x"],
    "Expect": [b"100-continue", b"200-ok", b""],
    "X-HTTP-Method-Override": [b"DELETE", b"FOX"],
    "X-Forwarded-For": [b"127.0.0.1", b"' OR 1=1 --", b"\xff"],
    "X-Forwarded-Host": [b"evil.example", b"\xff"],
    "X-Forwarded-Proto": [b"javascript", b"https", b"\xff", b"https\x00"],
    "Forwarded": [b"host=evil.example;proto=https"],
    "User-Agent": [b"", b"\xff\xfe", b"x" * 50_000, b"<script>", b"${jndi:ldap://127.0.0.1/x}"],
    "Referer": [b"http://evil.example/", b"\xff", b"x" * 50_000],
    "Content-Type": [b"", b"\xff", b"multipart/form-data; boundary=" + b"x" * 5000],
    "Content-Disposition": [b'attachment; filename="../../x"'],
    "Access-Control-Request-Method": [b"DELETE", b"\xff"],
}  # fmt: skip
_BLOCKS = {
    "two hosts": b"Host: localhost\r\nHost: evil.example\r\n",
    "two hosts, the other way": b"Host: evil.example\r\nHost: localhost\r\n",
    "two keys": b"Idempotency-Key: a\r\nIdempotency-Key: b\r\n",
    "two ranges": b"Range: bytes=0-0\r\nRange: bytes=1-1\r\n",
    "two event ids": b"Last-Event-ID: 1\r\nLast-Event-ID: x\r\n",
    "two tags": b'If-None-Match: "a"\r\nIf-None-Match: *\r\n',
    "two origins": b"Origin: http://localhost\r\nOrigin: http://evil.example\r\n",
    "a thousand headers": b"".join(b"X-%d: y\r\n" % n for n in range(1000)),
    "one header a thousand times": b"X: y\r\n" * 1000,
    "60 kB in one header": b"X: " + b"y" * 60_000 + b"\r\n",
    "1 MB in one header": b"X: " + b"y" * 1_000_000 + b"\r\n",
    "1 MB in many headers": b"X: yyyyyyyyyy\r\n" * 66_000,
    "a name of 60 kB": b"X" * 60_000 + b": y\r\n",
    "an empty name": b": y\r\n",
    "no colon": b"X\r\n",
    "a space before the colon": b"X : y\r\n",
    "a space in the name": b"X Y: z\r\n",
    "a name in Latin-1": b"X\xe9: y\r\n",
    "a NUL in the name": b"X\x00: y\r\n",
    "a NUL in the value": b"X: y\x00z\r\n",
    "a folded line": b"X: y\r\n z\r\n",
    "a folded host": b"Host: localhost\r\n .evil.example\r\n",
    "a line that starts with a space": b" X: y\r\n",
    "a bare line feed": b"X: y\nHost: evil.example\r\n",
    "a bare carriage return": b"X: y\rHost: evil.example\r\n",
    "an upgrade to a web socket": (
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    ),
    "an upgrade to a web socket without a key": b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "an upgrade to HTTP/2": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "everything that hops": b"TE: trailers\r\nTrailer: X\r\nKeep-Alive: timeout=99999\r\nProxy-Connection: x\r\n",
    "a stylish origin and site": b"Origin: null\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n",
}


def headers() -> Iterator[Value]:
    for header, values in _VALUES.items():
        for value in values:
            line = header.encode() + b": " + value + b"\r\n"
            yield _header(f"{header}: {ascii(value)[2:42]} ({len(value)})", line, header)
    for name, block in _BLOCKS.items():
        yield _header(
            name, block, *(line.partition(b":")[0].decode("latin-1") for line in block.split(b"\r\n"))
        )
    yield _header("no host", b"", "host")


def _header(name: str, raw: bytes, *drops: str) -> Value:
    dropped = frozenset(header.strip().lower() for header in drops)
    return Value(family="headers", name=name, kind=Kind.HEADER, raw=raw, drops=dropped)
