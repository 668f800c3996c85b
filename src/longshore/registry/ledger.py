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
_CHANGE = Statement(
    """
    UPDATE project_usage SET used_bytes = used_bytes + :used, stored_bytes = stored_bytes + :stored
    WHERE project_id = :project_id AND (
        :used <= 0 OR NOT EXISTS (
            SELECT 1 FROM projects p WHERE p.id = :project_id AND p.quota_bytes IS NOT NULL
            AND project_usage.used_bytes + :used > p.quota_bytes))
    """
)
_USAGE = Statement(
    "SELECT u.used_bytes, p.quota_bytes FROM project_usage u JOIN projects p ON p.id = u.project_id"
    " WHERE u.project_id = :project_id"
)


async def count(
    transaction: Transaction, project_id: int, blob_ids: Sequence[int], *, used: int = 0, stored: int = 0
) -> None:
    """Counts those of the blobs that weren't, and `used` bytes of manifests, against the project's quota.

    `stored` bytes are added to what the project stores: those of rows that the transaction inserted.

    Raises:
        QuotaExceeded: the project would hold more than it may; the caller's transaction must roll back.
    """
    if blob_ids:
        await transaction.all(_SHARE, project_id=project_id, blob_ids=blob_ids)
        rows = await transaction.all(_COUNT, project_id=project_id, blob_ids=blob_ids)
        used += sum(row[0] for row in rows)
    await change(transaction, project_id, used=used, stored=stored)


async def uncount(
    transaction: Transaction, project_id: int, blob_ids: Sequence[int], *, used: int = 0, stored: int = 0
) -> None:
    """Stops counting those of the blobs that nothing alive holds any more, and `used` bytes of manifests.

    `stored` bytes are taken off what the project stores: those of rows that the transaction deleted. The rows are locked
    by a statement of their own first: the second of two deletions then sees the first one, and a push that counts sees
    the deletion.
    """
    if blob_ids:
        await transaction.all(_LOCK, project_id=project_id, blob_ids=blob_ids)
        rows = await transaction.all(_UNCOUNT, project_id=project_id, blob_ids=blob_ids)
        used += sum(row[0] for row in rows)
    await change(transaction, project_id, used=-used, stored=-stored)


async def change(transaction: Transaction, project_id: int, *, used: int, stored: int) -> None:
    """Changes the project's one row of the ledger, the last statement of a transaction; an increase meets the quota."""
    if not used and not stored:
        return
    if not await transaction.execute(_CHANGE, project_id=project_id, used=used, stored=stored):
        usage = await transaction.one(_USAGE, project_id=project_id)
        if usage is None:
            return
        raise QuotaExceeded(added=used, used=usage[0], limit=usage[1])
