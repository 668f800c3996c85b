# SPDX-License-Identifier: Apache-2.0
"""Use cases of robots: one transaction each, with its event. Every change raises the `access_version`, which ends tokens.

`actor` is everywhere who does it, for the event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from longshore.access.models import Grants
from longshore.database.connection import Connection, Database, Row, Transaction
from longshore.database.errors import UniqueViolation
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.listing.totals import EVERYWHERE, change_total
from longshore.oci.errors import Conflict, NotFound
from longshore.oci.names import ProjectName
from longshore.robots.grants import (
    check_delegation,
    check_description,
    check_duration,
    check_grants,
    check_new_robot,
    effective,
    from_json,
    resolve,
    to_json,
)
from longshore.robots.models import (
    ANY_PROJECT,
    DAY,
    SYSTEM,
    CreatedRobot,
    NewRobot,
    RobotGrant,
    RobotLevel,
    expiry,
    shown_name,
)
from longshore.robots.queries import TOTAL
from longshore.robots.secret import SECOND, RobotSecrets, check_grace, check_secret
from longshore.system.configuration import Configurations

# 64 bits of microseconds end 106 million days after 1970. A robot that shall live longer lives for this long: 273,000 years.
_LONGEST_DAYS: Final = 100_000_000
_EXPIRY = f"least(CAST(:days AS BIGINT), {_LONGEST_DAYS}) * {DAY}"

_ITSELF: Final = "longshore"
_SHOWN_AS: Final = {"days": "duration"}

_INSERT = Statement(
    f"""
    INSERT INTO robots (name, level, project_id, description, secret_hash, permissions, duration_days, expires_at, creator,
                        creator_type, creator_ref, created_at, updated_at)
    SELECT :name, :level, CAST(:project_id AS BIGINT), :description, :secret_hash, :permissions, CAST(:days AS BIGINT),
           CASE WHEN CAST(:days AS BIGINT) > 0 THEN clock.now + {_EXPIRY} END, :creator,
           :creator_type, CAST(:creator_ref AS BIGINT), clock.now, clock.now
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
# While both secrets are good, so are the tokens that either got.
_SET_SECRET = Statement(
    f"""
    UPDATE robots SET secret_hash = :secret_hash, updated_at = {{now}},
           previous_secret_hash = CASE WHEN CAST(:grace AS BIGINT) > 0 THEN secret_hash END,
           previous_secret_until = CASE WHEN CAST(:grace AS BIGINT) > 0 THEN {{now}} + CAST(:grace AS BIGINT) * {SECOND} END,
           access_version = access_version + CASE WHEN CAST(:grace AS BIGINT) > 0 THEN 0 ELSE 1 END
    WHERE id = :id
    """
)
_DELETE = Statement("DELETE FROM robots WHERE id = :id")
_PROJECT = Statement("SELECT id FROM projects WHERE name = :name AND deleted_at IS NULL")


class RobotService:
    """Makes and changes robots."""

    def __init__(self, database: Database, secrets: RobotSecrets, configurations: Configurations | None = None) -> None:
        self._database = database
        self._secrets = secrets
        self._configurations = configurations or Configurations(database)

    async def create(
        self, robot: NewRobot, *, creator: str, creator_ref: int = 0, creator_grants: Grants | None = None
    ) -> CreatedRobot:
        """Makes a robot with a secret that is told this once.

        Args:
            robot: What it shall be.
            creator: The actor who makes it.
            creator_ref: The number of that user or robot.
            creator_grants: What that actor was given, if it is a robot: it can't give more.

        Raises:
            BadRequest: a part isn't acceptable.
            Denied: a robot wants to give more than it has.
            NotFound: a project that it names doesn't exist.
            Conflict: there is a robot of that name.
        """
        check_new_robot(robot)
        prefix = (await self._configurations.current()).robot_name_prefix
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
                creator_type="local" if creator_grants is None else "robot",
                creator_ref=creator_ref,
            )
            await change_total(transaction, TOTAL, _scope_id(project_id), +1)
            facts = {"name": robot.name, "level": level.value, "project_id": project_id}
            await _tell(transaction, EventKind.ROBOT_CREATED, row[0], facts, creator)
            return row

        try:
            row = await self._database.write(write)
        except UniqueViolation:
            raise Conflict(f"The robot {robot.name} already exists. Choose another name.") from None
        return CreatedRobot(
            id=row[0],
            shown_name=shown_name(prefix, robot.project, robot.name),
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
                # Also what it has: a robot that is let in again may all that.
                check_delegation(_held(row), editor_grants)
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

    async def refresh_secret(
        self,
        robot_id: int,
        secret: str | None = None,
        *,
        grace_seconds: int = 0,
        editor_grants: Grants | None = None,
        actor: str = _ITSELF,
    ) -> str | None:
        """Replaces the secret: by the given one, or by a new one that is told this once.

        The old one is good for `grace_seconds` more, so that nothing fails while the new one is handed out; one that was
        replaced before is over at once.

        Raises:
            BadRequest: the given one is too weak, or the grace period isn't acceptable.
            Denied: whoever knows the new one could do more than the editor, a robot or a limited access token, may.
            NotFound: there is no such robot.
        """
        if secret:
            check_secret(secret)
        check_grace(grace_seconds)
        chosen = secret or self._secrets.generate()
        secret_hash = self._secrets.hash(chosen)

        async def write(transaction: Transaction) -> None:
            row = await _lock(transaction, robot_id)
            if editor_grants is not None:
                check_delegation(_held(row), editor_grants)
            await transaction.execute(_SET_SECRET, id=robot_id, secret_hash=secret_hash, grace=grace_seconds)
            grace = {"grace_seconds": grace_seconds} if grace_seconds else {}
            await _tell(transaction, EventKind.ROBOT_UPDATED, robot_id, row, actor, changed=["secret"], **grace)

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
            await change_total(transaction, TOTAL, _scope_id(row["project_id"]), -1)
            await _tell(transaction, EventKind.ROBOT_DELETED, robot_id, row, actor)

        await self._database.write(write)


def _held(row: Row) -> Grants:
    return effective(from_json(row["permissions"]), RobotLevel(row["level"]))


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


def _scope_id(project_id: int | None) -> int:
    return EVERYWHERE if project_id is None else project_id


def _missing(robot_id: int) -> NotFound:
    return NotFound(f"There is no robot {robot_id}.")
