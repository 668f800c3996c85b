# SPDX-License-Identifier: Apache-2.0
"""What would be on the disk if the power went between any two steps, and the system had synced nothing by itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from longshore.oci.digest import Algorithm
from longshore.storage.conformance import content
from longshore.storage.filesystem import FilesystemStore
from longshore.storage.kernel import Kernel
from longshore.storage.port import ObjectKey

Acknowledged = dict[str, bytes | None]


class PowerCut(BaseException):
    """The end of the machine."""


class ForgetfulKernel(Kernel):
    """Knows what is durable, by the letter: a synced file's bytes under names in synced directories, and no more.

    An inode is the unit of bytes, a directory's names lead to inodes, as on a real disk.
    """

    def __init__(self, last: int) -> None:
        super().__init__()
        self.left = last
        self.paths: dict[int, str] = {}
        self.bytes_on_disk: dict[int, bytes] = {}
        self.names_on_disk: dict[str, dict[str, int]] = {}
        self.acknowledged: Acknowledged = {}

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise PowerCut

    def remember(self, descriptor: int, path: str) -> int:
        self.paths[descriptor] = path
        return descriptor

    def create(self, path: str) -> int:
        self.step()
        return self.remember(super().create(path), path)

    def open_for_writing(self, path: str) -> int:
        self.step()
        return self.remember(super().open_for_writing(path), path)

    def open_record(self, path: str) -> int:
        self.step()
        return self.remember(super().open_record(path), path)

    def write(self, descriptor: int, pieces: Sequence[bytes | memoryview], offset: int) -> int:
        self.step()
        return super().write(descriptor, pieces, offset)

    def truncate(self, descriptor: int, size: int) -> None:
        self.step()
        super().truncate(descriptor, size)

    def make_directory(self, path: str) -> None:
        self.step()
        super().make_directory(path)

    def unlink(self, path: str) -> None:
        self.step()
        super().unlink(path)

    def sync(self, descriptor: int) -> None:
        self.step()
        self.bytes_on_disk[os.fstat(descriptor).st_ino] = Path(self.paths[descriptor]).read_bytes()

    def sync_directory(self, path: str) -> None:
        self.step()
        self.names_on_disk[path] = {entry.name: entry.inode() for entry in os.scandir(path)}

    def rebuild(self, old: str, new: Path) -> None:
        """Make what the next start would find, below `new`."""
        new.mkdir(exist_ok=True)
        for name, inode in self.names_on_disk.get(old, {}).items():
            if Path(old, name).is_dir():
                self.rebuild(f"{old}/{name}", new / name)
            else:
                (new / name).write_bytes(self.bytes_on_disk.get(inode, b""))


async def upload(store: FilesystemStore, acknowledged: Acknowledged) -> None:
    for number in range(2):
        key = ObjectKey.fresh()
        writer = await store.create(key)
        await writer.append([b"first", bytes([number])], Algorithm.SHA256.hasher())
        await writer.sync()
        acknowledged[key.value] = b"first" + bytes([number])
        await writer.append([b"never acknowledged"], Algorithm.SHA256.hasher())
        await writer.close()
        writer = await store.resume(key, 6)
        await writer.append([b"second"], Algorithm.SHA256.hasher())
        await writer.sync()
        acknowledged[key.value] = b"first" + bytes([number]) + b"second"
        await writer.close()
        if number == 0:
            del acknowledged[key.value]
            await store.delete([key])
            acknowledged[key.value] = None


async def synced_by_a_second_process(store: FilesystemStore, acknowledged: Acknowledged) -> None:
    """The first process is gone before it synced; whoever resumes must sync its bytes and the name as well."""
    key = ObjectKey.fresh()
    writer = await store.create(key)
    await writer.append([b"by the first"], Algorithm.SHA256.hasher())
    await writer.close()
    writer = await store.resume(key, 12)
    await writer.sync()
    acknowledged[key.value] = b"by the first"
    await writer.close()


async def mark(store: FilesystemStore, acknowledged: Acknowledged) -> None:
    await store.write_instance("database-1")
    acknowledged["mark"] = b"database-1"


async def run(root: Path, kernel: ForgetfulKernel, scenario: Callable[..., Awaitable[None]]) -> bool:
    """Run the scenario until the power goes; True when it came to its end."""
    store = FilesystemStore(root, reserve_bytes=0, writing_threads=1, kernel=kernel)
    try:
        await store.prepare()
        await scenario(store, kernel.acknowledged)
    except PowerCut:
        return False
    finally:
        await store.close()
    return True


async def look(root: Path, acknowledged: Acknowledged) -> None:
    async with FilesystemStore(root, reserve_bytes=0) as store:
        for text, expected in acknowledged.items():
            if text == "mark":
                assert await store.read_instance() == "database-1"
            elif expected is None:
                assert await store.size(ObjectKey.parse(text)) is None
            else:
                # After a resume more may be there than was acknowledged; the database's offset cuts it off.
                assert (await content(store, ObjectKey.parse(text))).startswith(expected)


@pytest.mark.parametrize("scenario", [upload, synced_by_a_second_process, mark])
def test_what_was_acknowledged_survives_a_power_cut_before_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: Callable[..., Awaitable[None]]
) -> None:
    """Whatever is acknowledged is whole on a disk that kept only what had been synced by then."""
    # Four directories instead of 256: they are all alike, and every step is tried.
    shards = ("00", "01", "02", "03")
    monkeypatch.setattr("longshore.storage.layout.SHARDS", shards)
    keys = iter(f"{shards[number % 4]}/{shards[number % 4]}{number:030x}" for number in range(100_000))
    monkeypatch.setattr(ObjectKey, "fresh", lambda: ObjectKey(next(keys)))
    acknowledgements = 0
    for last in range(1000):
        before, after = tmp_path / f"before-{last}", tmp_path / f"after-{last}"
        kernel = ForgetfulKernel(last)
        ended = asyncio.run(run(before, kernel, scenario))
        acknowledgements += len(kernel.acknowledged)
        after.mkdir()
        kernel.rebuild(str(before), after)
        asyncio.run(look(after, kernel.acknowledged))
        if ended:
            break
    assert ended
    assert acknowledgements > 0
