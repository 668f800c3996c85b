# SPDX-License-Identifier: Apache-2.0
"""Fixtures that tests of several folders share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from longshore.database.connection import Database
from longshore.database.migrate import migrate_postgresql, migrate_sqlite
from longshore.storage.port import OpenedStore
from tests import objectstore
from tests.databases import Databases, postgresql_database, sqlite_database
from tests.objectstore import ObjectStore, ObjectStoreMissingError
from tests.postgresql import PostgreSQLMissingError, server
from tests.shelves import Shelf, open_shelf

_TEMPLATE = "longshore_template"


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """A PostgreSQL server with a migrated template database, once for all tests."""
    yield from server_with_template()


def server_with_template() -> Iterator[str]:
    """Starts such a server, and ends it when the iterator does; skips, or fails in CI, where there is no PostgreSQL."""
    try:
        running = server()
        url = running.__enter__()
    except PostgreSQLMissingError as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))

    async def make_template() -> None:
        connection = await asyncpg.connect(f"{url}/postgres")
        await connection.execute(f"CREATE DATABASE {_TEMPLATE}")
        await connection.close()

    def prepare() -> None:
        asyncio.run(make_template())
        migrate_postgresql(f"{url}/{_TEMPLATE}")

    try:
        # A thread of its own: the first test that asks may have an event loop running here.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(prepare).result()
        yield url
    finally:
        running.__exit__(None, None, None)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("template") / "longshore.db"
    migrate_sqlite(path)
    return path


@pytest_asyncio.fixture(params=["sqlite", "postgresql"])
async def databases(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Databases]:
    """A fresh database of either kind, to be opened as often as a test likes."""
    if request.param == "sqlite":
        yield sqlite_database(request.getfixturevalue("sqlite_template"), tmp_path)
        return
    async with postgresql_database(request.getfixturevalue("postgresql_server"), _TEMPLATE) as fresh:
        yield fresh


@pytest_asyncio.fixture
async def database(databases: Databases) -> AsyncIterator[Database]:
    """A fresh database of either kind, open."""
    opened = await databases.open(pool_size=8)
    yield opened
    await opened.close()


@pytest_asyncio.fixture(params=["filesystem", "parts"])
async def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shelf]:
    """An empty store of either kind: one that appends, and one that takes parts."""
    async with open_shelf(request.param, tmp_path / "store") as opened:
        yield opened


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[OpenedStore]:
    """An empty store on the filesystem."""
    async with open_shelf("filesystem", tmp_path / "store") as opened:
        yield opened.store


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """An S3 server, once for all tests; each makes a bucket of its own."""
    try:
        running = objectstore.server()
        store = running.__enter__()
    except ObjectStoreMissingError as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    try:
        yield store
    finally:
        running.__exit__(None, None, None)
