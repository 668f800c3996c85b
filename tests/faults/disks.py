# SPDX-License-Identifier: Apache-2.0
"""Small disks of the tests' own, to be filled, made read-only, and taken away."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system that is mounted on a folder."""

    folder: Path
    options: tuple[str, ...]

    def mount(self) -> None:
        """Puts it (or, in memory, a new one) on its folder."""
        _run("mount", *self.options, str(self.folder))

    def unmount(self) -> None:
        """Takes it away; who has files open there keeps them."""
        _run("umount", "-l", str(self.folder))

    def remount(self, mode: str) -> None:
        """Makes it `ro` or `rw`."""
        _run("mount", "-o", f"remount,{mode}", str(self.folder))

    def fail(self) -> None:
        """Lets ext4 meet an error, after which it takes no more writes until it has been repaired."""
        found = _run("findmnt", "-n", "-o", "SOURCE", str(self.folder)).strip()
        trigger = Path("/sys/fs/ext4", Path(found).name, "trigger_fs_error")
        if not trigger.exists():
            pytest.skip("this kernel lets no error of ext4 be triggered")
        _run("mount", "-o", "remount,errors=remount-ro", str(self.folder))
        trigger.write_text("a test")

    def repair(self, image: Path) -> None:
        """Takes it away, when nobody uses it any more, and makes it fit to be mounted again."""
        _run("umount", str(self.folder))
        subprocess.run(["fsck.ext4", "-y", str(image)], check=False, capture_output=True)

    def fill(self, *, leave: int = 0) -> None:
        """Takes all its room but so many bytes, as somebody else's files do."""
        with (self.folder / "ballast").open("ab") as ballast:
            room = os.statvfs(self.folder)
            length = room.f_bavail * room.f_frsize - leave
            if length > 0:
                os.posix_fallocate(ballast.fileno(), ballast.tell(), length)

    def free(self) -> None:
        """Gives the room back."""
        (self.folder / "ballast").unlink()


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Disk]:
    """A disk in memory on a folder, which is made; skips where that takes rights which the test hasn't."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts file systems")
    folder.mkdir(parents=True, exist_ok=True)
    disk = Disk(folder, ("-t", "tmpfs", "-o", f"size={megabytes}m", "longshore-test"))
    try:
        disk.mount()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"nothing can be mounted here: {error.stderr}")
    with _until_the_end(disk):
        yield disk


@contextmanager
def image_disk(folder: Path, image: Path, megabytes: int) -> Iterator[Disk]:
    """A disk with ext4 in a file, which keeps what is on it when it is taken away and put back."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts file systems")
    folder.mkdir(parents=True, exist_ok=True)
    with image.open("wb") as file:
        file.truncate(megabytes * MEGABYTE)
    disk = Disk(folder, ("-o", "loop", str(image)))
    try:
        _run("mkfs.ext4", "-q", str(image))
        disk.mount()
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        pytest.skip(f"no image can be mounted here: {error}")
    with _until_the_end(disk):
        yield disk


@contextmanager
def _until_the_end(disk: Disk) -> Iterator[None]:
    try:
        yield
    finally:
        while disk.folder.is_mount():
            disk.unmount()


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
