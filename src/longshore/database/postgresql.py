# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL on asyncpg: a few connections per process, READ COMMITTED, the whole function again on a deadlock."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from longshore.database.connection import Dialect, ReadFunction, Result, Row, WriteFunction
from longshore.database.errors import CheckViolation, ForeignKeyViolation, UniqueViolation
from longshore.database.statement import Statement
from longshore.oci.errors import LongshoreError, ServiceUnavailable, StorageFull

_RETRYABLE = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)
# What says that the server went away, stopped our statement or has no room, rather than that the statement was wrong.
_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.PostgresSystemError,
    asyncpg.InternalServerError,
)
_ATTEMPTS = 20
_RETRY_SECONDS = 30.0
_ACQUIRE_SECONDS = 10.0


class PostgreSQLConnection:
    """Runs statements on an asyncpg connection, which keeps each one prepared."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def all(self, statement: Statement, **parameters: Any) -> list[Row]:
        """All rows."""
        rows: list[Row] = await self._connection.fetch(
            statement.postgresql, *statement.postgresql_arguments(parameters)
        )
        return rows

    async def one(self, statement: Statement, **parameters: Any) -> Row | None:
        """The first row, or None."""
        row: Row | None = await self._connection.fetchrow(
            statement.postgresql, *statement.postgresql_arguments(parameters)
        )
        return row

    async def value(self, statement: Statement, **parameters: Any) -> Any:
        """The first column of the first row, or None."""
        return await self._connection.fetchval(statement.postgresql, *statement.postgresql_arguments(parameters))

    async def execute(self, statement: Statement, **parameters: Any) -> int:
        """Runs a change and returns how many rows it hit."""
        # The command tag ends with the number of rows: "UPDATE 3", "INSERT 0 1".
        tag: str = await self._connection.execute(statement.postgresql, *statement.postgresql_arguments(parameters))
        last = tag.rpartition(" ")[2]
        return int(last) if last.isdigit() else 0


async def _keep_session(_connection: Any) -> None:
    """Nothing is reset between uses: we leave no session state behind, and the round trip would cost as much as a read."""


class PostgreSQLDatabase:
    """A PostgreSQL database, open in this process through a small pool. Open it after forking."""

    dialect = Dialect.POSTGRESQL

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: str, *, pool_size: int) -> PostgreSQLDatabase:
        """Connects lazily: a database that is away doesn't stop the process from starting."""
        pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=pool_size,
            reset=_keep_session,
            statement_cache_size=1024,
            max_cached_statement_lifetime=0,
            max_inactive_connection_lifetime=300,
            timeout=5,
            command_timeout=60,
            server_settings={
                "application_name": "longshore",
                "synchronous_commit": "on",
                "lock_timeout": "10000",
                "idle_in_transaction_session_timeout": "60000",
                "jit": "off",
            },
        )
        try:
            await pool
        except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise _unavailable(error) from error
        return cls(pool)

    async def read(self, function: ReadFunction[Result]) -> Result:
        """Runs `function` on a connection of the pool; see `Database.read`."""
        try:
            async with self._connection() as connection:
                return await function(PostgreSQLConnection(connection))
        except _AWAY as error:
            raise _unavailable(error) from error

    async def one(self, statement: Statement, **parameters: Any) -> Row | None:
        """The first row of a single statement; see `Database.one`."""
        try:
            async with self._connection() as connection:
                row: Row | None = await connection.fetchrow(
                    statement.postgresql, *statement.postgresql_arguments(parameters)
                )
                return row
        except _AWAY as error:
            raise _unavailable(error) from error

    async def write(self, function: WriteFunction[Result]) -> Result:
        """Runs `function` in a transaction and again when it met another one; see `Database.write`."""
        until = asyncio.get_running_loop().time() + _RETRY_SECONDS
        for attempt in range(_ATTEMPTS):
            try:
                return await self._transaction(function)
            except _RETRYABLE as error:
                if attempt == _ATTEMPTS - 1 or asyncio.get_running_loop().time() > until:
                    raise _unavailable(error) from error
                await asyncio.sleep(random.random() * 0.02 * (attempt + 1))  # noqa: S311 - jitter, not a secret
        raise AssertionError

    async def close(self) -> None:
        """Waits for the connections in use for a while and closes them all."""
        try:
            await asyncio.wait_for(self._pool.close(), 10)
        except TimeoutError:
            self._pool.terminate()

    async def _transaction(self, function: WriteFunction[Result]) -> Result:
        try:
            async with self._connection() as connection, connection.transaction():
                return await function(PostgreSQLConnection(connection))
        except asyncpg.UniqueViolationError as error:
            raise UniqueViolation(str(error)) from error
        except (asyncpg.ForeignKeyViolationError, asyncpg.RestrictViolationError) as error:
            raise ForeignKeyViolation(str(error)) from error
        except (asyncpg.CheckViolationError, asyncpg.NotNullViolationError) as error:
            # The error's detail is the whole row, with whatever nobody should read in a log.
            raise CheckViolation(error.args[0]) from None
        except _AWAY as error:
            raise _unavailable(error) from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """A connection of the pool. Whatever goes wrong before there is one is the server's or the settings' affair."""
        try:
            connection = await self._pool.acquire(timeout=_ACQUIRE_SECONDS)
        except (*_AWAY, asyncpg.PostgresError) as error:
            raise _unavailable(error) from error
        try:
            yield connection
        finally:
            await self._pool.release(connection)


def _unavailable(error: BaseException) -> LongshoreError:
    if isinstance(error, asyncpg.DiskFullError):
        return StorageFull("The disk of the database server is full. Free space there; reading goes on.")
    return ServiceUnavailable(
        f"The database did not answer ({type(error).__name__}). Try again; if it stays, look at LONGSHORE_DATABASE_URL"
        " and the database server's log.",
        retry_after=2,
    )
