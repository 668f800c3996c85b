# SPDX-License-Identifier: Apache-2.0
"""Blocking work on threads, never left running behind the back of whoever asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from longshore.storage.port import StoreUnavailable

_Result = TypeVar("_Result")


class Threads:
    """A bounded number of threads.

    A cancelled call returns only after its function has: a file must not be closed, resumed or deleted while a thread
    still writes to it.
    """

    def __init__(self, count: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=count, thread_name_prefix=name)

    async def run(self, function: Callable[[], _Result], *, undo: Callable[[_Result], object] | None = None) -> _Result:
        """Run the function on a thread; when cancelled too late to stop it, ``undo`` disposes of its result."""
        loop = asyncio.get_running_loop()
        try:
            future = self._pool.submit(function)
        except RuntimeError as error:
            raise StoreUnavailable("The store is closed because the server stops; try again.") from error
        cancellation: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await _finished(future, loop)
            except asyncio.CancelledError as error:
                cancellation = error
                if future.cancel():
                    raise
        if cancellation is None:
            return future.result()
        if future.exception() is None and undo is not None:
            undo(future.result())
        raise cancellation

    async def close(self) -> None:
        """Wait for what is running and end the threads."""
        await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)


def _finished(future: Future[_Result], loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
    """Return an awaitable of the future's end; cancelling it leaves the future alone."""
    waiter = loop.create_future()

    def wake() -> None:
        if not waiter.done():
            waiter.set_result(None)

    def call(_: Future[_Result]) -> None:
        # The loop is closed only when a whole process is torn down; then nobody waits any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(wake)

    future.add_done_callback(call)
    return waiter
