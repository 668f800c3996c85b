# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import shutil
import stat
from pathlib import Path

import pytest

from longshore.storage.conformance import entries, write
from longshore.storage.filesystem import FilesystemStore
from longshore.storage.kernel import Kernel
from longshore.storage.port import ForeignPath, ObjectExists, ObjectKey, StoreUnavailable


class CountingKernel(Kernel):
    def __init__(self) -> None:
        super().__init__()
        self.synced: list[str] = []

    def sync_directory(self, path: str) -> None:
        self.synced.append(path)
        super().sync_directory(path)


def private(path: Path) -> bool:
    return stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


async def test_the_first_start_makes_and_syncs_once(tmp_path: Path) -> None:
    """The first start makes 256 private directories and syncs all of them and what leads to them; the next does not."""
    root = tmp_path / "deep" / "store"
    for expected in (True, False):
        kernel = CountingKernel()
        async with FilesystemStore(root, kernel=kernel):
            assert (
                {str(root), str(root.parent), str(tmp_path), f"{root}/00", f"{root}/ff"} <= set(kernel.synced)
            ) is expected
    assert kernel.synced == []
    assert len([path for path in root.iterdir() if path.is_dir()]) == 257
    assert all(private(path) for path in root.iterdir())


async def test_files_are_private(tmp_path: Path) -> None:
    """Nobody but the server's user may read an object."""
    async with FilesystemStore(tmp_path) as store:
        key = ObjectKey.fresh()
        await write(store, key, b"x")
        await store.write_instance("database-1")
    assert private(tmp_path / key.value)
    assert private(tmp_path / "meta" / "instance")


async def test_several_first_starts_at_once(tmp_path: Path) -> None:
    """Processes that start together all find the store prepared."""
    stores = [FilesystemStore(tmp_path / "store") for _ in range(6)]
    await asyncio.gather(*(store.prepare() for store in stores))
    for store in stores:
        await store.create(ObjectKey.fresh())
        await store.close()


async def test_a_lost_directory_is_made_again(tmp_path: Path) -> None:
    """A directory that somebody removed is made and synced at the next start."""
    async with FilesystemStore(tmp_path):
        pass
    shutil.rmtree(tmp_path / "7f")
    kernel = CountingKernel()
    async with FilesystemStore(tmp_path, kernel=kernel):
        assert kernel.synced == [f"{tmp_path}/7f", str(tmp_path)]


async def test_a_later_layout_is_left_alone(tmp_path: Path) -> None:
    """A store of a later release is refused by name."""
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "layout").write_text("2\n")
    with pytest.raises(StoreUnavailable, match="later release"):
        await FilesystemStore(tmp_path).prepare()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["meta"]


async def test_a_file_in_a_directorys_place_is_told(tmp_path: Path) -> None:
    """A file named like one of the directories stops the start with a message."""
    (tmp_path / "ab").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="LONGSHORE_STORAGE_URL"):
        await FilesystemStore(tmp_path).prepare()


async def test_half_a_mark_is_no_mark(tmp_path: Path) -> None:
    """A mark whose writer died halfway is absent, and may be written by anybody."""
    async with FilesystemStore(tmp_path) as store:
        (tmp_path / "meta" / "instance").write_text("database-of-somebody-el")
        assert await store.read_instance() is None
        await store.write_instance("database-1")
        assert await store.read_instance() == "database-1"
        with pytest.raises(ObjectExists, match=r"database-1, not to database-2.*LONGSHORE_DATABASE_URL"):
            await store.write_instance("database-2")
        with pytest.raises(ValueError, match="one line"):
            await store.write_instance("two\nlines")


async def test_the_listing_tells_what_is_foreign(tmp_path: Path) -> None:
    """Whatever Longshore did not name is listed as foreign, in the order of the paths; `meta/` is not listed."""
    keys = [ObjectKey.parse(f"ab/ab{number:030x}") for number in range(2500)]
    async with FilesystemStore(tmp_path) as store:
        for key in keys:
            (tmp_path / key.value).write_bytes(b"x")
        outside = tmp_path / "a-directory" / "deeper"
        outside.mkdir(parents=True)
        (outside / "file").write_bytes(b"12345")
        (tmp_path / "a-directory.txt").write_bytes(b"")
        (tmp_path / "ab" / "short").write_bytes(b"1")
        (tmp_path / "ac" / keys[0].name).write_bytes(b"in the wrong directory")
        (tmp_path / "ad" / ("ad" + "0" * 30)).symlink_to("/etc/passwd")
        (tmp_path / "ae" / ("ae" + "0" * 30)).mkdir()
        (tmp_path / "meta" / "segment").write_bytes(b"ours")
        (tmp_path / "zz\udcff").write_bytes(b"")
        found = await entries(store)
    foreign = {str(stored.key): stored.size for stored in found if isinstance(stored.key, ForeignPath)}
    assert [stored.key for stored in found if isinstance(stored.key, ObjectKey)] == keys
    assert list(foreign) == [
        "a-directory.txt", "a-directory/deeper/file", "ab/short", f"ac/{keys[0].name}", "ad/ad" + "0" * 30, "zz\\xff",
    ]  # fmt: skip
    assert foreign["a-directory/deeper/file"] == 5
    paths = [str(stored.key) for stored in found]
    assert paths == sorted(paths)


async def test_an_unreadable_shard_is_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The listing fails when one of our directories can't be read, and reports a foreign one as it is."""
    async with FilesystemStore(tmp_path) as store:
        (tmp_path / "lost+found").mkdir()
        forbidden = f"{tmp_path}/lost+found/"
        scandir = __import__("os").scandir

        def refuse(path: str) -> object:
            if path == forbidden:
                raise PermissionError(13, "Permission denied")
            return scandir(path)

        monkeypatch.setattr("os.scandir", refuse)
        assert [str(stored.key) for stored in await entries(store)] == ["lost+found/"]
        forbidden = f"{tmp_path}/ab/"
        with pytest.raises(StoreUnavailable, match="ownership"):
            await entries(store)
