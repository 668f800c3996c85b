# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of artifacts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from longshore.database.connection import Database
from tests.builders import World
from tests.integrity import assert_integrity
from tests.shelves import Shelf


@pytest_asyncio.fixture
async def world(database: Database, shelf: Shelf) -> AsyncIterator[World]:
    """A registry without content; every test that has it ends with the integrity assertion."""
    made = World(database, shelf.store, shelf)
    yield made
    await assert_integrity(database, shelf.store)
