"""What an odd value is."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Where a value fits."""

    TEXT = "text"  # `raw` is a JSON string; `text` what it means
    JSON = "json"  # `raw` is a JSON text, or meant to look like one
    BODY = "body"  # `raw` is headers, an empty line and a body
    PATH = "path"  # `raw` is one segment of a path as it is sent
    QUERY = "query"  # `raw` is one value in a query as it is sent
    HEADER = "header"  # `raw` is lines of a head, each with its line end
    LINE = "line"  # `raw` is a request line; METHOD and TARGET in it are replaced


@dataclass(frozen=True, kw_only=True)
class Value:
    """One odd value. `family` and `name` together say which."""

    family: str
    name: str
    kind: Kind
    raw: bytes
    text: str | None = None  # what `raw` means, where it is a text or a number
    drops: frozenset[str] = frozenset()  # headers that the request then goes without, in lower case
    whole: bool = True  # False: the request never comes to its end, so that no answer is owed

    @property
    def label(self) -> str:
        return f"{self.family}: {self.name}"
