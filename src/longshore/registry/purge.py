# SPDX-License-Identifier: Apache-2.0
"""The end of a deleted manifest (X of `docs/why/metadata.md`).

It decides nothing about blobs: all that the manifest held get a lease, also those that others hold, and the collector finds
out. That is why no purge can lose a blob, whatever happens at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass

from longshore.database.connection import Connection, Database, Row, Transaction
from longshore.database.statement import Statement
from longshore.registry import ledger
from longshore.registry.holdings import held_blobs, share_blobs
from longshore.registry.locking import LockedRepository, lock_by_id
from longshore.registry.periods import Periods
from longshore.registry.project_periods import project_periods
from longshore.registry.step import MINUTE, Progress, QueueStep, count_due

_WINDOW = 8
_DUE = Statement(
    """
    SELECT m.id, m.repository_id, EXISTS (SELECT 1 FROM manifest_children c WHERE c.child_id = m.id) AS contained
    FROM manifests m WHERE m.purge_after IS NOT NULL AND m.purge_after < (SELECT {now})
    ORDER BY m.purge_after LIMIT :limit
    """
)
_DEPTH = Statement(
    "SELECT count(*) FROM (SELECT 1 FROM manifests WHERE purge_after IS NOT NULL AND purge_after < (SELECT {now})"
    " LIMIT :limit) AS due"
)
_LOCK = Statement(
    "SELECT id, digest, size, hold FROM manifests"
    " WHERE id = :manifest_id AND deleted_at IS NOT NULL AND purge_after < {now} FOR UPDATE"
)
_PARENT = Statement("SELECT 1 FROM manifest_children WHERE child_id = :manifest_id LIMIT 1")
_LEASE = Statement(
    "UPDATE repository_blobs SET lease_until = {now} + :grace"
    " WHERE repository_id = :repository_id AND blob_id = ANY(:blob_ids)"
)
_REVIEW = Statement(
    """
    UPDATE manifests SET review_after = {now} + :review_delay
    WHERE deleted_at IS NULL AND id IN (
        SELECT c.child_id FROM manifest_children c WHERE c.parent_id = :manifest_id AND c.child_id IS NOT NULL
        UNION
        SELECT r.id FROM manifests r WHERE r.repository_id = :repository_id AND r.subject_digest = :digest
        UNION
        SELECT t.manifest_id FROM tags t WHERE t.repository_id = :repository_id AND t.subject_digest = :digest)
    """
)
_DELETE = Statement("DELETE FROM manifests WHERE id = :manifest_id")
_UNLIST = Statement(
    "UPDATE repositories SET listed_at = NULL WHERE id = :repository_id AND listed_at IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM manifests m WHERE m.repository_id = :repository_id)"
)
_POSTPONE = Statement(
    "UPDATE manifests SET purge_after = {now} + :delay"
    " WHERE id = :manifest_id AND deleted_at IS NOT NULL AND purge_after < {now}"
)


@dataclass(frozen=True, slots=True)
class Due:
    """A deleted manifest whose time to be restored is over."""

    manifest_id: int
    repository_id: int


class Purge(QueueStep[Due]):
    """Removes deleted manifests for good; indexes before what they contain."""

    name = "purge"

    def __init__(self, database: Database, periods: Periods, *, concurrency: int = 2) -> None:
        super().__init__(database, concurrency=concurrency)
        self._periods = periods

    async def due(self, limit: int) -> list[Due]:
        """Manifests that no index names; where all of a wider look are named, those, which then wait a minute."""

        async def run(connection: Connection) -> list[Row]:
            return await connection.all(_DUE, limit=limit * _WINDOW)

        rows = await self._database.read(run)
        free = [row for row in rows if not row["contained"]]
        return [Due(row[0], row[1]) for row in (free or rows)[:limit]]

    async def depth(self) -> int:
        """How many are due."""
        return await count_due(self._database, _DEPTH)

    async def settle(self, item: Due) -> Progress:
        """Purges one."""

        async def run(transaction: Transaction) -> int | None:
            return await purge_manifest(transaction, item, periods=self._periods)

        size = await self._database.write(run)
        return Progress() if size is None else Progress(handled=1, bytes=size)

    async def postpone(self, item: Due) -> None:
        """Tries again in a minute."""

        async def run(transaction: Transaction) -> int:
            return await transaction.execute(_POSTPONE, manifest_id=item.manifest_id, delay=MINUTE)

        await self._database.write(run)


async def purge_manifest(transaction: Transaction, item: Due, *, periods: Periods) -> int | None:
    """X: the manifest's row and edges go, everything it held is queued for review. Its size, None when it stays."""
    locked = await lock_by_id(transaction, item.repository_id)
    if locked is None:
        return None
    # The row before its edges: the collector, who may be turning a want into an edge, has to wait from here on.
    row = await transaction.one(_LOCK, manifest_id=item.manifest_id)
    if row is None:
        return None
    if row["hold"] or await transaction.value(_PARENT, manifest_id=item.manifest_id) is not None:
        await transaction.execute(_POSTPONE, manifest_id=item.manifest_id, delay=MINUTE)
        return None
    parameters = {"manifest_id": item.manifest_id, "repository_id": item.repository_id}
    blob_ids = await held_blobs(transaction, [item.manifest_id])
    await share_blobs(transaction, blob_ids)
    await transaction.execute(_LEASE, repository_id=item.repository_id, blob_ids=blob_ids, grace=periods.grace)
    delay = (await project_periods(transaction, locked.repository.project_id, periods)).review_delay
    await transaction.execute(_REVIEW, **parameters, digest=row["digest"], review_delay=delay)
    await transaction.execute(_DELETE, manifest_id=item.manifest_id)
    size: int = row["size"]
    await _account(transaction, locked, size)
    return size


async def _account(transaction: Transaction, locked: LockedRepository, size: int) -> None:
    repository = locked.repository
    # Without any manifest the repository leaves the lists, and a day old it goes once nothing is left in it.
    unlisted = await transaction.execute(_UNLIST, repository_id=repository.id)
    await ledger.change(transaction, repository.project_id, used=0, stored=-size)
    if unlisted and not locked.deleted:
        await ledger.change_repository_count(transaction, repository.project_id, -1)
