"""The few statements that the two databases want differently."""

from sqlalchemy import Column, text

from mediagen.db.engine import Connection

CHANNEL = "mediagen_events"
_EVENTS_LOCK = 7_231_001

_IN_ORDER = text(f"SELECT pg_advisory_xact_lock({_EVENTS_LOCK}), pg_notify('{CHANNEL}', '')")


def is_postgres(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def in_order(connection: Connection) -> None:
    """Make the ids of events rise in the order of commits, and let other processes hear of the commit.

    To be called right before events are inserted. Without it a reader could see event 10, ask for what is above
    10, and never see event 9 of a transaction that committed later. SQLite has one writer: nothing to do.
    """
    if is_postgres(connection):
        connection.execute(_IN_ORDER)


def from_json(connection: Connection, column: Column[object], idx: int) -> str:
    """Return SQL that takes the column's value from place `idx` of the JSON array `value`."""
    if is_postgres(connection):
        return f"CAST(value->>{idx} AS {_type(connection, column)})"
    return f"json_extract(value, '$[{idx}]')"


def given(connection: Connection, column: Column[object]) -> str:
    """Return SQL for the column's value given as a parameter of its name."""
    return (
        f"CAST(:{column.name} AS {_type(connection, column)})"
        if is_postgres(connection)
        else f":{column.name}"
    )


def json_rows(connection: Connection) -> str:
    """Return SQL that gives the elements of the JSON array `:rows` as rows with one column, `value`."""
    if is_postgres(connection):
        return "json_array_elements(CAST(:rows AS json)) AS each(value)"
    return "json_each(:rows)"


def _type(connection: Connection, column: Column[object]) -> str:
    return column.type.compile(connection.dialect)
