"""Reads the `output` of a prediction: which files it names, and what else a model said beside them."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from mediagen.providers.base import Output

MAX_DOCUMENT = 262_144
"""Characters of a document that is kept as a text; a longer one becomes a file."""

_ADDRESS = re.compile(r"https?://\S+|data:[^\s,]*,\S*", re.IGNORECASE)


def read_output(output: Any) -> tuple[Sequence[Output], str | None]:
    """Return the files of an output and its document, so that nothing paid is lost.

    Each address is a file, in order; then come words as one text, for those of a language model come in pieces. An
    output of numbers and names without any file is a JSON file. The document is the whole output as JSON, with
    placeholders for data URIs, where it holds anything but addresses or plain words; one that is too long is a file.
    """
    leaves = list(_leaves(output))
    files = [leaf for leaf in leaves if _is_address(leaf)]
    words = [leaf for leaf in leaves if isinstance(leaf, str) and not _is_address(leaf)]
    is_text = not files and len(words) == len(leaves) and not (leaves and isinstance(output, dict))
    written = "" if is_text or not _says_more(output, leaves) else _json(_without_data(output))
    has_room = len(written) <= MAX_DOCUMENT
    texts = ["".join(words) if is_text else "\n".join(words) if files else written]
    if files and not has_room:
        texts.append(written)
    outputs = [Output(url=file) for file in files]
    outputs += [Output(data=text.encode(errors="replace")) for text in texts if text.strip()]
    return tuple(outputs), written if written and has_room else None


def _says_more(output: Any, leaves: Sequence[Any]) -> bool:
    return bool(leaves) and (
        not all(_is_address(leaf) for leaf in leaves) or any(True for _ in _objects(output))
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).encode(errors="replace").decode()


def _is_address(leaf: Any) -> bool:
    return isinstance(leaf, str) and bool(_ADDRESS.fullmatch(leaf))


def _leaves(output: Any) -> Iterator[Any]:
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, list):
        for part in output:
            yield from _leaves(part)
    elif output is not None:
        yield output


def _objects(output: Any) -> Iterator[Any]:
    if isinstance(output, dict):
        yield output
    elif isinstance(output, list):
        for part in output:
            yield from _objects(part)


def _without_data(output: Any) -> Any:
    if isinstance(output, dict):
        return {name: _without_data(part) for name, part in output.items()}
    if isinstance(output, list):
        return [_without_data(part) for part in output]
    if _is_address(output) and output[:5].lower() == "data:":
        return f"{output[: min(output.index(','), 100)]},(stored)"
    return output
