"""The data of an artifact: one output file kept for good."""

from dataclasses import dataclass
from enum import StrEnum


class ThumbnailState(StrEnum):
    PENDING = "pending"
    READY = "ready"
    NONE = "none"  # there is nothing to show: no picture, or one that can't be decoded safely


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One output file. Its bytes lie in the storage and never change."""

    key: str  # 128 random bits and the extension; also its path under /media/
    job_id: str
    idx: int  # 0 for the job's first output
    sha256: str
    size_bytes: int
    media_type: str  # as found in the bytes, never as claimed
    kind: str  # image, video, audio, ...
    width: int | None  # pixels
    height: int | None
    thumbnail: ThumbnailState
    placeholder: str | None  # a tiny picture as data URI
    created_at: int
    doubt: str | None = None  # what is odd about the file, in a short sentence


def storage_key(key: str) -> str:
    """Return where the artifact's bytes lie in the storage; folders keep directories small."""
    return f"{key[:2]}/{key}"


def thumbnail_key(key: str) -> str:
    """Return where the artifact's thumbnail lies in the storage."""
    return f"thumbs/{key[:2]}/{key.partition('.')[0]}.webp"
