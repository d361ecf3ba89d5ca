"""Damage to files: what lines, disks, writers and malice do to them."""

import struct
from collections.abc import Callable, Sequence
from random import Random

Damage = Callable[[bytearray, Random], None]

_HEADER = 512  # most that matters to a reader stands here
_EXTREMES = (0, 1, 2, 7, 8, 9, 15, 16, 2**31 - 1, 2**31, 2**32 - 1)
_EXTREME_LONG = (*_EXTREMES, 2**32, 2**62 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1)


def mutant(file: bytes, chance: Random) -> bytes:
    """Return the file with one to four kinds of damage."""
    data = bytearray(file)
    for damage in chance.choices(DAMAGES, k=chance.choice((1, 1, 1, 2, 3, 4))):
        damage(data, chance)
    return bytes(data)


def _place(data: bytearray, chance: Random) -> int:
    """Return a position, more often than not within the header."""
    reach = min(len(data), _HEADER) if chance.random() < 0.7 else len(data)
    return chance.randrange(reach + 1)


def _flip(data: bytearray, chance: Random) -> None:
    for _ in range(chance.choice((1, 1, 2, 8, 64)) if data else 0):
        data[chance.randrange(min(len(data), chance.choice((32, _HEADER, len(data)))))] ^= (
            1 << chance.randrange(8)
        )


def _cut(data: bytearray, chance: Random) -> None:
    del data[_place(data, chance) :]


def _cut_start(data: bytearray, chance: Random) -> None:
    del data[: chance.randrange(min(len(data), 40) + 1)]


def _insert(data: bytearray, chance: Random) -> None:
    at = _place(data, chance)
    data[at:at] = chance.choice((chance.randbytes(chance.randrange(1, 300)), bytes(300), b"\xff" * 300))


def _remove(data: bytearray, chance: Random) -> None:
    at = _place(data, chance)
    del data[at : at + chance.randrange(1, 300)]


def _repeat(data: bytearray, chance: Random) -> None:
    at = _place(data, chance)
    block = bytes(data[at : at + chance.randrange(1, 300)])
    data[at:at] = block * chance.choice((1, 2, 20))


def _extreme(data: bytearray, chance: Random) -> None:
    """Put a number that no honest file has where a length or a size may stand."""
    form = chance.choice((">I", "<I", ">Q", "<Q", ">H", "<H"))
    size = struct.calcsize(form)
    number = chance.choice(_EXTREME_LONG) % (1 << 8 * size)
    at = _place(data, chance)
    data[at : at + size] = struct.pack(form, number)


def _long_box(data: bytearray, chance: Random) -> None:
    """Put in a box with a 64-bit length."""
    name = chance.choice((b"meta", b"moov", b"mdat", b"iprp", b"ipco", b"ispe", b"junk", chance.randbytes(4)))
    at = _place(data, chance)
    data[at:at] = struct.pack(">I4sQ", 1, name, chance.choice(_EXTREME_LONG))


def _end(data: bytearray, chance: Random) -> None:
    data.extend(chance.choice((bytes(1), bytes(5000), b"\xff" * 5, b"trailing text", chance.randbytes(100))))


DAMAGES: Sequence[Damage] = (
    _flip,
    _cut,
    _cut_start,
    _insert,
    _remove,
    _repeat,
    _extreme,
    _extreme,
    _long_box,
    _end,
)
