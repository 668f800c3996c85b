# SPDX-License-Identifier: Apache-2.0
"""Single reads that go to PostgreSQL together bring what each would have brought alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from longshore.database.connection import Database, Dialect, Row, Transaction
from longshore.database.gathering import GatheredReads
from longshore.database.postgresql import PostgreSQLDatabase
from longshore.database.statement import Statement
from longshore.oci.errors import ServiceUnavailable
from tests.postgresql import server

_ADD = Statement("INSERT INTO reclaim_steps (name, handled) VALUES (:name, :handled)")
_READ = Statement("SELECT handled, name FROM reclaim_steps WHERE name = :name AND handled >= :least AND {now} > 0")
_OTHER = Statement("SELECT name AS handled FROM reclaim_steps WHERE handled = :handled")
_FLOAT = Statement("SELECT CAST(:value AS DOUBLE PRECISION)")


async def fill(database: Database, count: int) -> None:
    async def run(transaction: Transaction) -> None:
        for number in range(count):
            await transaction.execute(_ADD, name=f"step{number}", handled=number)

    await database.write(run)


async def test_every_read_gets_its_own_row(database: Database) -> None:
    """Hundreds of reads at once, of several statements, present and missing, each bring their own."""
    await fill(database, 100)
    rows = await asyncio.gather(
        *(database.one(_READ, name=f"step{number}", least=0) for number in range(150)),
        *(database.one(_OTHER, handled=number) for number in range(150)),
        *(database.one(_READ, name=f"step{number}", least=50) for number in range(150)),
        *(database.one(_FLOAT, value=number / 2) for number in range(10)),
    )
    found = [None if row is None else row[0] for row in rows]
    assert found[:150] == [*range(100), *([None] * 50)]
    assert found[150:300] == [*(f"step{number}" for number in range(100)), *([None] * 50)]
    assert found[300:450] == [*([None] * 50), *range(50, 100), *([None] * 50)]
    assert found[450:] == [number / 2 for number in range(10)]


async def test_a_read_sees_what_was_answered_before(database: Database) -> None:
    """A read that is asked for after a write was answered sees it, whatever else is being read."""

    async def one(number: int) -> None:
        async def run(transaction: Transaction) -> None:
            await transaction.execute(_ADD, name=f"new{number}", handled=number)

        await database.write(run)
        row = await database.one(_READ, name=f"new{number}", least=0)
        assert row is not None

    await asyncio.gather(*(one(number) for number in range(60)))


async def test_a_wrong_argument_fails_alone(database: Database) -> None:
    """A value that can't be sent is the fault of who asked with it, and of nobody beside."""
    if database.dialect is not Dialect.POSTGRESQL:
        pytest.skip("SQLite takes any value for any other")
    await fill(database, 40)
    for wrong in ("step\0", 2**70):
        results = await asyncio.gather(
            *(database.one(_READ, name=f"step{number}", least=0) for number in range(20)),
            database.one(
                _READ, name=wrong if isinstance(wrong, str) else "step1", least=0 if isinstance(wrong, str) else wrong
            ),
            *(database.one(_READ, name=f"step{number}", least=0) for number in range(20, 40)),
            return_exceptions=True,
        )
        assert isinstance(results.pop(20), asyncpg.DataError)
        assert [row[0] for row in results if not isinstance(row, BaseException | None)] == list(range(40))


async def test_who_leaves_disturbs_nobody(database: Database) -> None:
    """Reads whose clients went away are dropped, the others come."""
    if database.dialect is not Dialect.POSTGRESQL:
        pytest.skip("SQLite's reads are over before anybody can leave")
    await fill(database, 60)
    tasks = [asyncio.ensure_future(database.one(_READ, name=f"step{number}", least=0)) for number in range(60)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [row[0] for row in results if not isinstance(row, BaseException | None)] == list(range(1, 60, 2))


_END = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
)


async def test_a_server_that_goes_is_503_for_all_who_wait_and_back_for_the_next() -> None:
    """When the server ends, whoever waits gets 503 soon; when it is reachable again, reads come again."""
    with server() as url:
        database = await PostgreSQLDatabase.open(f"{url}/postgres", pool_size=2)
        assert await database.one(Statement("SELECT 1 AS one")) is not None
        other = await asyncpg.connect(f"{url}/postgres")
        slow = Statement("SELECT pg_sleep(:seconds)")
        reads = [asyncio.ensure_future(database.one(slow, seconds=30.0)) for _ in range(5)]
        await asyncio.sleep(0.2)
        waiting = asyncio.ensure_future(database.one(Statement("SELECT 3 AS three")))
        await other.execute(_END)
        async with asyncio.timeout(5):
            results = await asyncio.gather(*reads, return_exceptions=True)
            assert {type(result) for result in results} == {ServiceUnavailable}
            # What was not under way is not lost with what was.
            assert await waiting is not None
        await other.close()
        await database.close()
    gone = await PostgreSQLDatabase.open(f"{url}/postgres", pool_size=2)
    results = await asyncio.gather(*(gone.one(_OTHER, handled=1) for _ in range(50)), return_exceptions=True)
    assert {type(result) for result in results} == {ServiceUnavailable}
    await gone.close()


class Lender:
    """Lends connections that count statements and wait until they may answer."""

    def __init__(self) -> None:
        self.lent = self.most = 0
        self.sizes: list[int] = []
        self.gate = asyncio.Event()

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Any]:
        self.lent += 1
        self.most = max(self.most, self.lent)
        try:
            yield self
        finally:
            self.lent -= 1

    async def fetchrow(self, _text: str, *_arguments: Any) -> Any:
        self.sizes.append(1)
        await self.gate.wait()
        return {"number_of_read": 1}

    async def fetch(self, _text: str, *columns: list[Any]) -> list[Row]:
        self.sizes.append(len(columns[0]))
        await self.gate.wait()
        return [{"number_of_read": number} for number in range(1, len(columns[0]) + 1)]


async def test_reads_gather_while_the_lanes_are_busy() -> None:
    """The first reads go at once, each alone; what comes while they are under way goes together, and never over more lanes."""
    lender = Lender()
    reads = GatheredReads(lender.lend, lanes=2)
    futures = []
    for number in range(200):
        futures.append(reads.one(_READ, (f"step{number}", 0)))
        await asyncio.sleep(0)
    lender.gate.set()
    await asyncio.gather(*futures)
    assert lender.sizes[:2] == [1, 1]
    assert lender.sizes[2:] == [64, 64, 64, 6]
    assert (lender.most, lender.lent, len(reads)) == (2, 0, 0)
