# SPDX-License-Identifier: Apache-2.0
"""What a store's directory looks like before its first object, and the small records below ``meta/``."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from longshore.storage.failures import explained
from longshore.storage.kernel import Kernel
from longshore.storage.port import ObjectExists, StoreUnavailable

META = "meta"
LAYOUT = f"{META}/layout"
INSTANCE = f"{META}/instance"
SHARDS = tuple(f"{number:02x}" for number in range(256))
_VERSION = "1"


def prepare(kernel: Kernel, root: str) -> None:
    """Make the directories and sync them, unless an earlier start recorded in ``meta/layout`` that it has.

    A start that was killed halfway recorded nothing, so the next one syncs everything again. Raises
    ``StoreUnavailable``.
    """
    with explained("prepare its directory (LONGSHORE_STORAGE_URL)", f"It is {root}."):
        found = _read(f"{root}/{LAYOUT}")
        if found is None:
            _make_root(kernel, Path(root))
        elif found != _VERSION:
            raise StoreUnavailable(
                f"The store has layout {found!r}, this release knows {_VERSION!r}: it was written by a later release, so run "
                "that one.",
                for_operator=f"It is in {root}.",
            )
        with os.scandir(root) as entries:
            present = {entry.name for entry in entries}
        wanted = [name for name in (META, *SHARDS) if found is None or name not in present]
        for name in wanted:
            _make_directory(kernel, f"{root}/{name}")
        for name in wanted:
            kernel.sync_directory(f"{root}/{name}")
        if wanted:
            kernel.sync_directory(root)
        if found is None:
            _sync_ancestors(kernel, Path(root))
            _write_once(kernel, root, LAYOUT, _VERSION)


def read_instance(root: str) -> str | None:
    """Return what ``meta/instance`` says, None when it is absent or was never written to its end."""
    with explained("read which database it belongs to"):
        return _read(f"{root}/{INSTANCE}")


def mark(kernel: Kernel, root: str, database_id: str) -> None:
    """Write ``meta/instance``; raises ``ObjectExists`` when it carries another id."""
    if not database_id.isprintable() or not database_id:
        raise ValueError("a database id is one line of printable text")
    with explained("mark itself as this database's"):
        found = _write_once(kernel, root, INSTANCE, database_id)
    if found != database_id:
        raise ObjectExists(
            f"The store belongs to database {found}, not to {database_id}: LONGSHORE_STORAGE_URL or "
            "LONGSHORE_DATABASE_URL points at the wrong place."
        )


def _read(path: str) -> str | None:
    """Return what a record says, None when it is absent or was never written to its end."""
    try:
        text = Path(path).read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    return text[:-1] if text.endswith("\n") else None


def _write_once(kernel: Kernel, root: str, name: str, text: str) -> str:
    """Write a record once and durably, and return what it says: of several writers, the first has its way."""
    path = f"{root}/{name}"
    descriptor = kernel.open_record(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        found = _read(path)
        if found is None:
            # A line without its end was left by a writer that was killed.
            kernel.truncate(descriptor, 0)
            line = f"{text}\n".encode()
            written = 0
            while written < len(line):
                written += kernel.write(descriptor, [line[written:]], written)
        kernel.sync(descriptor)
        kernel.sync_directory(str(Path(path).parent))
    finally:
        kernel.close(descriptor)
    return text if found is None else found


def _make_root(kernel: Kernel, root: Path) -> None:
    if not root.is_dir():
        _make_root(kernel, root.parent)
        _make_directory(kernel, str(root))
        kernel.sync_directory(str(root.parent))


def _sync_ancestors(kernel: Kernel, root: Path) -> None:
    """Sync what an earlier start may have made before it was killed; what this one made is synced already."""
    for directory in root.parents:
        with suppress(OSError):
            kernel.sync_directory(str(directory))


def _make_directory(kernel: Kernel, path: str) -> None:
    try:
        kernel.make_directory(path)
    except FileExistsError:
        if not Path(path).is_dir():
            raise
