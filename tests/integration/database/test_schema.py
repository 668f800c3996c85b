# SPDX-License-Identifier: Apache-2.0
"""The schema: migrations produce exactly what is checked in, and exactly what the tables say."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine

import longshore.tables
from longshore.database.connection import Connection as OwnConnection
from longshore.database.connection import Dialect
from longshore.database.migrate import configuration, migrate_postgresql, migrate_sqlite
from longshore.database.revisions import HEAD, current_revision, serves
from longshore.database.statement import Statement
from tests.databases import Databases
from tests.schema_snapshot import SNAPSHOTS, postgresql_snapshot, sqlite_snapshot


async def test_migrations_make_the_schema_that_is_checked_in(databases: Databases) -> None:
    """A review sees every change of the schema as a difference of the snapshot."""
    if databases.path is not None:
        found, file = sqlite_snapshot(databases.path), "sqlite.sql"
    else:
        found, file = await postgresql_snapshot(databases.url), "postgresql.txt"
    assert found == (SNAPSHOTS / file).read_text(encoding="utf-8"), "run: python -m tests.schema_snapshot"


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, longshore.tables.metadata))


async def test_tables_and_migrations_agree(databases: Databases) -> None:
    """What the tables describe is what the migrations make: a forgotten migration fails here."""
    if databases.path is not None:
        engine = sqlalchemy.create_engine(databases.url)
        with engine.connect() as connection:
            found = _differences(connection)
        engine.dispose()
    else:
        async_engine = create_async_engine(sqlalchemy.make_url(databases.url).set(drivername="postgresql+asyncpg"))
        async with async_engine.connect() as async_connection:
            found = await async_connection.run_sync(_differences)
        await async_engine.dispose()
    assert found == []


def test_head_is_the_newest_migration() -> None:
    """The server knows the newest revision without importing the migration tool."""
    assert ScriptDirectory.from_config(configuration()).get_current_head() == HEAD


async def test_the_revision_is_read_and_judged(databases: Databases) -> None:
    """A migrated database serves; an empty one doesn't; a newer one of the same generation does."""
    database = await databases.open()
    assert await current_revision(database) == HEAD
    await database.close()
    assert serves(HEAD)
    assert serves(f"{int(HEAD) + 1:04d}")
    assert not serves(None)
    assert not serves(f"{(int(HEAD) // 100 + 1) * 100:04d}")


async def test_every_foreign_key_is_indexed_from_its_referencing_side(databases: Databases) -> None:
    """A deletion looks for referring rows: without an index it would scan the table."""
    missing = []
    for table in longshore.tables.metadata.tables.values():
        covered = [tuple(column.name for column in index.columns) for index in table.indexes]
        covered += [tuple(column.name for column in table.primary_key.columns)]
        covered += [
            tuple(column.name for column in constraint.columns)
            for constraint in table.constraints
            if isinstance(constraint, sqlalchemy.UniqueConstraint)
        ]
        for key in table.foreign_key_constraints:
            names = tuple(key.column_keys)
            if not any(columns[: len(names)] == names for columns in covered):
                missing.append(f"{table.name}{names}")
    assert missing == []


async def test_two_migrations_at_once_are_harmless(tmp_path: Path, postgresql_server: str) -> None:
    """Two replicas that are upgraded at once run `longshore migrate` twice; one waits for the other."""
    connection = await asyncpg.connect(f"{postgresql_server}/postgres")
    await connection.execute("CREATE DATABASE twice")
    await connection.close()
    with ThreadPoolExecutor(8) as threads:
        loop = asyncio.get_running_loop()
        url = f"{postgresql_server}/twice"
        await asyncio.gather(*(loop.run_in_executor(threads, migrate_postgresql, url) for _ in range(3)))
    file = str(tmp_path / "x.db")
    script = f"from pathlib import Path; from longshore.database.migrate import *; migrate_sqlite(Path({file!r}))"
    processes = [await asyncio.create_subprocess_exec(sys.executable, "-c", script) for _ in range(3)]
    assert [await process.wait() for process in processes] == [0, 0, 0]
    migrate_sqlite(tmp_path / "x.db")
    assert sqlite_snapshot(tmp_path / "x.db") == (SNAPSHOTS / "sqlite.sql").read_text(encoding="utf-8")


def test_serving_never_imports_the_migration_tool() -> None:
    """It costs half a second and 10 MB, and a replica must not be able to migrate."""
    script = (
        "import os, sys, tempfile; os.environ['PROMETHEUS_MULTIPROC_DIR'] = tempfile.mkdtemp();"
        " import longshore.server.serve, longshore.server.supervisor, longshore.app, longshore.worker;"
        " print([name for name in ('alembic', 'sqlalchemy', 'mako') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_the_clock_counts_microseconds(databases: Databases) -> None:
    """Both databases tell the time in microseconds since 1970, and it moves within a transaction."""
    database = await databases.open()
    clock = Statement("SELECT {now}")

    async def twice(connection: OwnConnection) -> tuple[int, int]:
        first = await connection.value(clock)
        time.sleep(0.01)  # noqa: ASYNC251 - a database function may await nothing but its connection
        return first, await connection.value(clock)

    first, second = await database.write(twice)
    await database.close()
    assert 1_700_000_000_000_000 < first < 4_000_000_000_000_000
    assert second > first


async def test_names_compare_byte_by_byte(databases: Databases) -> None:
    """Tag lists are sorted by bytes: capitals before small letters, whatever the locale of the server."""
    database = await databases.open()
    order = Statement(
        "SELECT x FROM (SELECT 'b' AS x UNION SELECT 'B' UNION SELECT 'a') AS t ORDER BY x COLLATE \"C\""
        if databases.dialect is Dialect.POSTGRESQL
        else "SELECT x FROM (SELECT 'b' AS x UNION SELECT 'B' UNION SELECT 'a') AS t ORDER BY x"
    )
    rows = await database.read(lambda connection: connection.all(order))
    await database.close()
    assert [row[0] for row in rows] == ["B", "a", "b"]
    snapshot = (SNAPSHOTS / "postgresql.txt").read_text(encoding="utf-8")
    assert re.search(r'tags\n    repository_id bigint NOT NULL\n    name text COLLATE "C" NOT NULL', snapshot)
