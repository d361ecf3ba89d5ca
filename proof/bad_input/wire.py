"""HTTP/1.1 by hand: sends bytes that no client library would send, and reads the first answer to them."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

_MOST_HEAD_BYTES = 1024 * 1024
_NO_BODY = frozenset({204, 304})


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The first answer; of a stream of events only the head."""

    status: int
    headers: tuple[tuple[str, str], ...]  # names in lower case
    body: bytes

    def header(self, name: str) -> str:
        """Return the value of the first header of that name, "" without one."""
        return next((value for known, value in self.headers if known == name), "")

    @property
    def media_type(self) -> str:
        return self.header("content-type").partition(";")[0].strip().lower()


class NoAnswer(Exception):
    """The connection ended, or nothing came, before a whole answer was there."""


async def exchange(
    port: int, request: bytes, *, method: str = "GET", whole: bool = True, timeout_s: float = 20
) -> Answer:
    """Send the bytes and return the answer. Raises `NoAnswer`.

    After a request that is not `whole` our side of the connection is closed.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_MOST_HEAD_BYTES)
    sending = asyncio.create_task(_send(writer, request, whole))
    try:
        async with asyncio.timeout(timeout_s):
            return await _answer(reader, method)
    except TimeoutError as error:
        raise NoAnswer(f"nothing within {timeout_s} s") from error
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError) as error:
        raise NoAnswer(type(error).__name__) from error
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.transport.abort()


async def _send(writer: asyncio.StreamWriter, request: bytes, whole: bool) -> None:
    with suppress(ConnectionError):  # an answer may come, and the connection end, before all was sent
        writer.write(request)
        await writer.drain()
        if not whole:
            writer.write_eof()


async def _answer(reader: asyncio.StreamReader, method: str) -> Answer:
    while True:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        if status >= 200:
            break
    headers = tuple(
        (name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:-2])
    )
    head = Answer(status=status, headers=headers, body=b"")
    if method == "HEAD" or status in _NO_BODY or head.media_type == "text/event-stream":
        return head
    return Answer(status=status, headers=headers, body=await _body(reader, head))


async def _body(reader: asyncio.StreamReader, head: Answer) -> bytes:
    if head.header("transfer-encoding").lower() == "chunked":
        return await _chunks(reader)
    if length := head.header("content-length"):
        return await reader.readexactly(int(length))
    return await reader.read()


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    return body
