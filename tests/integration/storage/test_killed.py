# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

CRASHING = Path(__file__).with_name("crashing.py")


def crashes(scenario: str, directory: Path, first: int, stride: int) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(CRASHING), scenario, str(directory), str(first), str(stride)],
        check=True, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_was_acknowledged_survives_a_kill_before_any_step(tmp_path: Path) -> None:
    """Killed before any step, the store holds every acknowledged byte and no key that was not begun."""
    reports = crashes("upload", tmp_path, 0, 1)
    assert [report["status"] for report in reports[:-1]] == [signal.SIGKILL] * (len(reports) - 1)
    assert reports[-1]["status"] == 0
    assert len(reports) > 40
    for report in reports:
        assert report["seen_status"] == 0, report
        (seen,) = report["seen"]
        told: dict[str, dict[str, str]] = {}
        for kind, key, digest in report["told"]:
            told.setdefault(kind, {})[key] = digest
        dying = told.get("dying", {})
        for key, digest in told.get("prefix", {}).items():
            assert key in dying or seen["prefixes"][key] == digest, report
        for key, digest in told.get("whole", {}).items():
            assert key in dying or seen["found"][key] == digest, report
        assert not set(told.get("deleted", {})) & set(seen["found"]), report
        assert set(seen["found"]) <= set(told.get("begun", {})), report


def test_a_first_start_killed_at_any_step_is_made_good_by_the_next(tmp_path: Path) -> None:
    """Killed anywhere in the first start, the store is usable after the second, and carries one mark or none."""
    reports = crashes("start", tmp_path, 0, 97)
    # The directories are all alike; what follows them is looked at step by step.
    reports += crashes("start", tmp_path, reports[-2]["step"], 1)
    assert reports[-1]["status"] == 0
    assert len(reports) > 40
    for report in reports:
        assert report["seen_status"] == 0, report
        marked = ["marked", "database-1", ""] in report["told"]
        assert report["seen"][0]["mark"] in (("database-1",) if marked else ("database-1", None)), report
