# SPDX-License-Identifier: Apache-2.0
"""Walking a store's directory in the order of its paths."""

from __future__ import annotations

import os
import stat
from itertools import islice

from longshore.storage.failures import explained
from longshore.storage.port import ForeignPath, InvalidObjectKey, ObjectKey, StoredObject

_BATCH = 1000


class Walk:
    """Lists a directory tree in batches. At most one directory on each level is in memory, as names."""

    def __init__(self, root: str, *, reserved: str) -> None:
        self._root = root
        self._reserved = f"{reserved}/"
        self._levels = [iter(self._names(""))]

    def next_batch(self) -> list[StoredObject]:
        """Return the next entries, nothing at the end; runs on a thread, one call at a time."""
        with explained("list its objects"):
            return list(islice(iter(self._next, None), _BATCH))

    def _next(self) -> StoredObject | None:
        while self._levels:
            path = next(self._levels[-1], None)
            if path is None:
                self._levels.pop()
            elif path == self._reserved:
                continue
            elif not path.endswith("/"):
                if (stored := self._entry(path)) is not None:
                    return stored
            else:
                try:
                    self._levels.append(iter(self._names(path)))
                except FileNotFoundError:
                    continue
                except PermissionError:
                    # `lost+found` is root's. Our own directories must be readable, else verify would report losses.
                    if len(path) == len("ab/"):
                        raise
                    return self._entry(path)
        return None

    def _names(self, directory: str) -> list[str]:
        """Return the paths in a directory, directories with a slash behind: sorted so, they are in order of path."""
        with os.scandir(f"{self._root}/{directory}") as entries:
            return sorted(f"{directory}{entry.name}{'/' * entry.is_dir(follow_symlinks=False)}" for entry in entries)

    def _entry(self, path: str) -> StoredObject | None:
        try:
            facts = os.lstat(f"{self._root}/{path}")
        except FileNotFoundError:
            return None
        key: ObjectKey | ForeignPath
        try:
            key = ObjectKey.parse(path)
        except InvalidObjectKey:
            # A name that is no UTF-8 must not break whoever prints it.
            key = ForeignPath(os.fsencode(path).decode("utf-8", "backslashreplace"))
        if isinstance(key, ObjectKey) and not stat.S_ISREG(facts.st_mode):
            key = ForeignPath(path)
        return StoredObject(key, facts.st_size, facts.st_mtime_ns // 1000)
