# SPDX-License-Identifier: Apache-2.0
"""Rows that stay true until the database changes, kept by a process that reads SQLite, and how it learns of a change.

A point read of SQLite costs a pull more than everything else that is done for it, and registries are read far more often than
they are changed (`docs/why/database.md`).
"""

from __future__ import annotations

import mmap
import os
import sqlite3
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Final

_MARK_BYTES: Final = 16
_LIMIT_BYTES: Final = 32 * 1024 * 1024
_LARGEST_BYTES: Final = 64 * 1024
# What a row costs besides its texts.
_OVERHEAD_BYTES: Final = 1024
# Bounds what a commit can hide whose process was killed before it could tell, and changes that came past this program.
_SECONDS: Final = 2.0


class ChangeMark:
    """A few random bytes in a file that all processes share; a commit puts others in their place.

    It is read through mapped memory and written by a plain call: writing to mapped memory kills a process on a full disk.

    Raises:
        OSError: there can't be such a file.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if os.fstat(self._descriptor).st_size < _MARK_BYTES:
                os.pwrite(self._descriptor, os.urandom(_MARK_BYTES), 0)
            self._memory = mmap.mmap(self._descriptor, _MARK_BYTES, prot=mmap.PROT_READ)
        except BaseException:
            os.close(self._descriptor)
            raise

    def read(self) -> bytes:
        """The mark as it is now."""
        return self._memory[:]

    def change(self) -> None:
        """Tells all processes that the database has changed.

        Raises:
            OSError: they weren't told. A file system that writes nothing in place needs room for it.
        """
        os.pwrite(self._descriptor, os.urandom(_MARK_BYTES), 0)

    def close(self) -> None:
        """Lets go of the file."""
        self._memory.close()
        os.close(self._descriptor)


class LastingRows:
    """Rows by what was asked; every one of them is forgotten when the mark changes, and after two seconds in any case.

    The mark is changed after a commit and before the commit is answered. So whoever knows of a change reads it, and a row that
    was read before it is never found after it. A row has to be asked for here before it is read: then a change in between is
    seen by the next one who asks.
    """

    def __init__(
        self, mark: ChangeMark, *, limit: int = _LIMIT_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._mark = mark
        self._limit = limit
        self._clock = clock
        self._seen = b""
        self._good_until = 0.0
        self._rows: dict[Hashable, sqlite3.Row] = {}
        self._held = 0

    def get(self, key: Hashable) -> sqlite3.Row | None:
        """The row that was kept under the key since the last change."""
        mark = self._mark.read()
        now = self._clock()
        if mark != self._seen or now >= self._good_until:
            self._forget()
            self._seen, self._good_until = mark, now + _SECONDS
            return None
        return self._rows.get(key)

    def keep(self, key: Hashable, row: sqlite3.Row) -> None:
        """Keeps a row that was read since `get` was asked for its key."""
        size = _OVERHEAD_BYTES + sum(len(value) for value in row if isinstance(value, str | bytes))
        if size > _LARGEST_BYTES or key in self._rows:
            return
        if self._held + size > self._limit:
            self._forget()
        self._rows[key] = row
        self._held += size

    def _forget(self) -> None:
        self._rows.clear()
        self._held = 0
