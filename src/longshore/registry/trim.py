# SPDX-License-Identifier: Apache-2.0
"""The limit of what a project's trash may hold: when there is more, the oldest deletions can't be restored any longer.

It only moves the time until which something can be restored; purge and collect do the rest, as they always do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from longshore.database.connection import Connection, Database, Transaction
from longshore.database.statement import Statement
from longshore.registry.locking import lock_by_id
from longshore.registry.periods import Periods
from longshore.registry.step import Progress, QueueStep

_log = structlog.get_logger("longshore.reclaim")

_EVERY_SECONDS: Final = 60.0
_BATCH: Final = 500

# One look at the ledger of all projects each minute: an index would have to be kept in order by every push.
_OVER = "SELECT project_id FROM project_usage WHERE stored_bytes - used_bytes > :limit"
_DUE = Statement(f"{_OVER} AND project_id > :after ORDER BY project_id LIMIT :most")
# Two ranges of an index: manifests that were deleted, and those that a deleted repository took along.
_TRASHED = """
    SELECT m.id, m.repository_id, m.size, m.purge_after AS until
    FROM repositories r JOIN manifests m ON m.repository_id = r.id
    WHERE r.project_id = :project_id AND (r.purge_after IS NULL OR r.purge_after > (SELECT {now}))
    AND m.purge_after > (SELECT {now})
    UNION ALL
    SELECT m.id, m.repository_id, m.size, r.purge_after
    FROM repositories r JOIN manifests m ON m.repository_id = r.id
    WHERE r.project_id = :project_id AND r.purge_after > (SELECT {now}) AND m.purge_after IS NULL
"""
# What several deletions hold goes with the last of them, so it counts there; what something alive holds isn't trash.
_CUT = Statement(
    f"""
    WITH trashed AS ({_TRASHED}),
    held AS (
        SELECT until, size FROM trashed
        UNION ALL
        SELECT max(gone.until), pb.size FROM trashed AS gone
        JOIN manifest_blobs mb ON mb.manifest_id = gone.id
        JOIN project_blobs pb ON pb.project_id = :project_id AND pb.blob_id = mb.blob_id
        WHERE NOT pb.counted GROUP BY pb.blob_id, pb.size
    ),
    deletions AS (SELECT until, sum(size) AS size FROM held GROUP BY until)
    SELECT max(summed.until) FROM (
        SELECT until, sum(size) OVER (ORDER BY until DESC) AS kept FROM deletions
    ) AS summed WHERE summed.kept > :limit
    """
)
_REPOSITORIES = Statement(
    f"SELECT DISTINCT trashed.repository_id FROM ({_TRASHED}) AS trashed WHERE trashed.until <= :cut ORDER BY 1 LIMIT :most"
)
_MANIFESTS = Statement(
    "UPDATE manifests SET purge_after = {now} WHERE repository_id = :repository_id"
    " AND purge_after > (SELECT {now}) AND purge_after <= :cut"
)
_REPOSITORY = Statement(
    "UPDATE repositories SET purge_after = {now} WHERE id = :repository_id AND purge_after > {now} AND purge_after <= :cut"
)


class Trim(QueueStep[int]):
    """Ends the time of the oldest deletions of projects whose trash is over its limit; does nothing without a limit.

    Args:
        database: Where they are.
        periods: Has the limit.
        clock: Seconds, monotonic.
    """

    name = "trim"

    def __init__(self, database: Database, periods: Periods, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(database, concurrency=1)
        self._limit = periods.trash_limit
        self._clock = clock
        self._next = float("-inf")
        self._after = 0

    async def depth(self) -> int:
        """Nothing waits here: what is found is settled at once."""
        return 0

    async def due(self, limit: int) -> list[int]:
        """Projects that store more than they use by more than the limit; each is looked at once a minute."""
        if self._limit is None or self._clock() < self._next:
            return []
        parameters = {"limit": self._limit, "after": self._after, "most": limit}

        async def run(connection: Connection) -> list[int]:
            return [row[0] for row in await connection.all(_DUE, **parameters)]

        found = await self._database.read(run)
        if len(found) == limit:
            self._after = found[-1]
        else:
            self._after, self._next = 0, self._clock() + _EVERY_SECONDS
        return found

    async def settle(self, item: int) -> Progress:
        """Trims one project's trash, a repository at a time."""

        async def look(connection: Connection) -> tuple[int | None, list[int]]:
            cut = await connection.value(_CUT, project_id=item, limit=self._limit)
            if cut is None:
                return None, []
            rows = await connection.all(_REPOSITORIES, project_id=item, cut=cut, most=_BATCH)
            return cut, [row[0] for row in rows]

        cut, repository_ids = await self._database.read(look)
        trimmed = 0
        for repository_id in repository_ids:
            trimmed += await self._trim(repository_id, cut)
        if trimmed:
            _log.info("trash_trimmed", project_id=item, deletions=trimmed, limit=self._limit)
        return Progress(handled=trimmed)

    async def postpone(self, item: int) -> None:
        """It is looked at again in a minute."""

    async def _trim(self, repository_id: int, cut: int | None) -> int:
        async def run(transaction: Transaction) -> int:
            # With the lock of restores: what comes back at this moment comes back whole, or not at all.
            if await lock_by_id(transaction, repository_id) is None:
                return 0
            whole = await transaction.execute(_REPOSITORY, repository_id=repository_id, cut=cut)
            return whole + await transaction.execute(_MANIFESTS, repository_id=repository_id, cut=cut)

        return await self._database.write(run)
