# SPDX-License-Identifier: Apache-2.0
"""The load generators: wrk, and a client of ours for what wrk can't do. Both run on the core of the load."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import machine
from bench.servers import Server

_WRK_SCRIPT = Path(__file__).parent / "requests.lua"
_LONGEST = 600


class GateFailed(Exception):  # noqa: N818 - the verdict on a round
    """A server answered wrongly: the round doesn't count, nor does the workload that it is part of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request of a reading workload; the Authorization header's value is empty where none is sent."""

    method: str
    path: str
    authorization: str = ""

    @property
    def line(self) -> str:
        """Its line in the file that the load generators read."""
        return f"{self.method}\t{self.path}\t{self.authorization or '-'}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """Starts load generators.

    Attributes:
        core: Where they run.
        scratch: A folder for what they read.
        client: The path of our own.
    """

    core: int
    scratch: Path
    client: str

    def requests(self, requests: Sequence[Request]) -> Path:
        """The file that tells a load generator what to send."""
        file = self.scratch / "requests.txt"
        file.write_text("".join(request.line for request in requests), encoding="ascii")
        return file

    def wrk(self, server: Server, requests: Path, *, connections: int, seconds: float) -> dict[str, Any]:
        """Sends the requests round and round; what wrk saw.

        Raises:
            GateFailed: an answer was no success.
        """
        command = ["wrk", "--threads", "1", "--connections", str(connections)]
        command += ["--duration", f"{_LONGEST}s", "--timeout", "10s"]
        command += ["--script", str(_WRK_SCRIPT), server.base, "--", str(requests)]
        with subprocess.Popen(
            machine.pinned([self.core], command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            # It prepares every request of the file before it sends the first.
            said = process.stderr.readline() if process.stderr is not None else ""
            time.sleep(seconds)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=30)
        lines = [line for line in output.splitlines() if line.startswith("{")]
        if not lines:
            raise RuntimeError(f"wrk failed: {output} {said} {errors}")
        told: dict[str, Any] = json.loads(lines[-1])
        if told["refused"] or told["broken"] or not told["requests"]:
            raise GateFailed(f"{server.name}: {requests.read_text(encoding='ascii').splitlines()[0][:200]} …: {told}")
        return told

    def run(self, server: Server, *arguments: str) -> dict[str, Any]:
        """Runs our client to its end; the last line that it said.

        Raises:
            GateFailed: the server refused something.
        """
        done = subprocess.run(
            self._command(server, arguments), capture_output=True, text=True, timeout=_LONGEST, check=False
        )
        if done.returncode:
            raise GateFailed(f"{server.name}: {arguments[0]}: {done.stderr.strip()}")
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told

    @contextmanager
    def running(self, server: Server, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Our client at work beside us."""
        with subprocess.Popen(
            self._command(server, arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def _command(self, server: Server, arguments: Sequence[str]) -> list[str]:
        return machine.pinned([self.core], [self.client, arguments[0], "-base", server.base, *arguments[1:]])


def zipf(count: int, length: int, seed: int = 1) -> list[int]:
    """`length` numbers below `count`, of which a few come often and most seldom, as people pull images."""
    weights = [1 / (rank + 1) for rank in range(count)]
    return random.Random(seed).choices(range(count), weights, k=length)
