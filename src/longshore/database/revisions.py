# SPDX-License-Identifier: Apache-2.0
"""Which revision of the schema this release was written for; a test keeps it equal to the newest migration."""

from __future__ import annotations

from longshore.database.connection import Connection, Database, Dialect
from longshore.database.statement import Statement

HEAD = "0008"

_HAS_TABLE = {
    Dialect.SQLITE: Statement("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"),
    Dialect.POSTGRESQL: Statement(
        "SELECT count(*) FROM pg_tables WHERE tablename = 'alembic_version'"
        " AND schemaname = ANY(current_schemas(false))"
    ),
}
_REVISION = Statement("SELECT version_num FROM alembic_version")


async def current_revision(database: Database) -> str | None:
    """The revision the database is at, None for an empty one."""

    async def read(connection: Connection) -> str | None:
        if not await connection.value(_HAS_TABLE[database.dialect]):
            return None
        revision: str | None = await connection.value(_REVISION)
        return revision

    return await database.read(read)


def serves(revision: str | None) -> bool:
    """Whether this release can work on that revision: its own, or a newer one (expand and contract).

    Revisions are zero-padded numbers; the release after next may remove what this one needs, and its migration then
    raises the number by a hundred (`docs/why/database.md`).
    """
    if revision is None or not revision.isdigit():
        return False
    return int(HEAD) <= int(revision) < (int(HEAD) // 100 + 1) * 100
