# SPDX-License-Identifier: Apache-2.0
"""A store, and how somebody else changes what is in it behind the product's back."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Protocol

from longshore.storage.factory import open_store
from longshore.storage.filesystem import FilesystemStore
from longshore.storage.kernel import Kernel
from longshore.storage.parts.memory import MemoryClient
from longshore.storage.parts.sizes import MEBIBYTE, PartSizes
from longshore.storage.parts.store import PartsStore
from longshore.storage.port import OpenedStore
from longshore.storage.s3.client import S3Client
from longshore.storage.s3.location import parse_location
from tests.objectstore import ObjectStore

_SMALL = 50


class UnsyncedKernel(Kernel):
    """Leaves everything to the page cache: nothing outlives the tests that use it, and others show what is synced."""

    def sync_data(self, descriptor: int) -> None:
        del descriptor

    def sync(self, descriptor: int) -> None:
        del descriptor

    def sync_directory(self, path: str) -> None:
        del path


class SmallParts(PartSizes):
    """A few parts of some bytes, then larger ones, so that a blob of any size fits."""

    def of(self, number: int) -> int:
        return (self.uniform or MEBIBYTE) if number <= _SMALL else MEBIBYTE


class Shelf(Protocol):
    """One store. Paths are those of the store's listing: keys, or names of strangers."""

    @property
    def store(self) -> OpenedStore:
        """The store, open."""
        ...

    async def put(self, path: str, content: bytes) -> None:
        """Makes an object, or gives one other bytes."""
        ...

    async def remove(self, path: str) -> None:
        """Takes an object away."""
        ...

    async def age(self, path: str) -> None:
        """Makes an object as old as can be."""
        ...


class FolderShelf:
    """A folder."""

    def __init__(self, store: FilesystemStore, folder: Path) -> None:
        self.store: OpenedStore = store
        self._folder = folder

    async def put(self, path: str, content: bytes) -> None:
        (self._folder / path).write_bytes(content)

    async def remove(self, path: str) -> None:
        (self._folder / path).unlink()

    async def age(self, path: str) -> None:
        os.utime(self._folder / path, (1, 1))


class MemoryShelf:
    """An object store in memory."""

    def __init__(self, store: PartsStore, client: MemoryClient) -> None:
        self.store: OpenedStore = store
        self._client = client

    async def put(self, path: str, content: bytes) -> None:
        await self._client.put(path, content)

    async def remove(self, path: str) -> None:
        await self._client.delete([path])

    async def age(self, path: str) -> None:
        self._client.objects[path].modified_at = 1_000_000


class BucketShelf:
    """A bucket of a real server."""

    def __init__(self, store: OpenedStore, client: S3Client, folder: Path) -> None:
        self.store = store
        self._client = client
        self._folder = folder

    async def put(self, path: str, content: bytes) -> None:
        await self._client.put(path, content)

    async def remove(self, path: str) -> None:
        await self._client.delete([path])

    async def age(self, path: str) -> None:
        os.utime(self._folder / path, (1, 1))


@asynccontextmanager
async def open_bucket(server: ObjectStore) -> AsyncIterator[Shelf]:
    """An empty bucket of an S3 server."""
    bucket = server.bucket(f"shelf-{uuid.uuid4().hex}")
    url = server.url(bucket)
    client = await S3Client.open(parse_location(url))
    store = await open_store(url)
    yield BucketShelf(store, client, server.folder / bucket)
    await store.close()
    await client.close()


@asynccontextmanager
async def open_shelf(kind: str, folder: Path, *, kernel: Kernel | None = None, part: int = 64) -> AsyncIterator[Shelf]:
    """An empty store: a `filesystem` in a folder, or `parts` of few bytes, so that small blobs come to have several."""
    if kind == "parts":
        client = MemoryClient(clock=(time.time_ns() // 1000 for _ in count()))
        store = PartsStore(client, sizes=SmallParts(part))
        yield MemoryShelf(store, client)
        await store.close()
        return
    async with FilesystemStore(folder, reserve_bytes=0, kernel=kernel) as files:
        yield FolderShelf(files, folder)
