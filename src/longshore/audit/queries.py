# SPDX-License-Identifier: Apache-2.0
"""Reading the audit log. Both forms of the API show this one store."""

from __future__ import annotations

from functools import lru_cache

from longshore.audit.models import Entry, Record
from longshore.audit.service import TOTAL
from longshore.database.connection import Connection, Database, Row
from longshore.database.statement import Statement
from longshore.listing.columns import Column, Kind
from longshore.listing.models import EVERYTHING, Order, Place, Wanted
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
_SUM = f"SELECT CAST(sum(total) AS BIGINT) FROM list_totals WHERE list = '{TOTAL}' AND scope_id = ANY(:project_ids)"
IN_PROJECTS = _list("a.project_id = ANY(:project_ids)", _SUM)
"""What happened in several projects, filtered or in another order than their own: it reads all that they have."""
_TOTAL_OF_SEVERAL = Statement(_SUM)
_FARTHEST = 2**62
_MOST_PROJECTS = 100
_OWN_ORDER = ((), (Order("op_time", descending=True),))


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
            elif not wanted.conditions and wanted.order in _OWN_ORDER and 0 < len(ids) <= _MOST_PROJECTS:
                rows, total = await _newest(connection, ids, offset, limit)
            else:
                rows, total = await IN_PROJECTS.page(connection, wanted, offset=offset, limit=limit, project_ids=ids)
            return [_record(row) for row in rows], total

        return await self._database.read(read)


@lru_cache(maxsize=_MOST_PROJECTS)
def newest_of(count: int) -> Statement:
    """The statement for the newest entries of so many projects.

    They are among the newest of each: so many are read of each, whatever else it has.
    """
    each = " UNION ALL ".join(
        f"SELECT * FROM (SELECT id, at FROM audit_log WHERE project_id = :project_{number} AND (at, id) < (:at, :id)"
        f" ORDER BY at DESC, id DESC LIMIT :most) AS newest_{number}"
        for number in range(count)
    )
    return Statement(
        f"WITH page AS (SELECT id FROM ({each}) AS newest ORDER BY at DESC, id DESC LIMIT :length OFFSET :skipped)"
        f" {_ROWS} ORDER BY a.at DESC, a.id DESC"
    )


async def _newest(connection: Connection, ids: list[int], offset: int, limit: int) -> tuple[list[Row], int]:
    """The newest of several projects; whoever reads all of them goes on behind what was read last."""
    at, last, skipped = _FARTHEST, _FARTHEST, int(offset)
    if isinstance(offset, Place) and offset.behind is not None:
        (at, last), skipped = offset.behind, 0
    total: int = await connection.value(_TOTAL_OF_SEVERAL, project_ids=ids) or 0
    if skipped >= total:
        return [], total
    length = min(limit, total)
    known = {f"project_{number}": project_id for number, project_id in enumerate(ids)}
    values = {"at": at, "id": last, "most": skipped + length, "length": length, "skipped": skipped}
    rows = await connection.all(newest_of(len(ids)), **known, **values)
    if isinstance(offset, Place) and rows:
        offset.behind = (rows[-1]["at"], rows[-1]["id"])
    return rows, total


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
