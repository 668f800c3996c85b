# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import os

import pytest

from longshore.oci.errors import StorageFull
from longshore.storage.kernel import Kernel
from longshore.storage.port import StoreUnavailable
from longshore.storage.room import Room

MEBIBYTE = 1024 * 1024


class Volume(Kernel):
    """A volume of blocks of one MiB."""

    def __init__(self, total: int, free: int) -> None:
        super().__init__()
        self.total = total
        self.free = free
        self.asked = 0
        self.error: OSError | None = None

    def room(self, path: str) -> os.statvfs_result:
        assert path == "/"
        self.asked += 1
        if self.error:
            raise self.error
        return os.statvfs_result((MEBIBYTE, MEBIBYTE, self.total, self.free, self.free, 0, 0, 0, 0, 255))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def room(volume: Volume, reserve: int | None, clock: Clock | None = None) -> Room:
    return Room(volume, "/", reserve, clock or Clock())


def test_the_reserve_is_kept() -> None:
    """What would eat the reserve is refused before it is written, with what to do; what fits is taken."""
    volume = room(Volume(1000, 10), 4 * MEBIBYTE)
    volume.take(6 * MEBIBYTE)
    with pytest.raises(StorageFull, match=r"LONGSHORE_STORAGE_RESERVE.*delete"):
        volume.take(1)


@pytest.mark.parametrize(("total", "reserve"), [(1000, 10), (10_000, 100), (1_000_000, 512)])
def test_the_default_reserve_is_a_hundredth_and_bounded(total: int, reserve: int) -> None:
    """Without a setting 1 % stays free, and at most 512 MiB."""
    room(Volume(total, reserve + 1), None).take(MEBIBYTE)
    with pytest.raises(StorageFull):
        room(Volume(total, reserve), None).take(1)


def test_the_volume_is_asked_once_a_second() -> None:
    """Within a second, and within 64 MiB, the volume is asked once; afterwards once more."""
    volume, clock = Volume(100_000, 50_000), Clock()
    watched = room(volume, 0, clock)
    for _ in range(1000):
        watched.take(1000)
    assert volume.asked == 1
    clock.now = 1.5
    watched.take(1)
    assert volume.asked == 2
    for _ in range(16):
        watched.take(8 * MEBIBYTE)
    assert volume.asked == 4


def test_what_others_wrote_is_seen() -> None:
    """When the volume fills from elsewhere, the next measurement refuses; when it empties, the next one allows."""
    volume, clock = Volume(1000, 100), Clock()
    watched = room(volume, 50 * MEBIBYTE, clock)
    watched.take(0)
    volume.free = 10
    watched.take(0)
    clock.now = 2
    with pytest.raises(StorageFull):
        watched.take(0)
    volume.free = 100
    watched.forget()
    watched.take(0)


def test_a_volume_that_tells_nothing_is_no_limit() -> None:
    """Some network file systems report no blocks at all; they are not taken for full."""
    room(Volume(0, 0), None).take(MEBIBYTE)


def test_a_volume_that_fails_is_unavailable() -> None:
    """An error of the question itself is told as such."""
    volume = Volume(1, 1)
    volume.error = OSError(errno.EIO, "Input/output error")
    with pytest.raises(StoreUnavailable, match="disk reports an error"):
        room(volume, 0).take(1)
