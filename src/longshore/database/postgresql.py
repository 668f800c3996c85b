# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL on asyncpg: a few connections per process, READ COMMITTED, the whole function again on a deadlock.

A server that is away, hangs or has become a standby costs a bounded time and the message that it did not answer. Connections to
it are dropped and the next request connects anew, so that nothing needs a restart.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import asyncpg

from longshore.database.bookmarks import Bookmarks
from longshore.database.connection import SCAN_SECONDS, Dialect, ReadFunction, Result, Row, WriteFunction
from longshore.database.errors import (
    CheckViolation,
    DatabaseRefused,
    ForeignKeyViolation,
    SearchTooSlow,
    UniqueViolation,
)
from longshore.database.gathering import GatheredReads
from longshore.database.statement import Statement
from longshore.oci.errors import LongshoreError, ServiceUnavailable, StorageFull

_RETRYABLE = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)
# What says that the server went away, stopped our statement or has no room, rather than that the statement was wrong.
# What the settings are to blame for: waiting doesn't help.
_REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.UndefinedObjectError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ClientConfigurationError,
)
_AWAY = (
    *_REFUSED,
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.PostgresSystemError,
    asyncpg.InternalServerError,
    asyncpg.TargetServerAttributeNotMatched,
    # A statement that is sent between the server's farewell and the end of the connection.
    asyncpg.InternalClientError,
)
# False on a standby, too.
_TAKES_WRITES = Statement("SELECT current_setting('transaction_read_only') = 'off'")
_ATTEMPTS = 20
_RETRY_SECONDS = 30.0
_ACQUIRE_SECONDS = 10.0
COMMAND_SECONDS = 30.0
"""How long a statement of a request may take; what takes longer belongs into the background."""
# For each server that the URL names: one that doesn't even refuse must leave time for the others.
_CONNECT_SECONDS = 3.0
# Requests that wait for a connection of this process: more are turned away at once.
_MOST_WAITING = 1024


class PostgreSQLConnection:
    """Runs statements on an asyncpg connection, which keeps each one prepared."""

    __slots__ = ("_connection", "_scan_seconds", "bookmarks")

    def __init__(self, connection: Any, bookmarks: Bookmarks | None = None, scan_seconds: float = SCAN_SECONDS) -> None:
        self._connection = connection
        self._scan_seconds = scan_seconds
        self.bookmarks = bookmarks

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

    async def scan(self, statement: Statement, **parameters: Any) -> list[Row]:
        """All rows, or none after a while: the driver then asks the server to stop, and the connection is good for others."""
        arguments = statement.postgresql_arguments(parameters)
        try:
            rows: list[Row] = await self._connection.fetch(statement.postgresql, *arguments, timeout=self._scan_seconds)
        except TimeoutError:
            raise SearchTooSlow(self._scan_seconds) from None
        return rows

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

    def __init__(self, pool: Any, *, writers: int, lanes: int, scan_seconds: float = SCAN_SECONDS) -> None:
        self._pool = pool
        self._scan_seconds = scan_seconds
        self._bookmarks = Bookmarks()
        self._reads = GatheredReads(self._connection, lanes=lanes)
        # Writers may wait for each other's locks. They leave a connection to those who only read, who don't.
        self._writers = asyncio.Semaphore(writers)
        self._waiting = 0

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        pool_size: int,
        name: str = "longshore",
        command_seconds: float = COMMAND_SECONDS,
        scan_seconds: float = SCAN_SECONDS,
    ) -> PostgreSQLDatabase:
        """Connects lazily: a database that is away doesn't stop the process from starting. `name` is what others see of us.

        The URL may name several servers, `host1:5432,host2:5432`: the first that takes writes is used.
        """
        servers = servers_of(url)
        pool = asyncpg.create_pool(
            url,
            connect=lambda *_, **options: connect(servers, options),
            min_size=0,
            max_size=pool_size,
            reset=_keep_session,
            statement_cache_size=1024,
            max_cached_statement_lifetime=0,
            max_inactive_connection_lifetime=300,
            command_timeout=command_seconds,
            server_settings={
                "application_name": name,
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
        # More lanes would gather less.
        lanes = max(1, pool_size // 2)
        return cls(pool, writers=max(1, pool_size - 1), lanes=lanes, scan_seconds=scan_seconds)

    async def read(self, function: ReadFunction[Result]) -> Result:
        """Runs `function` on a connection of the pool; see `Database.read`."""
        try:
            async with self._connection() as connection:
                return await function(PostgreSQLConnection(connection, self._bookmarks, self._scan_seconds))
        except _AWAY as error:
            raise _unavailable(error) from error

    async def one(self, statement: Statement, **parameters: Any) -> Row | None:
        """The first row of a single statement; see `Database.one`."""
        if len(self._reads) >= _MOST_WAITING:
            raise _crowded()
        try:
            return await self._reads.one(statement, statement.postgresql_arguments(parameters))
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

    async def leave_standby(self) -> None:
        """Asks the server whether it takes writes; see `Replaceable.leave_standby`.

        A primary that became a standby and still runs keeps its connections, and would let a process that only reads read the
        past for ever. They are given up, and the question goes to whoever takes the writes now.
        """
        for _ in range(2):
            if await self.read(lambda connection: connection.value(_TAKES_WRITES)):
                return
            await self._pool.expire_connections()
        raise ServiceUnavailable(
            "The database takes no writes. If it is a standby now, look at LONGSHORE_DATABASE_URL.", retry_after=2
        )

    async def close(self) -> None:
        """Waits for the connections in use for a while and closes them all."""
        try:
            await asyncio.wait_for(self._pool.close(), 10)
        except TimeoutError:
            self._pool.terminate()

    async def _transaction(self, function: WriteFunction[Result]) -> Result:
        try:
            await self._wait(self._turn)
            try:
                async with self._connection() as connection:
                    return await _in_transaction(connection, function)
            finally:
                self._writers.release()
        except asyncpg.UniqueViolationError as error:
            raise UniqueViolation(str(error)) from error
        except (asyncpg.ForeignKeyViolationError, asyncpg.RestrictViolationError) as error:
            raise ForeignKeyViolation(str(error)) from error
        except (asyncpg.CheckViolationError, asyncpg.NotNullViolationError) as error:
            # The error's detail is the whole row, with whatever nobody should read in a log.
            raise CheckViolation(error.args[0]) from None
        except asyncpg.ReadOnlySQLTransactionError as error:
            # Another server takes the writes now. What is left of the connections to this one would also read the past.
            await self._pool.expire_connections()
            raise _unavailable(error) from error
        except _AWAY as error:
            raise _unavailable(error) from error

    async def _turn(self) -> None:
        async with asyncio.timeout(_ACQUIRE_SECONDS):
            await self._writers.acquire()

    async def _wait(self, get: Callable[[], Awaitable[Any]]) -> Any:
        """Waits for a connection, or for the turn to write, among a limited number of others."""
        if self._waiting >= _MOST_WAITING:
            raise _crowded()
        self._waiting += 1
        try:
            return await get()
        except (*_AWAY, asyncpg.PostgresError) as error:
            raise _unavailable(error) from error
        finally:
            self._waiting -= 1

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """A connection of the pool. Whatever goes wrong before there is one is the server's or the settings' affair."""
        connection = await self._wait(partial(self._pool.acquire, timeout=_ACQUIRE_SECONDS))
        try:
            yield connection
        except asyncpg.InternalClientError:
            connection.terminate()
            raise
        except TimeoutError:
            # It doesn't answer, and those beside it lead to the same server: the next requests connect anew.
            connection.terminate()
            await self._pool.expire_connections()
            raise
        finally:
            await self._pool.release(connection)


async def _in_transaction(connection: Any, function: WriteFunction[Result]) -> Result:
    transaction = connection.transaction()
    await transaction.start()
    try:
        result = await function(PostgreSQLConnection(connection))
    except TimeoutError:
        # The connection is given up: waiting for the end of its transaction would take as long once more.
        raise
    except BaseException:
        await transaction.rollback()
        raise
    await transaction.commit()
    return result


def servers_of(url: str) -> list[str]:
    """One URL for each server that a URL names: `postgresql://user:password@host1:5432,host2:5432/database?…`."""
    scheme, separator, rest = url.partition("://")
    end = min((rest.find(character) for character in "/?#" if character in rest), default=len(rest))
    login, at, hosts = rest[:end].rpartition("@")
    return [f"{scheme}{separator}{login}{at}{host}{rest[end:]}" for host in hosts.split(",")]


async def connect(servers: list[str], options: dict[str, Any]) -> Any:
    """A connection to the first of the servers that answers and takes writes; raises what the last one said."""
    for number, server in enumerate(servers, start=1):
        try:
            return await asyncpg.connect(server, **options, timeout=_CONNECT_SECONDS, target_session_attrs="read-write")
        except (*_AWAY, asyncpg.PostgresError):
            if number == len(servers):
                raise
    raise AssertionError


def _crowded() -> LongshoreError:
    return ServiceUnavailable(
        "Too many requests are waiting for the database. Try again; if it stays, look at the database server's load"
        " and at LONGSHORE_DATABASE_POOL.",
        retry_after=2,
    )


def _unavailable(error: BaseException) -> LongshoreError:
    if isinstance(error, asyncpg.DiskFullError):
        return StorageFull("The disk of the database server is full. Free space there; reading goes on.")
    if isinstance(error, _REFUSED):
        return DatabaseRefused(str(error.args[0] if error.args else error))
    return ServiceUnavailable(
        f"The database did not answer ({type(error).__name__}). Try again; if it stays, look at LONGSHORE_DATABASE_URL"
        " and the database server's log.",
        retry_after=2,
    )
