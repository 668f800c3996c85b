# SPDX-License-Identifier: Apache-2.0
"""How many requests are under way at once, and how many may wait for their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from longshore.storage.s3.failures import NoTurnError

_WAITING_FOR_EACH = 16
_LEAST_WAITING = 256


class Turns:
    """Lets ``count`` requests be under way.

    Whoever waits holds what it is going to send, so only some may: a store that is slower than what is asked of it must not
    fill the memory.
    """

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self._waiting = 0
        self._most = max(_WAITING_FOR_EACH * count, _LEAST_WAITING)

    @asynccontextmanager
    async def one(self, deadline: float) -> AsyncIterator[None]:
        """Have a turn for the block; raises ``NoTurnError`` when there is none by then or too many wait."""
        if self._waiting >= self._most:
            raise NoTurnError(f"{self._waiting} requests wait for it already")
        self._waiting += 1
        try:
            async with asyncio.timeout_at(deadline):
                await self._free.acquire()
        except TimeoutError as error:
            raise NoTurnError("the requests before this one took too long") from error
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()
