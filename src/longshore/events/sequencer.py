# SPDX-License-Identifier: Apache-2.0
"""Numbers committed events, one sequencer at a time.

On PostgreSQL an advisory lock that lives as long as the transaction lets one sequencer in; it is released after the commit
is visible, so the next one sees the last number. On SQLite the single writer does the same. Numbers have no gaps, and once a
number is visible no smaller one can appear.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from longshore.database.connection import Database, Dialect, Transaction
from longshore.database.statement import Statement
from longshore.oci.errors import ServiceUnavailable, StorageFull

_log = structlog.get_logger("longshore.events")

_BATCH = 500
_IDLE_SECONDS = 0.25
_AWAY_SECONDS = 1.0
# "LSEQ": one lock for all releases, apart from the one that migrations take.
_LOCK = Statement("SELECT pg_try_advisory_xact_lock(1280525649)")
_WAITING = Statement("SELECT 1 FROM events WHERE seq IS NULL LIMIT 1")
_NUMBER = Statement(
    """
    UPDATE events SET seq = fresh.seq
    FROM (
        SELECT waiting.id, (SELECT coalesce(max(seq), 0) FROM events) + row_number() OVER (ORDER BY waiting.id) AS seq
        FROM (SELECT id FROM events WHERE seq IS NULL ORDER BY id LIMIT :limit) AS waiting
    ) AS fresh
    WHERE events.id = fresh.id
    """
)


class Sequencer:
    """Gives committed events their `seq`. Any number may run; one at a time works."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run_once(self) -> int:
        """Numbers one batch and returns how many events it had: 0 also when another sequencer is at work."""
        if not await self._database.read(lambda connection: connection.value(_WAITING)):
            return 0
        alone = self._database.dialect is Dialect.SQLITE

        async def number(transaction: Transaction) -> int:
            # The lock has a statement of its own: the next one then sees what the last owner of the lock committed.
            if not alone and not await transaction.value(_LOCK):
                return 0
            return await transaction.execute(_NUMBER, limit=_BATCH)

        return await self._database.write(number)

    async def run(self, stop: asyncio.Event) -> None:
        """Numbers events until `stop` is set; a database that is away is asked again."""
        waiting = False
        while not stop.is_set():
            pause = _IDLE_SECONDS
            try:
                if await self.run_once() == _BATCH:
                    pause = 0.0
                waiting = False
            except (ServiceUnavailable, StorageFull) as error:
                # Said once, not with every attempt.
                if not waiting:
                    _log.warning("events_not_numbered", error=error.message)
                waiting = True
                pause = _AWAY_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause or 0.001)
