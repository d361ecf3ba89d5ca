"""Times on the wire: RFC 3339."""

from datetime import UTC, datetime

from mediagen.errors import InvalidRequest


def parse_time(name: str, text: str | None) -> int | None:
    """Return milliseconds since 1970 UTC; a time without zone is taken as UTC. Raises `InvalidRequest`."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        message = "must be a time such as 2026-11-20T12:00:00Z"
        raise InvalidRequest(f"{name}: {message}", {name: message}) from error
