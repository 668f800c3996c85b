# SPDX-License-Identifier: Apache-2.0
"""The metadata protocol in random interleavings over several processes that are killed at random."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Databases
from tests.property.registry import Configuration

_ROOT = Path(__file__).parents[2]
_MEMORY = Path("/dev/shm")  # noqa: S108 - thousands of syncs, none of which has to survive a power cut here
_OVERHEAD_SECONDS = 180.0


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one."""
    if not _MEMORY.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="longshore-fuzz-", dir=_MEMORY) as made:
        yield Path(made)


def _seconds(config: pytest.Config) -> float:
    """LONGSHORE_FUZZ_SECONDS; otherwise a minute when these tests were asked for, ten seconds among all others."""
    given = os.environ.get("LONGSHORE_FUZZ_SECONDS")
    if given is not None:
        return float(given)
    return 60.0 if "fuzz" in (config.option.markexpr or "") else 10.0


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


def _place_database(databases: Databases, folder: Path) -> str:
    if databases.path is None:
        return databases.url
    moved = folder / databases.path.name
    shutil.copy(databases.path, moved)
    return str(moved)


@pytest.mark.fuzz
@pytest.mark.timeout(0)
def test_random_interleavings_keep_every_promise(
    databases: Databases, folder: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is killed whenever, every invariant and promise holds, and nothing is left when all is deleted."""
    seed = int(os.environ.get("LONGSHORE_FUZZ_SEED") or random.SystemRandom().randrange(1_000_000))
    configuration = Configuration(
        folder=folder,
        database=_place_database(databases, folder),
        seed=seed,
        seconds=_seconds(request.config),
        processes=int(os.environ.get("LONGSHORE_FUZZ_PROCESSES", "5")),
    )
    summary = run_supervisor(configuration)
    errors, violations = summary.pop("errors"), summary.pop("violations")
    facts = " ".join(f"{name}={value}" for name, value in summary.items())
    with capsys.disabled():
        print(f"\n{databases.dialect.value} seconds={configuration.seconds:g} {facts}")  # noqa: T201 - the summary
    assert not violations, f"seed {seed}:\n" + "\n".join(violations[:20])
    assert not errors, f"seed {seed}:\n" + "\n".join(error.replace("\\n", "\n") for error in errors[:5])
    assert summary["pushes"] > 0
    assert summary["audits"] > 0
