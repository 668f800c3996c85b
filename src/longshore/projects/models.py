# SPDX-License-Identifier: Apache-2.0
"""What projects are made of, as values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from longshore.oci.errors import BadRequest
from longshore.oci.names import ProjectName


class Role(Enum):
    """Harbor's five roles of a project, by the numbers that its API gives them."""

    PROJECT_ADMIN = 1
    DEVELOPER = 2
    GUEST = 3
    MAINTAINER = 4
    LIMITED_GUEST = 5

    @property
    def stored(self) -> str:
        """The role's name in the database."""
        return self.name.lower()

    @property
    def title(self) -> str:
        """The role's name in Harbor's API, for example `projectAdmin`."""
        first, *others = self.stored.split("_")
        return first + "".join(part.capitalize() for part in others)

    @property
    def strength(self) -> int:
        """Larger for a role that may do more: each may do what the weaker ones may."""
        return _STRENGTHS[self]

    @classmethod
    def strongest(cls, roles: Iterable[Role]) -> Role | None:
        """The role that decides for somebody who has all of them; None for none."""
        return max(roles, key=lambda role: role.strength, default=None)

    @classmethod
    def from_stored(cls, name: str) -> Role:
        """The role that a row of `project_members` names."""
        return _ROLES_BY_NAME[name]

    @classmethod
    def parse(cls, value: int | str) -> Role:
        """The role with Harbor's number, or with a name as people write it (`developer`, `projectAdmin`, `project_admin`).

        Raises:
            BadRequest: there is no such role.
        """
        for role in cls:
            if value in {role.value, str(role.value), role.stored, role.title}:
                return role
        raise BadRequest(
            f"There is no role {value!r}. The roles are 1 projectAdmin, 2 developer, 3 guest, 4 maintainer, 5 limitedGuest."
        )


_STRENGTHS: Final = {
    Role.PROJECT_ADMIN: 5,
    Role.MAINTAINER: 4,
    Role.DEVELOPER: 3,
    Role.GUEST: 2,
    Role.LIMITED_GUEST: 1,
}
_ROLES_BY_NAME: Final = {role.name.lower(): role for role in Role}

SPARSE: Final = ("none", "children", "any")
"""What a manifest may lack: nothing, children of an index, anything."""


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    """What every request needs to know of a project; `access_version` rises with every change of who may do what."""

    id: int
    name: ProjectName
    public: bool
    sparse: str
    access_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project as its page shows it; times are microseconds since 1970, `quota_bytes` None means no limit."""

    id: int
    name: ProjectName
    owner_id: int | None
    owner_name: str
    public: bool
    sparse: str
    quota_bytes: int | None
    used_bytes: int
    repository_count: int
    access_version: int
    created_at: int
    updated_at: int

    @property
    def facts(self) -> ProjectFacts:
        """The part of it that requests are judged by."""
        return ProjectFacts(self.id, self.name, self.public, self.sparse, self.access_version)


@dataclass(frozen=True, slots=True)
class Entity:
    """Who is a member: a user, or a group of users; by number."""

    id: int
    is_group: bool = False

    @property
    def user_id(self) -> int | None:
        """The user's number; None for a group."""
        return None if self.is_group else self.id

    @property
    def group_id(self) -> int | None:
        """The group's number; None for a user."""
        return self.id if self.is_group else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """The membership of a user or of a group of users in a project; `created_at` in microseconds since 1970."""

    id: int
    project_id: int
    entity: Entity
    name: str
    role: Role
    created_at: int


@dataclass(frozen=True, slots=True)
class Membership:
    """A role that somebody has in a project: by a group of that name, or (None) by being a member itself."""

    role: Role
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Visibility:
    """Which projects somebody sees: all of them, or the public ones (if `public`) and those named by id."""

    everything: bool = False
    public: bool = True
    project_ids: frozenset[int] = field(default_factory=frozenset)

    def shows(self, project: ProjectFacts) -> bool:
        """Whether that project is among them."""
        return self.everything or (self.public and project.public) or project.id in self.project_ids
