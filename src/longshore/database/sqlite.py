# SPDX-License-Identifier: Apache-2.0
"""SQLite: reads inline on the event loop, writes on one writer thread per process with group commit.

In WAL mode a reader never waits, and a point read costs a few microseconds, less than handing it to another thread. Writes
wait for the disk, so they go to a thread of their own: it opens a transaction with ``BEGIN IMMEDIATE``, runs every function
that is waiting in a savepoint of its own, and commits them together with one sync. Processes meet at SQLite's own lock.
"""

from __future__ import annotations

import asyncio
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from longshore.database.bookmarks import Bookmarks
from longshore.database.connection import (
    SCAN_SECONDS,
    Connection,
    Dialect,
    ReadFunction,
    Result,
    Row,
    WriteFunction,
)
from longshore.database.errors import (
    CheckViolation,
    ConstraintViolation,
    ForeignKeyViolation,
    SearchTooSlow,
    UniqueViolation,
)
from longshore.database.lasting import ChangeMark, LastingRows
from longshore.database.scanning import Bound, ScanningThread
from longshore.database.statement import Statement
from longshore.oci.errors import LongshoreError, ServiceUnavailable, StorageFull

_log = structlog.get_logger("longshore.database")

_BUSY_TIMEOUT_SECONDS = 5.0
_BUSY_ATTEMPTS = 4
_GROUP_LIMIT = 128
_GROUP_SECONDS = 0.02
_VIOLATIONS: dict[str, type[ConstraintViolation]] = {
    "SQLITE_CONSTRAINT_UNIQUE": UniqueViolation,
    "SQLITE_CONSTRAINT_PRIMARYKEY": UniqueViolation,
    "SQLITE_CONSTRAINT_ROWID": UniqueViolation,
    "SQLITE_CONSTRAINT_FOREIGNKEY": ForeignKeyViolation,
    "SQLITE_CONSTRAINT_CHECK": CheckViolation,
    "SQLITE_CONSTRAINT_NOTNULL": CheckViolation,
}


def connect(path: Path) -> sqlite3.Connection:
    """Opens the file with the settings that durability needs: WAL, every commit synced, foreign keys enforced."""
    connection = sqlite3.connect(
        path,
        timeout=_BUSY_TIMEOUT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
    )
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-16384", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}").close()
    connection.row_factory = sqlite3.Row
    return connection


def run_to_end(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Drives a coroutine that awaits nothing but SQLite calls, which never suspend."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: Result = stop.value
        return result
    coroutine.close()
    raise RuntimeError("A database function awaited something that isn't its connection.")


class SQLiteConnection:
    """Runs statements on a sqlite3 connection; nothing in here ever suspends."""

    __slots__ = ("_connection", "bookmarks")

    def __init__(self, connection: sqlite3.Connection, bookmarks: Bookmarks | None = None) -> None:
        self._connection = connection
        self.bookmarks = bookmarks

    async def all(self, statement: Statement, **parameters: Any) -> list[Row]:
        """All rows."""
        return self._run(statement, parameters).fetchall()

    async def one(self, statement: Statement, **parameters: Any) -> Row | None:
        """The first row, or None."""
        # All rows are fetched: a cursor that is left half read keeps a read transaction open.
        rows = self._run(statement, parameters).fetchall()
        return rows[0] if rows else None

    async def value(self, statement: Statement, **parameters: Any) -> Any:
        """The first column of the first row, or None."""
        rows = self._run(statement, parameters).fetchall()
        return rows[0][0] if rows else None

    async def scan(self, statement: Statement, **parameters: Any) -> list[Row]:
        """All rows: in a transaction, which has a thread of its own, like any others."""
        return self._run(statement, parameters).fetchall()

    async def execute(self, statement: Statement, **parameters: Any) -> int:
        """Runs a change and returns how many rows it hit."""
        return self._run(statement, parameters).rowcount

    def _run(self, statement: Statement, parameters: dict[str, Any]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement.sqlite, statement.sqlite_arguments(parameters))
        except sqlite3.IntegrityError as error:
            violation = _VIOLATIONS.get(error.sqlite_errorname, ConstraintViolation)
            raise violation(str(error)) from error


class _NotHere(Exception):  # noqa: N818 - no error: the read goes on elsewhere
    """A statement may take its time, and the event loop has none."""


class _InlineConnection(SQLiteConnection):
    __slots__ = ()

    async def scan(self, statement: Statement, **parameters: Any) -> list[Row]:  # noqa: ARG002 - it never runs here
        raise _NotHere


class _ScanningConnection(SQLiteConnection):
    __slots__ = ("_seconds",)

    def __init__(self, connection: sqlite3.Connection, bookmarks: Bookmarks, seconds: float) -> None:
        super().__init__(connection, bookmarks)
        self._seconds = seconds

    async def scan(self, statement: Statement, **parameters: Any) -> list[Row]:
        try:
            with Bound(self._connection, self._seconds):
                return self._run(statement, parameters).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise SearchTooSlow(self._seconds) from None
            raise


class _Job:
    __slots__ = ("began", "error", "function", "future", "result")

    def __init__(self, function: WriteFunction[Any]) -> None:
        self.began = time.monotonic()
        self.function = function
        self.future: Future[Any] = Future()
        self.result: Any = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        if self.future.cancelled():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class SQLiteDatabase:
    """A SQLite file, open in this process. Open it after forking."""

    dialect = Dialect.SQLITE

    def __init__(self, path: Path, *, scan_seconds: float = SCAN_SECONDS) -> None:
        try:
            self._reader = connect(path)
            self._writing = connect(path)
        except sqlite3.Error as error:
            raise _unavailable(error) from error
        self._cursor = self._reader.cursor()
        self._mark_path = path.with_name(f"{path.name}-changes")
        self._mark: ChangeMark | None = None
        self._lasting: LastingRows | None = None
        self._untold = False
        self._open_mark()
        self._bookmarks = Bookmarks()
        self._reading: Connection = _InlineConnection(self._reader, self._bookmarks)
        self._scanning = ScanningThread(lambda: connect(path))
        self._scan_seconds = scan_seconds
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._writer = threading.Thread(target=self._write_for_ever, name="sqlite-writer", daemon=True)
        self._writer.start()

    async def read(self, function: ReadFunction[Result]) -> Result:
        """Runs `function` inline, or on another thread if it scans; see `Database.read`."""
        try:
            try:
                return run_to_end(function(self._reading))
            except _NotHere:
                return await self._scanning.run(
                    lambda connection: run_to_end(
                        function(_ScanningConnection(connection, self._bookmarks, self._scan_seconds))
                    )
                )
        except sqlite3.Error as error:
            raise _unavailable(error) from error

    async def one(self, statement: Statement, **parameters: Any) -> Row | None:
        """The first row of a single statement, read inline or known to be what it was; see `Database.one`."""
        arguments = statement.sqlite_arguments(parameters)
        lasting = self._lasting
        row: sqlite3.Row | None = None if lasting is None else lasting.get((statement, arguments))
        if row is not None:
            return row
        try:
            # One cursor for all: it is read to its end before anybody else can run.
            rows = self._cursor.execute(statement.sqlite, arguments).fetchall()
        except sqlite3.Error as error:
            raise _unavailable(error) from error
        if not rows:
            return None
        row = rows[0]
        if lasting is not None and statement.lasts(row):
            lasting.keep((statement, arguments), row)
        return row

    async def write(self, function: WriteFunction[Result]) -> Result:
        """Runs `function` on the writer thread; see `Database.write`."""
        if self._closed:
            raise ServiceUnavailable("The database is closing. Try again in a moment.", retry_after=1)
        job = _Job(function)
        self._jobs.put(job)
        waiting = asyncio.wrap_future(job.future)
        # Looked at here, since nobody else does when the client has gone and the job fails.
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
        # A client that goes away must not cancel what others wait for: the job runs to its end either way.
        result: Result = await asyncio.shield(waiting)
        return result

    async def close(self) -> None:
        """Lets the writer finish what is queued and closes both connections."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._scanning.close)
        self._reader.close()
        self._lasting = None
        if self._mark is not None:
            self._mark.close()

    def _write_for_ever(self) -> None:
        connection = self._writing
        while (job := self._jobs.get()) is not None:
            batch, stop = self._run_batch(connection, job)
            for done in batch:
                done.settle()
            if stop:
                break
        connection.close()

    def _run_batch(self, connection: sqlite3.Connection, first: _Job) -> tuple[list[_Job], bool]:
        """Runs `first` and whatever is waiting behind it in one transaction; says whether the end was reached."""
        batch, stop = [first], False
        try:
            try:
                _begin(connection)
            except sqlite3.OperationalError:
                # Somebody else holds the lock, or the disk is gone: whoever waited with the first waits no second time.
                batch += self._waited(_BUSY_TIMEOUT_SECONDS)
                raise
            until = time.monotonic() + _GROUP_SECONDS
            _run_in_savepoint(connection, first)
            while len(batch) < _GROUP_LIMIT and time.monotonic() < until:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    stop = True
                    break
                batch.append(job)
                _run_in_savepoint(connection, job)
            connection.execute("COMMIT")
            # Before anybody is told: who knows of the change reads it.
            self._tell()
        except Exception as error:  # noqa: BLE001 - whatever fails here is the answer of every job of the batch
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            for job in batch:
                job.error = _unavailable(error) if isinstance(error, sqlite3.Error) else error
        return batch, stop

    def _open_mark(self) -> None:
        """Opens the mark beside the database; where there can't be one, every row is read."""
        try:
            self._mark = ChangeMark(self._mark_path)
            self._lasting = LastingRows(self._mark)
        except OSError as error:
            self._complain(error)

    def _tell(self) -> None:
        """Tells all processes of a commit; while that fails this one keeps no row, so it at least reads its own changes."""
        if self._mark is None:
            self._open_mark()
        if self._mark is None:
            return
        try:
            self._mark.change()
        except OSError as error:
            self._lasting = None
            self._complain(error)
            return
        self._untold = False
        if self._lasting is None:
            self._lasting = LastingRows(self._mark)

    def _complain(self, error: OSError) -> None:
        if not self._untold:
            _log.warning(
                "other processes can't be told of changes: for two seconds they may show what was before one",
                file=str(self._mark_path),
                reason=error.strerror,
            )
        self._untold = True

    def _waited(self, seconds: float) -> list[_Job]:
        """Takes out of the queue whatever has been in it for so long."""
        waited: list[_Job] = []
        since = time.monotonic() - seconds
        for _ in range(self._jobs.qsize()):
            job = self._jobs.get_nowait()
            if job is not None and job.began <= since:
                waited.append(job)
            else:
                self._jobs.put(job)
        return waited


def _begin(connection: sqlite3.Connection) -> None:
    for attempt in range(_BUSY_ATTEMPTS):
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or attempt == _BUSY_ATTEMPTS - 1:
                raise
            time.sleep(random.random() * 0.05)  # noqa: S311 - jitter, not a secret
        else:
            return


def _run_in_savepoint(connection: sqlite3.Connection, job: _Job) -> None:
    connection.execute("SAVEPOINT job")
    try:
        job.result = run_to_end(job.function(SQLiteConnection(connection)))
    except BaseException as error:
        if not connection.in_transaction:
            raise  # The whole transaction is gone (disk full, I/O error): nothing of the batch can be kept.
        connection.execute("ROLLBACK TO job")
        job.error = _unavailable(error) if isinstance(error, sqlite3.Error) else error
    connection.execute("RELEASE job")


def _unavailable(error: BaseException) -> LongshoreError:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF == sqlite3.SQLITE_FULL:
        return StorageFull("The disk of the database is full. Free space in the data directory; reading goes on.")
    failure = ServiceUnavailable(
        f"The database did not answer ({error}). Try again; if it stays, look at the data directory's disk.",
        retry_after=2,
    )
    failure.__cause__ = error
    return failure
