"""Whether `mediagen audit` says what is so, after a run with a provider that keeps its own book."""

from collections.abc import Collection, Mapping
from typing import Any


def wrong_in(audit: Mapping[str, Any], others: Collection[str]) -> list[str]:
    """Return what is wrong with an audit: it must name all that others bought, and nothing else.

    `audit` is what the command prints for one provider, with its `exit_code`.
    """
    if not others:
        return [] if audit["exit_code"] == 0 else [str(audit)[:500]]
    named = {str(each["ref"]) for each in audit.get("orphans", ())}
    own = [*audit.get("missing", ("no answer",)), *audit.get("bought_twice", ())]
    unlike = [f"named {ref}, which is ours" for ref in named - set(others)]
    unlike += [f"did not name {ref}, which others bought" for ref in set(others) - named]
    return [*unlike, *map(str, own)]
