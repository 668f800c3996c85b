# SPDX-License-Identifier: Apache-2.0
"""Who asks, and what for: principals, permissions and the scopes of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

import msgspec

from longshore.oci.names import RepositoryName
from longshore.projects.models import ProjectFacts, Role, Visibility

__all__ = [
    "ANONYMOUS",
    "INTERNAL",
    "Account",
    "Caller",
    "Grants",
    "Permission",
    "Principal",
    "PrincipalKind",
    "ProjectFacts",
    "Role",
    "TokenScope",
    "Visibility",
]


class PrincipalKind(Enum):
    """What kind of being asks."""

    USER = "user"
    ROBOT = "robot"
    ANONYMOUS = "anonymous"
    INTERNAL = "internal"

    # An enumeration hashes by its name through Python code; members are single, so their identity does it faster.
    __hash__ = object.__hash__


class Permission(NamedTuple):
    """One thing that may be allowed, in Harbor's vocabulary: an action on a kind of resource."""

    resource: str
    action: str

    def __str__(self) -> str:
        return f"{self.resource}:{self.action}"


# Permissions by name, for who asks for them. Whatever the vocabulary has besides is in `access.vocabulary`.
REPOSITORY_PULL: Final = Permission("repository", "pull")
REPOSITORY_PUSH: Final = Permission("repository", "push")
REPOSITORY_READ: Final = Permission("repository", "read")
REPOSITORY_LIST: Final = Permission("repository", "list")
REPOSITORY_UPDATE: Final = Permission("repository", "update")
REPOSITORY_DELETE: Final = Permission("repository", "delete")
ARTIFACT_CREATE: Final = Permission("artifact", "create")
ARTIFACT_READ: Final = Permission("artifact", "read")
ARTIFACT_LIST: Final = Permission("artifact", "list")
ARTIFACT_DELETE: Final = Permission("artifact", "delete")
ARTIFACT_ADDITION_READ: Final = Permission("artifact-addition", "read")
ARTIFACT_LABEL_CREATE: Final = Permission("artifact-label", "create")
ARTIFACT_LABEL_DELETE: Final = Permission("artifact-label", "delete")
TAG_CREATE: Final = Permission("tag", "create")
TAG_LIST: Final = Permission("tag", "list")
TAG_DELETE: Final = Permission("tag", "delete")
ACCESSORY_LIST: Final = Permission("accessory", "list")
PROJECT_READ: Final = Permission("project", "read")
PROJECT_UPDATE: Final = Permission("project", "update")
PROJECT_DELETE: Final = Permission("project", "delete")
MEMBER_CREATE: Final = Permission("member", "create")
MEMBER_READ: Final = Permission("member", "read")
MEMBER_UPDATE: Final = Permission("member", "update")
MEMBER_DELETE: Final = Permission("member", "delete")
MEMBER_LIST: Final = Permission("member", "list")
METADATA_CREATE: Final = Permission("metadata", "create")
METADATA_READ: Final = Permission("metadata", "read")
METADATA_UPDATE: Final = Permission("metadata", "update")
METADATA_DELETE: Final = Permission("metadata", "delete")
METADATA_LIST: Final = Permission("metadata", "list")
ROBOT_CREATE: Final = Permission("robot", "create")
ROBOT_READ: Final = Permission("robot", "read")
ROBOT_UPDATE: Final = Permission("robot", "update")
ROBOT_DELETE: Final = Permission("robot", "delete")
ROBOT_LIST: Final = Permission("robot", "list")
LABEL_CREATE: Final = Permission("label", "create")
LABEL_READ: Final = Permission("label", "read")
LABEL_UPDATE: Final = Permission("label", "update")
LABEL_DELETE: Final = Permission("label", "delete")
LABEL_LIST: Final = Permission("label", "list")
QUOTA_READ: Final = Permission("quota", "read")
SCANNER_READ: Final = Permission("scanner", "read")
QUOTA_UPDATE: Final = Permission("quota", "update")
QUOTA_LIST: Final = Permission("quota", "list")
LOG_LIST: Final = Permission("log", "list")
# Of the system:
PROJECT_CREATE: Final = Permission("project", "create")
PROJECT_LIST: Final = Permission("project", "list")
CATALOG_READ: Final = Permission("catalog", "read")
GROUP_CREATE: Final = Permission("user-group", "create")
GROUP_READ: Final = Permission("user-group", "read")
GROUP_UPDATE: Final = Permission("user-group", "update")
GROUP_DELETE: Final = Permission("user-group", "delete")
GROUP_LIST: Final = Permission("user-group", "list")
USER_CREATE: Final = Permission("user", "create")
USER_READ: Final = Permission("user", "read")
USER_UPDATE: Final = Permission("user", "update")
USER_DELETE: Final = Permission("user", "delete")
USER_LIST: Final = Permission("user", "list")
AUDIT_LOG_LIST: Final = Permission("audit-log", "list")
CONFIGURATION_READ: Final = Permission("configuration", "read")
SYSTEM_VOLUMES_READ: Final = Permission("system-volumes", "read")
CONFIGURATION_UPDATE: Final = Permission("configuration", "update")


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who was recognised; `access_version` is what it was then (see `AccessService.authorise`).

    `token_id` is the access token that a person came with, 0 for none: what such a token may is asked for with each request.
    `limited` tells that it may not all that the person may.
    """

    kind: PrincipalKind
    id: int
    name: str
    sysadmin: bool
    access_version: int
    token_id: int = 0
    limited: bool = False

    @property
    def actor(self) -> str:
        """The name for journals and logs: `admin`, `robot$ci`, `robot$project+ci`, `anonymous`."""
        return self.name


ANONYMOUS: Final = Principal(PrincipalKind.ANONYMOUS, 0, "anonymous", sysadmin=False, access_version=0)
"""Nobody in particular."""

INTERNAL: Final = Principal(PrincipalKind.INTERNAL, 0, "longshore", sysadmin=True, access_version=0)
"""Longshore itself: its jobs and its command line."""


@dataclass(frozen=True, slots=True)
class Grants:
    """What a robot may do, or an access token at most: in the system, in every project, and in projects by id."""

    system: frozenset[Permission] = frozenset()
    everywhere: frozenset[Permission] = frozenset()
    projects: tuple[tuple[int, frozenset[Permission]], ...] = ()

    def of_project(self, project_id: int) -> frozenset[Permission]:
        """What may be done in that project."""
        found = self.everywhere
        for granted_id, permissions in self.projects:
            if granted_id == project_id:
                found |= permissions
        return found


@dataclass(frozen=True, slots=True)
class Account:
    """The present state of a user or robot that exists, isn't deleted and isn't disabled.

    `expires_at` is in microseconds since 1970, None for never; `grants` is None for users, whose rights are their roles.
    `limit` is what the access token that somebody came with allows at most; None without one, or when it allows everything.
    """

    access_version: int
    sysadmin: bool
    expires_at: int | None = None
    grants: Grants | None = None
    limit: Grants | None = None


@dataclass(frozen=True, slots=True)
class TokenScope:
    """What a token opens in one repository.

    The project's id keeps a token of an old project from opening a new one of the same name; while its version and the
    principal's are the present ones, the actions need not be looked up again.
    """

    repository: RepositoryName
    project_id: int
    project_version: int
    actions: frozenset[str]


class Caller(msgspec.Struct, frozen=True, gc=False):
    """A principal as one request brings it.

    `scopes` None means that no token limits it (Basic, anonymous); `source` is the address it came from; `catalog` says
    whether its token was issued for the catalog too.
    """

    principal: Principal
    scopes: tuple[TokenScope, ...] | None
    source: str
    catalog: bool = False
