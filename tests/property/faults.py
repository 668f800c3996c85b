# SPDX-License-Identifier: Apache-2.0
"""A database and a store in which the process may be killed, or may linger, between any two steps.

The product knows nothing of this: the doubles stand where the real ones would, and hand everything on to them.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncGenerator, Collection, Coroutine, Sequence
from typing import Any, TypeVar

from longshore.database.bookmarks import Bookmarks
from longshore.database.connection import Connection, Database, Dialect, ReadFunction, Row, Transaction, WriteFunction
from longshore.database.statement import Statement
from longshore.oci.digest import Hasher
from longshore.storage.port import (
    NO_STATE,
    BlobReader,
    BlobStore,
    BlobWriter,
    Checkpoint,
    Journal,
    ObjectKey,
    StoredObject,
)

Result = TypeVar("Result")


class Faults:
    """Decides at each point between two steps whether this process ends there.

    Args:
        choice: where the decisions come from.
        kill: how likely a kill is at one point.
        linger: how likely a short wait is at one point where waiting is possible.
    """

    def __init__(self, choice: random.Random, *, kill: float, linger: float) -> None:
        self._choice = choice
        self._kill = kill
        self._linger = linger

    def point(self) -> None:
        """A place where the power may go."""
        if self._choice.random() < self._kill:
            # No handler, no buffer, no `finally` runs: this is `kill -9`.
            os.kill(os.getpid(), signal.SIGKILL)

    async def pause(self) -> None:
        """A place where the power may go and where others may come in between."""
        self.point()
        if self._choice.random() < self._linger:
            await asyncio.sleep(self._choice.random() * 0.01)


class _FaultyConnection:
    """Statements with a point before and behind each."""

    def __init__(self, connection: Connection, faults: Faults, *, suspends: bool) -> None:
        self._connection = connection
        self._faults = faults
        self._suspends = suspends

    async def all(self, statement: Statement, **parameters: Any) -> list[Row]:
        await self._point()
        rows = await self._connection.all(statement, **parameters)
        self._faults.point()
        return rows

    async def one(self, statement: Statement, **parameters: Any) -> Row | None:
        await self._point()
        row = await self._connection.one(statement, **parameters)
        self._faults.point()
        return row

    async def value(self, statement: Statement, **parameters: Any) -> Any:
        await self._point()
        value = await self._connection.value(statement, **parameters)
        self._faults.point()
        return value

    @property
    def bookmarks(self) -> Bookmarks | None:
        return self._connection.bookmarks

    async def scan(self, statement: Statement, **parameters: Any) -> list[Row]:
        return await self.all(statement, **parameters)

    async def execute(self, statement: Statement, **parameters: Any) -> int:
        await self._point()
        hit = await self._connection.execute(statement, **parameters)
        self._faults.point()
        return hit

    async def _point(self) -> None:
        # On SQLite a transaction never suspends (`longshore.database.connection`).
        if self._suspends:
            await self._faults.pause()
        else:
            self._faults.point()


class FaultyDatabase:
    """A database with a point around every statement, every commit, and every transaction."""

    def __init__(self, database: Database, faults: Faults) -> None:
        self._database = database
        self._faults = faults
        self._suspends = database.dialect is Dialect.POSTGRESQL

    @property
    def dialect(self) -> Dialect:
        return self._database.dialect

    async def read(self, function: ReadFunction[Result]) -> Result:
        async def run(connection: Connection) -> Result:
            return await function(_FaultyConnection(connection, self._faults, suspends=self._suspends))

        return await self._database.read(run)

    async def one(self, statement: Statement, **parameters: Any) -> Row | None:
        return await self.read(lambda connection: connection.one(statement, **parameters))

    async def write(self, function: WriteFunction[Result]) -> Result:
        async def run(transaction: Transaction) -> Result:
            return await function(_FaultyConnection(transaction, self._faults, suspends=self._suspends))

        await self._faults.pause()
        result = await self._database.write(run)
        await self._faults.pause()
        return result

    async def close(self) -> None:
        await self._database.close()


class _FaultyWriter:
    """A writer with a point between any two pieces."""

    def __init__(self, writer: BlobWriter, faults: Faults) -> None:
        self._writer = writer
        self._faults = faults

    @property
    def key(self) -> ObjectKey:
        return self._writer.key

    @property
    def offset(self) -> int:
        return self._writer.offset

    async def append(self, pieces: Sequence[bytes], hasher: Hasher) -> None:
        for piece in pieces:
            half = len(piece) // 2
            await self._faults.pause()
            await self._writer.append([piece[:half]], hasher)
            self._faults.point()
            await self._writer.append([piece[half:]], hasher)
        await self._faults.pause()

    async def checkpoint(self) -> Checkpoint:
        return await self._around(self._writer.checkpoint())

    async def sync(self) -> Checkpoint:
        return await self._around(self._writer.sync())

    async def seal(self) -> Checkpoint:
        return await self._around(self._writer.seal())

    async def finish(self) -> None:
        await self._around(self._writer.finish())

    async def _around(self, action: Coroutine[Any, Any, Result]) -> Result:
        try:
            self._faults.point()
        except BaseException:
            action.close()
            raise
        result = await action
        await self._faults.pause()
        return result

    async def close(self) -> None:
        await self._writer.close()
        self._faults.point()


class FaultyStore:
    """A store with a point around every call."""

    def __init__(self, store: BlobStore, faults: Faults) -> None:
        self._store = store
        self._faults = faults

    @property
    def appends(self) -> bool:
        return self._store.appends

    @property
    def smallest_chunk(self) -> int:
        return self._store.smallest_chunk

    async def create(self, key: ObjectKey, journal: Journal | None = None) -> BlobWriter:
        await self._faults.pause()
        writer = await self._store.create(key, journal)
        self._faults.point()
        return _FaultyWriter(writer, self._faults)

    async def resume(
        self,
        key: ObjectKey,
        offset: int,
        state: str = NO_STATE,
        journal: Journal | None = None,
        *,
        contested: bool = False,
    ) -> BlobWriter:
        await self._faults.pause()
        writer = await self._store.resume(key, offset, state, journal, contested=contested)
        self._faults.point()
        return _FaultyWriter(writer, self._faults)

    async def open(self, key: ObjectKey, offset: int = 0, length: int | None = None) -> BlobReader:
        await self._faults.pause()
        return await self._store.open(key, offset, length)

    async def delete(self, keys: Sequence[ObjectKey], *, unfinished: Collection[ObjectKey] = ()) -> None:
        for key in keys:
            await self._faults.pause()
            await self._store.delete([key], unfinished=unfinished)
        await self._faults.pause()

    async def size(self, key: ObjectKey) -> int | None:
        return await self._store.size(key)

    def listing(self) -> AsyncGenerator[StoredObject, None]:
        return self._store.listing()
