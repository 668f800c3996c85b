# SPDX-License-Identifier: Apache-2.0
"""The keys that the database owns, for whoever compares them with the store."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from enum import Enum

from longshore.database.connection import Connection, Database, Row, Transaction
from longshore.database.statement import Statement
from longshore.registry.findings import Affected

_PAGE = 1000
# One statement sees one snapshot: a key that moves from table to table is in exactly one of them.
_KEYS = Statement(
    """
    SELECT key, owner, blob_id, digest, size, damaged FROM (
        SELECT * FROM (
            SELECT key, 'blobs' AS owner, id AS blob_id, digest, size, damaged FROM blobs
            WHERE key > :after AND location = '' ORDER BY key LIMIT :limit) AS a
        UNION ALL
        SELECT * FROM (
            SELECT key, 'upload_keys' AS owner, CAST(NULL AS BIGINT) AS blob_id,
            CAST(NULL AS TEXT) AS digest, CAST(NULL AS BIGINT) AS size, false AS damaged
            FROM upload_keys WHERE key > :after ORDER BY key LIMIT :limit) AS b
        UNION ALL
        SELECT * FROM (
            SELECT key, 'trash' AS owner, CAST(NULL AS BIGINT) AS blob_id,
            CAST(NULL AS TEXT) AS digest, CAST(NULL AS BIGINT) AS size, false AS damaged
            FROM trash WHERE key > :after AND location = '' ORDER BY key LIMIT :limit) AS c
        ) AS owned
    ORDER BY key LIMIT :limit
    """
)
_OWNED = Statement(
    "SELECT key FROM upload_keys WHERE key = ANY(:keys) UNION ALL SELECT key FROM blobs WHERE key = ANY(:keys)"
    " UNION ALL SELECT key FROM trash WHERE key = ANY(:keys)"
)
_COUNT = Statement(
    "SELECT (SELECT count(*) FROM blobs) + (SELECT count(*) FROM upload_keys) + (SELECT count(*) FROM trash)"
)
_BLOB = Statement("SELECT 1 FROM blobs WHERE id = :blob_id AND key = :key")
# Upwards from the blob to the manifests that name it and the indexes that name those.
_AFFECTED = Statement(
    """
    WITH RECURSIVE up (id) AS (
        SELECT mb.manifest_id FROM repository_blobs rb
        JOIN manifest_blobs mb ON mb.repository_id = rb.repository_id AND mb.blob_id = rb.blob_id
        WHERE rb.blob_id = :blob_id
        UNION
        SELECT c.parent_id FROM up JOIN manifest_children c ON c.child_id = up.id)
    SELECT p.name, r.name, m.digest, t.name FROM up
    JOIN manifests m ON m.id = up.id JOIN repositories r ON r.id = m.repository_id JOIN projects p ON p.id = r.project_id
    LEFT JOIN tags t ON t.manifest_id = m.id
    WHERE m.deleted_at IS NULL AND r.deleted_at IS NULL ORDER BY p.name, r.name, t.name, m.digest LIMIT 100
    """
)
_DAMAGE = Statement("UPDATE blobs SET damaged = true WHERE id = :blob_id AND key = :key AND NOT damaged")
_SOUND = Statement("UPDATE blobs SET damaged = false, verified_at = {now} WHERE key = ANY(:keys)")
_NOW = Statement("SELECT {now}")


class Owner(Enum):
    """The table that owns a key."""

    BLOBS = "blobs"
    UPLOAD_KEYS = "upload_keys"
    TRASH = "trash"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlobRow:
    """What a row of `blobs` promises about an object: `size` bytes that hash to `digest`."""

    id: int
    key: str
    digest: str
    size: int
    damaged: bool


@dataclass(frozen=True, slots=True)
class OwnedKey:
    """A key, its owner, and the blob it holds if it is one's."""

    key: str
    owner: Owner
    blob: StoredBlobRow | None


class StoredKeys:
    """Reads the keys that the database owns, and records what a look at the bytes has shown."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self) -> int:
        """How many keys there are now."""

        async def run(connection: Connection) -> int:
            count: int = await connection.value(_COUNT)
            return count

        return await self._database.read(run)

    async def now(self) -> int:
        """The database's clock."""

        async def run(connection: Connection) -> int:
            now: int = await connection.value(_NOW)
            return now

        return await self._database.read(run)

    async def walk(self) -> AsyncGenerator[OwnedKey, None]:
        """Every key in order, a page at a time."""
        after = ""
        while True:
            rows = await self._page(after)
            for row in rows:
                yield _owned(row)
            if len(rows) < _PAGE:
                return
            after = rows[-1]["key"]

    async def unowned(self, keys: Sequence[str]) -> list[str]:
        """Those of the keys that no table owns, looked up in one statement.

        A key that has lost its last owner never gets another one, so the answer stays true.
        """

        async def run(connection: Connection) -> set[str]:
            return {row[0] for row in await connection.all(_OWNED, keys=keys)}

        owned = await self._database.read(run)
        return [key for key in keys if key not in owned]

    async def still(self, blob: StoredBlobRow) -> bool:
        """Whether the row still promises these bytes under this key."""

        async def run(connection: Connection) -> bool:
            return await connection.value(_BLOB, blob_id=blob.id, key=blob.key) is not None

        return await self._database.read(run)

    async def affected(self, blob: StoredBlobRow) -> tuple[Affected, ...]:
        """The live manifests that need the blob, directly or through what they contain, with their tags."""

        async def run(connection: Connection) -> tuple[Affected, ...]:
            rows = await connection.all(_AFFECTED, blob_id=blob.id)
            return tuple(Affected(f"{row[0]}/{row[1]}", row[2], row[3]) for row in rows)

        return await self._database.read(run)

    async def mark_damaged(self, blob: StoredBlobRow) -> None:
        """Hides the blob from pushes, so that the next one uploads it anew and heals it."""

        async def run(transaction: Transaction) -> int:
            return await transaction.execute(_DAMAGE, blob_id=blob.id, key=blob.key)

        await self._database.write(run)

    async def mark_sound(self, keys: Sequence[str]) -> None:
        """Records that the bytes under these keys were read and hash to their digests."""

        async def run(transaction: Transaction) -> int:
            return await transaction.execute(_SOUND, keys=keys)

        if keys:
            await self._database.write(run)

    async def _page(self, after: str) -> list[Row]:
        async def run(connection: Connection) -> list[Row]:
            return await connection.all(_KEYS, after=after, limit=_PAGE)

        return await self._database.read(run)


def _owned(row: Row) -> OwnedKey:
    owner = Owner(row["owner"])
    if owner is not Owner.BLOBS:
        return OwnedKey(row["key"], owner, None)
    blob = StoredBlobRow(
        id=row["blob_id"], key=row["key"], digest=row["digest"], size=row["size"], damaged=bool(row["damaged"])
    )
    return OwnedKey(row["key"], owner, blob)
