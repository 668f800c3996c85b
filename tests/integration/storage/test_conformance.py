# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore.storage.conformance import BlobStoreConformance, expect_error, leaving_nothing_behind, write
from longshore.storage.factory import open_store
from longshore.storage.filesystem import FilesystemStore
from longshore.storage.memory import MemoryStore
from longshore.storage.port import ObjectKey, OpenedStore, StoreUnavailable


class TestFilesystem(BlobStoreConformance):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[OpenedStore]:
        store = await open_store(f"file://{tmp_path}/store", reserve_bytes=0)
        async with leaving_nothing_behind(store):
            yield store
        await store.close()


class TestFilesystemWithOneThread(BlobStoreConformance):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[OpenedStore]:
        narrow = FilesystemStore(tmp_path, writing_threads=1, reading_threads=1)
        async with narrow as store, leaving_nothing_behind(store):
            yield store


class TestMemory(BlobStoreConformance):
    @pytest.fixture
    async def store(self) -> AsyncIterator[OpenedStore]:
        store = MemoryStore()
        async with leaving_nothing_behind(store):
            yield store


async def test_an_object_left_behind_fails() -> None:
    """The suite's teardown notices what a test forgot to delete."""
    store = MemoryStore()
    with pytest.raises(AssertionError, match="left behind"):
        async with leaving_nothing_behind(store):
            await write(store, ObjectKey.fresh(), b"forgotten")


@pytest.mark.parametrize("kind", ["filesystem", "memory"])
async def test_a_closed_store_refuses(tmp_path: Path, kind: str) -> None:
    """After `close` a store raises `StoreUnavailable` instead of hanging, and its writers can still be closed."""
    store: OpenedStore = MemoryStore() if kind == "memory" else await open_store(f"file://{tmp_path}")
    writer = await store.create(ObjectKey.fresh())
    await store.close()
    await expect_error(StoreUnavailable, store.create(ObjectKey.fresh()))
    await expect_error(StoreUnavailable, store.delete([ObjectKey.fresh()]))
    await writer.close()
