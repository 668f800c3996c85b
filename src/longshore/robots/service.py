# SPDX-License-Identifier: Apache-2.0
"""Use cases of robots: one transaction each, with its event. Every change raises the `access_version`, which ends tokens.

`actor` is everywhere who does it, for the event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from longshore.access.models import Grants
from longshore.access.sign_in import ROBOT_PREFIX
from longshore.database.connection import Connection, Database, Row, Transaction
from longshore.database.errors import UniqueViolation
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.oci.errors import Conflict, NotFound
from longshore.oci.names import ProjectName
from longshore.robots.grants import (
    check_delegation,
    check_description,
    check_duration,
    check_grants,
    check_new_robot,
    effective,
    resolve,
    to_json,
)
from longshore.robots.models import ANY_PROJECT, DAY, SYSTEM, CreatedRobot, NewRobot, RobotGrant, RobotLevel, expiry
from longshore.robots.secret import RobotSecrets, check_secret

# 64 bits of microseconds end 106 million days after 1970. A robot that shall live longer lives for this long: 273,000 years.
_LONGEST_DAYS: Final = 100_000_000
_EXPIRY = f"least(CAST(:days AS BIGINT), {_LONGEST_DAYS}) * {DAY}"

_ITSELF: Final = "longshore"
_SHOWN_AS: Final = {"days": "duration"}

_INSERT = Statement(
    f"""
    INSERT INTO robots (name, level, project_id, description, secret_hash, permissions, duration_days, expires_at, creator,
                        created_at, updated_at)
    SELECT :name, :level, CAST(:project_id AS BIGINT), :description, :secret_hash, :permissions, CAST(:days AS BIGINT),
           CASE WHEN CAST(:days AS BIGINT) > 0 THEN clock.now + {_EXPIRY} END, :creator,
           clock.now, clock.now
    FROM (SELECT {{now}} AS now) clock
    RETURNING id, created_at
    """
)
_UPDATE = Statement(
    f"""
    UPDATE robots SET description = :description, disabled = :disabled, permissions = :permissions,
           duration_days = CAST(:days AS BIGINT),
           expires_at = CASE WHEN CAST(:days AS BIGINT) > 0 THEN created_at + {_EXPIRY} END,
           access_version = access_version + 1, updated_at = {{now}}
    WHERE id = :id
    """
)
_LOCK = Statement(
    """
    SELECT r.name, r.level, r.project_id, p.name AS project, r.description, r.disabled, r.permissions, r.duration_days AS days
    FROM robots r LEFT JOIN projects p ON p.id = r.project_id WHERE r.id = :id FOR NO KEY UPDATE OF r
    """
)
_SET_SECRET = Statement(
    """
    UPDATE robots SET secret_hash = :secret_hash, access_version = access_version + 1, updated_at = {now} WHERE id = :id
    """
)
_DELETE = Statement("DELETE FROM robots WHERE id = :id")
_PROJECT = Statement("SELECT id FROM projects WHERE name = :name AND deleted_at IS NULL")


class RobotService:
    """Makes and changes robots."""

    def __init__(self, database: Database, secrets: RobotSecrets, *, prefix: str = ROBOT_PREFIX) -> None:
        self._database = database
        self._secrets = secrets
        self._prefix = prefix

    async def create(self, robot: NewRobot, *, creator: str, creator_grants: Grants | None = None) -> CreatedRobot:
        """Makes a robot with a secret that is told this once.

        Args:
            robot: What it shall be.
            creator: The actor who makes it.
            creator_grants: What that actor was given, if it is a robot: it can't give more.

        Raises:
            BadRequest: a part isn't acceptable.
            Denied: a robot wants to give more than it has.
            NotFound: a project that it names doesn't exist.
            Conflict: there is a robot of that name.
        """
        check_new_robot(robot)
        secret = self._secrets.generate()
        secret_hash = self._secrets.hash(secret)
        level = RobotLevel.SYSTEM if robot.project is None else RobotLevel.PROJECT

        async def write(transaction: Transaction) -> Row:
            project_id = None if robot.project is None else await _project_id(transaction, robot.project.value)
            grants = await _resolve(transaction, robot.grants)
            if creator_grants is not None:
                check_delegation(effective(grants, level), creator_grants)
            (row,) = await transaction.all(
                _INSERT,
                name=robot.name,
                level=level.value,
                project_id=project_id,
                description=robot.description,
                secret_hash=secret_hash,
                permissions=to_json(grants),
                days=robot.duration_days,
                creator=creator,
            )
            facts = {"name": robot.name, "level": level.value, "project_id": project_id}
            await _tell(transaction, EventKind.ROBOT_CREATED, row[0], facts, creator)
            return row

        try:
            row = await self._database.write(write)
        except UniqueViolation:
            raise Conflict(f"The robot {robot.name} already exists. Choose another name.") from None
        project = "" if robot.project is None else f"{robot.project}+"
        return CreatedRobot(
            id=row[0],
            shown_name=f"{self._prefix}{project}{robot.name}",
            secret=secret,
            created_at=row[1],
            expires_at=expiry(row[1], robot.duration_days),
        )

    async def update(
        self,
        robot_id: int,
        *,
        description: str,
        disabled: bool,
        grants: tuple[RobotGrant, ...],
        duration_days: int | None = None,
        editor_grants: Grants | None = None,
        actor: str = _ITSELF,
    ) -> None:
        """Replaces what a robot may do, and whether and how long (counted from its making; None keeps the old).

        Raises:
            BadRequest: a part isn't acceptable.
            Denied: a robot wants to give more than it has.
            NotFound: there is no such robot, or no such project.
        """
        check_description(description)
        if duration_days is not None:
            check_duration(duration_days)

        async def write(transaction: Transaction) -> None:
            row = await _lock(transaction, robot_id)
            check_grants(grants, None if row["project"] is None else ProjectName(row["project"]))
            resolved = await _resolve(transaction, grants)
            if editor_grants is not None:
                check_delegation(effective(resolved, RobotLevel(row["level"])), editor_grants)
            values: dict[str, Any] = {
                "description": description,
                "disabled": disabled,
                "permissions": to_json(resolved),
                "days": row["days"] if duration_days is None else duration_days,
            }
            await transaction.execute(_UPDATE, id=robot_id, **values)
            changed = [_SHOWN_AS.get(name, name) for name, value in values.items() if row[name] != value]
            if changed:
                await _tell(transaction, EventKind.ROBOT_UPDATED, robot_id, row, actor, changed=changed)

        await self._database.write(write)

    async def refresh_secret(self, robot_id: int, secret: str | None = None, *, actor: str = _ITSELF) -> str | None:
        """Replaces the secret at once: by the given one, or by a new one that is told this once.

        Raises:
            BadRequest: the given one is too weak.
            NotFound: there is no such robot.
        """
        if secret:
            check_secret(secret)
        chosen = secret or self._secrets.generate()
        secret_hash = self._secrets.hash(chosen)

        async def write(transaction: Transaction) -> None:
            row = await _lock(transaction, robot_id)
            await transaction.execute(_SET_SECRET, id=robot_id, secret_hash=secret_hash)
            await _tell(transaction, EventKind.ROBOT_UPDATED, robot_id, row, actor, changed=["secret"])

        await self._database.write(write)
        return None if secret else chosen

    async def delete(self, robot_id: int, *, actor: str = _ITSELF) -> None:
        """Deletes a robot; its name is free at once, its number is never given out again.

        Raises:
            NotFound: there is no such robot.
        """

        async def write(transaction: Transaction) -> None:
            row = await _lock(transaction, robot_id)
            await transaction.execute(_DELETE, id=robot_id)
            await _tell(transaction, EventKind.ROBOT_DELETED, robot_id, row, actor)

        await self._database.write(write)


async def _lock(transaction: Transaction, robot_id: int) -> Row:
    row = await transaction.one(_LOCK, id=robot_id)
    if row is None:
        raise _missing(robot_id)
    return row


async def _tell(
    transaction: Transaction,
    kind: EventKind,
    robot_id: int,
    facts: Row | Mapping[str, Any],
    actor: str,
    **more: object,
) -> None:
    payload = {"robot_id": robot_id, "name": facts["name"], "level": facts["level"], "actor": actor, **more}
    await append(transaction, kind=kind, project_id=facts["project_id"], payload=payload)


async def _resolve(connection: Connection, grants: Iterable[RobotGrant]) -> Grants:
    named = tuple(grants)
    names = {grant.namespace for grant in named} - {SYSTEM, ANY_PROJECT}
    return resolve(named, {name: await _project_id(connection, name) for name in sorted(names)})


async def _project_id(connection: Connection, name: str) -> int:
    project_id: int | None = await connection.value(_PROJECT, name=name)
    if project_id is None:
        raise NotFound(f"The project {name[:100]!a} doesn't exist.")
    return project_id


def _missing(robot_id: int) -> NotFound:
    return NotFound(f"There is no robot {robot_id}.")
