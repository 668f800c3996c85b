# SPDX-License-Identifier: Apache-2.0
"""Looking at one blob whose lease is over (G of `docs/why/metadata.md`).

A membership that a manifest needs loses its lease and is held; another one goes, and with the last membership of all the blob
goes into the trash. Foreign keys stand behind it: if this were wrong, the database would refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from longshore.database.connection import Connection, Database, Row, Transaction
from longshore.database.errors import ForeignKeyViolation
from longshore.database.statement import Statement
from longshore.registry import ledger
from longshore.registry.periods import Periods
from longshore.registry.step import MINUTE, Progress, QueueStep, count_due

_ATTEMPTS = 5
_RETRY = 10 * MINUTE
_DUE = Statement(
    """
    SELECT DISTINCT first.blob_id FROM (
        SELECT blob_id FROM repository_blobs WHERE lease_until IS NOT NULL AND lease_until < (SELECT {now})
        ORDER BY lease_until LIMIT :limit) AS first
    """
)
_DEPTH = Statement(
    "SELECT count(*) FROM (SELECT 1 FROM repository_blobs WHERE lease_until IS NOT NULL AND lease_until < (SELECT {now})"
    " LIMIT :limit) AS due"
)
_LOCK = Statement(
    "SELECT id, digest, size, key, location, {now} AS now FROM blobs WHERE id = :blob_id FOR UPDATE SKIP LOCKED"
)
# Locked, so that a HEAD that renews a lease either came before and is seen, or comes after and finds the row gone.
_EXPIRED = Statement(
    "SELECT repository_id, project_id FROM repository_blobs WHERE blob_id = :blob_id AND lease_until < :now"
    " ORDER BY repository_id FOR UPDATE"
)
_FULFIL = Statement(
    "INSERT INTO manifest_blobs (manifest_id, repository_id, blob_id)"
    " SELECT w.manifest_id, w.repository_id, CAST(:blob_id AS BIGINT) FROM manifest_wants w"
    " WHERE w.repository_id = ANY(:repository_ids) AND w.digest = :digest ON CONFLICT DO NOTHING"
)
_FULFILLED = Statement(
    "DELETE FROM manifest_wants WHERE repository_id = ANY(:repository_ids) AND digest = :digest AND EXISTS ("
    "SELECT 1 FROM manifest_blobs mb WHERE mb.manifest_id = manifest_wants.manifest_id AND mb.blob_id = :blob_id)"
)
_KEEP = Statement(
    "UPDATE repository_blobs SET lease_until = NULL WHERE blob_id = :blob_id AND repository_id = ANY(:repository_ids)"
    " AND EXISTS (SELECT 1 FROM manifest_blobs mb"
    " WHERE mb.repository_id = repository_blobs.repository_id AND mb.blob_id = repository_blobs.blob_id)"
)
_DROP = Statement(
    "DELETE FROM repository_blobs WHERE blob_id = :blob_id AND repository_id = ANY(:repository_ids) AND lease_until < :now"
)
_DROP_PROJECTS = Statement(
    "DELETE FROM project_blobs WHERE blob_id = :blob_id AND project_id = ANY(:project_ids) AND NOT EXISTS ("
    "SELECT 1 FROM repository_blobs rb"
    " WHERE rb.project_id = project_blobs.project_id AND rb.blob_id = project_blobs.blob_id) RETURNING project_id, size"
)
_DROP_BLOB = Statement(
    "DELETE FROM blobs WHERE id = :blob_id AND NOT EXISTS (SELECT 1 FROM project_blobs pb WHERE pb.blob_id = blobs.id)"
)
_TRASH = Statement("INSERT INTO trash (key, location, purge_after) VALUES (:key, :location, {now} + :delay)")
_POSTPONE = Statement(
    "UPDATE repository_blobs SET lease_until = {now} + :delay WHERE blob_id = :blob_id AND lease_until < {now}"
)


@dataclass(frozen=True, slots=True)
class Collected:
    """What one look did: memberships that went, and the bytes of the blob if it went itself."""

    memberships: int
    bytes: int


class Collect(QueueStep[int]):
    """Gives blobs back that nothing needs any more."""

    name = "collect"

    def __init__(self, database: Database, periods: Periods, *, concurrency: int = 2) -> None:
        super().__init__(database, concurrency=concurrency)
        self._periods = periods

    async def due(self, limit: int) -> list[int]:
        """Blobs of which a lease is over."""

        async def run(connection: Connection) -> list[int]:
            return [row[0] for row in await connection.all(_DUE, limit=limit)]

        return await self._database.read(run)

    async def depth(self) -> int:
        """How many leases are over."""
        return await count_due(self._database, _DEPTH)

    async def settle(self, item: int) -> Progress:
        """Looks at one blob, again when a purge took away the manifest that it was about to give it to."""

        async def run(transaction: Transaction) -> Collected | None:
            return await collect_blob(transaction, item, periods=self._periods)

        for attempt in range(_ATTEMPTS):
            try:
                collected = await self._database.write(run)
            except ForeignKeyViolation:
                if attempt == _ATTEMPTS - 1:
                    raise
                continue
            return Progress() if collected is None else Progress(handled=1, bytes=collected.bytes)
        raise AssertionError

    async def postpone(self, item: int) -> None:
        """Looks again in ten minutes."""

        async def run(transaction: Transaction) -> int:
            return await transaction.execute(_POSTPONE, blob_id=item, delay=_RETRY)

        await self._database.write(run)


async def collect_blob(transaction: Transaction, blob_id: int, *, periods: Periods) -> Collected | None:
    """G: settles the memberships of the blob whose lease is over. None when somebody is using it or nothing is due."""
    blob = await transaction.one(_LOCK, blob_id=blob_id)
    if blob is None:
        return None
    expired = await transaction.all(_EXPIRED, blob_id=blob_id, now=blob["now"])
    if not expired:
        return None
    repository_ids = [row[0] for row in expired]
    project_ids = sorted({row[1] for row in expired})
    wanted = {"blob_id": blob_id, "repository_ids": repository_ids, "digest": blob["digest"]}
    if await transaction.execute(_FULFIL, **wanted):
        await transaction.execute(_FULFILLED, **wanted)
    await transaction.execute(_KEEP, blob_id=blob_id, repository_ids=repository_ids)
    dropped = await transaction.execute(_DROP, blob_id=blob_id, repository_ids=repository_ids, now=blob["now"])
    freed = await _settle_projects(transaction, blob_id, project_ids, blob, periods)
    return Collected(dropped, freed)


async def _settle_projects(
    transaction: Transaction, blob_id: int, project_ids: Sequence[int], blob: Row, periods: Periods
) -> int:
    """Brings the projects' counts to the truth and lets go of what none of them has; the bytes that gave back."""
    used = await ledger.recount_blob(transaction, blob_id, project_ids)
    stored = dict.fromkeys(project_ids, 0)
    gone = await transaction.all(_DROP_PROJECTS, blob_id=blob_id, project_ids=project_ids)
    for row in gone:
        stored[row[0]] -= row[1]
    freed = 0
    if gone and await transaction.execute(_DROP_BLOB, blob_id=blob_id):
        await transaction.execute(_TRASH, key=blob["key"], location=blob["location"], delay=periods.delay)
        freed = blob["size"]
    for project_id in project_ids:
        await ledger.settle(transaction, project_id, used=used[project_id], stored=stored[project_id])
    return freed
