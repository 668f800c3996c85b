# SPDX-License-Identifier: Apache-2.0
"""The benchmark still runs: on a tiny size, where its figures mean nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import machine
from bench.longshore import CONFIGURATIONS
from tests.acceptance.clients import find_tool, unavailable

ROOT = Path(__file__).parents[3]
ALLOWED_SECONDS = 280
PEERS = ("docker-registry", "distribution", "nginx")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of this module share what they prepare."""
    return tmp_path_factory.mktemp("prepared")


def run_bench(cache: Path, output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the benchmark on the tiny size."""
    command = [sys.executable, "-m", "bench", "--size", "tiny", "--cache", str(cache), "--output", str(output)]
    return subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=ALLOWED_SECONDS,
        check=False,
    )


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    """Everything that the benchmark runs is installed."""
    for program in ("wrk", "taskset", "pg_isready", "versitygw", *PEERS):
        find_tool(program)
    try:
        machine.client_source()
    except machine.Unavailable as missing:
        unavailable(str(missing))
    if len(os.sched_getaffinity(0)) < 2:
        unavailable("the benchmark needs two cores")


def test_every_workload_runs_beside_its_peers_and_passes_the_gate(cache: Path, tmp_path: Path) -> None:
    """One round of every workload gives a table with a line for each server that can do it, and tells what was reached."""
    page = tmp_path / "RESULTS.md"
    # The one of PostgreSQL with an S3 server has everything that the one without has.
    ours = [one.name for one in CONFIGURATIONS if one.name != "longshore-postgresql"]

    done = run_bench(cache, page, "--server", *ours, *PEERS)

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "acknowledged images there after kill -9" in done.stdout
    written = page.read_text(encoding="utf-8")
    for line in (
        "| W1 | CPU, hot | longshore-postgresql-s3 | ≤ 9x nginx |",
        "| W4 | CPU for each GB, with that of the front server | longshore-behind-nginx | ≤ 1.1x nginx |",
        "| W12 | idle memory | longshore-sqlite | ≤ 160 MB |",
        "| manifest GET by tag, hot | longshore-sqlite |",
        "| manifest HEAD by digest, hot | docker-registry |",
        "| manifest GET by digest, cold | nginx |",
        "| manifest GET by tag, 200 tags in the repository | longshore-postgresql-s3 |",
        "| robot's secret to token to first HEAD | longshore-sqlite |",
        "| cross-repository mount | longshore-postgresql-s3 |",
        "| image of 1 MB, 256 clients | nginx |",
        "| second half of a layer by Range, 16 clients | longshore-behind-nginx |",
        "| 2 MiB in chunks of 512 KiB | distribution |",
        "| 2 MiB in one body | longshore-postgresql-s3 |",
        "| 2 MiB in one body, 2 at once, server on two cores | longshore-sqlite |",
        "| image push to one repository | docker-registry |",
        "| start to first authorised pull, 200 artifacts | longshore-postgresql-s3 |",
    ):
        assert line in written


def test_a_run_of_one_workload_leaves_the_results_of_the_others(cache: Path, tmp_path: Path) -> None:
    """The page keeps the latest table of each workload, whichever ran last, and what was prepared serves again."""
    page = tmp_path / "RESULTS.md"
    page.write_text("<!-- W5 -->\n### W5: from an earlier run\n<!-- end of W5 -->\n", encoding="utf-8")
    arguments = ["--workload", "W2", "--server", "longshore-sqlite"]

    first = run_bench(cache, page, *arguments)
    second = run_bench(cache, page, *arguments)

    assert (first.returncode, second.returncode) == (0, 0), f"{first.stderr}\n{second.stderr}"
    assert "preparing" not in second.stdout
    written = page.read_text(encoding="utf-8")
    assert "W5: from an earlier run" in written
    assert "| user's password to token to first HEAD | longshore-sqlite |" in written


def test_a_server_that_refuses_fails_the_gate_and_nothing_is_reported(cache: Path, tmp_path: Path) -> None:
    """On a volume that counts as full no push is taken: the run ends with the reason and writes no page."""
    page = tmp_path / "RESULTS.md"
    arguments = ["--workload", "W2", "--server", "longshore-sqlite"]

    done = run_bench(cache, page, *arguments, "--set", "LONGSHORE_STORAGE_RESERVE=100000TiB")

    assert done.returncode == 1, f"{done.stdout}\n{done.stderr}"
    assert "The gate failed" in done.stderr
    assert not page.exists()
