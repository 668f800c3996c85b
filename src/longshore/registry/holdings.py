# SPDX-License-Identifier: Apache-2.0
"""What a manifest holds: the blobs of its edges, and the memberships that its wants name."""

from __future__ import annotations

from collections.abc import Sequence

from longshore.database.connection import Connection
from longshore.database.statement import Statement

_HELD = Statement(
    """
    SELECT mb.blob_id FROM manifest_blobs mb WHERE mb.manifest_id = ANY(:manifest_ids)
    UNION
    SELECT rb.blob_id FROM manifest_wants w
    JOIN blobs b ON b.digest = w.digest
    JOIN repository_blobs rb ON rb.repository_id = w.repository_id AND rb.blob_id = b.id
    WHERE w.manifest_id = ANY(:manifest_ids)
    ORDER BY 1
    """
)
_SHARE = Statement("SELECT id FROM blobs WHERE id = ANY(:blob_ids) ORDER BY id FOR KEY SHARE")


async def held_blobs(connection: Connection, manifest_ids: Sequence[int]) -> list[int]:
    """The ids of the blobs that these manifests hold in their repository, in order."""
    return [row[0] for row in await connection.all(_HELD, manifest_ids=manifest_ids)]


async def share_blobs(connection: Connection, blob_ids: Sequence[int]) -> None:
    """Lock ② of users: none of these blobs is collected before the transaction ends."""
    if blob_ids:
        await connection.all(_SHARE, blob_ids=blob_ids)
