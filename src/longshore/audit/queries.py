# SPDX-License-Identifier: Apache-2.0
"""Reading the audit log. Both forms of the API show this one store."""

from __future__ import annotations

from longshore.audit.models import Entry, Record
from longshore.audit.service import TOTAL
from longshore.database.connection import Connection, Database, Row
from longshore.listing.columns import Column, Kind
from longshore.listing.models import EVERYTHING, Wanted
from longshore.listing.statements import List
from longshore.listing.totals import total_of
from longshore.projects.models import Visibility

_COLUMNS = {
    "id": Column("a.id", Kind.NUMBER, unique=True),
    "op_time": Column("a.at", Kind.TIME),
    "operation": Column("a.operation"),
    "resource_type": Column("a.resource_type"),
    "resource": Column("a.resource"),
    "username": Column("a.username"),
    "operation_result": Column("a.success", Kind.FLAG),
}
_ROWS = (
    "SELECT a.id, a.project_id, a.at, a.operation, a.resource_type, a.resource, a.username, a.description, a.success,"
    " a.source FROM page JOIN audit_log a ON a.id = page.id"
)


def _list(scope: str, total: str) -> List:
    return List(
        source="audit_log a", scope=scope, key="a.id", columns=_COLUMNS, order="-op_time", rows=_ROWS, total=total
    )


EVERYWHERE = _list("1 = 1", total_of(TOTAL))
"""Everything that happened."""
IN_PROJECT = _list("a.project_id = :project_id", total_of(TOTAL, ":project_id"))
"""What happened in one project."""
IN_PROJECTS = _list(
    "a.project_id = ANY(:project_ids)",
    f"SELECT CAST(sum(total) AS BIGINT) FROM list_totals WHERE list = '{TOTAL}' AND scope_id = ANY(:project_ids)",
)
"""What happened in several projects."""


class AuditQueries:
    """Reads the audit log, the newest first unless something else is wanted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, visibility: Visibility, wanted: Wanted = EVERYTHING, *, offset: int = 0, limit: int = 100
    ) -> tuple[list[Record], int]:
        """The entries behind the first `offset`, at most `limit`, and how many there are on all pages together.

        Args:
            visibility: Of which projects; what belongs to none is shown only where everything is.
            wanted: Conditions and order.
            offset: How many come before the page.
            limit: The length of the page.

        Raises:
            BadRequest: a condition doesn't fit its key.
        """

        async def read(connection: Connection) -> tuple[list[Record], int]:
            ids = sorted(visibility.project_ids)
            if visibility.everything:
                rows, total = await EVERYWHERE.page(connection, wanted, offset=offset, limit=limit)
            elif len(ids) == 1:
                rows, total = await IN_PROJECT.page(connection, wanted, offset=offset, limit=limit, project_id=ids[0])
            else:
                rows, total = await IN_PROJECTS.page(connection, wanted, offset=offset, limit=limit, project_ids=ids)
            return [_record(row) for row in rows], total

        return await self._database.read(read)


def _record(row: Row) -> Record:
    entry = Entry(
        operation=row["operation"],
        resource_type=row["resource_type"],
        resource=row["resource"],
        username=row["username"],
        description=row["description"],
        success=bool(row["success"]),
        source=row["source"],
        project_id=row["project_id"],
        at=row["at"],
    )
    return Record(row["id"], entry)
