# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from longshore.database.connection import Database
from longshore.storage.filesystem import FilesystemStore
from longshore.storage.kernel import Kernel
from tests.databases import Databases
from tests.integration.distribution.world import WatchedStore, World
from tests.integrity import assert_integrity


class UnsyncedKernel(Kernel):
    """Leaves everything to the page cache: nothing in here outlives the tests, and other tests show what is synced."""

    def sync_data(self, descriptor: int) -> None:
        del descriptor

    def sync(self, descriptor: int) -> None:
        del descriptor

    def sync_directory(self, path: str) -> None:
        del path


# An object store is one more name here and one more way to open it in `world`.
STORES = ["filesystem"]


@pytest_asyncio.fixture(params=STORES)
async def world(databases: Databases, database: Database, tmp_path: Path) -> AsyncIterator[World]:
    """A registry over every database and every store; whatever happened to it, it keeps its promises at the end."""
    root = tmp_path / "objects"
    async with FilesystemStore(root, reserve_bytes=0, kernel=UnsyncedKernel()) as store:
        world = World(databases=databases, database=database, store=WatchedStore(store), root=root)
        yield world
        await world.close()
        await assert_integrity(database, store)
