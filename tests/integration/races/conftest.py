# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the races."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from longshore.database.connection import Database
from tests.builders import World
from tests.integrity import assert_integrity
from tests.shelves import Shelf, open_shelf


@pytest_asyncio.fixture
async def world(database: Database, shelf: Shelf) -> AsyncIterator[World]:
    """A registry without content; every race ends with the integrity assertion."""
    made = World(database, shelf.store, shelf)
    yield made
    await assert_integrity(database, shelf.store)


@pytest_asyncio.fixture
async def folder_world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    """The same over a folder: for races that only a store has that appends."""
    async with open_shelf("filesystem", tmp_path / "store") as shelf:
        yield World(database, shelf.store, shelf)
        await assert_integrity(database, shelf.store)
