# SPDX-License-Identifier: Apache-2.0
"""A search that takes too long is stopped, and nobody else notices."""

from __future__ import annotations

import asyncio
import time

import pytest

from longshore.database.connection import Connection, Database, Row
from longshore.database.errors import SearchTooSlow
from longshore.database.postgresql import PostgreSQLDatabase
from longshore.database.sqlite import SQLiteDatabase
from longshore.database.statement import Statement
from longshore.oci.errors import ServiceUnavailable
from tests.databases import Databases

_NUMBERS = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :last) SELECT"
_COUNT = Statement(f"{_NUMBERS} count(*) FROM numbers")
_FEW = Statement(f"{_NUMBERS} n FROM numbers")
_ONE = Statement("SELECT 1")
# Takes minutes.
_MANY = 2_000_000_000


async def _open(databases: Databases, *, seconds: float) -> Database:
    if databases.path is not None:
        return SQLiteDatabase(databases.path, scan_seconds=seconds)
    return await PostgreSQLDatabase.open(databases.url, pool_size=2, scan_seconds=seconds)


async def _scan(database: Database, statement: Statement, last: int) -> list[Row]:
    return await database.read(lambda connection: connection.scan(statement, last=last))


async def test_a_scan_is_a_read(databases: Databases) -> None:
    """One that is fast enough brings its rows, mixed with other statements of the same read."""
    database = await _open(databases, seconds=5)

    async def read(connection: Connection) -> list[int]:
        first = await connection.value(_ONE)
        rows = await connection.scan(_FEW, last=3)
        return [first, *(row[0] for row in rows), await connection.value(_ONE)]

    assert await database.read(read) == [1, 1, 2, 3, 1]
    await database.close()


async def test_a_slow_scan_is_stopped(databases: Databases) -> None:
    """It ends in its time with a message that says what to do; others are served meanwhile, and its connection goes on."""
    database = await _open(databases, seconds=0.5)
    began = time.monotonic()
    slow = asyncio.create_task(_scan(database, _COUNT, _MANY))
    longest = 0.0
    for _ in range(20):
        asked = time.monotonic()
        assert await database.read(lambda connection: connection.value(_ONE)) == 1
        longest = max(longest, time.monotonic() - asked)
        await asyncio.sleep(0.01)
    assert not slow.done()
    assert longest < 0.4
    with pytest.raises(SearchTooSlow, match="Narrow the filter") as caught:
        await slow
    assert caught.value.status == 422
    assert 0.4 < time.monotonic() - began < 5
    for _ in range(3):
        assert [row[0] for row in await _scan(database, _FEW, 2)] == [1, 2]
    await database.close()


async def test_scans_do_not_pile_up(databases: Databases) -> None:
    """SQLite's one thread for them has a short queue: who comes when it is full is told to come again."""
    if databases.path is None:
        pytest.skip("PostgreSQL runs them side by side, and its connections have a queue of their own")
    database = await _open(databases, seconds=0.2)
    scans = [asyncio.create_task(_scan(database, _COUNT, _MANY)) for _ in range(18)]
    with pytest.raises(ServiceUnavailable, match="Too many searches"):
        await scans[-1]
    for scan in scans[:-2]:
        with pytest.raises(SearchTooSlow):
            await scan
    with pytest.raises(ServiceUnavailable):
        await scans[-2]
    await database.close()
