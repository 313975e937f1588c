"""One SQLite file in WAL mode, with a writer discipline.

Guarantees: a ``write`` is one transaction that is on disk when the block ends, or has left no trace; writers of this and other
processes wait for each other; readers never wait; what SQLite refuses comes out as a ``StoreError`` that says what to do.
Connections are kept and lent: opening one costs more than most questions that are asked over it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, cast

from studio.errors import StoreError, StudioError
from studio.store.schema import MIGRATIONS

Row = TypeVar("Row")
Result = TypeVar("Result")
Value = str | int | float | None

_BUSY_SECONDS: Final = 20.0
# As many as the server has threads; each holds a few pages in memory.
_MOST_READERS: Final = 40


@dataclass(slots=True)
class _Work(Generic[Result]):
    """One caller's part of a shared transaction."""

    do: Callable[[sqlite3.Connection], Result]
    result: Result | None = None
    error: StudioError | None = None
    done: bool = False


class Database:
    """Opens the file, applies the migrations it has not seen, and hands out short transactions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writing = threading.Lock()
        self._lending = threading.Lock()
        self._waiting: list[_Work[Any]] = []
        self._readers: list[sqlite3.Connection] = []
        self._closed = False
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Held open for life: when the last connection closes, SQLite folds the WAL back, which would cost every caller.
            self._keeper = self._connect()
            try:
                self._keeper.execute("PRAGMA journal_mode = WAL")
                self._migrate()
            except BaseException:
                self._keeper.close()
                raise

    def close(self) -> None:
        """Let go of the file. Nothing is pending: every write was durable when its block ended.

        Whoever still asks afterwards is answered over a connection of their own.
        """
        with self._writing, self._lending:
            self._closed = True
            for connection in (*self._readers, self._keeper):
                connection.close()
            self._readers.clear()

    @contextmanager
    def write(self) -> Generator[sqlite3.Connection]:
        """One durable transaction. Raises ``StoreError`` when the disk or another writer refuses."""
        with self._writing, self._transaction() as connection:
            yield connection

    def write_together(self, do: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do something small and durable that many ask for at once, such as a vote; the answer of ``do``.

        It is on disk when this returns, as with ``write``, but everything that waits for its turn meanwhile shares one
        transaction: making it durable is what takes long, and takes no longer for fifty. What one of them raises undoes its
        own part and reaches its own caller alone. Raises ``StoreError`` as ``write`` does.
        """
        mine = _Work(do)
        with self._lending:
            self._waiting.append(mine)
        with self._writing:
            if not mine.done:
                with self._lending:
                    batch, self._waiting = self._waiting, []
                self._do(batch)
        if mine.error is not None:
            raise mine.error
        return cast("Result", mine.result)

    def _do(self, batch: Sequence[_Work[Any]]) -> None:
        try:
            with self._transaction() as connection:
                for one in batch:
                    connection.execute("SAVEPOINT one")
                    try:
                        one.result = one.do(connection)
                    except StudioError as error:
                        one.error = error
                        connection.execute("ROLLBACK TO one")
                    connection.execute("RELEASE one")
        except StoreError as error:
            if len(batch) > 1:
                # One of them was too much, or all were: each finds out for itself.
                for one in batch:
                    one.result = one.error = None
                    self._do([one])
                return
            batch[0].error = error
        finally:
            for one in batch:
                one.done = True

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """A transaction of whoever holds the writing lock."""
        with _explained(self.path):
            connection = self._connect() if self._closed else self._keeper
            try:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.commit()
                except BaseException:
                    # SQLite has rolled back by itself after some errors, such as a full disk.
                    if connection.in_transaction:
                        connection.rollback()
                    raise
            finally:
                if connection is not self._keeper:
                    connection.close()

    def all(self, kind: type[Row], sql: str, values: Sequence[Value] | Mapping[str, Value] = ()) -> tuple[Row, ...]:
        """Every row of the query as ``kind``, whose field names are the columns' names."""
        with _explained(self.path), self._reader() as connection:
            found = connection.execute(sql, values)
            names = [column[0] for column in found.description]
            if names == list(getattr(kind, "__dataclass_fields__", ())):
                return tuple(kind(*row) for row in found.fetchall())
            return tuple(kind(**dict(zip(names, row, strict=True))) for row in found.fetchall())

    @contextmanager
    def _reader(self) -> Generator[sqlite3.Connection]:
        """A connection that nobody else uses meanwhile."""
        with self._lending:
            connection = self._readers.pop() if self._readers else None
        connection = connection or self._connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._lending:
            if not self._closed and len(self._readers) < _MOST_READERS:
                self._readers.append(connection)
                return
        connection.close()

    def one(self, kind: type[Row], sql: str, values: Sequence[Value] | Mapping[str, Value] = ()) -> Row | None:
        """The first row of the query as ``kind``, or ``None``."""
        rows = self.all(kind, sql, values)
        return rows[0] if rows else None

    def _connect(self) -> sqlite3.Connection:
        # Autocommit: transactions are begun by `write` alone. FULL: a vote survives a power cut, not only a killed process.
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _migrate(self) -> None:
        con = self._keeper
        con.execute("BEGIN IMMEDIATE")
        try:
            con.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY) STRICT")
            seen = {name for (name,) in con.execute("SELECT name FROM migrations")}
            unknown = seen - {name for name, _ in MIGRATIONS}
            if unknown:
                raise StoreError(
                    "This home folder was written by a newer version of Tuning Fork.",
                    where=str(self.path),
                    next_step="Update Tuning Fork, or choose another folder with --home.",
                )
            for name, script in MIGRATIONS:
                if name not in seen:
                    for statement in _statements(script):
                        con.execute(statement)
                    con.execute("INSERT INTO migrations (name) VALUES (?)", (name,))
            con.commit()
        except BaseException:
            con.rollback()
            raise


def insert(connection: sqlite3.Connection, table: str, values: Mapping[str, Value]) -> None:
    """Insert one row. ``table`` and the keys are names from this package's code, never from a person."""
    columns = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", values)  # noqa: S608


def update(connection: sqlite3.Connection, table: str, row_id: str, values: Mapping[str, Value]) -> int:
    """Change the named columns of one row by id and return how many rows that was. Names come from this package's code."""
    if not values:
        return 0
    changes = ", ".join(f"{name} = :{name}" for name in values)
    sql = f"UPDATE {table} SET {changes} WHERE id = :id"  # noqa: S608
    return connection.execute(sql, {**values, "id": row_id}).rowcount


def _statements(script: str) -> Iterator[str]:
    # executescript() would commit the open transaction, and a half-applied migration is the one thing that must not happen.
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


@contextmanager
def _explained(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise StoreError(_what(error), where=str(path), next_step=_next_step(error)) from error
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"The studio cannot write to its home folder ({error.strerror or error}).",
            where=str(path),
            next_step="Check the folder's permissions and free space, or choose another folder with --home.",
        ) from error


def _what(error: sqlite3.DatabaseError) -> str:
    name: Any = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return "The disk is full. What was saved before is safe; the last change was not saved."
    if name in {"SQLITE_BUSY", "SQLITE_LOCKED"}:
        return f"Another program has held the database for {_BUSY_SECONDS:.0f} seconds."
    if name in {"SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM"}:
        return "The studio may not write its database here."
    return f"The database refused: {error}."


def _next_step(error: sqlite3.DatabaseError) -> str:
    name: Any = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return "Free some space and try again."
    if name in {"SQLITE_BUSY", "SQLITE_LOCKED"}:
        return "Close other studios that use the same home folder and try again."
    return "Check the folder's permissions, or choose another folder with --home."
