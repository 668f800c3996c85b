# SPDX-License-Identifier: Apache-2.0
"""Making races happen on purpose: something runs at a chosen point inside of somebody else's transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from longshore.database.bookmarks import Bookmarks
from longshore.database.connection import Database, Dialect, ReadFunction, Result, Row, Transaction, WriteFunction
from longshore.database.statement import Statement

# Long enough for what doesn't wait for a lock; what waits for one goes on when the transaction ends.
_HEAD_START_SECONDS = 0.3


class Interleaved:
    """A database whose first write is interrupted before the statement that contains `before`.

    On PostgreSQL `action` runs there, in a transaction of its own: to its end, or until it has to wait for a lock. SQLite has
    one writer, so the only place where anything can come in between is before the transaction: it runs there.
    """

    def __init__(self, database: Database, before: str, action: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._database = database
        self._before = before
        self._action = action
        self._task: asyncio.Task[Any] | None = None
        self.dialect = database.dialect

    @property
    def happened(self) -> bool:
        """Whether the action has been started."""
        return self._task is not None

    async def outcome(self) -> Any:
        """What the action returned; raises what it raised."""
        assert self._task is not None, f"no statement with {self._before!r} came by"
        return await self._task

    def read(self, function: ReadFunction[Result]) -> Awaitable[Result]:
        return self._database.read(function)

    def one(self, statement: Statement, **parameters: Any) -> Awaitable[Row | None]:
        return self._database.one(statement, **parameters)

    async def write(self, function: WriteFunction[Result]) -> Result:
        if self.dialect is Dialect.SQLITE:
            await self.interrupt()
            return await self._database.write(function)

        async def interrupted(transaction: Transaction) -> Result:
            return await function(_Watched(transaction, self))

        return await self._database.write(interrupted)

    async def close(self) -> None:
        await self._database.close()

    async def interrupt(self, statement: Statement | None = None) -> None:
        """Starts the action, once, when the statement is the one."""
        if self._task is None and (statement is None or self._before in statement.text):
            self._task = asyncio.create_task(self._action())
            await asyncio.wait({self._task}, timeout=_HEAD_START_SECONDS)


class _Watched:
    def __init__(self, transaction: Transaction, interleaved: Interleaved) -> None:
        self._transaction = transaction
        self._interleaved = interleaved

    async def all(self, statement: Statement, **parameters: Any) -> list[Row]:
        await self._interleaved.interrupt(statement)
        return await self._transaction.all(statement, **parameters)

    async def one(self, statement: Statement, **parameters: Any) -> Row | None:
        await self._interleaved.interrupt(statement)
        return await self._transaction.one(statement, **parameters)

    async def value(self, statement: Statement, **parameters: Any) -> Any:
        await self._interleaved.interrupt(statement)
        return await self._transaction.value(statement, **parameters)

    @property
    def bookmarks(self) -> Bookmarks | None:
        return self._transaction.bookmarks

    async def scan(self, statement: Statement, **parameters: Any) -> list[Row]:
        return await self.all(statement, **parameters)

    async def execute(self, statement: Statement, **parameters: Any) -> int:
        await self._interleaved.interrupt(statement)
        return await self._transaction.execute(statement, **parameters)
