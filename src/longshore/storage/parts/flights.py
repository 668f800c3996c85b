# SPDX-License-Identifier: Apache-2.0
"""Parts on their way to the store, while the next ones arrive and are hashed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from longshore.storage.parts.client import Content, ObjectClient, Part

_AT_ONCE = 2
IN_FLIGHT_BYTES = 128 * 1024 * 1024

_Result = TypeVar("_Result")


class Budget:
    """How many bytes all writers of a process may have in flight; a single part always may."""

    def __init__(self, limit: int = IN_FLIGHT_BYTES) -> None:
        self._limit = limit
        self._used = 0
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Have room for the block, waiting for it."""
        await self.take(size)
        try:
            yield
        finally:
            await self.give(size)

    async def take(self, size: int) -> None:
        """Wait until there is room."""
        async with self._freed:
            await self._freed.wait_for(lambda: not self._used or self._used + size <= self._limit)
            self._used += size

    async def give(self, size: int) -> None:
        """Make room for others."""
        async with self._freed:
            self._used -= size
            self._freed.notify_all()


class Flights:
    """The parts of one upload: at most two are under way, and they count in the order of their numbers.

    A part that failed raises where the next one is waited for. Cancelling a wait leaves the parts on their way.
    """

    def __init__(self, client: ObjectClient, budget: Budget, landed: tuple[Part, ...] = ()) -> None:
        self._client = client
        self._budget = budget
        self._tasks: deque[asyncio.Task[Part]] = deque()
        self._landed = list(landed)
        self._bytes = sum(part.size for part in landed)

    @property
    def landed(self) -> tuple[Part, ...]:
        """The parts that the store has, without a gap in their bytes."""
        return tuple(self._landed)

    @property
    def landed_bytes(self) -> int:
        """The bytes of these parts."""
        return self._bytes

    async def launch(self, path: str, upload: str, number: int, content: Content) -> None:
        """Send a part, when the ones before leave room for it."""
        await self.land_until(lambda: len(self._tasks) < _AT_ONCE)
        await self._budget.take(len(content))
        self._tasks.append(asyncio.create_task(self._fly(path, upload, number, content)))

    async def land_until(self, enough: Callable[[], bool]) -> None:
        """Wait for one part after the other until there is ``enough``, or none is on its way."""
        while self._tasks and (self._tasks[0].done() or not enough()):
            await asyncio.wait((self._tasks[0],))
            part = self._tasks[0].result()
            self._tasks.popleft()
            self._landed.append(part)
            self._bytes += part.size

    async def land(self) -> None:
        """Wait for all of them."""
        await self.land_until(lambda: False)

    async def close(self) -> None:
        """Give up what is on its way, and return when nothing is any more."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await to_the_end(_settled(tuple(self._tasks)))
        self._tasks.clear()

    async def _fly(self, path: str, upload: str, number: int, content: Content) -> Part:
        try:
            return await self._client.put_part(path, upload, number, content)
        finally:
            await self._budget.give(len(content))


async def _settled(tasks: tuple[asyncio.Task[Part], ...]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


async def to_the_end(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Wait until the work is done, although the caller is cancelled meanwhile; the cancellation comes afterwards.

    If the work fails, its error comes instead: nobody must go on as if nothing but a cancellation had happened.
    """
    task = asyncio.ensure_future(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancellation = error
    result = task.result()
    if cancellation is not None:
        raise cancellation
    return result
