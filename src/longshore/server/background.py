# SPDX-License-Identifier: Apache-2.0
"""The worker role as a process beside the HTTP processes, or as the only one."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable

from longshore.config import Settings

_RESPAWN_SECONDS = 1.0
# How soon the worker notices that its supervisor was killed: until then it holds the lock of its role.
_PARENT_SECONDS = 0.1


class WorkerProcess:
    """The worker role beside the HTTP processes; it is started again when it dies.

    `release` is called in the new process: it lets go of what only the supervisor and the HTTP processes need.
    """

    def __init__(self, target: Callable[[], None], release: Callable[[], None]) -> None:
        self._target = target
        self._release = release
        self._process: multiprocessing.process.BaseProcess | None = None
        self._stopping = threading.Event()
        # Held by whoever starts a process, and by whoever decides that no other is started.
        self._starting = threading.Lock()
        self._watcher = threading.Thread(target=self._watch, name="worker-watcher", daemon=True)

    def start(self) -> None:
        """Starts the process, and the thread that watches it."""
        self._spawn()
        self._watcher.start()

    def stop(self) -> None:
        """Ends the process, by force if it does not within ten seconds."""
        with self._starting:
            self._stopping.set()
            process = self._process
        if process is None:
            return
        process.terminate()
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()

    def _spawn(self) -> None:
        with self._starting:
            if self._stopping.is_set():
                return
            process = multiprocessing.get_context("fork").Process(target=self._run, name="longshore-worker")
            process.start()
            self._process = process

    def _run(self) -> None:
        # Not the parent's death signal: that follows the thread that forked, which may be the watcher's.
        parent = os.getppid()
        threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()
        self._release()
        self._target()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            process = self._process
            if process is not None:
                process.join(1.0)
                if not process.is_alive() and not self._stopping.wait(_RESPAWN_SECONDS):
                    self._spawn()


def run_worker(settings: Settings, secret_key: bytes) -> None:
    """The worker role in this process, until it is told to stop."""
    from longshore.worker import run_worker as run  # noqa: PLC0415 - only this role pays for the import

    asyncio.run(run(settings, secret_key))


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
