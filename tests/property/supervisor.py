# SPDX-License-Identifier: Apache-2.0
"""One random run: makes the processes, kills them, makes new ones, and at the end looks at what is left.

By hand: `python -m tests.property.supervisor '{"folder": …, "database": …, "seed": 1, "seconds": 60, "processes": 5}'`.
It is a process of its own, without threads, so that it may fork.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.property.auditor import audit
from tests.property.draining import drain
from tests.property.mutants import MUTANTS
from tests.property.notes import Notes
from tests.property.registry import Configuration, shrink
from tests.property.worker import work

_KILL_EVERY_SECONDS = 0.7
_STOP_EVERY_SECONDS = 1.0
_LONGEST_STOP_SECONDS = 0.6
_PATIENCE_SECONDS = 20.0


@dataclass(slots=True)
class Supervisor:
    """The processes of one run."""

    configuration: Configuration
    notes: Notes
    choice: random.Random
    made: int = 0
    kills: int = 0
    workers: set[int] = field(default_factory=set)
    stopped: dict[int, float] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    worked_seconds: float = 0.0

    def run(self) -> None:
        """Everything, until the drain has ended."""
        stop_at = time.monotonic() + self.configuration.seconds
        auditor = _fork(lambda: audit(self.configuration, stop_at))
        kill_at, stop_one_at = self._soon(_KILL_EVERY_SECONDS), self._soon(_STOP_EVERY_SECONDS)
        while time.monotonic() < stop_at and not self._found():
            while len(self.workers) < self.configuration.processes:
                self._make_worker(stop_at)
            now = time.monotonic()
            self._continue_due(now)
            if now > kill_at:
                os.kill(self.choice.choice(sorted(self.workers)), signal.SIGKILL)
                kill_at = self._soon(_KILL_EVERY_SECONDS)
            if now > stop_one_at:
                self._stop_one(now)
                stop_one_at = self._soon(_STOP_EVERY_SECONDS)
            time.sleep(0.01)
            self._reap()
        self.worked_seconds = time.monotonic() - self.began
        self._end(auditor)
        if not self._found():
            _wait(_fork(lambda: drain(self.configuration, self.notes)), _PATIENCE_SECONDS * 5)

    def _found(self) -> bool:
        """A mutant has been caught: there is nothing more to learn."""
        return self.configuration.mutant is not None and bool(self.notes.lines("violations"))

    def _make_worker(self, stop_at: float) -> None:
        self.made += 1
        number = self.made
        self.workers.add(_fork(lambda: work(self.configuration, number, stop_at)))

    def _stop_one(self, now: float) -> None:
        """A process that sleeps while the world goes on, and then wakes up believing what it knew."""
        awake = sorted(self.workers - self.stopped.keys())
        if awake:
            process = self.choice.choice(awake)
            os.kill(process, signal.SIGSTOP)
            self.stopped[process] = now + self.choice.random() * _LONGEST_STOP_SECONDS

    def _continue_due(self, now: float) -> None:
        for process, until in list(self.stopped.items()):
            if now >= until:
                os.kill(process, signal.SIGCONT)
                del self.stopped[process]

    def _reap(self) -> None:
        for process in list(self.workers):
            found, status = os.waitpid(process, os.WNOHANG)
            if found:
                self.workers.discard(process)
                self.stopped.pop(process, None)
                self._ended(status)

    def _ended(self, status: int) -> None:
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            self.kills += 1
        elif status:
            self.notes.line("errors", f"a worker ended with status {status}")

    def _end(self, auditor: int) -> None:
        self._continue_due(float("inf"))
        found = self._found()
        for process in [*self.workers, auditor]:
            if found:
                os.kill(process, signal.SIGKILL)
            status = _wait(process, _PATIENCE_SECONDS)
            if not found:
                self._ended(status)

    def _soon(self, seconds: float) -> float:
        return time.monotonic() + self.choice.random() * 2 * seconds

    def summary(self) -> dict[str, Any]:
        """What happened."""
        names = (
            "pushes",
            "pulls",
            "uploads",
            "continued",
            "mounts",
            "collected",
            "manifests_deleted",
            "blobs_deleted",
            "undeleted",
            "repositories_restored",
            "projects_restored",
            "full",
            "vanished",
            "overtaken",
            "audits",
        )
        counts = {name: self.notes.counted(name) for name in names}
        return {
            "seed": self.configuration.seed,
            "seconds": round(self.worked_seconds, 1),
            "kills": self.kills,
            **counts,
            "refused": len(self.notes.lines("refused")),
            "unavailable": len(self.notes.lines("unavailable")),
            "errors": self.notes.lines("errors"),
            "violations": self.notes.lines("violations"),
        }


def _fork(main: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """A process that runs `main` and ends when this one does."""
    process = os.fork()
    if process:
        return process
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    status = 1
    try:
        asyncio.run(main())
        status = 0
    except BaseException:  # noqa: BLE001 - a forked process must never return into its parent's code
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _wait(process: int, seconds: float) -> int:
    """Waits for a process, and kills it when it takes too long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return status
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return 1


def main() -> None:
    """Reads the configuration from the command line and prints the summary as JSON."""
    facts = json.loads(sys.argv[1])
    configuration = Configuration(**{**facts, "folder": Path(facts["folder"])})
    shrink()
    if configuration.mutant is not None:
        MUTANTS[configuration.mutant].apply(configuration)
    gc.freeze()
    supervisor = Supervisor(configuration, configuration.notes(), random.Random(configuration.seed))
    supervisor.run()
    json.dump(supervisor.summary(), sys.stdout)


if __name__ == "__main__":
    main()
