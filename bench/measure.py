# SPDX-License-Identifier: Apache-2.0
"""Measuring: one round of load on one server, rounds of several servers in turn, medians and spreads."""

from __future__ import annotations

import json
import random
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import machine
from bench.servers import Server

_WRK_SCRIPT = Path(__file__).parent / "requests.lua"


class GateFailed(Exception):  # noqa: N818 - the verdict on a round
    """A server answered wrongly: the round doesn't count, and nothing that came before it is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One round of one server: seconds of CPU time of all its processes, and what its clients saw, by name of a figure."""

    operations: int
    cpu_seconds: float
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
    """One line of a result table.

    Attributes:
        title: What is done.
        samples: The rounds of each server, by its name, in order.
        cpu_unit: What CPU time per operation is told in, `us` or `ms`.
    """

    title: str
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    cpu_unit: str = "us"

    def cpu(self, server: str) -> Figure:
        """CPU time per operation in the case's unit."""
        scale = 1e6 if self.cpu_unit == "us" else 1e3
        return Figure.of([sample.cpu_seconds * scale / sample.operations for sample in self.samples[server]])

    def figure(self, server: str, name: str) -> Figure:
        """What clients saw."""
        return Figure.of([sample.figures[name] for sample in self.samples[server]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request of a reading workload; the Authorization header's value is empty where none is needed."""

    method: str
    path: str
    authorization: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every workload needs to run."""

    servers: Sequence[Server]
    cores: machine.Cores
    scratch: Path
    client: str
    rounds: int
    seconds: float
    say: Callable[[str], None]

    def interleave(
        self, case: Case, run: Callable[[Server, int], Sample], *, servers: Sequence[Server] | None = None
    ) -> Case:
        """Runs the rounds of all servers in turn (A, B, C, A, B, C …), so that what else the machine does hits all alike."""
        chosen = self.servers if servers is None else servers
        for number in range(self.rounds):
            for server in chosen:
                case.samples.setdefault(server.name, []).append(run(server, number))
        for server in chosen:
            cpu = case.cpu(server.name)
            self.say(
                f"  {case.title}: {server.name}: {cpu.median:,.1f} {case.cpu_unit} CPU ({cpu.low:,.1f}-{cpu.high:,.1f})"
            )
        return case

    def read(self, server: Server, requests: Sequence[Request], *, connections: int) -> Sample:
        """Sends the requests round and round.

        Raises:
            GateFailed: an answer was no success.
        """
        file = self.scratch / "requests.txt"
        file.write_text(
            "".join(f"{one.method}\t{one.path}\t{one.authorization or '-'}\n" for one in requests), encoding="ascii"
        )
        if requests[0].method == "HEAD":
            told, spent = self.push(
                server, "heads", "-requests", str(file), "-connections", str(connections), "-seconds", str(self.seconds)
            )
        else:
            told, spent = self._wrk(server, file, connections)
        figures = {
            "per_second": told["requests"] / told["seconds"],
            "p50_ms": told["p50_ms"],
            "p99_ms": told["p99_ms"],
        }
        return Sample(operations=told["requests"], cpu_seconds=spent, figures=figures)

    def _wrk(self, server: Server, file: Path, connections: int) -> tuple[dict[str, Any], float]:
        command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", "600s", "--timeout", "10s"]
        command += ["--script", str(_WRK_SCRIPT), server.base, "--", str(file)]
        before = machine.cpu_seconds(server.pid)
        with subprocess.Popen(
            machine.pinned(self.cores.load, command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            time.sleep(self.seconds)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=30)
        spent = machine.cpu_seconds(server.pid) - before
        lines = [line for line in output.splitlines() if line.startswith("{")]
        if not lines:
            raise RuntimeError(f"wrk failed: {output} {errors}")
        told: dict[str, Any] = json.loads(lines[-1])
        if told["refused"] or told["broken"] or not told["requests"]:
            raise GateFailed(f"{server.name}: {file.read_text(encoding='ascii').splitlines()[0]} …: {told}")
        return told, spent

    def push(self, server: Server, *arguments: str) -> tuple[dict[str, Any], float]:
        """Runs our pushing client; what it said, and the seconds of CPU time that the server spent.

        Raises:
            GateFailed: the server refused something.
        """
        before = machine.cpu_seconds(server.pid)
        command = [self.client, arguments[0], "-base", server.base, *arguments[1:]]
        done = subprocess.run(
            machine.pinned(self.cores.load, command), capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode:
            raise GateFailed(f"{server.name}: {done.stderr.strip()}")
        told: dict[str, Any] = json.loads(done.stdout)
        return told, machine.cpu_seconds(server.pid) - before

    @contextmanager
    def pushing(self, server: Server, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Our pushing client at work beside us."""
        command = machine.pinned(self.cores.load, [self.client, arguments[0], "-base", server.base, *arguments[1:]])
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True) as process:
            try:
                yield process
            finally:
                process.kill()


def wait_for_lines(file: Path, count: int) -> None:
    """Waits until a file has that many lines."""
    deadline = time.monotonic() + 60
    while not file.exists() or file.read_bytes().count(b"\n") < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{file} didn't get {count} lines")
        time.sleep(0.01)


def zipf(count: int, length: int, seed: int = 1) -> list[int]:
    """`length` numbers below `count`, of which a few come often and most seldom, as people pull images."""
    weights = [1 / (rank + 1) for rank in range(count)]
    return random.Random(seed).choices(range(count), weights, k=length)
