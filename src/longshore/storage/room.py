# SPDX-License-Identifier: Apache-2.0
"""How much may still be written: the store keeps a reserve, so that deleting and the database go on working."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from longshore.oci.errors import StorageFull
from longshore.storage.failures import ROOM_ADVICE, explained
from longshore.storage.kernel import Kernel

_MEASURE_EVERY_SECONDS = 1.0
_MEASURE_EVERY_BYTES = 64 * 1024 * 1024
_LARGEST_DEFAULT = 512 * 1024 * 1024


class Room:
    """The free space of one volume, measured at most once per second or per 64 MiB written. Threads share it."""

    def __init__(
        self, kernel: Kernel, path: str, reserve_bytes: int | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kernel = kernel
        self._path = path
        self._reserve = reserve_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._measured_at = float("-inf")
        self._available = 0
        self._taken = 0

    def take(self, count: int) -> None:
        """Account for ``count`` bytes about to be written; raises ``StorageFull`` when they would eat the reserve."""
        with self._lock:
            stale = self._clock() - self._measured_at >= _MEASURE_EVERY_SECONDS
            if stale or self._taken + count >= _MEASURE_EVERY_BYTES:
                self._measure()
            reserve = self._reserve or 0
            left = self._available - self._taken - count
            if left < reserve:
                raise StorageFull(
                    f"The store is full: {max(self._available - self._taken, 0)} bytes are free, of which {reserve} "
                    f"are kept in reserve (LONGSHORE_STORAGE_RESERVE). {ROOM_ADVICE}"
                )
            self._taken += count

    def forget(self) -> None:
        """Measure anew at the next write, because something was deleted."""
        with self._lock:
            self._measured_at = float("-inf")

    def _measure(self) -> None:
        with explained("tell how much room is left"):
            figures = self._kernel.room(self._path)
        if self._reserve is None:
            self._reserve = min(figures.f_blocks * figures.f_frsize // 100, _LARGEST_DEFAULT)
        # Some network file systems tell nothing at all; they say themselves when they are full.
        self._available = figures.f_bavail * figures.f_frsize if figures.f_blocks else sys.maxsize
        self._taken = 0
        self._measured_at = self._clock()
