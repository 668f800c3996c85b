# SPDX-License-Identifier: Apache-2.0
"""The assertion that ends every test that touches deletion."""

from __future__ import annotations

from contextlib import aclosing

from longshore.database.connection import Connection, Database
from longshore.database.statement import Statement
from longshore.registry.invariants import INVARIANTS, violations
from longshore.storage.port import BlobStore, ObjectKey

_BLOBS = Statement("SELECT digest, key, size FROM blobs")
_OWNED = Statement("SELECT key FROM upload_keys UNION ALL SELECT key FROM blobs UNION ALL SELECT key FROM trash")
_LEFT = Statement(
    """
    SELECT 'blobs', count(*) FROM blobs UNION ALL SELECT 'project_blobs', count(*) FROM project_blobs
    UNION ALL SELECT 'repository_blobs', count(*) FROM repository_blobs
    UNION ALL SELECT 'manifests', count(*) FROM manifests UNION ALL SELECT 'trash', count(*) FROM trash
    UNION ALL SELECT 'upload_sessions', count(*) FROM upload_sessions
    UNION ALL SELECT 'used and stored bytes', sum(used_bytes + stored_bytes) FROM project_usage
    """
)


async def assert_integrity(database: Database, store: BlobStore) -> None:
    """Raises AssertionError with every violated invariant, of the rows and of the bytes they name."""
    broken: list[str] = []

    async def look(connection: Connection) -> list[tuple[str, str, int]]:
        for invariant in INVARIANTS:
            broken.extend(f"{invariant.name}: {offender}" for offender in await violations(connection, invariant))
        return [(row[0], row[1], row[2]) for row in await connection.all(_BLOBS)]

    for digest, key, size in await database.read(look):
        found = await store.size(ObjectKey(key))
        if found != size:
            broken.append(f"bytes: blob {digest} has {found} bytes in the store, {size} in its row")

    async def owned(connection: Connection) -> set[str]:
        return {row[0] for row in await connection.all(_OWNED)}

    async with aclosing(store.listing()) as listing:
        stored = {str(entry.key) async for entry in listing}
    broken.extend(f"bytes: nothing owns {key}" for key in sorted(stored - await database.read(owned)))
    if broken:
        raise AssertionError("\n".join(broken))


async def assert_nothing_left(database: Database, store: BlobStore) -> None:
    """Raises AssertionError unless the registry holds nothing any more: no row, no byte, no debt."""

    async def look(connection: Connection) -> dict[str, int]:
        return {row[0]: int(row[1]) for row in await connection.all(_LEFT) if row[1]}

    left: dict[str, int | list[str]] = dict(await database.read(look))
    async with aclosing(store.listing()) as listing:
        files = [str(entry.key) async for entry in listing]
    if files:
        left["files"] = files
    if left:
        raise AssertionError(f"left over: {left}")
