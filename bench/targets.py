# SPDX-License-Identifier: Apache-2.0
"""The targets: for each workload what shall be reached, and what the measured cases say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.longshore import CONFIGURATIONS
from bench.measure import Case

_HOT = ("get-tag", "get-digest", "head-tag", "head-digest")
_COLD = ("get-tag-cold", "get-digest-cold")
_PULLS = ("pull-1", "pull-16", "pull-64", "pull-256")
_PUSHES = ("one-body", "small-chunks", "large-chunks", "very-large", "streams")
_ON_TWO = ("two-cores", "two-cores-streams")
_REGISTRIES = ("docker-registry", "distribution")
_SQLITE = ("longshore-sqlite",)
_POSTGRESQL = ("longshore-postgresql", "longshore-postgresql-s3")
_FRONT = tuple(one.name for one in CONFIGURATIONS if one.front)
_FILES = ("longshore-sqlite", "longshore-postgresql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a figure shall be at most, or at least.

    Attributes:
        workload: Of which workload.
        what: What is looked at, for a person.
        cases: The keys of the cases; the worst of them counts.
        figure: Which figure of theirs.
        limit: What it shall be.
        unit: Of limit and figure, where they stand for themselves.
        beside: Names of servers: the figure is then a multiple of the best of them, in the same case.
        beside_case: The key of another case: the figure is then a multiple of the same server's in there.
        at_least: More is better.
        servers: Which configurations it is for.
    """

    workload: str
    what: str
    cases: tuple[str, ...]
    figure: str = "cpu"
    limit: float
    unit: str = ""
    beside: tuple[str, ...] = ()
    beside_case: str = ""
    at_least: bool = False
    servers: tuple[str, ...] = tuple(one.name for one in CONFIGURATIONS if not one.front)

    def reached(self, server: str, cases: Mapping[str, Case]) -> float | None:
        """The worst of what the cases say; None when they weren't measured, or nothing that they are compared with."""
        found = [self._of(server, cases[key], cases) for key in self.cases if key in cases]
        values = [value for value in found if value is not None]
        if not values:
            return None
        return min(values) if self.at_least else max(values)

    def row(self, server: str, value: float) -> str:
        """Its line in the summary."""
        sign = "≥" if self.at_least else "≤"
        met = value >= self.limit if self.at_least else value <= self.limit
        cells = [self.workload, self.what, server, f"{sign} {self._shown(self.limit)}", self._shown(value, exact=True)]
        return f"| {' | '.join(cells)} | {'yes' if met else '**no**'} |"

    def _of(self, server: str, case: Case, cases: Mapping[str, Case]) -> float | None:
        if not case.has(server, self.figure):
            return None
        value = case.figure(server, self.figure).median
        if self.beside_case:
            other = cases.get(self.beside_case)
            if other is None or not other.has(server, self.figure):
                return None
            return _multiple(value, other.figure(server, self.figure).median)
        if self.beside:
            others = [case.figure(name, self.figure).median for name in self.beside if case.has(name, self.figure)]
            return _multiple(value, max(others) if self.at_least else min(others)) if others else None
        return value

    def _shown(self, value: float, *, exact: bool = False) -> str:
        if self.beside or self.beside_case:
            text = f"{value:.2f}" if exact else f"{value:g}"
            of = "" if self.beside_case else f" {self.beside[0]}" if len(self.beside) == 1 else " the best peer"
            return f"{text}x" if exact else f"{text}x{of}"
        digits = 1 if exact and value < 100 else 0
        return f"{value:,.{digits}f}{self.unit}"


TARGETS: Sequence[Target] = (
    Target(workload="W1", what="CPU, hot", cases=_HOT, limit=4, beside=("nginx",), servers=_SQLITE),
    Target(workload="W1", what="CPU, cold", cases=_COLD, limit=4, beside=("nginx",), servers=_SQLITE),
    Target(workload="W1", what="CPU, hot", cases=_HOT, limit=9, beside=("nginx",), servers=_POSTGRESQL),
    Target(workload="W1", what="CPU, cold", cases=_COLD, limit=9, beside=("nginx",), servers=_POSTGRESQL),
    Target(
        workload="W1",
        what="CPU with many tags, by that with one",
        cases=("get-many",),
        limit=1.1,
        beside_case="get-one",
    ),
    Target(workload="W1", what="p99, as many as it takes", cases=_HOT, figure="p99_ms", limit=5, unit=" ms"),
    Target(workload="W1", what="p99, paced", cases=("get-tag-paced",), figure="p99_ms", limit=5, unit=" ms"),
    Target(
        workload="W2",
        what="password to token to HEAD",
        cases=("robot", "user"),
        figure="per_second",
        limit=5000,
        unit="/s",
        at_least=True,
    ),
    Target(workload="W3", what="CPU", cases=("blob-get", "blob-head"), limit=4.5, beside=("nginx",)),
    Target(workload="W3", what="mounts", cases=("mount",), figure="per_second", limit=3000, unit="/s", at_least=True),
    Target(workload="W4", what="CPU for each GB", cases=(*_PULLS, "resume"), limit=3, beside=("nginx",)),
    Target(
        workload="W4",
        what="CPU for each GB, with that of the front server",
        cases=_PULLS,
        figure="total",
        limit=1.1,
        beside=("nginx",),
        servers=_FRONT,
    ),
    Target(
        workload="W4",
        what="GB/s",
        cases=_PULLS,
        figure="megabytes_per_second",
        limit=1,
        beside=_REGISTRIES,
        at_least=True,
    ),
    Target(workload="W4", what="memory grows by", cases=(*_PULLS, "resume"), figure="grown", limit=30, unit=" MB"),
    Target(workload="W5", what="CPU for each GB", cases=_PUSHES, limit=1, beside=_REGISTRIES),
    Target(
        workload="W5",
        what="GB/s, one core",
        cases=_PUSHES,
        figure="megabytes_per_second",
        limit=1,
        beside=_REGISTRIES,
        at_least=True,
    ),
    Target(
        workload="W5",
        what="GB/s, one core",
        cases=("one-body", "very-large"),
        figure="megabytes_per_second",
        limit=2.5,
        beside=("docker-registry",),
        at_least=True,
    ),
    Target(
        workload="W5",
        what="GB/s, two cores",
        cases=_ON_TWO,
        figure="megabytes_per_second",
        limit=1.5,
        beside=_REGISTRIES,
        at_least=True,
    ),
    Target(
        workload="W5",
        what="GB/s in chunks, by that in one body",
        cases=("small-chunks", "large-chunks"),
        figure="megabytes_per_second",
        limit=0.95,
        beside_case="one-body",
        at_least=True,
    ),
    Target(
        workload="W5",
        what="final PUT",
        cases=(*_PUSHES, *_ON_TWO),
        figure="put_ms",
        limit=20,
        unit=" ms",
        servers=_FILES,
    ),
    Target(workload="W5", what="memory grows by", cases=(*_PUSHES, *_ON_TWO), figure="grown", limit=30, unit=" MB"),
    Target(workload="W6", what="CPU for each image", cases=("many", "one"), limit=0.3, beside=("distribution",)),
    Target(
        workload="W6", what="images", cases=("many", "one"), figure="per_second", limit=400, unit="/s", at_least=True
    ),
    Target(
        workload="W6",
        what="images to one repository, by those to many",
        cases=("one",),
        figure="per_second",
        limit=0.9,
        beside_case="many",
        at_least=True,
    ),
    Target(workload="W7", what="CPU for all tags", cases=("tags-whole",), limit=10_000, unit=" us", servers=_FILES),
    Target(
        workload="W7",
        what="CPU for 1,000",
        cases=("tags-first", "tags-last", "catalog"),
        limit=1_000,
        unit=" us",
        servers=_FILES,
    ),
    Target(
        workload="W7",
        what="the last page, by the first",
        cases=("tags-last",),
        limit=1.1,
        beside_case="tags-first",
        servers=_FILES,
    ),
    Target(
        workload="W9",
        what="lists of artifacts",
        cases=("repository-15", "project-15", "project-100"),
        figure="per_second",
        limit=1_000,
        unit="/s",
        at_least=True,
        servers=_FILES,
    ),
    Target(
        workload="W12",
        what="start to first pull",
        cases=("empty", "full"),
        figure="first_pull_ms",
        limit=700,
        unit=" ms",
    ),
    Target(
        workload="W12",
        what="the same full, by that empty",
        cases=("full",),
        figure="first_pull_ms",
        limit=1.1,
        beside_case="empty",
    ),
    Target(workload="W12", what="idle memory", cases=("empty", "full"), figure="idle_mb", limit=160, unit=" MB"),
)


def rows(workload: str, cases: Sequence[Case]) -> list[str]:
    """The lines of the summary that a workload's cases give."""
    by_key = {case.key: case for case in cases}
    found = []
    for target in TARGETS:
        for server in target.servers:
            value = target.reached(server, by_key) if target.workload == workload else None
            if value is not None:
                found.append(target.row(server, value))
    return found


def _multiple(value: float, of: float) -> float | None:
    return value / of if of else None
