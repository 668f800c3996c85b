# SPDX-License-Identifier: Apache-2.0
"""A bucket of a real S3 server, reached through the stand-in that has bad days, and past it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from longshore.storage.factory import open_store
from longshore.storage.port import OpenedStore
from tests.faultystore import FaultyStore, standing_in
from tests.objectstore import ObjectStore


@dataclass(frozen=True, slots=True)
class Place:
    """A store whose requests go through the stand-in, and one beside it that goes straight."""

    store: OpenedStore
    straight: OpenedStore
    network: FaultyStore


@asynccontextmanager
async def open_place(object_store: ObjectStore) -> AsyncIterator[Place]:
    """Make a bucket and open both stores on it; nothing may stand still for longer than a second."""
    bucket = object_store.bucket(f"faults-{uuid.uuid4().hex}")
    async with standing_in(object_store.endpoint) as network:
        url = object_store.url(bucket, endpoint=network.endpoint, part_size="5MiB", timeout="1")
        store, straight = await open_store(url), await open_store(object_store.url(bucket))
        try:
            yield Place(store, straight, network)
        finally:
            await store.close()
            await straight.close()
