# SPDX-License-Identifier: Apache-2.0
"""Both databases keep the promises of `longshore.database.connection`."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
import traceback
from pathlib import Path
from typing import Any

import pytest

from longshore.database import sqlite
from longshore.database.connection import Connection, Database, Dialect, Transaction
from longshore.database.errors import CheckViolation, ForeignKeyViolation, UniqueViolation
from longshore.database.postgresql import PostgreSQLDatabase
from longshore.database.sqlite import SQLiteDatabase
from longshore.database.statement import Statement
from longshore.oci.errors import ServiceUnavailable
from tests.databases import Databases

_ADD = Statement("INSERT INTO reclaim_steps (name, handled) VALUES (:name, :handled)")
_COUNT = Statement("SELECT count(*) FROM reclaim_steps")
_RAISE = Statement("UPDATE reclaim_steps SET handled = handled + 1 WHERE name = :name")
_HANDLED = Statement("SELECT handled FROM reclaim_steps WHERE name = :name")


async def _count(database: Database) -> int:
    async def read(connection: Connection) -> int:
        count: int = await connection.value(_COUNT)
        return count

    return await database.read(read)


async def test_what_raises_is_rolled_back_alone(database: Database) -> None:
    """Functions that were committed together do not share their fate: one that raises leaves nothing, the others stay."""

    async def add(transaction: Transaction, name: str, *, fail: bool) -> None:
        await transaction.execute(_ADD, name=name, handled=0)
        if fail:
            raise ValueError(name)

    async def one(number: int) -> None:
        async def run(transaction: Transaction) -> None:
            await add(transaction, f"step{number}", fail=number % 3 == 0)

        await database.write(run)

    results = await asyncio.gather(*(one(number) for number in range(30)), return_exceptions=True)
    assert sum(isinstance(result, ValueError) for result in results) == 10
    assert await _count(database) == 20


async def test_constraints_are_named(database: Database) -> None:
    """Domain code tells a duplicate from a missing reference from a bad value, and no error shows the row."""

    async def run(statement: str, **parameters: Any) -> None:
        async def write(transaction: Transaction) -> int:
            return await transaction.execute(Statement(statement), **parameters)

        await database.write(write)

    await run(_ADD.text, name="a", handled=0)
    with pytest.raises(UniqueViolation):
        await run(_ADD.text, name="a", handled=0)
    with pytest.raises(ForeignKeyViolation):
        await run("INSERT INTO repositories (project_id, name, created_at) VALUES (12345, 'x', 1)")
    with pytest.raises(CheckViolation):
        await run("INSERT INTO projects (name, sparse, created_at, updated_at) VALUES ('p', 'maybe', 1, 1)")
    with pytest.raises(CheckViolation):
        await run("INSERT INTO projects (name, created_at) VALUES ('p', 1)")
    with pytest.raises(CheckViolation) as caught:
        await run("INSERT INTO users (username, password_hash, created_at) VALUES ('dora', 'the' || ' hash', 1)")
    assert "the hash" not in "".join(traceback.format_exception(caught.value))


async def test_concurrent_changes_of_one_row_all_count(databases: Databases) -> None:
    """Two processes that change one row wait for each other; nothing is lost and nobody sees an error."""
    first, second = await databases.open(), await databases.open()

    async def add(transaction: Transaction) -> int:
        return await transaction.execute(_ADD, name="a", handled=0)

    async def more(transaction: Transaction) -> int:
        return await transaction.execute(_RAISE, name="a")

    await first.write(add)
    assert await asyncio.gather(*(database.write(more) for database in (first, second) for _ in range(50))) == [1] * 100
    assert await first.read(lambda connection: connection.value(_HANDLED, name="a")) == 100
    await first.close()
    await second.close()


async def test_deadlocked_functions_run_again(databases: Databases) -> None:
    """Two transactions that lock two rows in opposite orders both succeed in the end."""
    database = await databases.open()

    async def add(transaction: Transaction) -> None:
        await transaction.execute(_ADD, name="a", handled=0)
        await transaction.execute(_ADD, name="b", handled=0)

    await database.write(add)

    async def cross(first: str, second: str) -> None:
        async def run(transaction: Transaction) -> None:
            await transaction.execute(_RAISE, name=first)
            if databases.dialect is Dialect.POSTGRESQL:
                await asyncio.sleep(0.02)
            await transaction.execute(_RAISE, name=second)

        await database.write(run)

    await asyncio.gather(*(cross(*pair) for _ in range(4) for pair in (("a", "b"), ("b", "a"))))
    assert await database.read(lambda connection: connection.value(_HANDLED, name="a")) == 8
    await database.close()


async def test_a_cancelled_write_is_whole_or_absent(database: Database) -> None:
    """A client that goes away does not leave half of a transaction behind."""

    async def run(transaction: Transaction) -> None:
        await transaction.execute(_ADD, name="a", handled=0)
        await transaction.execute(_ADD, name="b", handled=0)

    task = asyncio.ensure_future(database.write(run))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.1)
    assert await _count(database) in {0, 2}


async def test_a_busy_sqlite_is_503(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that stays locked costs an error that says so, and the next write works again."""
    path = Path(shutil.copy(sqlite_template, tmp_path / "longshore.db"))
    monkeypatch.setattr("longshore.database.sqlite._BUSY_TIMEOUT_SECONDS", 0.05)
    database = SQLiteDatabase(path)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")

    async def add(transaction: Transaction) -> int:
        return await transaction.execute(_ADD, name="a", handled=0)

    with pytest.raises(ServiceUnavailable) as caught:
        await database.write(add)
    assert caught.value.retry_after
    blocker.execute("ROLLBACK")
    blocker.close()
    assert await database.write(add) == 1
    await database.close()


async def test_a_function_that_awaits_anything_else_is_a_mistake(sqlite_template: Path, tmp_path: Path) -> None:
    """SQLite drives functions without an event loop, so a stray await must fail loudly and leave nothing."""
    database = SQLiteDatabase(Path(shutil.copy(sqlite_template, tmp_path / "longshore.db")))

    async def wrong(transaction: Transaction) -> None:
        await transaction.execute(_ADD, name="a", handled=0)
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="awaited something"):
        await database.write(wrong)
    assert await _count(database) == 0
    await database.close()


@pytest.mark.parametrize(
    "wrong", ["postgresql://nobody@127.0.0.1:1/none", "{server}/no_such_database", "{nobody}/postgres"]
)
async def test_a_postgresql_that_cannot_be_reached_is_503(postgresql_server: str, wrong: str) -> None:
    """No server, no such database, no such user: always the same clear refusal, now and at every later try."""
    nobody = postgresql_server.replace("postgres@", "no_such_user@")
    database = await PostgreSQLDatabase.open(wrong.format(server=postgresql_server, nobody=nobody), pool_size=2)
    for _ in range(2):
        with pytest.raises(ServiceUnavailable) as caught:
            await _count(database)
        assert "LONGSHORE_DATABASE_URL" in str(caught.value)
    await database.close()


async def test_a_connection_that_the_server_ends_is_503_and_the_next_one_works(postgresql_server: str) -> None:
    """A database that restarts costs the requests of that moment an error; nothing has to be restarted."""
    database = await PostgreSQLDatabase.open(f"{postgresql_server}/postgres", pool_size=1)
    end = Statement("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(ServiceUnavailable):
        await database.read(lambda connection: connection.value(end))
    with pytest.raises(ServiceUnavailable):
        await database.write(lambda connection: connection.value(end))
    assert await database.read(lambda connection: connection.value(Statement("SELECT 1"))) == 1
    await database.close()


async def test_a_server_that_became_read_only_is_503(postgresql_server: str) -> None:
    """After a failover the old address may lead to a standby: pushes wait for the operator, they are no fault of ours."""
    database = await PostgreSQLDatabase.open(
        f"{postgresql_server}/postgres?options=-c%20default_transaction_read_only%3Don", pool_size=1
    )
    make = Statement("CREATE TABLE never_made (x INTEGER)")
    with pytest.raises(ServiceUnavailable):
        await database.write(lambda connection: connection.execute(make))
    await database.close()


async def test_whoever_waits_for_a_locked_sqlite_is_refused_with_the_first(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process holds the lock: ten writers are told so after one patience, not after one each; then writing goes on."""
    monkeypatch.setattr(sqlite, "_BUSY_TIMEOUT_SECONDS", 0.2)
    path = tmp_path / "longshore.db"
    shutil.copy(sqlite_template, path)
    database = SQLiteDatabase(path)

    async def add(number: int) -> None:
        await database.write(lambda transaction: transaction.execute(_ADD, name=f"step{number}", handled=0))

    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    refused = await asyncio.gather(*(add(number) for number in range(10)), return_exceptions=True)
    assert {type(error) for error in refused} == {ServiceUnavailable}
    assert time.monotonic() - began < 3
    assert await _count(database) == 0
    other.close()
    await add(0)
    assert await _count(database) == 1
    await database.close()
