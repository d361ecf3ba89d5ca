"""What a received file is. Whatever its bytes are, it was paid for: it is kept, and what is odd is said."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from mediagen.artifacts import media
from mediagen.artifacts.ends import Ending, ending
from mediagen.artifacts.media import MediaType
from mediagen.artifacts.parts import Received
from mediagen.artifacts.sizes import dimensions
from mediagen.errors import InvalidMedia

log = structlog.get_logger(__name__)

T = TypeVar("T")

_OUR_MISTAKES = (errno.EINVAL, errno.EOVERFLOW)
"""What a disk says to a position that no file has: not its own trouble."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the bytes say of a file."""

    type: MediaType
    size: tuple[int, int] | None  # pixels
    doubt: str | None
    looks_cut_off: bool  # so that fetching it once more may bring the rest


def examine(received: Received) -> Found:
    """Say what a received file is, from its bytes. Raises `InvalidMedia` for an empty one only, and `OSError`."""
    if received.size_bytes == 0:
        raise InvalidMedia("The output is empty (0 bytes)")
    doubts = [received.doubt] if received.doubt else []
    type_ = _whatever_comes(lambda: _sniffed(received), media.OTHER, doubts)
    end = _whatever_comes(lambda: ending(received.path, type_), Ending.WHOLE, doubts)
    size = _whatever_comes(lambda: dimensions(received.path, type_), None, doubts)
    cut_off = end is Ending.CUT or (end is Ending.UNMARKED and not received.proved)
    if cut_off:
        doubts.append(f"It looks cut off: {received.size_bytes} bytes of {type_.media_type} without an end")
    return Found(
        type=type_,
        size=size,
        doubt="; ".join(doubts) or None,
        looks_cut_off=cut_off and received.again,
    )


def _sniffed(received: Received) -> MediaType:
    with received.path.open("rb") as file:
        return media.sniff(file.read(media.SNIFF_BYTES), received.path)


def _whatever_comes(look: Callable[[], T], otherwise: T, doubts: list[str]) -> T:
    """Return what the look finds; damage is a doubt, and so is a mistake of ours, which is logged too."""
    try:
        return look()
    except InvalidMedia as error:
        doubts.append(f"It may be damaged: {error}")
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in _OUR_MISTAKES:
            raise
        log.exception("media.unforeseen")
        doubts.append("It could not be examined")
    return otherwise
