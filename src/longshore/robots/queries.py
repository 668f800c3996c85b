# SPDX-License-Identifier: Apache-2.0
"""Reading robots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from longshore.access.models import Account, Grants
from longshore.database.connection import Connection, Database, Row
from longshore.database.statement import Statement
from longshore.listing.columns import Column, Kind
from longshore.listing.models import EVERYTHING, Wanted
from longshore.listing.statements import List
from longshore.listing.totals import EVERYWHERE, total_of
from longshore.oci.names import ProjectName
from longshore.robots.grants import by_name, effective, from_json
from longshore.robots.models import Robot, RobotLevel

TOTAL: Final = "robots"
"""The list whose number of items is kept for the system and for each project."""

# A robot of a deleted project is out of reach until the project comes back.
_FROM = "FROM robots r LEFT JOIN projects p ON p.id = r.project_id WHERE (r.project_id IS NULL OR p.deleted_at IS NULL)"
_COLUMNS = """
    SELECT r.id, r.name, r.level, r.project_id, p.name AS project, r.description, r.permissions, r.duration_days,
           r.disabled, r.creator, r.creator_type, r.creator_ref, r.access_version, r.created_at, r.updated_at
"""
_ROBOT = f"{_COLUMNS} {_FROM}"
_BY_ID = Statement(f"{_ROBOT} AND r.id = :id")
# Robots of the system and those of a project have an index each, by name: what comes before a page is skipped there.
_OF_SYSTEM = "project_id IS NULL"
# Harbor's stored name of a project's robot.
_WITH_PROJECT = "(SELECT name FROM projects WHERE id = r.project_id) || '+' || r.name"
_OF_PROJECT = "project_id = (SELECT id FROM projects WHERE id = :project_id AND deleted_at IS NULL)"


def _list(whose: str, name: str, parent: str) -> List:
    return List(
        source="robots r",
        scope=f"r.{whose}",
        key="r.id",
        columns={
            "name": Column(name, sorting="r.name", unique=True),
            "description": Column("r.description"),
            "disable": Column("r.disabled", Kind.FLAG),
            "creation_time": Column("r.created_at", Kind.TIME),
            "update_time": Column("r.updated_at", Kind.TIME),
        },
        order="name",
        rows=f"{_COLUMNS} FROM page JOIN robots r ON r.id = page.id LEFT JOIN projects p ON p.id = r.project_id",
        total=total_of(TOTAL, parent),
    )


_SYSTEM_LIST = _list(_OF_SYSTEM, "r.name", str(EVERYWHERE))
_PROJECT_LIST = _list(_OF_PROJECT, _WITH_PROJECT, ":project_id")
_SYSTEM_NAME = Statement(f"{_ROBOT} AND r.{_OF_SYSTEM} AND r.name = :name")
_PROJECT_NAME = Statement(f"{_ROBOT} AND r.{_OF_PROJECT} AND r.name = :name")
_ACCOUNT = Statement(
    f"SELECT r.access_version, r.expires_at, r.level, r.permissions {_FROM} AND r.id = :id AND NOT r.disabled"
)
_PROJECT_NAMES = Statement("SELECT id, name FROM projects WHERE id = ANY(:ids) AND deleted_at IS NULL")


class RobotQueries:
    """Reads robots, each call from the database; it is the `Accounts` of robots."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def account(self, account_id: int) -> Account | None:
        """The state that requests are judged by; None when the robot is gone or disabled."""
        row = await self._database.read(lambda connection: connection.one(_ACCOUNT, id=account_id))
        if row is None:
            return None
        grants = effective(from_json(row[3]), RobotLevel(row[2]))
        return Account(access_version=row[0], sysadmin=False, expires_at=row[1], grants=grants)

    async def robot(self, robot_id: int) -> Robot | None:
        """A robot by number; None when there is none."""

        async def read(connection: Connection) -> Robot | None:
            row = await connection.one(_BY_ID, id=robot_id)
            return None if row is None else (await _robots(connection, [row]))[0]

        return await self._database.read(read)

    async def named(self, project_id: int | None, name: str) -> Robot | None:
        """The robot of a project, or of the system (None), with that name without prefix; None when there is none."""

        async def read(connection: Connection) -> Robot | None:
            if project_id is None:
                row = await connection.one(_SYSTEM_NAME, name=name)
            else:
                row = await connection.one(_PROJECT_NAME, project_id=project_id, name=name)
            return None if row is None else (await _robots(connection, [row]))[0]

        return await self._database.read(read)

    async def page(
        self, project_id: int | None, wanted: Wanted = EVERYTHING, *, offset: int = 0, limit: int = 100
    ) -> tuple[list[Robot], int]:
        """The robots of a project, or of the system (None), behind the first `offset`, and how many there are in all.

        They come by name unless `wanted` says otherwise; names are those without prefix.

        Raises:
            BadRequest: a condition doesn't fit its key.
        """
        of = {} if project_id is None else {"project_id": project_id}
        robots = _SYSTEM_LIST if project_id is None else _PROJECT_LIST

        async def read(connection: Connection) -> tuple[list[Robot], int]:
            rows, total = await robots.page(connection, wanted, offset=offset, limit=limit, **of)
            return await _robots(connection, rows), total

        return await self._database.read(read)


async def _robots(connection: Connection, rows: Sequence[Row]) -> list[Robot]:
    grants = [from_json(row["permissions"]) for row in rows]
    ids = sorted({project_id for each in grants for project_id, _ in each.projects})
    names = {row[0]: row[1] for row in await connection.all(_PROJECT_NAMES, ids=ids)} if ids else {}
    return [_robot(row, each, names) for row, each in zip(rows, grants, strict=True)]


def _robot(row: Row, grants: Grants, project_names: dict[int, str]) -> Robot:
    return Robot(
        id=row["id"],
        name=row["name"],
        level=RobotLevel(row["level"]),
        project_id=row["project_id"],
        project=None if row["project"] is None else ProjectName(row["project"]),
        description=row["description"],
        grants=by_name(grants, project_names),
        duration_days=row["duration_days"],
        disabled=bool(row["disabled"]),
        creator=row["creator"],
        creator_type=row["creator_type"],
        creator_ref=row["creator_ref"],
        access_version=row["access_version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
