# SPDX-License-Identifier: Apache-2.0
"""Bringing soft-deleted manifests back to life, with everything below them (U, and W when a push meets one)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from longshore.database.connection import Transaction
from longshore.database.statement import Statement
from longshore.registry.holdings import held_blobs
from longshore.registry.models import Repository
from longshore.registry.periods import Periods

_TREE = Statement(
    """
    WITH RECURSIVE below (id) AS (
        SELECT id FROM manifests WHERE id = ANY(:ids)
        UNION
        SELECT c.child_id FROM below JOIN manifest_children c ON c.parent_id = below.id WHERE c.child_id IS NOT NULL)
    SELECT m.id, m.size, m.digest FROM manifests m JOIN below ON below.id = m.id
    WHERE m.deleted_at IS NOT NULL ORDER BY m.id
    """
)
_REVIVE = Statement(
    """
    UPDATE manifests SET deleted_at = NULL, purge_after = NULL, deletion_id = NULL, review_after =
        (SELECT {now} + greatest(p.untagged_ttl, :grace) FROM projects p
         WHERE p.id = :project_id AND p.untagged_ttl IS NOT NULL)
    WHERE id = ANY(:ids)
    """
)
_UNHIDE = Statement(
    "UPDATE repository_blobs SET hidden_at = NULL WHERE repository_id = :repository_id AND blob_id = ANY(:blob_ids)"
    " AND hidden_at IS NOT NULL"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revived:
    """What came back, for the caller to count: manifests, their bytes, and the blobs they hold."""

    ids: tuple[int, ...]
    digests: tuple[str, ...]
    manifest_bytes: int
    blob_ids: tuple[int, ...]


NOTHING: Final = Revived(ids=(), digests=(), manifest_bytes=0, blob_ids=())


async def revive(
    transaction: Transaction, repository: Repository, manifest_ids: Sequence[int], *, periods: Periods
) -> Revived:
    """Revives those of the manifests that are soft-deleted, and every soft-deleted one below any of them.

    The caller holds lock ① and counts what came back. Tags are left alone.
    """
    rows = await transaction.all(_TREE, ids=list(manifest_ids))
    ids = [row[0] for row in rows]
    if not ids:
        return NOTHING
    await transaction.execute(_REVIVE, ids=ids, project_id=repository.project_id, grace=periods.grace)
    blob_ids = await held_blobs(transaction, ids)
    await transaction.execute(_UNHIDE, repository_id=repository.id, blob_ids=blob_ids)
    return Revived(
        ids=tuple(ids),
        digests=tuple(row[2] for row in rows),
        manifest_bytes=sum(row[1] for row in rows),
        blob_ids=tuple(blob_ids),
    )
