# SPDX-License-Identifier: Apache-2.0
"""Result tables, and the page that keeps the latest of each workload."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Case, Figure, Sample

_BEGIN = "<!-- {} -->"
_END = "<!-- end of {} -->"
_CEILING = "nginx"
# Figures of a sample, the heading of their column, and how many digits they get.
_COLUMNS = {
    "per_second": ("per second", 0),
    "megabytes_per_second": ("MB/s", 0),
    "p50_ms": ("p50 ms", 2),
    "p99_ms": ("p99 ms", 2),
    "put_ms": ("final PUT ms", 1),
    "grown": ("memory grown by, MB", 0),
    "first_pull_ms": ("first pull after ms", 0),
    "idle_mb": ("idle MB (PSS)", 0),
    "idle_rss_mb": ("idle MB (sum of RSS)", 0),
    "processes": ("processes", 0),
    "idle_cpu_ms": ("idle CPU ms/s", 1),
}
_INTRODUCTION = """# Benchmark results

The latest run of each workload, written by `make bench`; `docs/how-to/run-the-tests.md` tells how to run it. All servers ran in
the same run, on the same core, in turns; a figure is the median of the rounds, with the lowest and the highest in brackets.
**CPU** is user and system time of all processes of a server for one operation. Longshore ran with authentication and durability
on, the peers without authentication; docker-registry 2.8 syncs the file but not its name, nginx only reads. The host's absolute
figures say little: compare within a table.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is said above a table."""

    date: str
    command: str
    machine: str
    load: str
    versions: Sequence[str]


def table(title: str, cases: Sequence[Case]) -> str:
    """The cases of a workload as one Markdown table."""
    names = [name for name in _COLUMNS if any(name in sample.figures for case in cases for sample in _all(case))]
    unit = cases[0].cpu_unit
    heads = [
        "",
        "server",
        f"CPU {'µs' if unit == 'us' else 'ms'}",
        f"x {_CEILING}",
        *(_COLUMNS[name][0] for name in names),
    ]
    lines = [f"### {title}", "", _row(heads), _row(["---"] * 2 + ["---:"] * (len(heads) - 2))]
    for case in cases:
        for server in case.samples:
            cpu = case.cpu(server)
            ceiling = case.cpu(_CEILING).median if _CEILING in case.samples else 0
            multiple = f"{cpu.median / ceiling:.1f}" if ceiling else ""
            cells = [case.title, server, _show(cpu, 1), multiple]
            lines.append(_row([*cells, *(_show(case.figure(server, name), _COLUMNS[name][1]) for name in names)]))
    return "\n".join(lines) + "\n"


def write(path: Path, sections: dict[str, str], run: Run) -> None:
    """Puts the tables into the page, in the place of earlier ones of the same workloads."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    kept = dict(re.findall(r"<!-- (W\d+) -->\n(.*?)\n<!-- end of \1 -->", text, re.DOTALL))
    notes = f"{run.date}, `{run.command}`\\\n{run.machine}\\\nLoad before the run: {run.load}\\\n" + "\\\n".join(
        run.versions
    )
    for name, content in sections.items():
        head, _, rest = content.partition("\n")
        kept[name] = f"{head}\n\n{notes}\n{rest.rstrip()}"
    ordered = sorted(kept, key=lambda name: int(name[1:]))
    blocks = [f"{_BEGIN.format(name)}\n{kept[name]}\n{_END.format(name)}" for name in ordered]
    path.write_text(_INTRODUCTION + "\n" + "\n\n".join(blocks) + "\n", encoding="utf-8")


def _all(case: Case) -> list[Sample]:
    return [sample for samples in case.samples.values() for sample in samples]


def _show(figure: Figure, digits: int) -> str:
    median = f"{figure.median:,.{digits}f}"
    if figure.low == figure.high:
        return median
    return f"{median} ({figure.low:,.{digits}f}-{figure.high:,.{digits}f})"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
