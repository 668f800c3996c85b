# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from longshore.database.connection import Database, Dialect
from tests.databases import Databases
from tests.integration.distribution.world import WatchedStore, World
from tests.integrity import assert_integrity
from tests.shelves import Shelf, UnsyncedKernel, open_bucket, open_shelf


@asynccontextmanager
async def _shelf(kind: str, databases: Databases, request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Shelf]:
    """A folder, or an object store: a real server beside PostgreSQL, one in memory with tiny parts beside SQLite."""
    if kind == "objects" and databases.dialect is Dialect.POSTGRESQL:
        async with open_bucket(request.getfixturevalue("object_store")) as shelf:
            yield shelf
        return
    stores = {"filesystem": "filesystem", "objects": "parts"}
    async with open_shelf(stores[kind], folder, kernel=UnsyncedKernel(), part=4096) as shelf:
        yield shelf


@pytest_asyncio.fixture(params=["filesystem", "objects"])
async def world(
    request: pytest.FixtureRequest, databases: Databases, database: Database, tmp_path: Path
) -> AsyncIterator[World]:
    """A registry over every database and every store; whatever happened to it, it keeps its promises at the end."""
    async with _shelf(request.param, databases, request, tmp_path / "objects") as shelf:
        store = WatchedStore(shelf.store)
        world = World(databases=databases, database=database, store=store, shelf=shelf)
        yield world
        await world.close()
        await assert_integrity(database, shelf.store)
