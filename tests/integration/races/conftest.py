# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the races."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from longshore.database.connection import Database
from longshore.storage.filesystem import FilesystemStore
from tests.builders import World
from tests.integrity import assert_integrity


@pytest_asyncio.fixture
async def world(database: Database, store: FilesystemStore) -> AsyncIterator[World]:
    """A registry without content; every race ends with the integrity assertion."""
    made = World(database, store)
    yield made
    await assert_integrity(database, store)
