"""The guard of a table: a trigger that refuses changes that no rule of the states allows."""

from collections.abc import Iterable

from alembic import op


def put_guard(table: str, rules: Iterable[tuple[str, str]], moves: str) -> None:
    """Let the table's guard have these rules; on PostgreSQL they are the function that its trigger runs."""
    allowed = ",".join(f"'{move}'" for move in moves.split())
    illegal = f"NEW.state <> OLD.state AND (OLD.state || '>' || NEW.state) NOT IN ({allowed})"
    every = (*rules, (illegal, "illegal transition"))
    if op.get_bind().dialect.name == "sqlite":
        body = "".join(f"SELECT RAISE(ABORT, '{table}: {why}') WHERE {rule};\n" for rule, why in every)
        op.execute(f"DROP TRIGGER IF EXISTS {table}_guard")
        op.execute(f"CREATE TRIGGER {table}_guard BEFORE UPDATE ON {table} BEGIN\n{body}END")
        return
    body = "".join(
        f"IF {rule} THEN RAISE EXCEPTION '{table}: {why}' USING ERRCODE = 'check_violation'; END IF;\n"
        for rule, why in every
    )
    op.execute(
        f"CREATE OR REPLACE FUNCTION {table}_guard() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN\n{body}RETURN NEW; END $$"
    )
