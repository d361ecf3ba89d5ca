"""SQL on what was learned of providers, and of this installation: facts that outlive a process."""

from sqlalchemy import bindparam, delete, insert, select

from mediagen.clock import Clock
from mediagen.db import dialect
from mediagen.db.engine import Connection, now_ms
from mediagen.db.prepared import Prepared
from mediagen.db.tables import installation, provider_traits

REFUSES_MARKERS = "refuses_markers"
"""The provider refuses creates that carry an address of ours."""

DATED_BY_ITS_CLOCK = "dated_by_its_clock"
"""Whether the provider dates what it sells by the clock of its answers: `True` or `False`."""

UNRECOVERED_SINCE = "unrecovered_since"
"""Since then more may have been bought than this copy of the database knows; it was not found out yet."""

INDEXED_UNTIL = "search_after"
"""The last event that the index of search has seen."""

EVERY = ""
"""In place of a provider's name: the trait is this installation's."""

_MARKS_AT = "marks_at"

_DIGITS = 16  # of an installation's id

_OF = (provider_traits.c.provider == bindparam("of"), provider_traits.c.trait == bindparam("which"))
_KNOWN = Prepared(select(provider_traits.c.value, provider_traits.c.at).where(*_OF))
_FORGET = Prepared(delete(provider_traits).where(*_OF))
_FORGET_IT = Prepared(delete(provider_traits).where(*_OF, provider_traits.c.value == bindparam("known")))
_LEARN = Prepared(insert(provider_traits))
_HAVING = Prepared(select(provider_traits.c.provider).where(provider_traits.c.trait == bindparam("which")))


def learn(connection: Connection, provider: str, trait: str, value: str) -> None:
    """Write down what was seen; what was known before is replaced."""
    dialect.in_turn(connection, [f"trait {provider} {trait}"])
    _FORGET.changed(connection, {"of": provider, "which": trait})
    row = {"provider": provider, "trait": trait, "value": value, "at": now_ms(connection)}
    _LEARN.insert(connection, [row])


def value_of(connection: Connection, provider: str, trait: str) -> str | None:
    """Return what is known of it."""
    known = _KNOWN.row(connection, {"of": provider, "which": trait})
    return None if known is None else str(known.value)


def forget(connection: Connection, provider: str, trait: str, value: str) -> None:
    """Remove what was known, unless it is something else by now."""
    _FORGET_IT.changed(connection, {"of": provider, "which": trait, "known": value})


def having(connection: Connection, trait: str) -> set[str]:
    """Return the names of the providers that have the trait."""
    return set(_HAVING.scalars(connection, {"which": trait}))


def marks_since(connection: Connection, address: str) -> int:
    """Return since when calls are marked with this address; it is noted where it was another one until now."""
    known = _KNOWN.row(connection, {"of": EVERY, "which": _MARKS_AT})
    if known is not None and known.value == address:
        return int(known.at)
    learn(connection, EVERY, _MARKS_AT, address)
    return now_ms(connection)


def own_id(connection: Connection) -> str | None:
    """Return what tells this installation's calls from another's; None before its first start."""
    query = select(installation.c.id).order_by(installation.c.id)
    return connection.execute(query).scalars().first()


def installation_id(connection: Connection, clock: Clock) -> str:
    """Return what tells this installation's calls from another's, 16 hexadecimal digits; made at the first start.

    It lies in the database, so that an older copy of it still knows what was bought for its jobs.
    """
    known = own_id(connection)
    if known is None:  # processes that start together agree on one
        dialect.in_turn(connection, ["installation"])
        known = own_id(connection)
    if known is None:
        known = clock.new_secret()[:_DIGITS]
        connection.execute(insert(installation), [{"id": known}])
    return known
