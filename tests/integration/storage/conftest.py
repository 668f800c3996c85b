# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.objectstore import ObjectStore
from tests.s3place import Place, open_place


@pytest.fixture
async def place(object_store: ObjectStore) -> AsyncIterator[Place]:
    """A bucket behind the stand-in."""
    async with open_place(object_store) as place:
        yield place
