# SPDX-License-Identifier: Apache-2.0
"""A database that counts the statements it reads with."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from longshore.database.bookmarks import Bookmarks
from longshore.database.connection import Connection, Database, Dialect, ReadFunction, Result, Row, WriteFunction
from longshore.database.statement import Statement


class _CountingConnection:
    def __init__(self, connection: Connection, statements: list[Statement]) -> None:
        self._connection = connection
        self._statements = statements

    async def all(self, statement: Statement, **parameters: Any) -> list[Row]:
        self._statements.append(statement)
        return await self._connection.all(statement, **parameters)

    async def one(self, statement: Statement, **parameters: Any) -> Row | None:
        self._statements.append(statement)
        return await self._connection.one(statement, **parameters)

    async def value(self, statement: Statement, **parameters: Any) -> Any:
        self._statements.append(statement)
        return await self._connection.value(statement, **parameters)

    @property
    def bookmarks(self) -> Bookmarks | None:
        return self._connection.bookmarks

    async def scan(self, statement: Statement, **parameters: Any) -> list[Row]:
        self._statements.append(statement)
        return await self._connection.scan(statement, **parameters)

    async def execute(self, statement: Statement, **parameters: Any) -> int:
        self._statements.append(statement)
        return await self._connection.execute(statement, **parameters)


class CountingDatabase:
    """A database; `statements` are those that it read with, in their order."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.statements: list[Statement] = []

    @property
    def dialect(self) -> Dialect:
        return self._inner.dialect

    def read(self, function: ReadFunction[Result]) -> Awaitable[Result]:
        return self._inner.read(lambda connection: function(_CountingConnection(connection, self.statements)))

    def one(self, statement: Statement, **parameters: Any) -> Awaitable[Row | None]:
        return self.read(lambda connection: connection.one(statement, **parameters))

    def write(self, function: WriteFunction[Result]) -> Awaitable[Result]:
        return self._inner.write(function)

    async def close(self) -> None:
        await self._inner.close()
