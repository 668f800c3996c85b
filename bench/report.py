# SPDX-License-Identifier: Apache-2.0
"""Result tables, and the page that keeps the latest of each workload, with the summary of all of them at its top."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import targets
from bench.measure import Case, Figure

_BEGIN = "<!-- {} -->"
_END = "<!-- end of {} -->"
_SUMMARY = "<!-- reached:"
_CEILING = "nginx"
_SATURATED = 90.0
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
    "backing_mb": ("beside it MB", 0),
    "load_busy": ("load %", 0),
}
_INTRODUCTION = """# Benchmark results

The latest run of each workload, written by `make bench`; `docs/how-to/run-the-tests.md` tells how to run it. All servers ran in
the same run, on the same core, in turns; a figure is the median of the rounds, with the lowest and the highest in brackets.
Compare within a table: the host's absolute figures say little.

**CPU** is user and system time of all processes of a server for one operation (for one GB where bytes are moved). Of Longshore
it is that of Longshore's own processes; what PostgreSQL, the S3 server (versitygw) and an nginx in front spend on the same core
is the CPU **beside it**. Longshore ran with authentication and durability on, a quota on the project and its journal and events
written; the peers ran without authentication. Longshore and PostgreSQL sync before they answer, versitygw doesn't;
docker-registry 2.8 and distribution 3 sync the file but not its name; nginx only reads. **Load %** is how much of its core the
load generator was busy: from 90 on it was the bottleneck, and the server could have answered more often; CPU for each operation
holds regardless.

The scale set is 10,000 repositories with 100,000 artifacts under 500,000 tags, and a repository with many tags, in Longshore's
database; the peers hold what is asked for, of what is cold only nginx. **Hot**: few artifacts are asked for often, most seldom
(Zipf). **Cold**: 20,000 artifacts of 2,000 repositories, each once before the list begins again. Every repository has its own
token.

On a machine with two cores, the pushes to a server on two cores share one of them with the load.
"""
_SUMMARY_HEAD = """## Target and reached

Worst case of each line, by medians; “the best peer” is the better one of docker-registry 2.8 and distribution 3.

| workload | what | configuration | target | reached | met |
| --- | --- | --- | ---: | ---: | --- |
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is said above a table."""

    date: str
    command: str
    machine: str
    load: str
    rounds: str
    versions: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One workload's part of the page: its table, and its lines of the summary."""

    name: str
    table: str
    summary: Sequence[str]


def section(name: str, title: str, cases: Sequence[Case]) -> Section:
    """The cases of a workload as a table, and what they say about its targets."""
    return Section(name=name, table=_table(title, cases), summary=targets.rows(name, cases))


def _table(title: str, cases: Sequence[Case]) -> str:
    every = [(case, server) for case in cases for server in case.samples]
    names = [name for name in _COLUMNS if any(case.has(server, name) for case, server in every)]
    beside = any(case.has(server, "backing") for case, server in every)
    unit = "µs" if cases[0].cpu_unit == "us" else "ms"
    heads = ["", "server", f"CPU {unit}", f"x {_CEILING}", *([f"CPU beside it {unit}"] if beside else [])]
    heads += [_COLUMNS[name][0] for name in names]
    lines = [f"### {title}", "", _row(heads), _row(["---"] * 2 + ["---:"] * (len(heads) - 2))]
    for case, server in every:
        cpu = case.figure(server, "cpu")
        ceiling = case.figure(_CEILING, "cpu").median if case.has(_CEILING, "cpu") else 0
        cells = [case.title, server, _show(cpu, 1), f"{cpu.median / ceiling:.1f}" if ceiling else ""]
        if beside:
            cells.append(_show(case.figure(server, "backing"), 1) if case.has(server, "backing") else "")
        cells += [
            _show(case.figure(server, name), _COLUMNS[name][1]) if case.has(server, name) else "" for name in names
        ]
        lines.append(_row(cells))
    if saturated := _saturated(every):
        lines += ["", f"The load generator was the bottleneck of: {'; '.join(saturated)}."]
    return "\n".join(lines) + "\n"


def _saturated(every: Sequence[tuple[Case, str]]) -> list[str]:
    """Where the load generator's core was full: by server, with how many of its cases."""
    counts: dict[str, int] = {}
    for case, server in every:
        if case.has(server, "load_busy") and case.figure(server, "load_busy").median >= _SATURATED:
            counts[server] = counts.get(server, 0) + 1
    return [f"{server} in {count} case{'s' if count > 1 else ''}" for server, count in counts.items()]


def write(path: Path, sections: Sequence[Section], run: Run) -> None:
    """Puts the tables into the page, in the place of earlier ones of the same workloads, and makes the summary anew."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    kept = dict(re.findall(r"<!-- (W\d+) -->\n(.*?)\n<!-- end of \1 -->", text, re.DOTALL))
    notes = "\\\n".join(
        [f"{run.date}, `{run.command}`", run.machine, f"{run.rounds}. Load before the run: {run.load}", *run.versions]
    )
    for one in sections:
        head, _, rest = one.table.partition("\n")
        summary = "\n".join([_SUMMARY, *one.summary, "-->"])
        kept[one.name] = f"{head}\n\n{notes}\n{rest.rstrip()}\n\n{summary}"
    ordered = sorted(kept, key=lambda name: int(name[1:]))
    blocks = [f"{_BEGIN.format(name)}\n{kept[name]}\n{_END.format(name)}" for name in ordered]
    reached = [line for name in ordered for line in _summary_of(kept[name])]
    summary = _SUMMARY_HEAD + "\n".join(reached) + "\n\n" if reached else ""
    path.write_text(f"{_INTRODUCTION}\n{summary}## Tables\n\n" + "\n\n".join(blocks) + "\n", encoding="utf-8")


def _summary_of(block: str) -> list[str]:
    found = re.search(rf"{_SUMMARY}\n(.*?)-->", block, re.DOTALL)
    return [] if found is None else found[1].splitlines()


def _show(figure: Figure, digits: int) -> str:
    median = f"{figure.median:,.{digits}f}"
    if figure.low == figure.high:
        return median
    return f"{median} ({figure.low:,.{digits}f}-{figure.high:,.{digits}f})"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
