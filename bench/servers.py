# SPDX-License-Identifier: Apache-2.0
"""What every server under test has in common: a folder, a port, the cores that it runs on."""

from __future__ import annotations

import os
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bench import machine
from bench.asking import get
from bench.backing import Backing

PROJECT = "bench"
_START_SECONDS = 60.0


class Server(ABC):
    """One server with data of its own below `folder`.

    Attributes:
        name: What the result tables call it.
        pushable: Whether clients can push to it; otherwise the benchmark lays files into `folder`.
        folder: Where its data is; changed only while nothing of it runs.
        cores: Where it runs from its next start on.
        backing: What runs beside it.
    """

    name: str
    pushable: ClassVar[bool] = True

    def __init__(self, folder: Path, cores: Sequence[int]) -> None:
        self.folder = folder
        self.cores = tuple(cores)
        self.port = machine.free_port()
        self.backing: list[Backing] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def content_name(self) -> str:
        """What its prepared data is called; servers that can share it say the same."""
        return self.name

    @property
    def base(self) -> str:
        """The address, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process that everything else of the server descends from."""
        if self._process is None:
            raise RuntimeError(f"{self.name} doesn't run")
        return self._process.pid

    @abstractmethod
    def command(self) -> list[str]:
        """The command line."""

    @abstractmethod
    def version(self) -> str:
        """What the server says it is."""

    def environment(self) -> dict[str, str]:
        """Environment variables of the server."""
        return {}

    def authorization(self, _repositories: Sequence[str]) -> dict[str, str]:
        """The value of the Authorization header that each repository needs; empty where none is."""
        return {}

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """Makes, in the running server, what it needs before its first push."""

    def make_backing(self) -> list[Backing]:
        """What the server needs beside it (database, object store, front server), below its folder."""
        return []

    def begin_backing(self) -> None:
        """Starts what the server needs beside it, unless it runs."""
        if not self.backing:
            self.backing = self.make_backing()
            for backing in self.backing:
                backing.start(self.cores)

    def backing_seconds(self) -> float:
        """The CPU time so far of what the server needs beside it, told apart from its own."""
        return sum(backing.seconds() for backing in self.backing)

    def backing_memory(self) -> float:
        """The memory of what the server needs beside it, in megabytes (10^6)."""
        return sum(backing.memory() for backing in self.backing)

    def launch(self) -> None:
        """Starts the process and doesn't wait for it."""
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                machine.pinned(self.cores, self.command()),
                env={"PATH": os.environ["PATH"], **self.environment()},
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def start(self) -> None:
        """Starts everything and waits until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.begin_backing()
        self.launch()
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                if self.ready():
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError(
            f"{self.name} didn't start:\n{(self.folder / 'server.log').read_text(errors='replace')[-3000:]}"
        )

    def ready(self) -> bool:
        """Whether the server answers."""
        return get(self.port, "/v2/")[0] in {200, 401, 403, 404}

    def stop(self) -> None:
        """Ends the server as a service manager does, and leaves what it needs beside it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def stop_all(self) -> None:
        """Ends the server and what it needs beside it, in order."""
        self.stop()
        for backing in self.backing:
            backing.stop()
        self.backing = []

    def kill(self) -> None:
        """Ends every process at once, with nothing written that wasn't."""
        if self._process is not None:
            machine.kill(self._process.pid)
            self._process.wait(30)
            self._process = None
        for backing in self.backing:
            backing.kill()
        self.backing = []
