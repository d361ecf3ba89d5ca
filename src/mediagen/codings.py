"""Undoes the content codings of a body that came packed although only a plain one was asked for.

Every layer gives small pieces and counts them, so that a bomb costs no more memory or time than a large file.
What names no packing (`aws-chunked`, `utf-8`, `binary`, ...) is nonsense that servers send and changes nothing.
"""

import asyncio
import sys
import zlib
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Protocol

import brotli

from mediagen.errors import FetchPacked, FetchTooLarge

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

_PIECE_BYTES = 65_536
_HELD_BYTES = 65_536  # of a body that has given nothing yet; till then it can still be taken as it is
_MOST_LAYERS = 4
_FAILURES = (zlib.error, brotli.error, ZstdError, EOFError)


class _Decoder(Protocol):
    """What undoes one stream, as `bz2.BZ2Decompressor` does."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._stream = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._stream.decompress(self._stream.unconsumed_tail + data, max_length)


class _Brotli:
    unused_data = b""

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    @property
    def eof(self) -> bool:
        return bool(self._stream.is_finished())

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return bytes(self._stream.process(data, output_buffer_limit=max_length))


def _deflate(first: bytes) -> _Decoder:
    """HTTP means the format of zlib; some servers send what is inside it."""
    return _Zlib(zlib.MAX_WBITS if first[0] & 0x0F == 8 else -zlib.MAX_WBITS)


_DECODERS: dict[str, Callable[[bytes], _Decoder]] = {
    "gzip": lambda _: _Zlib(16 + zlib.MAX_WBITS),
    "x-gzip": lambda _: _Zlib(16 + zlib.MAX_WBITS),
    "deflate": _deflate,
    "br": lambda _: _Brotli(),
    "zstd": lambda _: ZstdDecompressor(),
}
_MANY_STREAMS = frozenset({"gzip", "x-gzip", "zstd"})  # may be several, one behind the other


def packings(headers: Sequence[str]) -> list[str]:
    """Return those codings of the Content-Encoding headers that can be undone, in the order they were applied."""
    named = [word.strip().lower() for word in ",".join(headers).split(",")]
    known = [word for word in named if word in _DECODERS]
    return known if len(known) <= _MOST_LAYERS else []


async def unpacked(
    chunks: AsyncGenerator[bytes, None], names: Sequence[str], max_bytes: int
) -> AsyncGenerator[bytes, None]:
    """Yield the plain bytes; a body that is not packed at all, whatever its header says, comes as it is.

    Raises `FetchTooLarge` when any layer gives more than `max_bytes`, and `FetchPacked` for a body that begins
    to make sense and then does not, or ends too early.
    """
    layers = [_Layer(name, max_bytes) for name in reversed(names)]
    held = bytearray()
    holding = True
    async with aclosing(chunks):
        async for chunk in chunks:
            if holding:
                held += chunk
            try:
                for piece in _through(layers, chunk):
                    holding = False
                    yield piece
            except _FAILURES as error:
                if not holding:
                    raise FetchPacked(f"the body is not the {names[-1]} that its header says") from error
                break
            holding = holding and len(held) < _HELD_BYTES
            await asyncio.sleep(0)  # much may be here already
        else:
            if not holding and not all(layer.ended for layer in layers):
                raise FetchPacked(f"the body ends within its {names[-1]}")
        if holding and not all(layer.ended for layer in layers):  # nothing of it made sense or was given
            yield bytes(held)
            async for chunk in chunks:
                yield chunk


def _through(layers: Sequence["_Layer"], data: bytes) -> Iterator[bytes]:
    if not layers:
        yield data
        return
    for piece in layers[0].undo(data):
        yield from _through(layers[1:], piece)


class _Layer:
    """One coding."""

    def __init__(self, name: str, max_bytes: int) -> None:
        self._make = _DECODERS[name]
        self._many = name in _MANY_STREAMS
        self._max_bytes = max_bytes
        self._decoder: _Decoder | None = None
        self._given = 0
        self._streams = 0
        self.ended = False

    def undo(self, data: bytes) -> Iterator[bytes]:
        """Yield what these bytes give, until asking for more gives nothing."""
        while self._decoder is not None or self._begins(data):
            try:
                data, piece = self._step(data)
            except _FAILURES:
                if not self.ended:
                    raise
                self._many, self._decoder = False, None
                return
            if piece:
                yield self._counted(piece)
            elif self._decoder is not None:
                return

    def _begins(self, data: bytes) -> bool:
        if not data or (self._streams and not self._many):
            return False  # what stands behind the end does not matter
        self._decoder = self._make(data)
        return True

    def _step(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what of the bytes lies behind the stream, and the next piece of it."""
        assert self._decoder is not None
        piece = self._decoder.decompress(data, _PIECE_BYTES)
        if not self._decoder.eof:
            self.ended = self.ended and not piece
            return b"", piece
        left = self._decoder.unused_data
        self.ended, self._streams, self._decoder = True, self._streams + 1, None
        return left, piece

    def _counted(self, piece: bytes) -> bytes:
        self._given += len(piece)
        if self._given > self._max_bytes:
            raise FetchTooLarge(f"the file is larger than the {self._max_bytes} bytes allowed, unpacked")
        return piece
