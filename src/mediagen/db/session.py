"""Transactions on PostgreSQL in few round trips, straight on its driver.

Every answer that is waited for costs the interpreter about 0.1 ms, more than the server needs. So a transaction
begins and learns the server's time with one, and what it left for its end goes out in one text with the commit.
All of it runs, like SQLAlchemy's own calls, within `AsyncConnection.run_sync`.
"""

import select
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import await_only

T = TypeVar("T")
Values = Sequence[Any] | Mapping[str, Any]

_NOW = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
# COMMIT would answer ROLLBACK then, or nothing
_NOTHING_TO_COMMIT = (TransactionStatus.INERROR, TransactionStatus.IDLE)


class Session:
    """A connection of the driver's, which is in its autocommit mode: only we begin and end transactions.

    Errors are SQLAlchemy's, as if it had run the statement.
    """

    def __init__(self, driver: psycopg.AsyncConnection[TupleRow]) -> None:
        self._driver = driver
        self._text = psycopg.AsyncClientCursor(driver)  # fills values in
        self._savepoints = 0
        self._last: list[str] | None = None  # what is gathered for the end

    @property
    def idle(self) -> bool:
        """Whether it is connected and in no transaction."""
        return self._driver.info.transaction_status is TransactionStatus.IDLE

    def is_alive(self) -> bool:
        """Tell whether it can be used; the server is asked only when it said something unasked, such as good-bye."""
        heard = select.poll()
        try:
            heard.register(self._driver.fileno(), select.POLLIN)
            return not heard.poll(0) or bool(self.rows("SELECT 1", ()))
        except (DBAPIError, psycopg.Error):  # it has no file any more when it is known to be lost
            return False

    def begin(self, *, writes: bool) -> int:
        """Begin a transaction and return the server's time in ms, from before the answer came."""
        self._savepoints = 0
        return self._wait(self._begin("BEGIN" if writes else "BEGIN READ ONLY"))

    async def _begin(self, begin: str) -> int:
        cursor = await self._driver.execute(f"{begin}; {_NOW}", prepare=False)  # no place for two statements
        cursor.nextset()
        [[now]] = await cursor.fetchall()
        return cast(int, now)

    def rows(self, sql: str, values: Values) -> list[TupleRow]:
        """Run a statement and return what it selects, or returns of what it wrote."""
        return self._wait(self._rows(sql, values))

    async def _rows(self, sql: str, values: Values) -> list[TupleRow]:
        cursor = await self._answer(sql, values)
        return await cursor.fetchall()

    def changed(self, sql: str, values: Values) -> int:
        """Run a statement and return how many rows it changed."""
        return self._wait(self._answer(sql, values)).rowcount

    async def _answer(self, sql: str, values: Values) -> psycopg.AsyncCursor[TupleRow]:
        if self._last is not None:
            raise RuntimeError("nothing is read at the end of a transaction: it would not come in its turn")
        return await self._driver.execute(sql, values)

    def run(self, sql: str, values: Values = ()) -> None:
        """Run a statement whose answer nobody reads."""
        self.run_each(sql, [values])

    def run_each(self, sql: str, rows: Sequence[Values]) -> None:
        """Run a statement whose answer nobody reads once for every row."""
        if self._last is not None:
            self._last += self._filled(sql, rows)
        else:
            self._wait(self._run_each(sql, rows))

    def _filled(self, sql: str, rows: Sequence[Values]) -> list[str]:
        with _as_sqlalchemys(self._driver):
            return [self._text.mogrify(sql, values) for values in rows]

    async def _run_each(self, sql: str, rows: Sequence[Values]) -> None:
        if len(rows) == 1:
            await self._driver.execute(sql, *rows)
        else:
            await self._driver.cursor().executemany(sql, rows)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what was done inside when it raises. The commit releases it, which saves a statement."""
        self._savepoints += 1
        name = f"inner_{self._savepoints}"
        self.run(f"SAVEPOINT {name}")
        try:
            yield
        except Exception:
            self.run(f"ROLLBACK TO {name}")
            raise

    def commit(self, last: Callable[[], None]) -> None:
        """Commit; what `last` runs (`run`, `run_each`) is sent in one text with it.

        So whatever that holds, such as a lock that all transactions share, it holds for no moment of ours: an event
        loop that has much to do may come back to a transaction only after a second. The text, with its values, is
        what the server shows of a session and logs when it fails: there is no prompt and no secret in it.
        """
        status = self._driver.info.transaction_status
        if status in _NOTHING_TO_COMMIT:
            raise RuntimeError(f"a transaction is {status.name} at its end: an error was passed over in it")
        self._last = []
        try:
            last()
            statements = [*self._last, "COMMIT"]
        finally:
            self._last = None
        self._wait(self._driver.execute("; ".join(statements), prepare=False))

    def end(self) -> None:
        """End a transaction that only read. A rollback would make the driver forget its prepared statements."""
        self._wait(self._driver.commit())

    def rollback(self) -> None:
        """Undo the transaction; nothing is done when there is none."""
        self._wait(self._driver.rollback())

    def _wait(self, answer: Awaitable[T]) -> T:
        with _as_sqlalchemys(self._driver):
            return await_only(answer)


@contextmanager
def _as_sqlalchemys(driver: psycopg.AsyncConnection[TupleRow]) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        known = DBAPIError.instance(
            None, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=driver.closed
        )
        raise cast(Exception, known) from error
