# SPDX-License-Identifier: Apache-2.0
"""What a server prepares around its processes: locks, a folder for metrics, the allocator, and that none outlives it."""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

from longshore.config import Settings, SettingsError

Role = Literal["all", "api", "worker"]

_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


def metrics_directory(settings: Settings, role: Role) -> Path:
    """An empty folder for the numbers that the processes share.

    In memory where there is such a place: the files are mapped, and a full disk below a mapped file kills the process.
    """
    memory = Path("/dev/shm")  # noqa: S108 - the folder in it is made for us alone
    name = hashlib.sha256(f"{settings.data_dir.resolve()}:{settings.port}".encode()).hexdigest()[:16]
    mapped = memory / f"longshore-{os.getuid()}-{name}-{role}"
    for folder in (mapped, settings.data_dir / "run" / f"metrics-{role}"):
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            # Fails where somebody else has made it: then it is not for us.
            folder.mkdir(mode=0o700, parents=folder.is_relative_to(settings.data_dir))
            return folder
    raise SettingsError(f"LONGSHORE_DATA_DIR: the folder {settings.data_dir / 'run'} can't be written")


def lock_roles(settings: Settings, role: Role) -> list[IO[str]]:
    """One server of each role on an embedded data directory: SQLite's file and the folder are this machine's own.

    Raises:
        SettingsError: another server of that role runs on it.
    """
    run = settings.data_dir / "run"
    run.mkdir(parents=True, exist_ok=True)
    if settings.database_url is not None:
        return []
    locks: list[IO[str]] = []
    for name in ("api", "worker") if role == "all" else (role,):
        file = (run / f"{name}.lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise SettingsError(
                f"LONGSHORE_DATA_DIR: a server of the role {name} runs on {settings.data_dir} already ({holder}). Stop it, or"
                " use another data directory; several servers need PostgreSQL (LONGSHORE_DATABASE_URL)"
            ) from error
        file.seek(0)
        file.truncate()
        file.write(f"pid {os.getpid()}")
        file.flush()
        locks.append(file)
    return locks


def tune_allocator() -> None:
    """Keeps the pieces of large bodies in the heap: mapping and unmapping each costs as much as receiving it."""
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, 64 * 1024 * 1024)
        library.mallopt(_M_TRIM_THRESHOLD, 128 * 1024 * 1024)
        library.mallopt(_M_TOP_PAD, 16 * 1024 * 1024)


def die_with_parent() -> None:
    """A supervisor that is killed takes its processes along, so that its port and its locks are free again."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
