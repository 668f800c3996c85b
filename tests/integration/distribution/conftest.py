# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from longshore.database.connection import Database
from tests.databases import Databases
from tests.integration.distribution.world import WatchedStore, World
from tests.integrity import assert_integrity
from tests.shelves import UnsyncedKernel, open_shelf

# An object store is one more name here and one more way to open it in `open_shelf`.
STORES = ["filesystem", "parts"]


@pytest_asyncio.fixture(params=STORES)
async def world(
    request: pytest.FixtureRequest, databases: Databases, database: Database, tmp_path: Path
) -> AsyncIterator[World]:
    """A registry over every database and every store; whatever happened to it, it keeps its promises at the end."""
    async with open_shelf(request.param, tmp_path / "objects", kernel=UnsyncedKernel(), part=4096) as shelf:
        store = WatchedStore(shelf.store)
        world = World(databases=databases, database=database, store=store, shelf=shelf)
        yield world
        await world.close()
        await assert_integrity(database, shelf.store)
