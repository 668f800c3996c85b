# SPDX-License-Identifier: Apache-2.0
"""Robot accounts as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from longshore.access.models import Permission
from longshore.access.sign_in import ROBOT_PREFIX
from longshore.oci.names import ProjectName

NEVER: Final = -1
"""The duration of a robot that doesn't expire."""

DAY: Final = 86_400 * 1_000_000
"""A day in microseconds."""

SYSTEM: Final = "/"
"""The namespace of permissions outside of projects."""

ANY_PROJECT: Final = "*"
"""The namespace of permissions in all present and future projects."""


class RobotLevel(Enum):
    """Whether a robot is the system's or a project's."""

    SYSTEM = "system"
    PROJECT = "project"


@dataclass(frozen=True, slots=True)
class RobotGrant:
    """Permissions in one namespace: `/` for the system, `*` for every project, else the name of a project."""

    namespace: str
    permissions: frozenset[Permission]

    @property
    def kind(self) -> str:
        """What Harbor's API calls the kind of the namespace: `system` or `project`."""
        return "system" if self.namespace == SYSTEM else "project"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRobot:
    """What it takes to make a robot; `duration_days` is `NEVER` or at least 1; `project` None makes one of the system."""

    name: str
    grants: tuple[RobotGrant, ...]
    duration_days: int
    project: ProjectName | None = None
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Robot:
    """A robot; times are microseconds since 1970. Its secret isn't known to anybody here."""

    id: int
    name: str
    level: RobotLevel
    project_id: int | None
    project: ProjectName | None
    description: str
    grants: tuple[RobotGrant, ...]
    duration_days: int
    disabled: bool
    creator: str
    creator_type: str
    creator_ref: int
    access_version: int
    created_at: int
    updated_at: int

    @property
    def expires_at(self) -> int | None:
        """When its life ends; None is never."""
        return expiry(self.created_at, self.duration_days)

    def shown_name(self, prefix: str = ROBOT_PREFIX) -> str:
        """The name that it logs in with: `robot$name`, or `robot$project+name`."""
        return shown_name(prefix, self.project, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedRobot:
    """A robot that was just made, with the secret that is never shown again; times are microseconds since 1970."""

    id: int
    shown_name: str
    secret: str = field(repr=False)
    created_at: int
    expires_at: int | None


def expiry(created_at: int, days: int) -> int | None:
    """When the life of a robot that was made then ends, in microseconds since 1970; None is never.

    Durations may be longer than the 292,000 years that the database's column has room for (`robots.service`), so what is shown
    is computed from them.
    """
    return created_at + days * DAY if days > 0 else None


def shown_name(prefix: str, project: ProjectName | None, name: str) -> str:
    """The name that a robot of a project, or of the system (None), logs in with."""
    return f"{prefix}{name}" if project is None else f"{prefix}{project}+{name}"


def stored_names(login: str, prefix: str) -> list[tuple[str | None, str]]:
    """Which robots a login name may mean, by project (None: of the system) and name, the longest prefix first.

    Harbor's own prefix is good whatever administrators have set: nobody else can have a name with a dollar sign.
    """
    found = []
    for known in sorted({prefix, ROBOT_PREFIX}, key=len, reverse=True):
        if login.startswith(known):
            project, plus, name = login[len(known) :].rpartition("+")
            found.append((project if plus else None, name))
    return found
