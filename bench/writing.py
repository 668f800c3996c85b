# SPDX-License-Identifier: Apache-2.0
"""The workloads of pushes: large blobs (W5) and the CI storm (W6)."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.choosing import one_of_each_store, pushable
from bench.content import Corpus, check_images, check_large, pushed_images, targets_file
from bench.measure import Bench, Case, Sample, spending
from bench.servers import PROJECT, Server
from bench.sizes import MIB, Size

_CLIENTS = 64
_STORM_ROUND = 2
# Bytes that one server takes in before its data is thrown away and it begins again.
_HELD = 5 * 1024 * MIB
# No two pushes of a run send the same bytes: a server that knows them already would have nothing to do.
_seeds = itertools.count(1_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class LargePush:
    """One way to push large blobs; `chunk` is the bytes of each PATCH, 0 for one body; `long` means fewer rounds."""

    key: str
    size: int
    chunk: int = 0
    streams: int = 1
    long: bool = False

    def title(self, cores: int) -> str:
        """What a table calls it."""
        body = f"in chunks of {_bytes(self.chunk)}" if self.chunk else "in one body"
        streams = f", {self.streams} at once" if self.streams > 1 else ""
        return f"{_bytes(self.size)} {body}{streams}{', server on two cores' if cores > 1 else ''}"


def large_pushes(bench: Bench, size: Size) -> Iterable[Case]:
    """W5: large blobs in one body and in chunks, one and several at once, on one core and on two; CPU for each gigabyte.

    Some pushes share a set of servers that were empty at its beginning: the disk needn't hold all that is ever pushed.
    """
    large, very_large = size.pushed
    small_chunk, large_chunk = size.chunks
    on_one = [
        LargePush(key="one-body", size=large),
        LargePush(key="small-chunks", size=large, chunk=small_chunk),
        LargePush(key="large-chunks", size=large, chunk=large_chunk),
        LargePush(key="very-large", size=very_large, long=True),
        LargePush(key="streams", size=large, streams=size.streams, long=True),
    ]
    on_two = [
        LargePush(key="two-cores", size=large),
        LargePush(key="two-cores-streams", size=large, streams=size.streams, long=True),
    ]
    servers = pushable(one_of_each_store(bench.servers))
    for ways, cores in ((on_one, (bench.cores.server,)), (on_two, bench.cores.both)):
        for group in _groups(ways, size):
            with fresh(servers, bench.scratch / "fresh", cores):
                for way in group:
                    yield _pushes(bench, way, servers, size.long_rounds if way.long else None, cores)


def _groups(ways: Sequence[LargePush], size: Size) -> list[list[LargePush]]:
    """The ways in their order, so many together as the disk of one server may hold."""
    volumes = [way.size * way.streams * (size.long_rounds if way.long else size.rounds) for way in ways]
    groups: list[list[LargePush]] = [[]]
    held = 0
    for way, volume in zip(ways, volumes, strict=True):
        if groups[-1] and held + volume > _HELD:
            groups.append([])
            held = 0
        groups[-1].append(way)
        held += volume
    return groups


@contextmanager
def fresh(servers: Sequence[Server], folder: Path, cores: Sequence[int]) -> Iterator[None]:
    """The servers on these cores and with empty data; afterwards they are as they were."""
    before = [(server, server.folder, server.cores) for server in servers]
    for server in servers:
        server.stop_all()
        server.folder, server.cores = folder / server.name, tuple(cores)
        server.start()
        server.prepare()
    yield
    for server, kept, kept_cores in before:
        server.stop_all()
        shutil.rmtree(server.folder)
        server.folder, server.cores = kept, kept_cores
        server.start()


def _pushes(bench: Bench, way: LargePush, servers: Sequence[Server], rounds: int | None, cores: Sequence[int]) -> Case:
    def run(server: Server, number: int) -> Sample:
        repository = f"{PROJECT}/pushed"
        opens = server.authorization([repository]).get(repository, "")
        peak = machine.Peak(server.pid)
        arguments = ["-repository", repository, "-authorization", opens, "-size", str(way.size)]
        arguments += ["-chunk", str(way.chunk), "-streams", str(way.streams), "-seed", str(next(_seeds))]
        with spending(server) as spent:
            told = bench.loader.run(server, "blob", *arguments)
        grown = peak.grown()
        digest = told["digests"][number % way.streams]
        check_large(server, f"/v2/{repository}/blobs/{digest}", opens, digest)
        return Sample(
            operations=told["bytes"] / 1e9,
            cpu_seconds=spent.cpu,
            backing_seconds=spent.backing,
            figures={
                "megabytes_per_second": told["bytes"] / told["seconds"] / 1e6,
                "put_ms": told["put_ms"],
                "grown": grown,
            },
        )

    case = Case(key=way.key, title=way.title(len(cores)), cpu_unit="ms")
    return bench.interleave(case, run, servers=servers, rounds=rounds, settle=True)


def storm(bench: Bench, corpus: Corpus) -> Iterable[Case]:
    """W6: images of two 1 KiB blobs, to many repositories and to one; the project has a quota, every tag its journal."""
    many = sorted({image.repository for image in corpus.images})
    most = corpus.scale.size.storm_images
    for key, title, names in (
        ("many", f"image push to {len(many)} repositories", many),
        ("one", "image push to one repository", many[:1]),
    ):

        def run(server: Server, number: int, key: str = key, names: Sequence[str] = names) -> Sample:
            opens = server.authorization(names)
            output = bench.scratch / "storm.jsonl"
            arguments = ["-repositories", str(targets_file(bench.loader, opens, names)), "-images", str(most)]
            arguments += ["-clients", str(_CLIENTS), "-longest", f"{_STORM_ROUND * bench.seconds}s"]
            arguments += ["-seed", str(next(_seeds)), "-prefix", f"ci{number}-{key}-", "-output", str(output)]
            sample = bench.timed(server, lambda: bench.loader.run(server, "images", *arguments), "images")
            check_images(server, pushed_images(output), opens, most=10)
            return sample

        case = Case(key=key, title=title, cpu_unit="ms")
        yield bench.interleave(case, run, servers=pushable(bench.servers), settle=True)


def _bytes(count: int) -> str:
    if count >= 1024 * MIB and not count % (1024 * MIB):
        return f"{count // (1024 * MIB)} GiB"
    return f"{count // MIB} MiB" if count >= MIB else f"{count // 1024} KiB"
