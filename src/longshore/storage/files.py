# SPDX-License-Identifier: Apache-2.0
"""One object of the filesystem adapter: its writer and its reader."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from longshore.oci.digest import Hasher
from longshore.storage.failures import explain, explained
from longshore.storage.kernel import Kernel
from longshore.storage.port import Checkpoint, ObjectExists, ObjectKey, ObjectMissing, StoreUnavailable
from longshore.storage.room import Room
from longshore.storage.threads import Threads

_WRITE_BACK_BYTES = 8 * 1024 * 1024
_WRITE_BACK_WINDOWS = 4
_PIECES_PER_CALL = 512


class FileWriter:
    """Appends to one file; see ``BlobWriter``. Its methods with a leading underscore run on a thread."""

    def __init__(self, kernel: Kernel, threads: Threads, room: Room, directory: str, key: ObjectKey) -> None:
        self._kernel = kernel
        self._threads = threads
        self._room = room
        self._directory = directory
        self._path = f"{directory}/{key.name}"
        self._key = key
        self._descriptor: int | None = None
        self._finished = False
        self._offset = 0
        # What a process before us wrote, it may have left unsynced when it was killed; so a resumed object starts as a
        # fresh one does.
        self._contents_synced = False
        self._name_synced = False
        self._write_back_from = 0
        self._written_back_to = 0

    @property
    def key(self) -> ObjectKey:
        """The object's key."""
        return self._key

    @property
    def offset(self) -> int:
        """Bytes in the object so far."""
        return self._offset

    def begin(self) -> FileWriter:
        """Make the file; runs on a thread."""
        self._room.take(0)
        try:
            self._descriptor = self._kernel.create(self._path)
        except FileExistsError as error:
            raise ObjectExists(
                f"The store already holds an object {self._key}; nothing was overwritten. Start the upload again."
            ) from error
        except OSError as error:
            raise explain(error, f"begin object {self._key}") from error
        return self

    def resume(self, offset: int) -> FileWriter:
        """Open the file and cut it to ``offset`` bytes; runs on a thread."""
        try:
            descriptor = self._kernel.open_for_writing(self._path)
        except FileNotFoundError as error:
            raise missing(self._key) from error
        except OSError as error:
            raise explain(error, f"continue object {self._key}") from error
        try:
            with explained(f"continue object {self._key}"):
                size = os.fstat(descriptor).st_size
                if size < offset:
                    raise ObjectMissing(
                        f"Object {self._key} has {size} bytes where the upload had {offset}. Start the upload again."
                    )
                if size > offset:
                    self._kernel.truncate(descriptor, offset)
        except BaseException:
            self._kernel.close(descriptor)
            raise
        self._descriptor = descriptor
        self._offset = self._written_back_to = self._write_back_from = offset
        return self

    async def append(self, pieces: Sequence[bytes], hasher: Hasher) -> None:
        """Feed the pieces to the hasher and append them."""
        with self._in_use() as descriptor:
            await self._threads.run(partial(self._append, descriptor, pieces, hasher))

    async def sync(self) -> Checkpoint:
        """Make the bytes and the name durable."""
        with self._in_use() as descriptor:
            if not (self._contents_synced and self._name_synced):
                await self._threads.run(partial(self._sync, descriptor))
        return Checkpoint(self._offset)

    async def checkpoint(self) -> Checkpoint:
        """Make durable what was appended: early write-back has left little to do."""
        return await self.sync()

    async def seal(self) -> Checkpoint:
        """Make the bytes and the name durable: the file is the object already."""
        return await self.sync()

    async def finish(self) -> None:
        """Do nothing: a file needs no finishing."""

    async def close(self) -> None:
        """Close the file."""
        if self._descriptor is None:
            return
        try:
            # Some file systems write what is dirty when a file is closed, and that takes its time.
            if not self._contents_synced:
                with suppress(StoreUnavailable):
                    await self._threads.run(self.abandon)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the file without waiting for anything but the system."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # The descriptor is gone whatever close() says, and what it could say about the bytes fsync says too.
            with suppress(OSError):
                self._kernel.close(descriptor)

    @contextmanager
    def _in_use(self) -> Iterator[int]:
        """Refuse to go on after an error: Linux reports a failed write-back once, and a second fsync would succeed."""
        if self._descriptor is None or self._finished:
            raise StoreUnavailable(
                f"Object {self._key} takes no more bytes because an earlier step failed or it was closed. "
                "Start the upload again."
            )
        self._finished = True
        yield self._descriptor
        self._finished = False

    def _append(self, descriptor: int, pieces: Sequence[bytes], hasher: Hasher) -> None:
        if total := sum(map(len, pieces)):
            self._room.take(total)
            self._contents_synced = False
            with explained(f"write object {self._key}"):
                self._write(descriptor, pieces)
                self._start_write_back(descriptor)
        # The disk works on the pieces while they are hashed.
        for piece in pieces:
            hasher.update(piece)

    def _write(self, descriptor: int, pieces: Sequence[bytes]) -> None:
        waiting: list[bytes | memoryview] = [piece for piece in pieces if piece]
        first = 0
        while first < len(waiting):
            written = self._kernel.write(descriptor, waiting[first : first + _PIECES_PER_CALL], self._offset)
            if written <= 0:
                raise StoreUnavailable(f"The store took no byte of object {self._key}. Start the upload again.")
            self._offset += written
            while first < len(waiting) and written >= len(waiting[first]):
                written -= len(waiting[first])
                first += 1
            if written:
                waiting[first] = memoryview(waiting[first])[written:]

    def _start_write_back(self, descriptor: int) -> None:
        """Give the disk what has gathered, so that the last sync finds little to write."""
        length = self._offset - self._write_back_from
        if length < _WRITE_BACK_BYTES:
            return
        if not self._kernel.start_write_back(descriptor, self._write_back_from, length):
            self._kernel.sync_data(descriptor)
        else:
            # A disk slower than the network must slow the client down, else all of its arrears wait for the last sync.
            arrears = self._write_back_from - self._written_back_to
            if arrears >= _WRITE_BACK_WINDOWS * _WRITE_BACK_BYTES:
                self._kernel.finish_write_back(descriptor, self._written_back_to, arrears)
                self._written_back_to = self._write_back_from
        self._write_back_from = self._offset

    def _sync(self, descriptor: int) -> None:
        with explained(f"make object {self._key} durable"):
            if not self._contents_synced:
                self._kernel.sync(descriptor)
                self._contents_synced = True
            if not self._name_synced:
                self._kernel.sync_directory(self._directory)
                self._name_synced = True


class FileReader:
    """Reads one file; see ``BlobReader``. The descriptor lives until ``close`` and the last read are done."""

    def __init__(self, kernel: Kernel, threads: Threads, path: str, key: ObjectKey) -> None:
        self._kernel = kernel
        self._threads = threads
        self._key = key
        self._scratch: memoryview | None = None
        self._readers = 0
        self._closed = False
        try:
            self._descriptor = kernel.open_for_reading(path)
        except FileNotFoundError as error:
            raise missing(key) from error
        except OSError as error:
            raise explain(error, f"open object {key}") from error
        try:
            with explained(f"open object {key}"):
                facts = os.fstat(self._descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise missing(key)
        except BaseException:
            kernel.close(self._descriptor)
            raise
        self._size = facts.st_size

    @property
    def size(self) -> int:
        """Bytes in the object when it was opened."""
        return self._size

    def read_cached(self, offset: int, length: int) -> bytes | None:
        """Return the bytes if the page cache has all of them."""
        expected = self._expected(offset, length)
        if not expected:
            return b""
        # One buffer for all pieces of a download: it needs no clearing, and copying out of it stays in the CPU's cache.
        if self._scratch is None or len(self._scratch) < expected:
            self._scratch = memoryview(bytearray(expected))
        target = self._scratch[:expected]
        try:
            count = self._kernel.read_at_once(self._descriptor, target, offset)
        except OSError:
            # Not there, or broken: read() waits for it and tells which.
            return None
        return bytes(target) if count == expected else None

    async def read(self, offset: int, length: int) -> bytes:
        """Return the bytes, waiting for the disk on a thread."""
        expected = self._expected(offset, length)
        if not expected:
            return b""
        self._readers += 1
        try:
            return await self._threads.run(partial(self._read, offset, expected))
        finally:
            self._readers -= 1
            self._release()

    def close(self) -> None:
        """Close the file, after the reads that are under way."""
        self._closed = True
        self._release()

    def _release(self) -> None:
        if self._closed and not self._readers and self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            self._scratch = None
            with suppress(OSError):
                self._kernel.close(descriptor)

    def _expected(self, offset: int, length: int) -> int:
        if self._closed:
            raise StoreUnavailable(f"Object {self._key} was closed while it was read; try again.")
        if offset < 0 or length < 0:
            raise ValueError(f"offset {offset} and length {length} must not be negative")
        return max(min(length, self._size - offset), 0)

    def _read(self, offset: int, expected: int) -> bytes:
        pieces: list[bytes] = []
        with explained(f"read object {self._key}"):
            while expected:
                piece = self._kernel.read(self._descriptor, expected, offset)
                if not piece:
                    raise StoreUnavailable(
                        f"Object {self._key} ends after {offset} bytes instead of {self._size}: it is damaged. "
                        "Push the image again; `longshore verify` lists what else is damaged."
                    )
                pieces.append(piece)
                offset += len(piece)
                expected -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def missing(key: ObjectKey) -> ObjectMissing:
    """Make the error for a key under which there is nothing."""
    return ObjectMissing(
        f"The store holds no object {key}. If this lasts, the volume is not the one that the database knows: "
        "run `longshore verify`."
    )
