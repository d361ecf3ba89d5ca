"""Looks into a running server's database from outside: counts rows, and holds jobs back."""

from collections.abc import Mapping

from sqlalchemy import create_engine, text

from mediagen.db.tables import metadata

_COUNT = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in sorted(metadata.tables))


class Rows:
    """The number of rows of every table. Close it after use."""

    def __init__(self, url: str) -> None:
        """`url` is the database's as SQLAlchemy writes it."""
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT")
        self._connection = self._engine.connect()
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        self._version = -1
        self._counts: dict[str, int] = {}

    def counts(self) -> Mapping[str, int]:
        """Return the rows by table."""
        if not self._is_sqlite or self._has_changed():
            self._counts = {str(name): int(count) for name, count in self._connection.execute(text(_COUNT))}
        return dict(self._counts)

    def _has_changed(self) -> bool:
        """Tell whether anybody has committed anything since the last look."""
        before, self._version = (
            self._version,
            self._connection.execute(text("PRAGMA data_version")).scalar_one(),
        )
        return before != self._version

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()


def hold(url: str, provider: str, until_ms: int) -> None:
    """Let no job begin at the provider before that time; 0 lets them go on."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM pauses WHERE provider = :provider"), {"provider": provider})
        if until_ms:
            connection.execute(
                text(
                    "INSERT INTO pauses (provider, model, until, reason, job_id) "
                    "VALUES (:provider, '', :until, 'held by the proof', '')"
                ),
                {"provider": provider, "until": until_ms},
            )
    engine.dispose()
