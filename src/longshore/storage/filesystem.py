# SPDX-License-Identifier: Apache-2.0
"""The filesystem adapter: an object is a file ``ab/<32 hex digits>`` below the root, written once under its own name.

What ``sync`` acknowledged survives a power cut: the file is synced, then its directory. The directories themselves are
made and synced before the first object. Nothing is renamed, so no crash leaves a file that no row owns.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncGenerator, Collection, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Self

from longshore.storage import layout
from longshore.storage.failures import explain, explained
from longshore.storage.files import FileReader, FileWriter
from longshore.storage.kernel import Kernel
from longshore.storage.listing import Walk
from longshore.storage.port import NO_STATE, Journal, NotDeleted, ObjectKey, StoredObject
from longshore.storage.room import Room
from longshore.storage.threads import Threads

WRITING_THREADS = 16
READING_THREADS = 8


class FilesystemStore:
    """Keeps objects in a directory of a local or network file system.

    ``reserve_bytes`` of the volume stay free (default 1 %, at most 512 MiB). Reads have threads of their own, so that
    pulls never queue behind pushes that wait for the disk.
    """

    def __init__(
        self,
        root: Path,
        *,
        reserve_bytes: int | None = None,
        writing_threads: int = WRITING_THREADS,
        reading_threads: int = READING_THREADS,
        kernel: Kernel | None = None,
    ) -> None:
        self._root = str(root.absolute())
        self._kernel = kernel or Kernel()
        self._room = Room(self._kernel, self._root, reserve_bytes)
        self._writing = Threads(writing_threads, "store-write")
        self._reading = Threads(reading_threads, "store-read")

    async def prepare(self) -> None:
        """Make and sync the directories at the first start; several processes may do so at once."""
        await self._writing.run(partial(layout.prepare, self._kernel, self._root))

    async def close(self) -> None:
        """Wait for what is running and end the threads."""
        await self._writing.close()
        await self._reading.close()

    async def __aenter__(self) -> Self:
        await self.prepare()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def appends(self) -> bool:
        """A file is appended to."""
        return True

    @property
    def smallest_chunk(self) -> int:
        """Any size will do."""
        return 0

    async def create(self, key: ObjectKey, journal: Journal | None = None) -> FileWriter:  # noqa: ARG002 - needs none
        """Begin an object."""
        return await self._writing.run(self._writer(key).begin, undo=FileWriter.abandon)

    async def resume(
        self,
        key: ObjectKey,
        offset: int,
        state: str = NO_STATE,  # noqa: ARG002 - a file speaks for itself
        journal: Journal | None = None,  # noqa: ARG002 - needs none
        *,
        contested: bool = False,
    ) -> FileWriter:
        """Continue an object at ``offset`` and drop what lies beyond."""
        if offset < 0:
            raise ValueError(f"offset {offset} must not be negative")
        if contested:
            raise ValueError("a file that somebody else may write to is copied, never continued")
        return await self._writing.run(partial(self._writer(key).resume, offset), undo=FileWriter.abandon)

    async def open(self, key: ObjectKey, offset: int = 0, length: int | None = None) -> FileReader:  # noqa: ARG002
        """Open an object for reading."""
        return FileReader(self._kernel, self._reading, self._path(key), key)

    async def delete(self, keys: Sequence[ObjectKey], *, unfinished: Collection[ObjectKey] = ()) -> None:  # noqa: ARG002
        """Delete objects for good.

        It costs one sync for each directory touched, of which there are 256: neighbouring keys or large batches are
        cheap.
        """
        if keys:
            await self._writing.run(partial(self._delete, sorted(set(keys))))

    async def size(self, key: ObjectKey) -> int | None:
        """Return the object's size in bytes, None when there is no such object."""
        return await self._reading.run(partial(self._size, key))

    async def listing(self) -> AsyncGenerator[StoredObject, None]:
        """List everything in the order of the paths; the names of one directory are in memory at a time."""
        walk = Walk(self._root, reserved=layout.META)
        while batch := await self._reading.run(walk.next_batch):
            for stored in batch:
                yield stored

    async def read_instance(self) -> str | None:
        """Return the id of the database this store belongs to."""
        return await self._reading.run(partial(layout.read_instance, self._root))

    async def write_instance(self, database_id: str) -> None:
        """Mark the store, once and durably."""
        await self._writing.run(partial(layout.mark, self._kernel, self._root, database_id))

    async def available(self) -> int:
        """Return the bytes that may still be written, the reserve included."""
        figures = await self._reading.run(self._figures)
        return figures.f_bavail * figures.f_frsize

    async def total(self) -> int:
        """Return the bytes that the whole volume holds."""
        figures = await self._reading.run(self._figures)
        return figures.f_blocks * figures.f_frsize

    def _figures(self) -> os.statvfs_result:
        with explained("tell how much room is left"):
            return self._kernel.room(self._root)

    def _path(self, key: ObjectKey) -> str:
        return f"{self._root}/{key.value}"

    def _writer(self, key: ObjectKey) -> FileWriter:
        return FileWriter(self._kernel, self._writing, self._room, f"{self._root}/{key.shard}", key)

    def _delete(self, keys: Sequence[ObjectKey]) -> None:
        left: dict[ObjectKey, OSError] = {}
        for key in keys:
            try:
                self._kernel.unlink(self._path(key))
            except FileNotFoundError:
                # Whoever removed the name may have died before the directory was synced, so it is synced below.
                continue
            except OSError as error:
                left[key] = error
        for shard, neighbours in groupby(keys, key=attrgetter("shard")):
            try:
                self._kernel.sync_directory(f"{self._root}/{shard}")
            except OSError as error:
                left |= dict.fromkeys(neighbours, error)
        self._room.forget()
        for first in left.values():
            raise NotDeleted(explain(first, f"delete {len(left)} of {len(keys)} objects").message, keys=left) from first

    def _size(self, key: ObjectKey) -> int | None:
        with explained(f"look at object {key}"):
            try:
                facts = os.lstat(self._path(key))
            except FileNotFoundError:
                return None
        return facts.st_size if stat.S_ISREG(facts.st_mode) else None
