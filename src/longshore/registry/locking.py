# SPDX-License-Identifier: Apache-2.0
"""Lock ① for background steps and restores: by id, and whether the repository is alive or not."""

from __future__ import annotations

from dataclasses import dataclass

from longshore.database.connection import Transaction
from longshore.database.statement import Statement
from longshore.registry.models import Repository

_LOCK = Statement(
    "SELECT id, project_id, name, deleted_at, purge_after, {now}, deletion_id FROM repositories WHERE id = :repository_id"
    " FOR NO KEY UPDATE"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedRepository:
    """A repository whose row this transaction holds.

    Attributes:
        repository: how others name it.
        deleted: it is soft-deleted.
        expired: it is soft-deleted, and the time to restore it is over.
        deletion_id: of its own deletion, None while it is alive.
    """

    repository: Repository
    deleted: bool
    expired: bool
    deletion_id: str | None


async def lock_by_id(transaction: Transaction, repository_id: int) -> LockedRepository | None:
    """Lock ① on a repository, soft-deleted or not; None when its row is gone."""
    row = await transaction.one(_LOCK, repository_id=repository_id)
    if row is None:
        return None
    purge_after: int | None = row[4]
    return LockedRepository(
        repository=Repository(row[0], row[1], row[2]),
        deleted=row[3] is not None,
        expired=purge_after is not None and purge_after < row[5],
        deletion_id=row[6],
    )
