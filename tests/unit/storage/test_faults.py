# SPDX-License-Identifier: Apache-2.0
"""The filesystem adapter when the operating system says no."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from longshore.oci.digest import Algorithm
from longshore.oci.errors import LongshoreError, StorageFull
from longshore.storage.conformance import content, write
from longshore.storage.filesystem import FilesystemStore
from longshore.storage.kernel import Kernel
from longshore.storage.port import BlobWriter, NotDeleted, ObjectKey, ObjectMissing, StoreUnavailable

MEBIBYTE = 1024 * 1024


class FaultyKernel(Kernel):
    """Fails the calls in `errors`, records all of them, and writes at most `at_once` bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: dict[str, int] = {}
        self.calls: list[str] = []
        self.at_once = 1 << 30
        self.free_blocks: int | None = None
        self.write_back = True

    def call(self, name: str) -> None:
        self.calls.append(name)
        if number := self.errors.get(name):
            raise OSError(number, "words of the system about 10.0.0.1", "/a/secret/path")

    def create(self, path: str) -> int:
        self.call("create")
        return super().create(path)

    def open_for_writing(self, path: str) -> int:
        self.call("open_for_writing")
        return super().open_for_writing(path)

    def open_for_reading(self, path: str) -> int:
        self.call("open_for_reading")
        return super().open_for_reading(path)

    def write(self, descriptor: int, pieces: Sequence[bytes | memoryview], offset: int) -> int:
        self.call("write")
        return super().write(descriptor, [b"".join(pieces)[: self.at_once]], offset)

    def truncate(self, descriptor: int, size: int) -> None:
        self.call("truncate")
        super().truncate(descriptor, size)

    def start_write_back(self, descriptor: int, offset: int, length: int) -> bool:
        self.call("start_write_back")
        return self.write_back and super().start_write_back(descriptor, offset, length)

    def finish_write_back(self, descriptor: int, offset: int, length: int) -> bool:
        self.call("finish_write_back")
        return super().finish_write_back(descriptor, offset, length)

    def sync_data(self, descriptor: int) -> None:
        self.call("sync_data")
        super().sync_data(descriptor)

    def sync(self, descriptor: int) -> None:
        self.call("sync")
        super().sync(descriptor)

    def sync_directory(self, path: str) -> None:
        self.call("sync_directory")
        super().sync_directory(path)

    def unlink(self, path: str) -> None:
        self.call("unlink")
        super().unlink(path)

    def room(self, path: str) -> os.statvfs_result:
        if self.free_blocks is None:
            return super().room(path)
        return os.statvfs_result((4096, 4096, 10**9, self.free_blocks, self.free_blocks, 0, 0, 0, 0, 255))

    def read(self, descriptor: int, length: int, offset: int) -> bytes:
        self.call("read")
        return super().read(descriptor, min(length, self.at_once), offset)

    def read_at_once(self, descriptor: int, buffer: memoryview, offset: int) -> int:
        self.call("read_at_once")
        return super().read_at_once(descriptor, buffer, offset)


@pytest.fixture
def kernel() -> FaultyKernel:
    return FaultyKernel()


@pytest.fixture
async def store(tmp_path: Path, kernel: FaultyKernel) -> AsyncIterator[FilesystemStore]:
    before = descriptors()
    async with FilesystemStore(tmp_path, reserve_bytes=0, kernel=kernel) as store:
        kernel.calls.clear()
        yield store
    assert descriptors() == before, "a descriptor was left open"


async def fill(writer: BlobWriter) -> None:
    """Take every step that a large upload takes."""
    for _ in range(7):
        await writer.append([b"x" * (8 * MEBIBYTE)], Algorithm.SHA256.hasher())
    await writer.sync()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208 - a count


@pytest.mark.parametrize("step", ["write", "start_write_back", "finish_write_back", "sync", "sync_directory"])
@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EBADF])
async def test_any_error_finishes_the_writer(
    store: FilesystemStore, kernel: FaultyKernel, step: str, number: int
) -> None:
    """After one failed step nothing is written or synced any more, even though the disk seems well again."""
    writer = await store.create(ObjectKey.fresh())
    kernel.errors[step] = number
    with pytest.raises(StorageFull if number in (errno.ENOSPC, errno.EDQUOT) else StoreUnavailable) as failure:
        await fill(writer)
    assert "/a/secret/path" not in failure.value.message
    kernel.errors.clear()
    kernel.calls.clear()
    with pytest.raises(StoreUnavailable, match="Start the upload again"):
        await writer.sync()
    with pytest.raises(StoreUnavailable, match="Start the upload again"):
        await writer.append([b"more"], Algorithm.SHA256.hasher())
    await writer.close()
    assert kernel.calls == []


@pytest.mark.parametrize(
    ("number", "kind", "advice"),
    [
        (errno.ENOSPC, StorageFull, "it is full.*enlarge"),
        (errno.EDQUOT, StorageFull, "quota"),
        (errno.EROFS, StoreUnavailable, "read-only"),
        (errno.EIO, StoreUnavailable, "disk"),
        (errno.EACCES, StoreUnavailable, "ownership"),
        (errno.EMFILE, StoreUnavailable, "ulimit"),
        (errno.ENOENT, StoreUnavailable, "mounted"),
        (errno.ELOOP, StoreUnavailable, "ELOOP: look at the server's log"),
    ],
)
async def test_a_message_says_what_to_do(
    store: FilesystemStore, kernel: FaultyKernel, number: int, kind: type[LongshoreError], advice: str
) -> None:
    """Each error of the system becomes the right kind, and its message a person's next step, naming the object."""
    key = ObjectKey.fresh()
    kernel.errors["create"] = number
    with pytest.raises(kind, match=f"{key}.*{advice}") as failure:
        await store.create(key)
    assert "10.0.0.1" not in failure.value.message


async def test_short_writes_are_continued(store: FilesystemStore, kernel: FaultyKernel) -> None:
    """When the system takes only some bytes, the rest follows, across the borders of pieces."""
    kernel.at_once = 7
    key = ObjectKey.fresh()
    pieces = [b"abc", b"", b"defghijkl", b"m" * 20, b"n"]
    seen = await write(store, key, b"start")
    writer = await store.resume(key, 5)
    await writer.append(pieces, Algorithm.SHA256.hasher())
    await writer.sync()
    await writer.close()
    assert await content(store, key) == b"start" + b"".join(pieces)
    assert seen == hashlib.sha256(b"start").hexdigest()


async def test_a_system_that_takes_nothing_is_not_asked_for_ever(store: FilesystemStore, kernel: FaultyKernel) -> None:
    """A write of no bytes is an error and no endless loop."""
    writer = await store.create(ObjectKey.fresh())
    kernel.at_once = 0
    with pytest.raises(StoreUnavailable, match="took no byte"):
        await writer.append([b"x"], Algorithm.SHA256.hasher())
    await writer.close()


async def test_write_back_is_begun_early_and_awaited_late(store: FilesystemStore, kernel: FaultyKernel) -> None:
    """Every 8 MiB the disk is given work, and what is far behind is waited for."""
    writer = await store.create(ObjectKey.fresh())
    for _ in range(80):
        await writer.append([b"x" * MEBIBYTE], Algorithm.SHA256.hasher())
    await writer.close()
    assert kernel.calls.count("start_write_back") == 10
    assert kernel.calls.count("finish_write_back") == 2


async def test_without_write_back_the_data_is_synced_early(store: FilesystemStore, kernel: FaultyKernel) -> None:
    """Where the system can't start write-back, the thread syncs the data every 8 MiB; its error finishes the writer."""
    kernel.write_back = False
    writer = await store.create(ObjectKey.fresh())
    for _ in range(20):
        await writer.append([b"x" * MEBIBYTE], Algorithm.SHA256.hasher())
    assert kernel.calls.count("sync_data") == 2
    kernel.errors["sync_data"] = errno.EIO
    with pytest.raises(StoreUnavailable):
        await writer.append([b"x" * (8 * MEBIBYTE)], Algorithm.SHA256.hasher())
    kernel.errors.clear()
    with pytest.raises(StoreUnavailable):
        await writer.sync()
    await writer.close()


async def test_below_the_reserve_only_writing_stops(tmp_path: Path, kernel: FaultyKernel) -> None:
    """Creating and appending raise `StorageFull`; resuming, syncing, reading and deleting go on."""
    async with FilesystemStore(tmp_path, reserve_bytes=MEBIBYTE, kernel=kernel) as store:
        key, started = ObjectKey.fresh(), ObjectKey.fresh()
        await write(store, key, b"x")
        writer = await store.create(started)
        kernel.free_blocks = 10
        await store.delete([ObjectKey.fresh()])
        hasher = Algorithm.SHA256.hasher()
        with pytest.raises(StorageFull, match="LONGSHORE_STORAGE_RESERVE"):
            await writer.append([b"more"], hasher)
        assert hasher.hexdigest() == hashlib.sha256().hexdigest()
        await writer.close()
        with pytest.raises(StorageFull, match="LONGSHORE_STORAGE_RESERVE"):
            await store.create(ObjectKey.fresh())
        assert await store.available() == 40960
        resumed = await store.resume(key, 1)
        await resumed.sync()
        await resumed.close()
        assert await content(store, key) == b"x"
        await store.delete([key, started])


async def test_a_failed_delete_is_told(store: FilesystemStore, kernel: FaultyKernel) -> None:
    """An unlink or its sync that fails raises, and the next try syncs although the name has gone already."""
    key = ObjectKey.fresh()
    await write(store, key, b"x")
    kernel.errors["sync_directory"] = errno.EIO
    other = next(each for each in iter(ObjectKey.fresh, None) if each.shard != key.shard)
    with pytest.raises(NotDeleted) as caught:
        await store.delete([key, other])
    assert caught.value.keys == {key, other}
    kernel.errors.clear()
    kernel.calls.clear()
    await store.delete([key])
    assert kernel.calls == ["unlink", "sync_directory"]
    kernel.errors["unlink"] = errno.EROFS
    with pytest.raises(StoreUnavailable, match="read-only"):
        await store.delete([key])


async def test_a_failed_resume_leaves_no_descriptor(store: FilesystemStore, kernel: FaultyKernel) -> None:
    """A resume that fails halfway closes what it opened (the fixture counts)."""
    key = ObjectKey.fresh()
    await write(store, key, b"four")
    with pytest.raises(ObjectMissing, match="4 bytes where the upload had 9"):
        await store.resume(key, 9)
    kernel.errors["truncate"] = errno.EIO
    with pytest.raises(StoreUnavailable):
        await store.resume(key, 2)
    with pytest.raises(ValueError, match="negative"):
        await store.resume(key, -1)


async def test_a_cancelled_create_leaves_no_descriptor(store: FilesystemStore) -> None:
    """Cancelled at any moment, a create leaves no descriptor behind (the fixture counts)."""
    for pause in (0, 0, 0.0001, 0.0003, 0.001):
        task = asyncio.ensure_future(store.create(ObjectKey.fresh()))
        await asyncio.sleep(pause)
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        if not isinstance(outcome, BaseException):
            await outcome.close()


async def test_a_truncated_object_is_damaged(store: FilesystemStore, tmp_path: Path) -> None:
    """An object that lost bytes while it was open raises naming its key, and never gives wrong or fewer bytes."""
    key = ObjectKey.fresh()
    await write(store, key, b"x" * 10_000)
    reader = await store.open(key)
    os.truncate(tmp_path / key.value, 5000)
    assert await reader.read(0, 5000) == b"x" * 5000
    assert reader.read_cached(4000, 2000) is None
    with pytest.raises(StoreUnavailable, match=f"{key}.*damaged"):
        await reader.read(4000, 2000)
    reader.close()


async def test_short_and_failing_reads(store: FilesystemStore, kernel: FaultyKernel) -> None:
    """A read that the system cuts short is continued, and its error is told."""
    key = ObjectKey.fresh()
    await write(store, key, b"0123456789" * 10)
    reader = await store.open(key)
    kernel.at_once = 7
    assert await reader.read(5, 50) == b"5678901234" * 5
    kernel.errors = {"read": errno.EIO, "read_at_once": errno.EIO}
    assert reader.read_cached(0, 5) is None
    with pytest.raises(StoreUnavailable, match=f"{key}.*disk"):
        await reader.read(0, 5)
    with pytest.raises(ValueError, match="negative"):
        await reader.read(-1, 5)
    reader.close()
    kernel.errors = {"open_for_reading": errno.EMFILE}
    with pytest.raises(StoreUnavailable, match="ulimit"):
        await store.open(key)


async def test_what_is_not_cached_needs_a_thread(store: FilesystemStore, kernel: FaultyKernel) -> None:
    """Bytes that are not in the page cache are not at hand."""
    key = ObjectKey.fresh()
    await write(store, key, b"x" * 10)
    reader = await store.open(key)
    assert reader.read_cached(0, 10) in (b"x" * 10, None)
    kernel.errors["read_at_once"] = errno.EAGAIN
    assert reader.read_cached(0, 10) is None
    assert await reader.read(0, 10) == b"x" * 10
    reader.close()


async def test_a_file_system_that_cannot_tell_is_read_plainly(
    store: FilesystemStore, kernel: FaultyKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without RWF_NOWAIT small pieces are read at once, large ones on a thread, and the system is asked only once."""
    key = ObjectKey.fresh()
    await write(store, key, b"x" * 100_000)
    reader = await store.open(key)
    plain = os.preadv
    asked: list[int] = []

    def preadv(descriptor: int, buffers: Sequence[memoryview], offset: int, flags: int = 0) -> int:
        asked.append(flags)
        if flags:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return plain(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    assert reader.read_cached(0, 1000) == b"x" * 1000
    assert reader.read_cached(0, 100_000) is None
    assert reader.read_cached(99_990, 1000) == b"x" * 10
    assert sum(map(bool, asked)) == 1
    reader.close()


@pytest.mark.parametrize("kind", ["directory", "pipe", "link"])
async def test_only_a_plain_file_is_an_object(store: FilesystemStore, tmp_path: Path, kind: str) -> None:
    """A directory, a pipe or a link under an object's name is never followed, waited for or read."""
    key = ObjectKey.fresh()
    path = tmp_path / key.value
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/etc/passwd")
    with pytest.raises(ObjectMissing if kind != "link" else StoreUnavailable):
        await store.open(key)
    assert await store.size(key) is None


def test_write_back_that_is_not_supported_is_not_asked_twice(tmp_path: Path) -> None:
    """A file that has no ranges (a pipe) answers False, and so does every later one; other errors are raised."""
    kernel = Kernel()
    with pytest.raises(OSError, match="Bad file descriptor"):
        kernel.start_write_back(1 << 20, 0, 1)
    reading, writing = os.pipe()
    assert kernel.start_write_back(writing, 0, 1) is False
    descriptor = kernel.create(str(tmp_path / "file"))
    assert kernel.start_write_back(descriptor, 0, 1) is False
    assert Kernel().start_write_back(descriptor, 0, 1) is True
    for each in (reading, writing, descriptor):
        os.close(each)


def test_a_directory_that_cannot_be_synced_by_itself_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EINVAL for a directory says that the file system has no such thing; an input/output error is raised."""
    numbers = [errno.EINVAL, errno.EIO]

    def fsync(_: int) -> None:
        number = numbers.pop(0)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    Kernel().sync_directory(str(tmp_path))
    with pytest.raises(OSError, match="Input/output error"):
        Kernel().sync_directory(str(tmp_path))
