# SPDX-License-Identifier: Apache-2.0
"""Starting random runs from tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.databases import Databases
from tests.property.registry import Configuration

_ROOT = Path(__file__).parents[2]
_MEMORY = Path("/dev/shm")  # noqa: S108 - thousands of syncs, none of which has to survive a power cut here
_OVERHEAD_SECONDS = 180.0


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder in memory where there is one."""
    with tempfile.TemporaryDirectory(prefix="longshore-fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None) as made:
        yield Path(made)


def place_database(databases: Databases, folder: Path) -> str:
    """What `Configuration.database` says: SQLite's file moves into the folder."""
    if databases.path is None:
        return databases.url
    moved = folder / databases.path.name
    shutil.copy(databases.path, moved)
    return str(moved)


def run_supervisor(configuration: Configuration) -> dict[str, Any]:
    """Runs it in a process of its own and returns its summary."""
    facts = {**asdict(configuration), "folder": str(configuration.folder)}
    finished = subprocess.run(
        [sys.executable, "-m", "tests.property.supervisor", json.dumps(facts)],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        timeout=configuration.seconds + _OVERHEAD_SECONDS,
        check=False,
    )
    assert finished.returncode == 0, "the supervisor failed; its traceback is above"
    summary: dict[str, Any] = json.loads(finished.stdout)
    return summary


def processes() -> int:
    """LONGSHORE_FUZZ_PROCESSES, five where it isn't set."""
    return int(os.environ.get("LONGSHORE_FUZZ_PROCESSES", "5"))
