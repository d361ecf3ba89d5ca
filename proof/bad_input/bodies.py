"""Whole bodies: encodings, media types, lengths, and the ways in which they are cut into pieces."""

import gzip
import json
import zlib
from collections.abc import Iterator

from proof.bad_input.value import Kind, Value

_GOOD = b'{"prompt":"x"}'
_JSON = b"Content-Type: application/json\r\n"
_PARTS = (
    b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nx\r\n'
    b'--b\r\nContent-Disposition: form-data; name="f"; filename="../../x"\r\n\r\n\0\r\n--b--\r\n'
)

_CONTENTS = {
    "nothing": b"",
    "a space": b" ",
    "null": b"null",
    "true": b"true",
    "a number": b"0",
    "a string": b'"prompt"',
    "an array": b"[]",
    "an array of requests": b'[{"prompt":"x"},{"prompt":"y"}]',
    "an empty object": b"{}",
    "an open brace": b"{",
    "cut within a name": b'{"prom',
    "cut behind a name": b'{"prompt"',
    "cut behind the colon": b'{"prompt":',
    "cut within a value": b'{"prompt":"x',
    "cut before the last brace": b'{"prompt":"x"',
    "all fields null": b'{"prompt":null,"model":null,"parameters":null,"webhook_url":null,"metadata":null}',
    "more behind the end": _GOOD + b"x",
    "two documents": _GOOD + _GOOD,
    "lines of JSON": _GOOD + b"\n" + _GOOD + b"\n",
    "a NUL behind the end": _GOOD + b"\0",
    "a byte order mark": b"\xef\xbb\xbf" + _GOOD,
    "UTF-16": _GOOD.decode().encode("utf-16"),
    "UTF-16 without mark": _GOOD.decode().encode("utf-16-le"),
    "UTF-32": _GOOD.decode().encode("utf-32"),
    "UTF-7": b'{"prompt":"+AGY-"}',
    "Latin-1": '{"prompt":"é"}'.encode("latin-1"),
    "bytes that are no UTF-8": b'{"prompt":"\xff\xfe"}',
    "an overlong NUL": b'{"prompt":"\xc0\x80"}',
    "an overlong slash": b'{"prompt":"\xe0\x80\xaf"}',
    "half a character in three bytes": b'{"prompt":"\xed\xa0\x80"}',
    "a pair in six bytes": b'{"prompt":"\xed\xa0\xbd\xed\xb8\x80"}',
    "a character cut off": b'{"prompt":"\xf0\x9f\xa6"}',
    "a character of five bytes": b'{"prompt":"\xf8\x88\x80\x80\x80"}',
    "beyond the last code point": b'{"prompt":"\xf4\x90\x80\x80"}',
    "raw NUL in a string": b'{"prompt":"a\0b"}',
    "raw line feed in a string": b'{"prompt":"a\nb"}',
    "only NULs": bytes(1000),
    "all bytes": bytes(range(256)),
    "a PNG": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "gzip that nobody announced": gzip.compress(_GOOD),
    "XML": b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]><x>&y;</x>",
    "a form": b"prompt=x&model=mock/darkroom",
    "MessagePack": b"\x81\xa6prompt\xa1x",
    "CBOR": b"\xa1\x66prompt\x61x",
    "a pickle": b"\x80\x04\x95\x0f\0\0\0\0\0\0\0}\x94\x8c\x06prompt\x94\x8c\x01x\x94s.",
    "1 MiB exactly": b'{"prompt":"' + b"a" * (1_048_576 - 13) + b'"}',
    "1 MiB and a byte": b'{"prompt":"' + b"a" * (1_048_577 - 13) + b'"}',
    "2 MiB of spaces": b" " * 2_097_152,
    "10 MiB": b'{"prompt":"' + b"a" * 10_485_760 + b'"}',
    "1 MiB of open brackets": b"[" * 1_000_000,
    "1 MiB of empty arrays": b"[" + b"[]," * 340_000 + b"[]]",
    "surprise": b'{"prompt":"x","surprise":1}',
    "a field twice": b'{"prompt":"x","prompt":5}',
    "an id of its own": b'{"prompt":"x","id":"1","state":"succeeded","owner":"root"}',
}  # fmt: skip

_TYPES = {
    "no type": b"",
    "an empty type": b"Content-Type:\r\n",
    "spaces for a type": b"Content-Type:    \r\n",
    "text": b"Content-Type: text/plain\r\n",
    "text in JSON": b"Content-Type: text/plain;application/json\r\n",
    "HTML": b"Content-Type: text/html\r\n",
    "text/json": b"Content-Type: text/json\r\n",
    "a form's type": b"Content-Type: application/x-www-form-urlencoded\r\n",
    "multipart without a boundary": b"Content-Type: multipart/form-data\r\n",
    "multipart with an empty boundary": b"Content-Type: multipart/form-data; boundary=\r\n",
    "JSON, loudly": b"Content-Type: APPLICATION/JSON\r\n",
    "JSON in UTF-16": b"Content-Type: application/json; charset=utf-16\r\n",
    "JSON in no known charset": b"Content-Type: application/json; charset=nothing\r\n",
    "JSON and a semicolon": b"Content-Type: application/json;\r\n",
    "JSON twice in one": b"Content-Type: application/json, application/json\r\n",
    "two types": b"Content-Type: application/json\r\nContent-Type: text/plain\r\n",
    "two types, the other way": b"Content-Type: text/plain\r\nContent-Type: application/json\r\n",
    "a vendor's JSON": b"Content-Type: application/vnd.api+json\r\n",
    "problem JSON": b"Content-Type: application/problem+json\r\n",
    "only +json": b"Content-Type: +json\r\n",
    "json": b"Content-Type: json\r\n",
    "anything": b"Content-Type: */*\r\n",
    "octets": b"Content-Type: application/octet-stream\r\n",
    "a type of 10,000 letters": b"Content-Type: application/" + b"j" * 10_000 + b"\r\n",
    "a type in Latin-1": b"Content-Type: application/js\xf6n\r\n",
    "a type with a quotation mark": b'Content-Type: application/json; x="\r\n',
}

_CHUNKED = _JSON + b"Transfer-Encoding: chunked\r\n"
_ENDED = b"0\r\n\r\n"


def _sized(length: bytes, body: bytes = _GOOD) -> bytes:
    return _JSON + b"Content-Length: " + length + b"\r\n\r\n" + body


# Of these the length or the pieces are what is odd.
_LENGTHS = {
    "no length at all": _JSON + b"\r\n" + _GOOD,
    "length 0 and a body": _sized(b"0"),
    "a length too small": _sized(b"5"),
    "a negative length": _sized(b"-5"),
    "a length with plus": _sized(b"+14"),
    "a length in hexadecimal": _sized(b"0xe"),
    "a length with a fraction": _sized(b"14.0"),
    "a length with leading zeros": _sized(b"00000000000014"),
    "a length with spaces": _sized(b"  14  "),
    "a length of two numbers": _sized(b"14, 14"),
    "a length in words": _sized(b"fourteen"),
    "an empty length": _sized(b""),
    "a length of 30 digits": _sized(b"9" * 30),
    "a length of 2^64": _sized(b"18446744073709551616"),
    "two lengths, the same": _JSON + b"Content-Length: 14\r\nContent-Length: 14\r\n\r\n" + _GOOD,
    "two lengths": _JSON + b"Content-Length: 14\r\nContent-Length: 2\r\n\r\n" + _GOOD,
    "chunks": _CHUNKED + b"\r\ne\r\n" + _GOOD + b"\r\n" + _ENDED,
    "chunks of one byte": _CHUNKED + b"\r\n" + b"".join(b"1\r\n%c\r\n" % c for c in _GOOD) + _ENDED,
    "chunks with extensions": _CHUNKED + b"\r\ne;a=b;c\r\n" + _GOOD + b"\r\n" + _ENDED,
    "chunks with trailers": _CHUNKED + b"\r\ne\r\n" + _GOOD + b"\r\n0\r\nIdempotency-Key: x\r\nX: y\r\n\r\n",
    "chunks in capitals": _CHUNKED.replace(b"chunked", b"CHUNKED") + b"\r\nE\r\n" + _GOOD + b"\r\n" + _ENDED,
    "a chunk of no number": _CHUNKED + b"\r\nzz\r\n" + _GOOD + b"\r\n" + _ENDED,
    "a chunk of a negative size": _CHUNKED + b"\r\n-1\r\n" + _GOOD + b"\r\n" + _ENDED,
    "a chunk of 2^68": _CHUNKED + b"\r\n" + b"f" * 17 + b"\r\n" + _GOOD,
    "a chunk without line ends": _CHUNKED + b"\r\ne" + _GOOD + _ENDED,
    "a chunk longer than it says": _CHUNKED + b"\r\n2\r\n" + _GOOD + b"\r\n" + _ENDED,
    "a chunk size with 0x": _CHUNKED + b"\r\n0xe\r\n" + _GOOD + b"\r\n" + _ENDED,
    "a chunk size with a long extension": _CHUNKED + b"\r\ne;" + b"a" * 20_000 + b"\r\n" + _GOOD + b"\r\n" + _ENDED,
    "2,000 chunks of a space": _CHUNKED + b"\r\n" + b"1\r\n \r\n" * 2000 + _ENDED,
    "chunks of 2 MiB": _CHUNKED + b"\r\n" + (b"10000\r\n" + b" " * 65_536 + b"\r\n") * 32 + _ENDED,
    "chunks and a length": _CHUNKED + b"Content-Length: 14\r\n\r\ne\r\n" + _GOOD + b"\r\n" + _ENDED,
    "chunks and another length": _CHUNKED + b"Content-Length: 3\r\n\r\ne\r\n" + _GOOD + b"\r\n" + _ENDED,
    "chunked twice": _CHUNKED + b"Transfer-Encoding: chunked\r\n\r\ne\r\n" + _GOOD + b"\r\n" + _ENDED,
    "chunked, then gzip": _JSON + b"Transfer-Encoding: chunked, gzip\r\n\r\ne\r\n" + _GOOD + b"\r\n" + _ENDED,
    "gzip, then chunked": _JSON + b"Transfer-Encoding: gzip, chunked\r\n\r\ne\r\n" + _GOOD + b"\r\n" + _ENDED,
    "identity encoding": _JSON + b"Transfer-Encoding: identity\r\nContent-Length: 14\r\n\r\n" + _GOOD,
    "an unknown transfer encoding": _JSON + b"Transfer-Encoding: x\r\n\r\n" + _GOOD,
    "a transfer encoding with a tab": _JSON + b"Transfer-Encoding: \x0bchunked\r\n\r\ne\r\n" + _GOOD + b"\r\n" + _ENDED,
    "a space before the colon of it": _JSON + b"Transfer-Encoding : chunked\r\n\r\ne\r\n" + _GOOD + _ENDED,
    "a request behind the body": _sized(b"14") + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
}  # fmt: skip

_UNFINISHED = {
    "a length too large": _sized(b"1000"),
    "no body where one was promised": _sized(b"14", b""),
    "a chunk cut off": _CHUNKED + b"\r\nff\r\n" + _GOOD,
    "chunks without an end": _CHUNKED + b"\r\ne\r\n" + _GOOD + b"\r\n",
    "a head without an end": b"X: ",
}

_ENCODED = {
    "gzip": gzip.compress(_GOOD),
    "gzip, a bomb": gzip.compress(bytes(10_000_000)),
    "gzip, broken": gzip.compress(_GOOD)[:-6],
    "deflate": zlib.compress(_GOOD),
    "br": _GOOD,
    "zstd": _GOOD,
    "identity": _GOOD,
    "gzip, gzip": gzip.compress(gzip.compress(_GOOD)),
    "x-unheard-of": _GOOD,
}


def bodies() -> Iterator[Value]:
    for name, content in _CONTENTS.items():
        yield _body("bodies", name, with_length(_JSON, content))
    for name, head in _TYPES.items():
        yield _body("media types", name, with_length(head, _GOOD))
    yield _body(
        "media types", "parts", with_length(b"Content-Type: multipart/form-data; boundary=b\r\n", _PARTS)
    )
    yield _body("media types", "a real form", with_length(_TYPES["a form's type"], b"prompt=x"))
    for name, content in _ENCODED.items():
        encoding = name.partition(", b")[0].encode()
        yield _body(
            "content encodings",
            name,
            with_length(_JSON + b"Content-Encoding: " + encoding + b"\r\n", content),
        )
    for name, raw in _LENGTHS.items():
        yield _body("lengths and chunks", name, raw)
    for name, raw in _UNFINISHED.items():
        yield _body("unfinished", name, raw, whole=False)
    yield _body(
        "bodies", "many fields", with_length(_JSON, json.dumps({f"f{n}": n for n in range(5000)}).encode())
    )


def with_length(head: bytes, body: bytes) -> bytes:
    """Return header lines and body with the body's true length between them."""
    return head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def _body(family: str, name: str, raw: bytes, *, whole: bool = True) -> Value:
    return Value(family=family, name=name, kind=Kind.BODY, raw=raw, whole=whole)
