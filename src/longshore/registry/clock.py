# SPDX-License-Identifier: Apache-2.0
"""Whether the database's clock can be trusted to say that something is over.

All deadlines are the database's, and what is over is removed for good. A clock that jumps ahead, by a wrong time server or a
virtual machine that was moved, makes everything be over at once: uploads, leases, the trash. So whoever removes compares the
clock with one that can't jump, and waits after a jump for somebody to correct it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from longshore.database.connection import Database
from longshore.database.statement import Statement
from longshore.registry.periods import SECOND

_log = structlog.get_logger("longshore.clock")

_NOW = Statement("SELECT {now}")
# Below the shortest time that matters, above what time servers correct and a busy machine makes of two looks.
_TOLERANCE_SECONDS = 30.0
_SETTLING_SECONDS = 900.0
_SLOW_SECONDS = 5.0


def _running() -> float:
    """Seconds that the machine has been running for, asleep or not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockWatch:
    """Compares the database's clock with this machine's running time, from its first look on.

    Args:
        database: Whose clock it is.
        running: Seconds that pass whatever becomes of the time of day.
    """

    def __init__(self, database: Database, *, running: Callable[[], float] = _running) -> None:
        self._database = database
        self._running = running
        self._trusted: float | None = None
        self._jumped_at: float | None = None

    async def steady(self) -> bool:
        """False for fifteen minutes after a jump, unless the clock is put right before.

        Raises:
            ServiceUnavailable: the database is away.
        """
        before = self._running()
        now = await self._database.read(lambda connection: connection.value(_NOW)) / SECOND
        running = self._running()
        if running - before > _SLOW_SECONDS:
            # An answer that took so long says little about the time.
            return self._jumped_at is None
        difference = now - running
        drift = 0.0 if self._trusted is None else difference - self._trusted
        if abs(drift) <= _TOLERANCE_SECONDS:
            self._trust(difference, put_right=self._jumped_at is not None)
        elif self._jumped_at is None:
            self._jumped_at = running
            _log.warning(
                "the database's clock jumped: nothing is removed until it is right or the waiting time is over",
                seconds=round(drift),
                waiting_seconds=int(_SETTLING_SECONDS),
            )
        elif running - self._jumped_at >= _SETTLING_SECONDS:
            self._trust(difference, put_right=False)
        return self._jumped_at is None

    def _trust(self, difference: float, *, put_right: bool) -> None:
        if put_right:
            _log.info("the database's clock is right again")
        self._trusted = difference
        self._jumped_at = None
