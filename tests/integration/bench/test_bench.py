# SPDX-License-Identifier: Apache-2.0
"""The benchmark still runs: on a tiny size, where its figures mean nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import machine
from tests.acceptance.clients import find_tool, unavailable

ROOT = Path(__file__).parents[3]
ALLOWED_SECONDS = 280


def run_bench(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the benchmark on the tiny size."""
    return subprocess.run(
        [sys.executable, "-m", "bench", "--output", str(output), *arguments],
        cwd=ROOT,
        env={**os.environ, "LONGSHORE_BENCH_SIZE": "tiny"},
        capture_output=True,
        text=True,
        timeout=ALLOWED_SECONDS,
        check=False,
    )


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    """Everything that the benchmark runs is installed."""
    for program in ("wrk", "nginx", "docker-registry", "taskset"):
        find_tool(program)
    if machine.find("bench-client") is None:
        find_tool("go")
    if len(os.sched_getaffinity(0)) < 2:
        unavailable("the benchmark needs two cores")


def test_every_workload_runs_beside_its_peers_and_passes_the_gate(tmp_path: Path) -> None:
    """One round of every workload on all servers gives a table with a line for each server that can do it."""
    page = tmp_path / "RESULTS.md"

    done = run_bench(page)

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "acknowledged images there after kill -9" in done.stdout
    written = page.read_text(encoding="utf-8")
    for line in (
        "| manifest GET by tag | longshore |",
        "| manifest GET by tag | docker-registry |",
        "| manifest HEAD by tag | nginx |",
        "| cross-repository mount | longshore |",
        "| large blob GET | nginx |",
        "| 4 MiB in chunks of 1 MiB | docker-registry |",
        "| image push to one repository | longshore |",
        "| start to first authorised pull | longshore |",
    ):
        assert line in written


def test_a_run_of_one_workload_leaves_the_results_of_the_others(tmp_path: Path) -> None:
    """The page keeps the latest table of each workload, whichever ran last."""
    page = tmp_path / "RESULTS.md"
    page.write_text("<!-- W5 -->\n### W5: from an earlier run\n<!-- end of W5 -->\n", encoding="utf-8")

    done = run_bench(page, "--workload", "W4", "--peers")

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    written = page.read_text(encoding="utf-8")
    assert "W5: from an earlier run" in written
    assert "| large blob GET | longshore |" in written


def test_a_server_that_refuses_fails_the_gate_and_nothing_is_reported(tmp_path: Path) -> None:
    """On a volume that counts as full no push is taken: the run ends with the reason and writes no page."""
    page = tmp_path / "RESULTS.md"

    done = run_bench(page, "--workload", "W1", "--peers", "--set", "LONGSHORE_STORAGE_RESERVE=100000TiB")

    assert done.returncode == 1, f"{done.stdout}\n{done.stderr}"
    assert "The gate failed" in done.stderr
    assert not page.exists()
