# SPDX-License-Identifier: Apache-2.0
"""Reading quotas."""

from __future__ import annotations

from longshore.database.connection import Connection, Database, Row
from longshore.database.statement import Statement
from longshore.listing.columns import Column, Kind
from longshore.listing.models import EVERYTHING, Wanted
from longshore.listing.statements import List
from longshore.listing.totals import total_of
from longshore.quotas.models import Quota
from longshore.registry.totals import PROJECTS

_COLUMNS = """
    SELECT p.id, p.name, coalesce(u.username, '') AS owner_name, p.quota_bytes, s.used_bytes,
           s.stored_bytes - s.used_bytes AS trash_bytes, p.created_at,
           coalesce(p.quota_updated_at, p.created_at) AS updated_at
"""
_JOINED = "JOIN project_usage s ON s.project_id = p.id LEFT JOIN users u ON u.id = p.owner_id"
_BY_ID = Statement(f"{_COLUMNS} FROM projects p {_JOINED} WHERE p.id = :id AND p.deleted_at IS NULL")
_LIST = List(
    source="projects p",
    scope="p.deleted_at IS NULL AND p.id > 0",
    key="p.id",
    columns={
        "id": Column("p.id", Kind.NUMBER, unique=True),
        "reference": Column("'project'", sorts=False),
        "reference_id": Column("p.id", Kind.NUMBER, sorts=False),
        # No limit is the largest, in both databases and both directions. Neither this nor what is used is in an index, which
        # every push would have to keep in order for a list that administrators look at now and then: all projects are sorted.
        "hard.storage": Column("coalesce(p.quota_bytes, 9223372036854775807)", Kind.NUMBER),
        "used.storage": Column("(SELECT used_bytes FROM project_usage WHERE project_id = p.id)", Kind.NUMBER),
        # Numbers are given out in the order of time, and have an index.
        "creation_time": Column("p.created_at", Kind.TIME, sorting="p.id", unique=True),
        "update_time": Column("coalesce(p.quota_updated_at, p.created_at)", Kind.TIME),
    },
    order="-creation_time",
    rows=f"{_COLUMNS} FROM page JOIN projects p ON p.id = page.id {_JOINED}",
    total=total_of(PROJECTS),
)


class QuotaQueries:
    """Reads quotas, each call from the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def quota(self, quota_id: int) -> Quota | None:
        """A quota by number; None when there is none."""
        row = await self._database.read(lambda connection: connection.one(_BY_ID, id=quota_id))
        return None if row is None else _quota(row)

    async def page(self, wanted: Wanted = EVERYTHING, *, offset: int = 0, limit: int = 100) -> tuple[list[Quota], int]:
        """The quotas behind the first `offset`, at most `limit`, and how many there are in all.

        Those of the newest projects come first unless `wanted` says otherwise.

        Raises:
            BadRequest: a condition doesn't fit its key.
        """

        async def read(connection: Connection) -> tuple[list[Quota], int]:
            rows, total = await _LIST.page(connection, wanted, offset=offset, limit=limit)
            return [_quota(row) for row in rows], total

        return await self._database.read(read)


def _quota(row: Row) -> Quota:
    return Quota(
        id=row["id"],
        project=row["name"],
        owner_name=row["owner_name"],
        limit=row["quota_bytes"],
        used=row["used_bytes"],
        trash=row["trash_bytes"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
