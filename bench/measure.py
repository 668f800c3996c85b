# SPDX-License-Identifier: Apache-2.0
"""Measuring: one round of load on one server, rounds of several servers in turn, medians and spreads."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import machine
from bench.load import Loader
from bench.servers import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One round of one server: seconds of CPU time, and what its clients saw, by name of a figure.

    Attributes:
        operations: What the CPU time is told for; gigabytes where bytes count.
        cpu_seconds: Of all processes of the server.
        backing_seconds: Of what runs beside it: database, object store, front server.
        figures: What clients saw.
    """

    operations: float
    cpu_seconds: float
    backing_seconds: float = 0.0
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A median and the extremes."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Figure:
        """Of at least one value."""
        return Figure(median=statistics.median(values), low=min(values), high=max(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Some lines of a result table, one for each server.

    Attributes:
        key: What the targets call it, whatever the sizes are.
        title: What is done.
        samples: The rounds of each server, by its name, in order.
        cpu_unit: What CPU time per operation is told in, `us` or `ms`.
    """

    key: str
    title: str
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    cpu_unit: str = "us"

    def figure(self, server: str, name: str) -> Figure:
        """`cpu`, `backing` and both as `total`, in the case's unit per operation, or what clients saw."""
        scale = 1e6 if self.cpu_unit == "us" else 1e3
        samples = self.samples[server]
        if name == "cpu":
            return Figure.of([sample.cpu_seconds * scale / sample.operations for sample in samples])
        if name == "backing":
            return Figure.of([sample.backing_seconds * scale / sample.operations for sample in samples])
        if name == "total":
            spent = [sample.cpu_seconds + sample.backing_seconds for sample in samples]
            return Figure.of([one * scale / sample.operations for one, sample in zip(spent, samples, strict=True)])
        return Figure.of([sample.figures[name] for sample in samples])

    def has(self, server: str, name: str) -> bool:
        """Whether the server's rounds of this case have a figure."""
        samples = self.samples.get(server, ())
        if name == "backing":
            return any(sample.backing_seconds for sample in samples)
        return bool(samples) and (name in {"cpu", "total"} or all(name in sample.figures for sample in samples))


@dataclass(slots=True)
class Spent:
    """The CPU time of a server, and of what runs beside it, from one moment to another."""

    cpu: float = 0.0
    backing: float = 0.0


@contextmanager
def spending(server: Server) -> Iterator[Spent]:
    """Fills in what is spent while its body runs."""
    spent = Spent()
    backing, cpu = server.backing_seconds(), machine.cpu_seconds(server.pid)
    yield spent
    spent.cpu, spent.backing = machine.cpu_seconds(server.pid) - cpu, server.backing_seconds() - backing


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every workload needs to run."""

    servers: Sequence[Server]
    cores: machine.Cores
    scratch: Path
    loader: Loader
    rounds: int
    seconds: float
    say: Callable[[str], None]

    def interleave(
        self,
        case: Case,
        run: Callable[[Server, int], Sample],
        *,
        servers: Sequence[Server] | None = None,
        rounds: int | None = None,
        settle: bool = False,
    ) -> Case:
        """Runs the rounds of all servers in turn (A, B, C, A, B, C …), so that what else the machine does hits all alike.

        With `settle` nothing that one round left to be written is written during the next: not every server syncs.
        """
        chosen = self.servers if servers is None else servers
        for number in range(min(rounds or self.rounds, self.rounds)):
            for server in chosen:
                if settle:
                    os.sync()
                case.samples.setdefault(server.name, []).append(run(server, number))
        for server in chosen:
            cpu = case.figure(server.name, "cpu")
            self.say(
                f"  {case.title}: {server.name}: {cpu.median:,.1f} {case.cpu_unit} CPU ({cpu.low:,.1f}-{cpu.high:,.1f})"
            )
        return case

    def timed(self, server: Server, load: Callable[[], Mapping[str, Any]], count: str) -> Sample:
        """Runs a load that says `count`, `seconds` and percentiles, and counts what the server spends on it."""
        busy, began = machine.busy_seconds(), time.perf_counter()
        with spending(server) as spent:
            told = load()
        share = 100 * (machine.busy_seconds() - busy) / (time.perf_counter() - began)
        return Sample(
            operations=told[count],
            cpu_seconds=spent.cpu,
            backing_seconds=spent.backing,
            figures={
                "per_second": told[count] / told["seconds"],
                "p50_ms": told["p50_ms"],
                "p99_ms": told["p99_ms"],
                "load_busy": share,
            },
        )
