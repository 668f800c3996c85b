# SPDX-License-Identifier: Apache-2.0
"""The rows of a project that goes. Its repositories are the registry's."""

from __future__ import annotations

import uuid

from longshore.database.connection import Transaction
from longshore.database.statement import Statement

_DELETE = Statement(
    """
    UPDATE projects SET deleted_at = {now}, purge_after = {now} + coalesce(undelete_window, :window),
           deletion_id = :deletion_id, access_version = access_version + 1, updated_at = {now}
    WHERE id = :id AND deleted_at IS NULL
    """
)


async def delete_project_row(transaction: Transaction, project_id: int, *, window: int) -> str | None:
    """Marks a project that has no repositories as deleted; its name is free at once.

    Args:
        transaction: The transaction of the use case.
        project_id: The project.
        window: How long it can be restored if the project has no window of its own, in microseconds.

    Returns:
        The identifier of this deletion, None when there is no such project.
    """
    deletion_id = str(uuid.uuid4())
    hit = await transaction.execute(_DELETE, id=project_id, window=window, deletion_id=deletion_id)
    return deletion_id if hit else None
