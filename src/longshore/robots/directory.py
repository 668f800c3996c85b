# SPDX-License-Identifier: Apache-2.0
"""Robots by the names that they log in with, for who asks about them."""

from __future__ import annotations

from longshore.access.models import Principal, PrincipalKind
from longshore.access.ports import Listed
from longshore.database.connection import Database
from longshore.database.statement import Statement
from longshore.robots.models import stored_names
from longshore.system.configuration import Configurations

_COLUMNS = "SELECT r.id, r.project_id, r.access_version FROM robots r"
_OF_SYSTEM = Statement(f"{_COLUMNS} WHERE r.project_id IS NULL AND r.name = :name")
_OF_PROJECT = Statement(
    f"{_COLUMNS} JOIN projects p ON p.id = r.project_id AND p.deleted_at IS NULL WHERE p.name = :project AND r.name = :name"
)


class RobotDirectory:
    """Finds robots, each time in the database.

    Args:
        database: Where they are.
        configurations: Who knows what their names begin with when they log in.
    """

    def __init__(self, database: Database, configurations: Configurations) -> None:
        self._database = database
        self._configurations = configurations

    async def find(self, name: str) -> Listed | None:
        """The robot that logs in with that name, whether or not it may now; None when there is none."""
        for project, stored in stored_names(name, (await self._configurations.current()).robot_name_prefix):
            if project is None:
                row = await self._database.one(_OF_SYSTEM, name=stored)
            else:
                row = await self._database.one(_OF_PROJECT, project=project, name=stored)
            if row is not None:
                robot = Principal(PrincipalKind.ROBOT, row[0], name, sysadmin=False, access_version=row[2])
                return Listed(robot, row[1])
        return None
