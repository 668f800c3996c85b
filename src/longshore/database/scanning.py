# SPDX-License-Identifier: Apache-2.0
"""Reads of SQLite that may pass over very many rows: on a thread of their own, so that nothing waits for them, and bounded."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from longshore.oci.errors import ServiceUnavailable

Result = TypeVar("Result")

# Those who wait for the one thread: more are turned away at once.
_MOST_WAITING: Final = 16
# Of SQLite's virtual machine; some milliseconds.
_STEPS_BETWEEN_LOOKS: Final = 100_000


class ScanningThread:
    """One thread with a connection of its own, made when it is first needed.

    Args:
        connect: Makes the connection.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-scanner")
        self._waiting = 0

    async def run(self, function: Callable[[sqlite3.Connection], Result]) -> Result:
        """What `function` returns, called on the thread.

        Raises:
            ServiceUnavailable: too many are waiting.
        """
        if self._waiting >= _MOST_WAITING:
            raise ServiceUnavailable("Too many searches are waiting for the database. Try again.", retry_after=5)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, function)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Lets what runs come to its end, and closes the connection."""
        self._thread.shutdown()
        if self._connection is not None:
            self._connection.close()

    def _run(self, function: Callable[[sqlite3.Connection], Result]) -> Result:
        if self._connection is None:
            self._connection = self._connect()
        return function(self._connection)


class Bound:
    """Interrupts whatever statement of a connection runs for longer than so many seconds."""

    def __init__(self, connection: sqlite3.Connection, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds

    def __enter__(self) -> None:
        until = time.monotonic() + self._seconds
        self._connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS_BETWEEN_LOOKS)

    def __exit__(self, *_: object) -> None:
        self._connection.set_progress_handler(None, 0)
