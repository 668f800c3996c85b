# SPDX-License-Identifier: Apache-2.0
"""The workloads that our own client drives: large pushes (W5) and the CI storm (W6)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench import machine
from bench.content import Corpus, check_images, checked, pushed_images, targets_file
from bench.measure import Bench, Case, Sample
from bench.servers import PROJECT, Server

_CLIENTS = 16
# No two pushes of a run send the same bytes: a server that knows them already would have nothing to do.
_seeds = itertools.count(1_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class LargePush:
    """One way to push one large blob; `chunk` is the bytes of each PATCH, 0 for one body."""

    title: str
    size: int
    chunk: int


def large_pushes(bench: Bench, ways: Sequence[LargePush]) -> Iterable[Case]:
    """W5: one large blob, in one body and in chunks; CPU time is told for each gigabyte."""
    for way in ways:

        def run(server: Server, _: int, way: LargePush = way) -> Sample:
            repository = f"{PROJECT}/pushed"
            opens = server.authorization([repository]).get(repository, "")
            peak = machine.Peak(server.pid)
            arguments = ["-repository", repository, "-authorization", opens, "-size", str(way.size)]
            told, spent = bench.push(server, "blob", *arguments, "-chunk", str(way.chunk), "-seed", str(next(_seeds)))
            grown = peak.grown()
            checked(server, f"/v2/{repository}/blobs/{told['digest']}", opens, told["digest"])
            return Sample(
                operations=1,
                # For each gigabyte, whatever the size.
                cpu_seconds=spent / (way.size / 1e9),
                figures={
                    "megabytes_per_second": way.size / told["seconds"] / 1e6,
                    "put_ms": told["put_ms"],
                    "grown": grown,
                },
            )

        case = Case(title=way.title, cpu_unit="ms")
        yield bench.interleave(case, run, servers=[server for server in bench.servers if server.pushable])


def storm(bench: Bench, corpus: Corpus, *, images: int) -> Iterable[Case]:
    """W6: images of two 1 KiB blobs, to many repositories and to one."""
    many = sorted({image.repository for image in corpus.images})
    for title, names in (("image push to many repositories", many), ("image push to one repository", many[:1])):

        def run(server: Server, number: int, names: Sequence[str] = names) -> Sample:
            opens = server.authorization(names)
            output = bench.scratch / "storm.jsonl"
            arguments = ["-repositories", str(targets_file(bench, opens, names)), "-images", str(images)]
            arguments += ["-clients", str(_CLIENTS), "-seed", str(next(_seeds)), "-prefix", f"ci{number}-{len(names)}-"]
            told, spent = bench.push(server, "images", *arguments, "-output", str(output))
            check_images(server, pushed_images(output), opens, most=10)
            return Sample(
                operations=told["images"],
                cpu_seconds=spent,
                figures={
                    "per_second": told["images"] / told["seconds"],
                    "p50_ms": told["p50_ms"],
                    "p99_ms": told["p99_ms"],
                },
            )

        case = Case(title=title, cpu_unit="ms")
        yield bench.interleave(case, run, servers=[server for server in bench.servers if server.pushable])
