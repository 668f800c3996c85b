# SPDX-License-Identifier: Apache-2.0
"""Single reads that wait for a connection to PostgreSQL, sent together as one statement.

What a read costs is the way there and back, not the row: a connection of the pool, a message, a wake-up. While a connection is
busy others gather, and the next statement brings all of their rows. A read that nobody waits beside is sent alone, at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import asyncpg

from longshore.database.connection import Row
from longshore.database.statement import Statement

_MOST_TOGETHER: Final = 64
# Then the connection goes back to the pool, where writers may be waiting for it.
_STATEMENTS_PER_TURN: Final = 16
# The types of arguments that can be sent as arrays.
_TYPES: Final = {int: "BIGINT", str: "TEXT"}


class _Read:
    __slots__ = ("arguments", "future", "statement")

    def __init__(self, statement: Statement, arguments: tuple[Any, ...], future: asyncio.Future[Row | None]) -> None:
        self.statement = statement
        self.arguments = arguments
        self.future = future

    def settle(self, row: Row | None) -> None:
        if not self.future.done():
            self.future.set_result(row)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class GatheredReads:
    """Reads of single rows over at most `lanes` connections at a time.

    Args:
        connection: Lends a connection; raises the registry's errors when there is none to be had.
        lanes: How many connections.
    """

    def __init__(self, connection: Callable[[], AbstractAsyncContextManager[Any]], *, lanes: int) -> None:
        self._connection = connection
        self._free_lanes = lanes
        self._waiting: list[_Read] = []
        self._sent = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many reads wait."""
        return len(self._waiting)

    def one(self, statement: Statement, arguments: tuple[Any, ...]) -> asyncio.Future[Row | None]:
        """The first row of the statement, which sees whatever was committed before this call.

        The future's error is the driver's, or the registry's when there was no connection. Who cancels it disturbs nobody.
        """
        loop = asyncio.get_running_loop()
        read = _Read(statement, arguments, loop.create_future())
        self._waiting.append(read)
        if self._free_lanes:
            self._free_lanes -= 1
            task = loop.create_task(self._serve())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return read.future

    async def _serve(self) -> None:
        try:
            while self._waiting:
                sent = self._sent
                try:
                    await self._turn()
                except Exception as error:  # noqa: BLE001 - it is told to those who wait for it
                    if sent == self._sent:
                        # There is no connection: whoever waited with the first waits no second time.
                        waiting, self._waiting = self._waiting, []
                        _fail(waiting, error)
        finally:
            self._free_lanes += 1

    async def _turn(self) -> None:
        """Reads over one connection for a while; raises what may have broken it, after telling those whom it concerns."""
        async with self._connection() as connection:
            for _ in range(_STATEMENTS_PER_TURN):
                batch = self._take()
                if not batch:
                    return
                self._sent += 1
                await _read(connection, batch)

    def _take(self) -> list[_Read]:
        """The reads of one statement that have waited longest; those that nobody waits for any more are dropped."""
        batch: list[_Read] = []
        rest: list[_Read] = []
        for read in self._waiting:
            if read.future.done():
                continue
            alike = not batch or read.statement is batch[0].statement
            (batch if alike and len(batch) < _MOST_TOGETHER else rest).append(read)
        self._waiting = rest
        return batch


async def _read(connection: Any, batch: list[_Read]) -> None:
    """Sends one statement for all, or each alone where they can't go together."""
    try:
        if len(batch) == 1 or not await _together(connection, batch):
            for read in batch:
                await _alone(connection, read)
    except Exception as error:
        _fail(batch, error)
        raise


async def _alone(connection: Any, read: _Read) -> None:
    try:
        read.settle(await connection.fetchrow(read.statement.postgresql, *read.arguments))
    except asyncpg.DataError as error:
        # Its arguments are no such values: the connection is sound, and others have nothing to do with it.
        read.fail(error)


async def _together(connection: Any, batch: list[_Read]) -> bool:
    """Whether the arguments could be sent as arrays; then every read is settled."""
    types = tuple(_TYPES.get(type(argument), "") for argument in batch[0].arguments)
    if not all(types):
        return False
    columns = map(list, zip(*(read.arguments for read in batch), strict=True))
    try:
        rows = await connection.fetch(batch[0].statement.gathered(types), *columns)
    except asyncpg.DataError:
        return False
    found: dict[int, Row] = {}
    for row in rows:
        found.setdefault(row["number_of_read"], row)
    for number, read in enumerate(batch, start=1):
        read.settle(found.get(number))
    return True


def _fail(batch: Iterable[_Read], error: Exception) -> None:
    for read in batch:
        read.fail(error)
