# SPDX-License-Identifier: Apache-2.0
"""What domain code sees of a database: a connection to read with, a transaction to write with.

Domain functions are coroutines, but inside a read or a write **nothing but the connection may be awaited**: on SQLite the
coroutine is driven to its end in one go, without an event loop (`docs/why/database.md`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from enum import Enum
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

from longshore.database.bookmarks import Bookmarks
from longshore.database.statement import Statement

Result = TypeVar("Result")

SCAN_SECONDS: Final = 5.0
"""How long a search may take that passes over whatever its parent has."""


class Dialect(Enum):
    """The databases Longshore runs on."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


class Row(Protocol):
    """One row: columns by position or by name."""

    def __getitem__(self, key: Any, /) -> Any:
        """The value of a column."""
        ...


class Connection(Protocol):
    """Runs statements. Outside a transaction each statement sees its own snapshot."""

    @property
    def bookmarks(self) -> Bookmarks | None:
        """Where pages of lists of this database ended; None in a transaction."""
        ...

    async def all(self, statement: Statement, **parameters: Any) -> list[Row]:
        """All rows."""
        ...

    async def one(self, statement: Statement, **parameters: Any) -> Row | None:
        """The first row, or None."""
        ...

    async def value(self, statement: Statement, **parameters: Any) -> Any:
        """The first column of the first row, or None."""
        ...

    async def scan(self, statement: Statement, **parameters: Any) -> list[Row]:
        """All rows of a statement that may pass over very many others: nothing else waits for it, and its time is bounded.

        On SQLite the whole function of the read runs again on another thread, so it must have no effect but SQL.

        Raises:
            SearchTooSlow: it took more than five seconds.
        """
        ...

    async def execute(self, statement: Statement, **parameters: Any) -> int:
        """Runs a change and returns how many rows it hit."""
        ...


class Transaction(Connection, Protocol):
    """A connection inside a transaction: READ COMMITTED on PostgreSQL, the only writer on SQLite."""


ReadFunction = Callable[[Connection], Coroutine[Any, Any, Result]]
WriteFunction = Callable[[Transaction], Coroutine[Any, Any, Result]]


class Database(Protocol):
    """A database that is open in this process."""

    @property
    def dialect(self) -> Dialect:
        """Which database this is."""
        ...

    def read(self, function: ReadFunction[Result]) -> Awaitable[Result]:
        """Runs `function` with a connection to read with.

        Raises:
            ServiceUnavailable: the database can't be reached.
        """
        ...

    def one(self, statement: Statement, **parameters: Any) -> Awaitable[Row | None]:
        """The first row of a single statement, or None: the short way of a read, for what every pull does.

        Raises:
            ServiceUnavailable: the database can't be reached.
        """
        ...

    def write(self, function: WriteFunction[Result]) -> Awaitable[Result]:
        """Runs `function` in one transaction and commits durably before it returns.

        A deadlock, a serialisation failure or a busy database runs the **whole function** again, so it must have no
        effect but its SQL. Whatever it raises rolls the transaction back and is raised here.

        Raises:
            UniqueViolation, ForeignKeyViolation, CheckViolation: a constraint refused; the transaction is rolled back.
            ServiceUnavailable: the database can't be reached or stayed busy.
        """
        ...

    async def close(self) -> None:
        """Finishes what is under way and closes every connection."""
        ...


@runtime_checkable
class Replaceable(Protocol):
    """A database whose place another server may have taken while this one still answers."""

    async def leave_standby(self) -> None:
        """Gives up what is left of connections to a server that takes no writes any more.

        Raises:
            ServiceUnavailable: there is none that takes them, or it can't be reached.
        """
        ...
