# SPDX-License-Identifier: Apache-2.0
"""Where an importer puts robots of another registry: with their numbers, and with the hashes of their secrets."""

from __future__ import annotations

from dataclasses import dataclass, field

from longshore.access.models import INTERNAL, Grants, Principal
from longshore.database.connection import Database, Dialect, Transaction
from longshore.database.errors import ForeignKeyViolation, UniqueViolation
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.oci.errors import BadRequest, Conflict, NotFound
from longshore.robots.grants import to_json
from longshore.robots.models import NEVER, RobotLevel

_INSERT = Statement(
    """
    INSERT INTO robots (id, name, level, project_id, description, secret_hash, permissions, duration_days, expires_at, disabled,
                        creator, created_at, updated_at)
    VALUES (:id, :name, :level, :project_id, :description, :secret_hash, :permissions, :days, :expires_at, :disabled,
            :creator, :created_at, :updated_at)
    """
)
# The next number that is given out is behind all that there are; SQLite sees to that by itself.
_SKIP_NUMBERS = Statement(
    "SELECT setval(pg_get_serial_sequence('robots', 'id'), greatest((SELECT max(id) FROM robots), :id))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRobot:
    """A robot of another registry that keeps its number.

    `secret_hash` is what `access.imported.imported_hash` makes of Harbor's; `project_id` is None for one of the system, and
    `expires_at` for one that lives for ever. Times are microseconds since 1970.
    """

    id: int
    name: str
    project_id: int | None
    grants: Grants
    secret_hash: str = field(repr=False)
    description: str
    disabled: bool
    duration_days: int
    expires_at: int | None
    creator: str
    created_at: int
    updated_at: int


class RobotImport:
    """Makes robots as they were elsewhere."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, robot: ImportedRobot, *, by: Principal = INTERNAL) -> None:
        """Makes a robot with its number. Its secret is good at once, and gets our own form at its first use.

        Raises:
            BadRequest: number and duration aren't those of a robot.
            NotFound: its project doesn't exist.
            Conflict: the number or the name is taken.
        """
        if robot.id < 1 or (robot.duration_days < 1 and robot.duration_days != NEVER):
            raise BadRequest(f"A robot has a number from 1 on, and lives for 1 day or more, or for ever ({NEVER}).")
        level = RobotLevel.SYSTEM if robot.project_id is None else RobotLevel.PROJECT

        async def write(transaction: Transaction) -> None:
            await transaction.execute(
                _INSERT,
                id=robot.id,
                name=robot.name,
                level=level.value,
                project_id=robot.project_id,
                description=robot.description,
                secret_hash=robot.secret_hash,
                permissions=to_json(robot.grants),
                days=robot.duration_days,
                expires_at=robot.expires_at,
                disabled=robot.disabled,
                creator=robot.creator,
                created_at=robot.created_at,
                updated_at=robot.updated_at,
            )
            if self._database.dialect is Dialect.POSTGRESQL:
                await transaction.value(_SKIP_NUMBERS, id=robot.id)
            payload = {"robot_id": robot.id, "name": robot.name, "level": level.value, "actor": by.actor}
            await append(transaction, kind=EventKind.ROBOT_CREATED, project_id=robot.project_id, payload=payload)

        try:
            await self._database.write(write)
        except UniqueViolation:
            raise Conflict(f"The number {robot.id} or the robot name {robot.name} is taken.") from None
        except ForeignKeyViolation:
            raise NotFound(f"There is no project {robot.project_id}.") from None
