# SPDX-License-Identifier: Apache-2.0
"""The end of a deleted repository (XR of `docs/why/metadata.md`).

Its manifests become due in small batches, which the purge of manifests works off; the row goes when nothing names it. The
repository's own time stays in the past all the while: moved into the future it could be restored half purged.
"""

from __future__ import annotations

from dataclasses import dataclass

from longshore.database.connection import Connection, Database, Row, Transaction
from longshore.database.errors import ForeignKeyViolation
from longshore.database.statement import Statement
from longshore.registry import artifacts
from longshore.registry.deletion import drop_tags
from longshore.registry.locking import lock_by_id
from longshore.registry.step import Progress, QueueStep, count_due

_BATCH = 500
_LOOK = 100
_PENDING = """
    EXISTS (SELECT 1 FROM manifests m WHERE m.repository_id = repositories.id AND m.purge_after IS NULL)
    OR EXISTS (SELECT 1 FROM manifests m WHERE m.repository_id = repositories.id AND m.purge_after > (SELECT {now}))
    OR NOT (EXISTS (SELECT 1 FROM manifests m WHERE m.repository_id = repositories.id)
        OR EXISTS (SELECT 1 FROM repository_blobs rb WHERE rb.repository_id = repositories.id)
        OR EXISTS (SELECT 1 FROM upload_sessions s WHERE s.repository_id = repositories.id))
"""
_DUE = Statement(
    f"""
    SELECT id, purge_after, ({_PENDING}) AS pending FROM repositories
    WHERE purge_after IS NOT NULL AND purge_after < (SELECT {{now}}) AND (purge_after, id) > (:after_at, :after_id)
    ORDER BY purge_after, id LIMIT :limit
    """
)
_DEPTH = Statement(
    "SELECT count(*) FROM (SELECT 1 FROM repositories WHERE purge_after IS NOT NULL AND purge_after < (SELECT {now})"
    " LIMIT :limit) AS due"
)
# Two ranges of one index rather than an OR, which would look at all manifests of the repository again and again.
_MANIFESTS = Statement(
    """
    SELECT id FROM manifests WHERE repository_id = :repository_id AND purge_after IS NULL
    UNION ALL
    SELECT id FROM manifests WHERE repository_id = :repository_id AND purge_after > (SELECT {now})
    LIMIT :limit
    """
)
_MARK = Statement(
    "UPDATE manifests SET deleted_at = coalesce(deleted_at, {now}), purge_after = {now}, review_after = NULL"
    " WHERE id = ANY(:manifest_ids)"
)
_DROP = Statement(
    """
    DELETE FROM repositories WHERE id = :repository_id
    AND NOT EXISTS (SELECT 1 FROM manifests m WHERE m.repository_id = repositories.id)
    AND NOT EXISTS (SELECT 1 FROM repository_blobs rb WHERE rb.repository_id = repositories.id)
    AND NOT EXISTS (SELECT 1 FROM upload_sessions s WHERE s.repository_id = repositories.id)
    """
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the walk over deleted repositories is."""

    purge_after: int = 0
    repository_id: int = 0


class RepositoryPurge(QueueStep[int]):
    """Takes repositories apart whose time to be restored is over."""

    name = "repositories"

    def __init__(self, database: Database, *, concurrency: int = 1) -> None:
        super().__init__(database, concurrency=concurrency)
        self._place = _Place()

    async def depth(self) -> int:
        """How many are due, those included that wait for their blobs to be collected."""
        return await count_due(self._database, _DEPTH)

    async def due(self, limit: int) -> list[int]:
        """Those with something to do among the next ones of a walk over all that are due.

        Most of them only wait for leases to end. The walk goes past them instead of moving their time.
        """
        place, look = self._place, max(limit, _LOOK)

        async def run(connection: Connection) -> list[Row]:
            return await connection.all(_DUE, after_at=place.purge_after, after_id=place.repository_id, limit=look)

        rows = await self._database.read(run)
        pending = [row for row in rows if row["pending"]][:limit]
        if len(pending) == limit:
            last = pending[-1]
            self._place = _Place(last["purge_after"], last["id"])
        elif len(rows) == look:
            self._place = _Place(rows[-1]["purge_after"], rows[-1]["id"])
        else:
            self._place = _Place()
        return [row["id"] for row in pending]

    async def settle(self, item: int) -> Progress:
        """One batch of one repository."""

        async def run(transaction: Transaction) -> int:
            return await purge_repository(transaction, item)

        try:
            return Progress(handled=await self._database.write(run))
        except ForeignKeyViolation:
            # Something came in while we waited for the row: its own end is queued, and the walk comes by again.
            return Progress()

    async def postpone(self, item: int) -> None:
        """The walk comes by again."""


async def purge_repository(transaction: Transaction, repository_id: int) -> int:
    """XR: up to 500 manifests become due, or the row goes when nothing names it; how much was done.

    The quota isn't touched: the repository's deletion has given everything back already.
    """
    locked = await lock_by_id(transaction, repository_id)
    if locked is None or not locked.expired:
        return 0
    rows = await transaction.all(_MANIFESTS, repository_id=repository_id, limit=_BATCH)
    if not rows:
        return await transaction.execute(_DROP, repository_id=repository_id)
    manifest_ids = [row[0] for row in rows]
    await drop_tags(
        transaction,
        manifest_ids,
        deletion_id=locked.deletion_id,
        actor="longshore",
        reason="the repository was deleted, and the time to restore it is over",
    )
    marked = await transaction.execute(_MARK, manifest_ids=manifest_ids)
    await artifacts.count(transaction, locked.repository, await artifacts.refresh(transaction, manifest_ids))
    return marked
