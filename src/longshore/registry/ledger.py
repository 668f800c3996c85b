# SPDX-License-Identifier: Apache-2.0
"""Counting bytes: what a project uses is what its live content and its leases hold.

Both functions run inside a caller's transaction, as its last statements: first the `project_blobs` rows in the order of
blob ids, then the one row of `project_usage`, so that two transactions never wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Sequence

from longshore.database.connection import Transaction
from longshore.database.statement import Statement
from longshore.registry.errors import QuotaExceeded

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
# Held: a lease that is neither over nor hidden, or a manifest that is alive in a repository that is alive.
_UNCOUNT = Statement(
    """
    UPDATE project_blobs SET counted = false
    WHERE project_id = :project_id AND blob_id = ANY(:blob_ids) AND counted AND NOT EXISTS (
        SELECT 1 FROM repository_blobs rb
        WHERE rb.project_id = project_blobs.project_id AND rb.blob_id = project_blobs.blob_id AND (
            (rb.hidden_at IS NULL AND rb.lease_until > {now})
            OR EXISTS (
                SELECT 1 FROM manifest_blobs mb
                JOIN manifests m ON m.id = mb.manifest_id
                JOIN repositories r ON r.id = m.repository_id
                WHERE mb.repository_id = rb.repository_id AND mb.blob_id = rb.blob_id
                AND m.deleted_at IS NULL AND r.deleted_at IS NULL)))
    RETURNING size
    """
)
_USE = Statement(
    """
    UPDATE project_usage SET used_bytes = used_bytes + :delta
    WHERE project_id = :project_id AND (
        :delta <= 0 OR NOT EXISTS (
            SELECT 1 FROM projects p WHERE p.id = :project_id AND p.quota_bytes IS NOT NULL
            AND project_usage.used_bytes + :delta > p.quota_bytes))
    """
)
_STORE = Statement("UPDATE project_usage SET stored_bytes = stored_bytes + :delta WHERE project_id = :project_id")
_USAGE = Statement(
    "SELECT u.used_bytes, p.quota_bytes FROM project_usage u JOIN projects p ON p.id = u.project_id"
    " WHERE u.project_id = :project_id"
)


async def count(transaction: Transaction, project_id: int, blob_ids: Sequence[int], *, more: int = 0) -> None:
    """Counts those of the blobs that weren't, and `more` bytes of manifests, against the project's quota.

    Raises:
        QuotaExceeded: the project would hold more than it may; the caller's transaction must roll back.
    """
    delta = more
    if blob_ids:
        await transaction.all(_SHARE, project_id=project_id, blob_ids=blob_ids)
        rows = await transaction.all(_COUNT, project_id=project_id, blob_ids=blob_ids)
        delta += sum(row[0] for row in rows)
    await use(transaction, project_id, delta)


async def uncount(transaction: Transaction, project_id: int, blob_ids: Sequence[int], *, less: int = 0) -> None:
    """Stops counting those of the blobs that nothing alive holds any more, and `less` bytes of manifests.

    The rows are locked by a statement of their own first: the second of two deletions then sees the first one, and a
    push that counts sees the deletion.
    """
    delta = less
    if blob_ids:
        await transaction.all(_LOCK, project_id=project_id, blob_ids=blob_ids)
        rows = await transaction.all(_UNCOUNT, project_id=project_id, blob_ids=blob_ids)
        delta += sum(row[0] for row in rows)
    await use(transaction, project_id, -delta)


async def use(transaction: Transaction, project_id: int, delta: int) -> None:
    """Adds `delta` bytes (may be negative) to what the project uses; only an increase meets the quota."""
    if delta and not await transaction.execute(_USE, project_id=project_id, delta=delta):
        usage = await transaction.one(_USAGE, project_id=project_id)
        if usage is None:
            return
        raise QuotaExceeded(added=delta, used=usage[0], limit=usage[1])


async def store(transaction: Transaction, project_id: int, delta: int) -> None:
    """Adds `delta` bytes to what the project stores. Call it *before* `use` when growing, after when shrinking."""
    if delta:
        await transaction.execute(_STORE, project_id=project_id, delta=delta)
