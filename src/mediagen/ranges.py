"""How a download that broke off goes on from what is on disk (RFC 9110, 13.1.5 and 14)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime

import aiohttp

from mediagen.codings import packings

_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]{1,200}"')
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_SETTLED = timedelta(seconds=1)  # a file may change twice in the second that a date names


@dataclass(frozen=True, kw_only=True)
class Resume:
    """What earlier tries to fetch a file left."""

    offset: int = 0  # so many of its bytes are here
    size_bytes: int = 0  # of the whole file, as announced then
    validator: str = ""  # names the file that they are of
    as_sent: bool = False  # its coding could not be undone: the bytes are wanted as they come


def headers_of(resume: Resume) -> Mapping[str, str]:
    """Return the headers that ask for the rest, or for the whole if it is not the same file any more."""
    return {"Range": f"bytes={resume.offset}-", "If-Range": resume.validator}


def goes_on(response: aiohttp.ClientResponse, resume: Resume) -> bool:
    """Tell whether the answer is the rest of that file. Whatever contradicts is not."""
    if response.status != 206 or packings(response.headers.getall("Content-Encoding", ())):
        return False
    named = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip().lower())
    if named is None:
        return False
    expected = (resume.offset, resume.size_bytes - 1, resume.size_bytes)
    length = response.content_length
    return (
        tuple(map(int, named.groups())) == expected
        and length in (None, resume.size_bytes - resume.offset)
        and _same_file(response, resume.validator)
    )


def _same_file(response: aiohttp.ClientResponse, validator: str) -> bool:
    header = "ETag" if validator.startswith('"') else "Last-Modified"
    return response.headers.get(header, validator).strip() == validator


def validator_of(response: aiohttp.ClientResponse) -> str | None:
    """Return what names this very file to its server: a strong ETag, else a date that lies safely back."""
    etag = response.headers.get("ETag", "").strip()
    if _STRONG_ETAG.fullmatch(etag):
        return etag
    modified = response.headers.get("Last-Modified", "").strip()
    try:
        age = parsedate_to_datetime(response.headers["Date"]) - parsedate_to_datetime(modified)
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return modified if age >= _SETTLED and modified.isascii() and modified.isprintable() else None
