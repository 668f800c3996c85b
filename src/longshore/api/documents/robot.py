# SPDX-License-Identifier: Apache-2.0
"""Robot accounts, as the contract shows and takes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from longshore.access.models import Permission
from longshore.api.serialising import Integer, Read, Shown, Time, moment
from longshore.oci.errors import BadRequest
from longshore.oci.names import ProjectName
from longshore.robots.models import SYSTEM, CreatedRobot, NewRobot, RobotGrant, RobotLevel
from longshore.robots.models import Robot as StoredRobot

_NEVER: Final = -1
_SECOND: Final = 1_000_000


class Access(Shown, frozen=True, kw_only=True):
    """One thing that a robot may do."""

    resource: str = ""
    action: str = ""
    effect: str = ""


class RobotPermission(Shown, frozen=True, kw_only=True):
    """What a robot may do in one namespace: `/` for the system, `*` for every project, else the name of a project."""

    kind: str = ""
    namespace: str = ""
    access: tuple[Access, ...] | None


class Robot(Shown, frozen=True, kw_only=True):
    """A robot; `expires_at` in seconds since 1970, -1 for never."""

    id: int = 0
    name: str = ""
    description: str = ""
    level: str = ""
    duration: int | msgspec.UnsetType = msgspec.UNSET
    editable: bool
    disable: bool
    expires_at: int = 0
    permissions: tuple[RobotPermission, ...]
    creator_type: str = ""
    creator_ref: int = 0
    creation_time: Time
    update_time: Time


class RobotCreated(Shown, frozen=True, kw_only=True):
    """A robot that was just made, with the secret that is shown this once."""

    id: int = 0
    name: str = ""
    secret: str = ""
    creation_time: Time
    expires_at: int = 0


class RobotSec(Shown, frozen=True, kw_only=True):
    """A secret that was just made; nothing when the caller gave it."""

    secret: str = ""


class AccessReq(Read, frozen=True, kw_only=True):
    """One thing that a robot shall be allowed."""

    resource: str | None = None
    action: str | None = None
    effect: str | None = None


class RobotPermissionReq(Read, frozen=True, kw_only=True):
    """What a robot shall be allowed in one namespace."""

    kind: str | None = None
    namespace: str | None = None
    access: tuple[AccessReq, ...] | None = None

    def grant(self) -> RobotGrant:
        """The permissions.

        Raises:
            BadRequest: kind and namespace don't belong together, or something is to be denied instead of allowed.
        """
        namespace = self.namespace or ""
        if not namespace or (self.kind == "system") != (namespace == SYSTEM) or self.kind not in {"system", "project"}:
            raise BadRequest(
                'A permission has the kind "system" with the namespace "/", or "project" with a project\'s name or "*",'
                f" not {self.kind or '':.40} with {namespace:.100}."
            )
        wanted = self.access or ()
        if any(access.effect not in {None, "", "allow"} for access in wanted):
            raise BadRequest('effect: robots can only be allowed something ("allow"), not denied.')
        return RobotGrant(
            namespace, frozenset(Permission(access.resource or "", access.action or "") for access in wanted)
        )


class RobotCreate(Read, frozen=True, kw_only=True):
    """What it takes to make a robot. A secret that is sent isn't looked at: it is always made here."""

    name: str | None = None
    description: str | None = None
    level: str | None = None
    duration: Integer | None = None
    permissions: tuple[RobotPermissionReq, ...] | None = None

    def robot(self) -> NewRobot:
        """The robot to make.

        Raises:
            BadRequest: level or permissions aren't acceptable, or the duration is missing.
        """
        if self.duration is None:
            raise BadRequest("duration: how many days the robot is good is missing: -1 for ever, or 1 to 2147483646.")
        given = grants(self.permissions or ())
        if self.level not in {level.value for level in RobotLevel}:
            raise BadRequest(f'level: a robot is of the "system" or of a "project", not {self.level!a:.40}.')
        in_project = self.level == RobotLevel.PROJECT.value
        if in_project and len(given) != 1:
            raise BadRequest("A robot of a project has permissions in exactly this project.")
        return NewRobot(
            name=self.name or "",
            grants=given,
            duration_days=self.duration,
            project=ProjectName.parse(given[0].namespace) if in_project else None,
            description=self.description or "",
        )


class RobotUpdate(Read, frozen=True, kw_only=True):
    """A robot as it is sent to be changed: name and level as they are."""

    name: str | None = None
    description: str | None = None
    level: str | None = None
    duration: Integer | None = None
    disable: bool | None = None
    permissions: tuple[RobotPermissionReq, ...] | None = None


class RobotSecReq(Read, frozen=True, kw_only=True):
    """The secret that a robot shall have; empty to have one made. `grace_seconds` is ours: how long the old one stays good."""

    secret: str | None = None
    grace_seconds: Integer | None = None


def grants(permissions: Iterable[RobotPermissionReq]) -> tuple[RobotGrant, ...]:
    """What a robot shall be allowed.

    Raises:
        BadRequest: a permission isn't acceptable.
    """
    return tuple(permission.grant() for permission in permissions)


def shown_robot(robot: StoredRobot, prefix: str) -> Robot:
    """A robot as the contract shows it; its name begins with `prefix`."""
    return Robot(
        id=robot.id,
        name=robot.shown_name(prefix),
        description=robot.description,
        level=robot.level.value,
        duration=robot.duration_days,
        editable=True,
        disable=robot.disabled,
        expires_at=_seconds(robot.expires_at),
        permissions=tuple(_permission(grant) for grant in robot.grants),
        creator_type=robot.creator_type,
        creator_ref=robot.creator_ref,
        creation_time=moment(robot.created_at),
        update_time=moment(robot.updated_at),
    )


def shown_created(robot: CreatedRobot) -> RobotCreated:
    """A robot that was just made."""
    return RobotCreated(
        id=robot.id,
        name=robot.shown_name,
        secret=robot.secret,
        creation_time=moment(robot.created_at),
        expires_at=_seconds(robot.expires_at),
    )


def _permission(grant: RobotGrant) -> RobotPermission:
    access = tuple(Access(resource=resource, action=action) for resource, action in sorted(grant.permissions))
    return RobotPermission(kind=grant.kind, namespace=grant.namespace, access=access or None)


def _seconds(microseconds: int | None) -> int:
    return _NEVER if microseconds is None else microseconds // _SECOND
