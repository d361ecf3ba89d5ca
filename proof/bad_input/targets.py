"""What stands in request targets: segments of paths, values of queries, and whole request lines."""

import base64
from collections.abc import Iterator

from proof.bad_input.value import Kind, Value

_V4 = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
_V7 = "019a9f3e-7c1b-7d44-9a51-0b8e1f6c2d10"

_IDS = [
    _V4, _V7, _V4.upper(), f"%7B{_V4}%7D", f"{{{_V4}}}", f"urn:uuid:{_V4}", _V4.replace("-", ""), f"%20{_V4}",
    f"{_V4}%20",
    f"{_V4}%0a", f"%09{_V4}", f"{_V4}x", _V4[:-1], f"{_V4}%00", f"{_V7}.json", f"{_V7};x=y", f"{_V7}%23x",
    f"{_V7}%3Fx=1",
    "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", _V4.replace("-", "_"),
    _V4.replace("0", "%EF%BC%90"), _V4.replace("0", "%D9%A0"), _V4.replace("-", "%E2%80%93"), _V4.replace("e", "%65"),
    "aaaaaaaaaaaaaaaaaaaaaaaaaa.png", "aaaaaaaaaaaaaaaaaaaaaaaaaa.PNG", "aaaaaaaaaaaaaaaaaaaaaaaaaa", "a" * 26 + ".",
    "a" * 26 + ".abcdef", "a" * 26 + ".png%0a", "a" * 26 + ".png%00.jpg", "a" * 26 + "%2epng",
    "..." + "a" * 23 + ".png",
    "a" * 26 + ".webp", "spool", "tmp", "a" * 27 + ".png",
]  # fmt: skip
_SEGMENTS = [
    # percent signs
    "%00", "%ff", "%FF%FE", "%c0%80", "%ed%a0%80", "%f0%9f%a6%8a", "%e2%80%ae", "%0d%0a", "%0d%0aX:%20y", "%09",
    "%20", "%7f",
    "%", "%1", "%zz", "%u0041", "%%30%30", "%2", "a%", "%25", "%2500", "%C3%28",
    # up and out
    ".", "..", "%2e", "%2e%2e", "%252e%252e", ".%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%2f..%2fetc%2fpasswd",
    "..%5c..%5cwindows", "%2F", "%5C", "%2Fetc%2Fpasswd", "%2F%2Fevil.example", "..;", "..%00", "....",
    "%c0%ae%c0%ae",
    "%e0%80%ae", "~", "~root",
    # what servers give away elsewhere
    "favicon.ico", "robots.txt", ".git", ".env", "index.php", "admin", "metrics", "openapi.json", "app.js",
    "__init__.py",
    # other numbers and words
    "0", "1", "-1", "1e3", "18446744073709551616", "true", "null", "undefined", "NaN", "none", "[]", "{}",
    "{job_id}", "*",
    # letters that stand for something
    "a;b=c", "a:b", "@", "$x", "a+b", "a=b", "a&b", "a,b", "!", "'", '"', "(", "|", "\\", "^", "`", "<x>",
    "%3Cscript%3E",
    "a//b", "a/b", "a/b/c/d/e/f",
]  # fmt: skip
_LONG_SEGMENTS = {
    "5,000 letters": b"a" * 5000,
    "5,000 escapes": b"%61" * 5000,
    "60,000 letters": b"a" * 60_000,
    "1,000 slashes": b"/" * 1000,
    "1,000 times up": b"../" * 1000,
    "raw UTF-8": "füchse".encode(),
    "a raw byte": b"f\xfcchse",
    "a raw emoji": "🦊".encode(),
    "nothing": b"",
}
_BROKEN_SEGMENTS = {
    "a raw space": b"a b",
    "a raw tab": b"a\tb",
    "a raw NUL": b"a\0b",
    "a raw line end": b"a\r\nX: y",
    "a raw DEL": b"a\x7fb",
    "a number sign": b"a#b",
}

_QUERY_VALUES = [
    # sizes of pages
    "", "-1", "0", "1", "100", "101", "9223372036854775807", "9223372036854775808", "18446744073709551616",
    "9" * 400, "1e3",
    "%205", "5%20", "5%0a", "+5", "%2B5", "-0", "5.0", "5.5", "0x5", "05", "1_0", "%D9%A5", "%C2%BD", "NaN",
    "inf", "null",
    "true", "none", "[]", "[5]", "5,6", "5&limit=6", "5&limit=", "5&limit[]=6", "5%26limit%3D6", "5#x", "5;limit=6",
    # bytes
    "%00", "5%00", "%ff", "%ed%a0%80", "%c0%80", "%", "%zz", "%u0041", "%25", "%0d%0aX:y", "%F0%9F%A6%8A",
    "%E2%80%AE",
    # words of states
    "pending", "PENDING", "pending%20", "pending,failed", "pending&status=failed", "cancelled", "canceled",
    "queued", "done",
    "running", "deleted", "*", "%25", "_", "any",
    # cursors
    base64.urlsafe_b64encode(_V7.encode()).decode(), base64.urlsafe_b64encode(_V7.upper().encode()).decode(), _V7,
    base64.urlsafe_b64encode(b"../../etc/passwd").decode(), base64.urlsafe_b64encode(b"\0" * 36).decode(),
    base64.urlsafe_b64encode(b"' OR 1=1 --").decode(), base64.urlsafe_b64encode(f"{_V7}\n".encode()).decode(),
    base64.urlsafe_b64encode(b"ffffffff-ffff-ffff-ffff-ffffffffffff").decode(), "====", "=", "a", "MDE5",
    "A" * 200, "A" * 201,
    base64.urlsafe_b64encode(b"\xff\xfe").decode(), "not-base64!",
    # times
    "2026-11-20T12:00:00Z", "2026-11-20", "20261120", "2026-W01", "2026-13-45", "2026-02-30", "0000-00-00",
    "0001-01-01",
    "0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "10000-01-01", "-2026-01-01",
    "2026-11-20T24:00:00Z", "2026-11-20T12:00:60Z", "2026-11-20T12:00:00%2B99:99",
    "2026-11-20T12:00:00.9999999999999999Z",
    "2026-11-20t12:00:00z", "2026-11-20%2012:00", "1700000000", "now", "yesterday", "2026-11-20T12:00:00+02:00",
    "T", "12:00",
    # words of switches
    "yes", "on", "TRUE", "2", "maybe", "thumbnail", "THUMBNAIL", "original", "thumb", "..%2f", "false",
]  # fmt: skip
_LONG_QUERIES = {
    "40 letters": "a" * 40,
    "41 letters": "a" * 41,
    "500 letters": "a" * 500,
    "501 letters": "a" * 501,
    "20 digits": "1" * 20,
    "21 digits": "1" * 21,
    "60,000 letters": "a" * 60_000,
    "5,000 percent signs": "%25" * 5000,
    "400 wildcards": "%25a" * 120,
    "1,000 more parameters": "1" + "".join(f"&p{n}={n}" for n in range(1000)),
    "500 times the same": "1" + "&limit=1" * 500,
}
_RAW_QUERIES = {
    "raw UTF-8": "füchse".encode(),
    "a raw byte": b"\xff",
    "a raw space": b"a b",
    "a raw NUL": b"a\0b",
    "a raw line end": b"1\r\nX: y",
    "a question mark": b"1?limit=2",
    "a quotation mark": b'"<x>',
}

_LINES = {
    "an unknown method": b"FOX TARGET HTTP/1.1",
    "a method in small letters": b"get TARGET HTTP/1.1",
    "PROPFIND": b"PROPFIND TARGET HTTP/1.1",
    "TRACE": b"TRACE TARGET HTTP/1.1",
    "CONNECT": b"CONNECT localhost:80 HTTP/1.1",
    "CONNECT to the target": b"CONNECT TARGET HTTP/1.1",
    "OPTIONS": b"OPTIONS TARGET HTTP/1.1",
    "OPTIONS of everything": b"OPTIONS * HTTP/1.1",
    "PUT": b"PUT TARGET HTTP/1.1",
    "PATCH": b"PATCH TARGET HTTP/1.1",
    "DELETE": b"DELETE TARGET HTTP/1.1",
    "POST": b"POST TARGET HTTP/1.1",
    "GET": b"GET TARGET HTTP/1.1",
    "HEAD": b"HEAD TARGET HTTP/1.1",
    "a method of 10,000 letters": b"G" * 10_000 + b" TARGET HTTP/1.1",
    "no method": b" TARGET HTTP/1.1",
    "HTTP/1.0": b"METHOD TARGET HTTP/1.0",
    "HTTP/0.9": b"METHOD TARGET",
    "HTTP/2.0": b"METHOD TARGET HTTP/2.0",
    "HTTP/1.2": b"METHOD TARGET HTTP/1.2",
    "http in small letters": b"METHOD TARGET http/1.1",
    "another protocol": b"METHOD TARGET RTSP/1.0",
    "two spaces": b"METHOD  TARGET  HTTP/1.1",
    "an absolute target": b"METHOD http://localhostTARGET HTTP/1.1",
    "an absolute target elsewhere": b"METHOD http://evil.example:80TARGET HTTP/1.1",
    "an absolute target of no scheme": b"METHOD //evil.exampleTARGET HTTP/1.1",
    "an empty target": b"METHOD  HTTP/1.1",
    "a target without a slash": b"METHOD health HTTP/1.1",
    "a target of 100,000 letters": b"METHOD /" + b"a" * 100_000 + b" HTTP/1.1",
    "the start of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM",
    "the start of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a line end before": b"\r\nMETHOD TARGET HTTP/1.1",
    "bare line feeds": b"METHOD TARGET HTTP/1.1\nX: y",
}


def paths() -> Iterator[Value]:
    named = {text: text.encode() for text in (*_IDS, *_SEGMENTS)} | _LONG_SEGMENTS | _BROKEN_SEGMENTS
    for name, raw in named.items():
        yield Value(family="paths", name=name[:60], kind=Kind.PATH, raw=raw)


def queries() -> Iterator[Value]:
    named = {text[:60] or "empty": text.encode() for text in _QUERY_VALUES}
    named |= {name: text.encode() for name, text in _LONG_QUERIES.items()} | _RAW_QUERIES
    for name, raw in named.items():
        yield Value(family="queries", name=name, kind=Kind.QUERY, raw=raw)


def lines() -> Iterator[Value]:
    for name, raw in _LINES.items():
        yield Value(family="request lines", name=name, kind=Kind.LINE, raw=raw)
