"""How an input that a provider shows compares with the one that was sent. Pure.

Providers add defaults, coerce types, put links in place of data, trim texts, replace characters and remove inputs.
Only another prompt is another input; every other difference leaves it open.
"""

import html
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import Enum, auto
from typing import Any

_PROMPT = "prompt"
_LONG_TEXT = 20  # characters from which on a text is taken for the prompt, where no input is called so
_CUT_AT = 64  # characters from which on the beginning of a text may be a text that was cut off
_ELLIPSIS = re.compile(r"\.{3,}|…|[\[(<]\s*(?:truncated|\d+ more[^\])>]*)[\])>]", re.IGNORECASE)
_HIDDEN = re.compile(r"\W*(?:(?:redacted|removed|hidden|masked|filtered|deleted)\W*)?", re.IGNORECASE)
_LOST = re.compile("[?\ufffd]+")  # what is put in place of characters that a system can't keep
_STRUCTURED = tuple("{[<")


class Likeness(Enum):
    """How an input that is shown compares with the one that was sent."""

    EQUAL = auto()  # all that can be compared is equal, the prompt included
    UNCLEAR = auto()  # it may be the one that was sent
    OTHER = auto()  # its prompt is another one


def compare(sent: Mapping[str, Any], shown: Any) -> Likeness:
    """Compare an input with the one that a provider shows of it."""
    if not isinstance(shown, Mapping) or (sent and not shown):
        return Likeness.UNCLEAR
    name = _prompt_of(sent)
    if name is not None and _is_other_text(sent[name], shown.get(name)):
        return Likeness.OTHER
    found = {key: _same(value, shown.get(key)) for key, value in sent.items() if value is not None}
    if False in found.values() or True not in found.values():
        return Likeness.UNCLEAR
    # Without a prompt the files make the difference, and of files only the same address is surely the same.
    is_told_apart = found[name] is True if name is not None else not any(map(is_address, _leaves(sent)))
    return Likeness.EQUAL if is_told_apart or _holds(shown, sent) else Likeness.UNCLEAR


def has_its_prompt(sent: Mapping[str, Any], shown: Any) -> bool:
    """Tell whether an input shows the prompt that was sent, as far as can be told; without a prompt, all of it."""
    name = _prompt_of(sent)
    if name is None or not isinstance(shown, Mapping):
        return compare(sent, shown) is Likeness.EQUAL
    return isinstance(shown.get(name), str) and compare(sent, shown) is not Likeness.OTHER


def is_address(value: Any) -> bool:
    """Tell whether a value is a link or data URI: another address may lead to the same file."""
    return isinstance(value, str) and value[:8].lower().startswith(("http://", "https://", "data:"))


def _prompt_of(sent: Mapping[str, Any]) -> str | None:
    """Return the name of the input that tells requests apart best."""
    if isinstance(sent.get(_PROMPT), str):
        return _PROMPT
    texts = {name: value for name, value in sent.items() if isinstance(value, str) and _is_prose(value)}
    return max(texts, key=lambda name: len(texts[name]), default=None)


def _is_prose(text: str) -> bool:
    # Providers write JSON, markup and base64 anew: a difference in them means nothing.
    text = text.strip()
    return (
        len(text) >= _LONG_TEXT and " " in text and not text.startswith(_STRUCTURED) and not is_address(text)
    )


def _is_other_text(sent: str, shown: Any) -> bool:
    if not isinstance(shown, str) or _HIDDEN.fullmatch(shown[:100]):
        return False
    one, other = _words(sent), _words(shown)
    if one.casefold() == other.casefold() or _is_cut(one, other) or _is_garbled(one, shown):
        return False
    if any(_words(text) == one for text in _unwrapped(shown)):
        return False
    return bool(other)


def _is_cut(whole: str, shown: str) -> bool:
    """Tell whether the text that is shown may be the whole one with an end or a middle left out."""
    if len(shown) >= _CUT_AT and whole.startswith(shown):
        return True
    if not _ELLIPSIS.search(shown):
        return False
    pieces = [piece.strip() for piece in _ELLIPSIS.split(shown)]
    return whole.startswith(pieces[0]) and (pieces[0] != "" or whole.endswith(pieces[-1]))


def _is_garbled(whole: str, shown: str) -> bool:
    """Tell whether the text that is shown may be the whole one without the characters that could not be kept."""
    if not _LOST.search(shown) or not _LOST.sub("", shown).isascii():
        return False
    return _kept(whole) == _kept(shown)


def _unwrapped(shown: str) -> Iterator[str]:
    """Yield what the text may have been before a system escaped it, or read its UTF-8 by another code."""
    with suppress(ValueError):
        yield str(json.loads(f'"{shown}"', strict=False))
    for code in ("latin-1", "cp1252"):
        with suppress(ValueError):
            yield shown.encode(code).decode()


def _kept(text: str) -> str:
    return "".join(char for char in _LOST.sub("", text) if char.isascii() and not char.isspace())


def _words(text: str) -> str:
    """Return a text without what does not change its meaning: spacing, escapes, characters that can't be seen."""
    plain = " ".join(text.split())
    if plain.isascii() and plain.isprintable() and "&" not in plain:  # most are; lists are long
        return plain
    text = unicodedata.normalize("NFC", html.unescape(text))
    seen = (char for char in text if char.isspace() or unicodedata.category(char)[0] != "C")
    return " ".join("".join(seen).replace("\ufffd", "").split())


def _same(sent: Any, shown: Any) -> bool | None:
    """Tell whether two values are the same; None where that can't be told."""
    if is_address(sent) or is_address(shown):
        return True if sent == shown else None
    if isinstance(sent, str) and isinstance(shown, str):
        return _words(sent) == _words(shown)
    if isinstance(sent, Mapping) and isinstance(shown, Mapping):
        return _all_same([_same(value, shown.get(key)) for key, value in sent.items() if value is not None])
    if isinstance(sent, (list, tuple)) and isinstance(shown, (list, tuple)):
        if len(sent) != len(shown):
            return False
        return _all_same([_same(one, other) for one, other in zip(sent, shown, strict=True)])
    return bool(_plain(sent) == _plain(shown))


def _all_same(found: list[bool | None]) -> bool | None:
    known = [same for same in found if same is not None]
    return all(known) if known or not found else None


def _plain(value: Any) -> Any:
    """Return a value in the form in which 1, 1.0 and "1" are one, and true is not 1."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, str):
        text = value.strip().lower()
        try:
            return float(text)
        except ValueError:
            return text
    return value


def _holds(shown: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
    return all(key in shown and shown[key] == value for key, value in sent.items() if value is not None)


def texts_in(value: Any) -> list[str]:
    """Return the texts in an input."""
    return [leaf for leaf in _leaves(value) if isinstance(leaf, str) and leaf.strip()]


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _leaves(part)
    else:
        yield value
