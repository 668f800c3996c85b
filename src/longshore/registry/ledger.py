# SPDX-License-Identifier: Apache-2.0
"""Counting bytes: what a project uses is what its live content and its leases hold.

Both functions run inside a caller's transaction, as its last statements: first the `project_blobs` rows in the order of
blob ids, then the one row of `project_usage`, so that two transactions never wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Sequence

from longshore.database.connection import Transaction
from longshore.database.statement import Statement
from longshore.registry import quota, totals

_SHARE = Statement(
    "SELECT 1 FROM project_blobs WHERE project_id = :project_id AND blob_id = ANY(:blob_ids)"
    " ORDER BY blob_id FOR KEY SHARE"
)
_COUNT = Statement(
    "UPDATE project_blobs SET counted = true"
    " WHERE project_id = :project_id AND blob_id = ANY(:blob_ids) AND NOT counted RETURNING size"
)
_LOCK = Statement(
    "SELECT 1 FROM project_blobs WHERE project_id = :project_id AND blob_id = ANY(:blob_ids) ORDER BY blob_id FOR UPDATE"
)
# Held: a lease that is neither over nor hidden, or a manifest that is alive in a repository that is alive. A manifest
# holds the blobs of its edges and the memberships that its wants name.
HELD = """
    EXISTS (
        SELECT 1 FROM repository_blobs rb
        WHERE rb.project_id = project_blobs.project_id AND rb.blob_id = project_blobs.blob_id AND (
            (rb.hidden_at IS NULL AND rb.lease_until > {now})
            OR EXISTS (
                SELECT 1 FROM manifest_blobs mb
                JOIN manifests m ON m.id = mb.manifest_id
                JOIN repositories r ON r.id = m.repository_id
                WHERE mb.repository_id = rb.repository_id AND mb.blob_id = rb.blob_id
                AND m.deleted_at IS NULL AND r.deleted_at IS NULL)
            OR EXISTS (
                SELECT 1 FROM blobs b
                JOIN manifest_wants w ON w.repository_id = rb.repository_id AND w.digest = b.digest
                JOIN manifests m ON m.id = w.manifest_id
                JOIN repositories r ON r.id = m.repository_id
                WHERE b.id = rb.blob_id AND m.deleted_at IS NULL AND r.deleted_at IS NULL)))
"""
_UNCOUNT = Statement(
    "UPDATE project_blobs SET counted = false"
    f" WHERE project_id = :project_id AND blob_id = ANY(:blob_ids) AND counted AND NOT {HELD} RETURNING size"
)
# The same over whole repositories, for deleting and restoring them: the rows are locked by a statement of their own here too.
_OF_REPOSITORIES = (
    "project_id = :project_id AND blob_id IN"
    " (SELECT rb.blob_id FROM repository_blobs rb WHERE rb.repository_id = ANY(:repository_ids))"
)
_LOCK_REPOSITORIES = Statement(
    f"SELECT count(*) FROM (SELECT 1 FROM project_blobs WHERE {_OF_REPOSITORIES} ORDER BY blob_id FOR UPDATE) AS locked"
)
_SHARE_REPOSITORIES = Statement(
    f"SELECT count(*) FROM (SELECT 1 FROM project_blobs WHERE {_OF_REPOSITORIES} ORDER BY blob_id FOR KEY SHARE) AS locked"
)
_UNCOUNT_REPOSITORIES = Statement(
    f"UPDATE project_blobs SET counted = false WHERE {_OF_REPOSITORIES} AND counted AND NOT {HELD} RETURNING size"
)
_COUNT_REPOSITORIES = Statement(
    f"UPDATE project_blobs SET counted = true WHERE {_OF_REPOSITORIES} AND NOT counted AND {HELD} RETURNING size"
)
_LIVE_MANIFESTS = Statement(
    "SELECT coalesce(sum(size), 0) FROM manifests WHERE repository_id = ANY(:repository_ids) AND purge_after IS NULL"
)
_LISTED = Statement(
    "SELECT count(listed_at), coalesce(sum(artifact_count), 0) FROM repositories WHERE id = ANY(:repository_ids)"
)
_CHANGE_REPOSITORIES = Statement(
    "UPDATE project_usage SET repository_count = repository_count + :change WHERE project_id = :project_id"
)
# The same over the projects that have one blob, for the collector.
_LOCK_PROJECTS = Statement(
    "SELECT 1 FROM project_blobs WHERE blob_id = :blob_id AND project_id = ANY(:project_ids) ORDER BY project_id FOR UPDATE"
)
_UNCOUNT_PROJECTS = Statement(
    "UPDATE project_blobs SET counted = false"
    f" WHERE blob_id = :blob_id AND project_id = ANY(:project_ids) AND counted AND NOT {HELD} RETURNING project_id, size"
)
_COUNT_PROJECTS = Statement(
    "UPDATE project_blobs SET counted = true"
    f" WHERE blob_id = :blob_id AND project_id = ANY(:project_ids) AND NOT counted AND {HELD} RETURNING project_id, size"
)
# A project that gives something back has room again: its next refusal is news.
_ADD = """
    UPDATE project_usage SET used_bytes = used_bytes + :used, stored_bytes = stored_bytes + :stored,
           artifact_count = artifact_count + :artifacts,
           exceeded_at = CASE WHEN CAST(:used AS BIGINT) < 0 THEN NULL ELSE exceeded_at END
"""
_SETTLE = Statement(f"{_ADD} WHERE project_id = :project_id")
_CHANGE = Statement(
    f"""
    {_ADD}
    WHERE project_id = :project_id AND (
        CAST(:used AS BIGINT) <= 0 OR NOT EXISTS (
            SELECT 1 FROM projects p WHERE p.id = :project_id AND p.quota_bytes IS NOT NULL
            AND project_usage.used_bytes + :used > p.quota_bytes))
    RETURNING used_bytes, (SELECT p.quota_bytes FROM projects p WHERE p.id = project_id)
    """
)
_USAGE = Statement(
    "SELECT u.used_bytes, p.quota_bytes FROM project_usage u JOIN projects p ON p.id = u.project_id"
    " WHERE u.project_id = :project_id"
)


async def count(
    transaction: Transaction,
    project_id: int,
    blob_ids: Sequence[int],
    *,
    used: int = 0,
    stored: int = 0,
    artifacts: int = 0,
) -> None:
    """Counts those of the blobs that weren't, and `used` bytes of manifests, against the project's quota.

    `stored` bytes are added to what the project stores: those of rows that the transaction inserted. So many `artifacts`
    more are listed.

    Raises:
        QuotaExceeded: the project would hold more than it may; the caller's transaction must roll back.
    """
    if blob_ids:
        await transaction.all(_SHARE, project_id=project_id, blob_ids=blob_ids)
        rows = await transaction.all(_COUNT, project_id=project_id, blob_ids=blob_ids)
        used += sum(row[0] for row in rows)
    await change(transaction, project_id, used=used, stored=stored, artifacts=artifacts)


async def uncount(
    transaction: Transaction,
    project_id: int,
    blob_ids: Sequence[int],
    *,
    used: int = 0,
    stored: int = 0,
    artifacts: int = 0,
) -> None:
    """Stops counting those of the blobs that nothing alive holds any more, and `used` bytes of manifests.

    `stored` bytes are taken off what the project stores: those of rows that the transaction deleted. The rows are locked
    by a statement of their own first: the second of two deletions then sees the first one, and a push that counts sees
    the deletion. So many `artifacts` more are listed (below zero: fewer).
    """
    if blob_ids:
        await transaction.all(_LOCK, project_id=project_id, blob_ids=blob_ids)
        rows = await transaction.all(_UNCOUNT, project_id=project_id, blob_ids=blob_ids)
        used += sum(row[0] for row in rows)
    await change(transaction, project_id, used=-used, stored=-stored, artifacts=artifacts)


async def change(transaction: Transaction, project_id: int, *, used: int, stored: int, artifacts: int = 0) -> None:
    """Changes the project's one row of the ledger, the last statement of a transaction; an increase meets the quota."""
    if not used and not stored and not artifacts:
        return
    row = await transaction.one(_CHANGE, project_id=project_id, used=used, stored=stored, artifacts=artifacts)
    if row is None:
        await _refuse(transaction, project_id, used=used, stored=stored, artifacts=artifacts)
    elif used > 0 and row[1] is not None:
        await quota.tell_growth(transaction, project_id, before=row[0] - used, after=row[0], limit=row[1])


async def _refuse(transaction: Transaction, project_id: int, *, used: int, stored: int, artifacts: int) -> None:
    """Refuses an increase beyond the quota, unless administrators have switched quotas off."""
    usage = await transaction.one(_USAGE, project_id=project_id)
    if usage is None:
        return
    # The limit may have been lifted since the statement before.
    if usage[1] is None or not await quota.is_enforced(transaction):
        await settle(transaction, project_id, used=used, stored=stored, artifacts=artifacts)
        return
    raise await quota.exceeded(transaction, project_id, added=used, used=usage[0], limit=usage[1])


async def uncount_repositories(transaction: Transaction, project_id: int, repository_ids: Sequence[int]) -> None:
    """Stops counting what only these repositories, marked as deleted by this transaction, held alive."""
    parameters = {"project_id": project_id, "repository_ids": repository_ids}
    await transaction.value(_LOCK_REPOSITORIES, **parameters)
    rows = await transaction.all(_UNCOUNT_REPOSITORIES, **parameters)
    used = sum(row[0] for row in rows) + await transaction.value(_LIVE_MANIFESTS, repository_ids=repository_ids)
    listed, artifacts = await _listed(transaction, repository_ids)
    await change(transaction, project_id, used=-used, stored=0, artifacts=-artifacts)
    await change_repository_count(transaction, project_id, -listed)


async def count_repositories(transaction: Transaction, project_id: int, repository_ids: Sequence[int]) -> None:
    """Counts again what these repositories, restored by this transaction, hold.

    Raises:
        QuotaExceeded: the project would hold more than it may; the caller's transaction must roll back.
    """
    parameters = {"project_id": project_id, "repository_ids": repository_ids}
    await transaction.value(_SHARE_REPOSITORIES, **parameters)
    rows = await transaction.all(_COUNT_REPOSITORIES, **parameters)
    used = sum(row[0] for row in rows) + await transaction.value(_LIVE_MANIFESTS, repository_ids=repository_ids)
    listed, artifacts = await _listed(transaction, repository_ids)
    await change(transaction, project_id, used=used, stored=0, artifacts=artifacts)
    await change_repository_count(transaction, project_id, listed)


async def _listed(transaction: Transaction, repository_ids: Sequence[int]) -> tuple[int, int]:
    """How many of the repositories lists show, and how many artifacts."""
    row = await transaction.one(_LISTED, repository_ids=repository_ids)
    return (0, 0) if row is None else (int(row[0]), int(row[1]))


async def change_repository_count(transaction: Transaction, project_id: int, difference: int) -> None:
    """Changes how many live repositories the project lists."""
    if difference:
        await transaction.execute(_CHANGE_REPOSITORIES, project_id=project_id, change=difference)
        await totals.count_repositories(transaction, project_id, difference)


async def recount_blob(transaction: Transaction, blob_id: int, project_ids: Sequence[int]) -> dict[int, int]:
    """Counts one blob in these projects by what holds it now; by how much each project's used bytes change.

    For the collector, who settles them at the end of its transaction, and without regard to quotas: what a live manifest
    holds counts, whether it fits or not.
    """
    parameters = {"blob_id": blob_id, "project_ids": project_ids}
    await transaction.all(_LOCK_PROJECTS, **parameters)
    changes = dict.fromkeys(project_ids, 0)
    for row in await transaction.all(_COUNT_PROJECTS, **parameters):
        changes[row[0]] += row[1]
    for row in await transaction.all(_UNCOUNT_PROJECTS, **parameters):
        changes[row[0]] -= row[1]
    return changes


async def settle(transaction: Transaction, project_id: int, *, used: int, stored: int, artifacts: int = 0) -> None:
    """Changes the project's one row of the ledger to the truth, whatever the quota says."""
    if used or stored:
        await transaction.execute(_SETTLE, project_id=project_id, used=used, stored=stored, artifacts=artifacts)
