# SPDX-License-Identifier: Apache-2.0
"""What the benchmark says about its targets follows from what it measured."""

from __future__ import annotations

from pathlib import Path

from bench import report, targets
from bench.measure import Case, Sample
from bench.report import Run

RUN = Run(date="today", command="python -m bench", machine="a machine", load="0", rounds="3 rounds", versions=[])


def sample(cpu_seconds: float, **figures: float) -> Sample:
    """A round of a thousand operations."""
    return Sample(operations=1000, cpu_seconds=cpu_seconds, figures=figures)


def case(key: str, **servers: list[Sample]) -> Case:
    """A case by the names of its servers, in which a hyphen is written as an underscore."""
    return Case(key=key, title=key, samples={name.replace("_", "-"): rounds for name, rounds in servers.items()})


def test_the_worst_case_by_its_median_is_compared_with_the_target() -> None:
    """Of three rounds the middle one counts, of two cases the one that is further from nginx."""
    near = case("blob-get", longshore_sqlite=[sample(0.04)], nginx=[sample(0.01)])
    far = case("blob-head", longshore_sqlite=[sample(0.01), sample(0.05), sample(0.9)], nginx=[sample(0.01)])

    assert targets.rows("W3", [near, far]) == ["| W3 | CPU | longshore-sqlite | ≤ 4.5x nginx | 5.00x | **no** |"]
    assert targets.rows("W3", [near]) == ["| W3 | CPU | longshore-sqlite | ≤ 4.5x nginx | 4.00x | yes |"]


def test_the_better_peer_is_the_one_to_beat() -> None:
    """Being ahead of the slower of two registries is not being ahead."""
    speed = "megabytes_per_second"
    measured = case(
        "pull-16",
        longshore_sqlite=[sample(1, **{speed: 150})],
        docker_registry=[sample(1, **{speed: 100})],
        distribution=[sample(1, **{speed: 200})],
    )

    rows = targets.rows("W4", [measured])

    assert "| W4 | GB/s | longshore-sqlite | ≥ 1x the best peer | 0.75x | **no** |" in rows


def test_what_was_not_measured_is_not_claimed() -> None:
    """Without nginx beside it a multiple of nginx is neither reached nor missed."""
    alone = case("blob-get", longshore_sqlite=[sample(0.04)])

    assert targets.rows("W3", [alone]) == []
    assert targets.rows("W1", [alone]) == []


def test_the_summary_is_made_of_all_workloads_whichever_ran_last(tmp_path: Path) -> None:
    """A second run replaces the lines of its own workload and leaves those of the other one."""
    page = tmp_path / "RESULTS.md"

    def write(name: str, figure: str, value: float) -> None:
        key = {"W2": "robot", "W6": "many"}[name]
        measured = case(key, longshore_sqlite=[sample(1, per_second=value, p50_ms=1, p99_ms=1)])
        report.write(page, [report.section(name, f"{name}: {figure}", [measured])], RUN)

    write("W2", "tokens", 4000)
    write("W6", "storm", 500)
    write("W2", "tokens", 6000)

    summary = page.read_text(encoding="utf-8").partition("## Tables")[0]
    assert "| W2 | password to token to HEAD | longshore-sqlite | ≥ 5,000/s | 6,000/s | yes |" in summary
    assert "| W6 | images | longshore-sqlite | ≥ 400/s | 500/s | yes |" in summary
    assert "4,000" not in summary


def test_a_load_generator_that_had_no_time_left_is_named() -> None:
    """At 90 % of its core it, and not the server, decided how many requests there were."""
    measured = case("get-tag", nginx=[sample(1, load_busy=97)], longshore_sqlite=[sample(1, load_busy=30)])

    table = report.section("W1", "W1: manifests", [measured]).table

    assert "The load generator was the bottleneck of: nginx in 1 case." in table
