# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from longshore.database.connection import Database
from longshore.storage.filesystem import FilesystemStore
from longshore.storage.kernel import Kernel
from longshore.storage.parts.memory import MemoryClient
from longshore.storage.parts.sizes import PartSizes
from longshore.storage.parts.store import PartsStore
from longshore.storage.port import BlobStore, ObjectKey
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


@dataclass(frozen=True, slots=True)
class Shelf:
    """A store, and how somebody else changes an object in it."""

    store: BlobStore
    overwrite: Callable[[ObjectKey, bytes], Awaitable[None]]


@asynccontextmanager
async def _folder(path: Path) -> AsyncIterator[Shelf]:
    async def overwrite(key: ObjectKey, content: bytes) -> None:
        (path / str(key)).write_bytes(content)

    async with FilesystemStore(path, reserve_bytes=0, kernel=UnsyncedKernel()) as store:
        yield Shelf(store, overwrite)


@asynccontextmanager
async def _parts(_: Path) -> AsyncIterator[Shelf]:
    """An object store in memory whose parts are small, so that scenarios come to have several."""
    client = MemoryClient()

    async def overwrite(key: ObjectKey, content: bytes) -> None:
        await client.put(str(key), content)

    yield Shelf(PartsStore(client, sizes=PartSizes(uniform=4096)), overwrite)


STORES = {"filesystem": _folder, "parts": _parts}


@pytest_asyncio.fixture(params=list(STORES))
async def world(
    request: pytest.FixtureRequest, databases: Databases, database: Database, tmp_path: Path
) -> AsyncIterator[World]:
    """A registry over every database and every store; whatever happened to it, it keeps its promises at the end."""
    async with STORES[request.param](tmp_path / "objects") as shelf:
        store = WatchedStore(shelf.store)
        world = World(databases=databases, database=database, store=store, overwrite=shelf.overwrite)
        yield world
        await world.close()
        await assert_integrity(database, shelf.store)
