# SPDX-License-Identifier: Apache-2.0
"""`python -m bench`: measures Longshore beside its peers and writes the tables into bench/RESULTS.md."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import machine, reading, report, starting, writing
from bench.content import Corpus, check_gate, seed
from bench.measure import Bench, Case, GateFailed
from bench.servers import Longshore, Server, peers

_RESULTS = Path(__file__).parent / "RESULTS.md"
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of everything there is."""

    repositories: int
    images: int
    large_bytes: int
    push_bytes: int
    chunk_bytes: int
    storm_images: int
    seconds: float
    rounds: int
    idle_share: float


_SIZES = {
    "tiny": Size(
        repositories=2,
        images=6,
        large_bytes=_MIB,
        push_bytes=4 * _MIB,
        chunk_bytes=_MIB,
        storm_images=8,
        seconds=0.3,
        rounds=1,
        idle_share=0.02,
    ),
    "standard": Size(
        repositories=100,
        images=1000,
        large_bytes=10_000_000,
        push_bytes=256 * _MIB,
        chunk_bytes=5 * _MIB,
        storm_images=300,
        seconds=3,
        rounds=5,
        idle_share=1,
    ),
}
_TITLES = {
    "W1": "W1: manifests, 64 connections",
    "W3": "W3: small blobs, 64 connections",
    "W4": "W4: large blobs, 16 connections",
    "W5": "W5: one large push (CPU for each GB)",
    "W6": "W6: CI storm, images of two 1 KiB blobs, 16 clients",
    "W12": "W12: start and idle",
}


def main() -> int:
    """Parses the call and runs it; the exit code is 1 when the gate failed and 2 when something is missing."""
    options = _parser().parse_args()
    try:
        _run(options, _SIZES[options.size])
    except machine.Unavailable as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except GateFailed as error:
        sys.stderr.write(f"The gate failed, nothing counts: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--workload", choices=list(_TITLES), nargs="+", default=list(_TITLES), help="default: all")
    parser.add_argument("--rounds", type=int, help="of each server and case (default: 5)")
    parser.add_argument("--seconds", type=float, help="of each round of reading (default: 3)")
    parser.add_argument(
        "--peers", nargs="*", default=["docker-registry", "nginx"], help="default: docker-registry nginx"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="LONGSHORE_NAME=VALUE", help="a setting of Longshore"
    )
    parser.add_argument("--directory", type=Path, help="where the data goes meanwhile (default: the temporary folder)")
    parser.add_argument("--output", type=Path, help=f"default: {_RESULTS} for the standard size, nowhere for others")
    size = os.environ.get("LONGSHORE_BENCH_SIZE", "standard")
    parser.add_argument("--size", choices=list(_SIZES), default=size, help="default: LONGSHORE_BENCH_SIZE or standard")
    return parser


def _run(options: argparse.Namespace, size: Size) -> None:
    cores = machine.Cores.choose()
    machine.require("wrk", "wrk")
    machine.require("taskset", "util-linux")
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    settings = dict(setting.split("=", 1) for setting in options.set)
    with tempfile.TemporaryDirectory(prefix="longshore-bench-", dir=options.directory) as folder:
        scratch = Path(folder)
        servers: list[Server] = [
            Longshore(scratch / "longshore", cores, settings),
            *peers(scratch, cores, options.peers),
        ]
        bench = Bench(
            servers=servers,
            cores=cores,
            scratch=scratch,
            client=machine.client(scratch),
            rounds=options.rounds or size.rounds,
            seconds=options.seconds or size.seconds,
            say=_say,
        )
        run = report.Run(
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            command=f"python -m bench {shlex.join(sys.argv[1:])}".strip(),
            machine=f"{machine.description()}, {machine.file_system(scratch)}",
            load=load,
            versions=[f"{server.name}: {server.version()}" for server in servers],
        )
        try:
            sections = _measure(bench, size, options.workload)
        finally:
            for server in servers:
                with suppress(OSError):
                    server.kill()
    output = options.output or (_RESULTS if options.size == "standard" else None)
    if output is not None:
        report.write(output, sections, run)
        _say(f"written to {output}")


def _measure(bench: Bench, size: Size, wanted: Sequence[str]) -> dict[str, str]:
    for server in bench.servers:
        server.start()
        if isinstance(server, Longshore):
            server.prepare()
    corpus = seed(bench, repositories=size.repositories, images=size.images, large_bytes=size.large_bytes)
    check_gate(bench, corpus)
    sections = {}
    for name, workload in _workloads(bench, corpus, size).items():
        if name in wanted:
            _say(_TITLES[name])
            sections[name] = report.table(_TITLES[name], list(workload()))
    for content in sections.values():
        sys.stdout.write(f"\n{content}")
    return sections


def _workloads(bench: Bench, corpus: Corpus, size: Size) -> dict[str, Callable[[], Iterable[Case]]]:
    mib = size.push_bytes // _MIB
    ways = [
        writing.LargePush(title=f"{mib} MiB in one body", size=size.push_bytes, chunk=0),
        writing.LargePush(
            title=f"{mib} MiB in chunks of {size.chunk_bytes // _MIB} MiB", size=size.push_bytes, chunk=size.chunk_bytes
        ),
    ]
    return {
        "W1": lambda: reading.manifests(bench, corpus),
        "W3": lambda: reading.small_blobs(bench, corpus),
        "W4": lambda: reading.large_blobs(bench, corpus),
        "W5": lambda: writing.large_pushes(bench, ways),
        "W6": lambda: writing.storm(bench, corpus, images=size.storm_images),
        "W12": lambda: starting.starts(bench, corpus, idle_share=size.idle_share),
    }


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
