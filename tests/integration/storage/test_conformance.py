# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from longshore.storage.conformance import BlobStoreConformance, expect_error, leaving_nothing_behind, write
from longshore.storage.conformance_deletion import DeletionConformance
from longshore.storage.conformance_uploads import UploadConformance
from longshore.storage.factory import open_store
from longshore.storage.filesystem import FilesystemStore
from longshore.storage.memory import Fault as StoreFault
from longshore.storage.memory import MemoryStore, Step
from longshore.storage.parts.memory import Call, Fault, MemoryClient
from longshore.storage.parts.store import PartsStore
from longshore.storage.port import ObjectKey, OpenedStore, StoreUnavailable
from longshore.storage.s3.store import S3Store
from tests.objectstore import ObjectStore

_STUCK = StoreUnavailable("It could not be deleted. Look at the store's log.")


class TestFilesystem(BlobStoreConformance, UploadConformance, DeletionConformance):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[OpenedStore]:
        store = await open_store(f"file://{tmp_path}/store", reserve_bytes=0)
        async with leaving_nothing_behind(store):
            yield store
        await store.close()

    @pytest.fixture
    def stuck(self, store: OpenedStore, tmp_path: Path) -> Iterator[ObjectKey]:
        """A directory has the name, which no unlink removes."""
        assert store.appends
        key = ObjectKey.fresh()
        path = tmp_path / "store" / str(key)
        path.mkdir()
        yield key
        path.rmdir()


class TestFilesystemWithOneThread(BlobStoreConformance):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[OpenedStore]:
        narrow = FilesystemStore(tmp_path, writing_threads=1, reading_threads=1)
        async with narrow as store, leaving_nothing_behind(store):
            yield store


class TestMemory(BlobStoreConformance, UploadConformance, DeletionConformance):
    @pytest.fixture
    async def store(self) -> AsyncIterator[OpenedStore]:
        store = MemoryStore()
        async with leaving_nothing_behind(store):
            yield store

    @pytest.fixture
    def stuck(self, store: MemoryStore) -> ObjectKey:
        key = ObjectKey.fresh()
        store.fail(StoreFault(Step.DELETE, _STUCK, key=key))
        return key


class TestPartsInMemory(BlobStoreConformance, UploadConformance, DeletionConformance):
    @pytest.fixture
    def client(self) -> MemoryClient:
        return MemoryClient()

    @pytest.fixture
    def stuck(self, client: MemoryClient) -> ObjectKey:
        key = ObjectKey.fresh()
        client.fail(Fault(Call.DELETE, _STUCK, path=str(key)))
        return key

    @pytest.fixture
    async def store(self, client: MemoryClient) -> AsyncIterator[OpenedStore]:
        store = PartsStore(client)
        async with leaving_nothing_behind(store):
            yield store
        await store.close()
        assert client.uploads == {}
        assert client.in_parts == 0


class TestObjectStore(BlobStoreConformance, UploadConformance):
    prefix = ""

    @pytest.fixture
    async def store(self, object_store: ObjectStore) -> AsyncIterator[OpenedStore]:
        bucket = object_store.bucket(f"conformance-{uuid.uuid4().hex}")
        url = object_store.url(bucket, self.prefix, part_size="5MiB", public_endpoint=object_store.endpoint)
        store = await open_store(url)
        assert isinstance(store, S3Store)
        try:
            async with leaving_nothing_behind(store):
                yield store
            assert [upload async for upload in store.unfinished()] == []
        finally:
            await store.close()

    async def test_a_client_reads_by_itself(self, store: S3Store) -> None:
        """Whoever has a presigned URL reads the object and any range of it, without credentials, for a while."""
        key = ObjectKey.fresh()
        payload = bytes(range(256)) * 500
        await write(store, key, payload)
        url = await store.presign(key, lifetime_seconds=60)
        assert url.startswith(f"{store.reads_from}/")
        async with httpx.AsyncClient() as client:
            assert (await client.get(url)).content == payload
            part = await client.get(url, headers={"Range": "bytes=100-299"})
            assert (part.status_code, part.content) == (206, payload[100:300])
            assert (await client.get(url.replace("X-Amz-Expires=60", "X-Amz-Expires=600"))).status_code == 403
        await store.delete([key])


class TestObjectStoreWithPrefix(TestObjectStore):
    prefix = "some/where_else-1.0/"


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
