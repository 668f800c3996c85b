# SPDX-License-Identifier: Apache-2.0
"""The one place that knows who may do what: pure functions over facts, each answer with its reason.

Roles, what a robot was given, and the right of administrators all become the same thing, a set of permissions. What isn't
in the set is denied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from longshore.access.models import (
    ARTIFACT_DELETE,
    REPOSITORY_DELETE,
    REPOSITORY_PULL,
    REPOSITORY_PUSH,
    TAG_DELETE,
    Account,
    Permission,
    Principal,
    PrincipalKind,
    ProjectFacts,
    Role,
)
from longshore.access.vocabulary import GRANTABLE_IN_PROJECTS, GRANTABLE_IN_SYSTEM, permissions

ROLE_PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.PROJECT_ADMIN: permissions(
        {
            "project": "RUD",
            "member": "CRUDL",
            "metadata": "CRUD",
            "log": "L",
            "label": "CRUDL",
            "quota": "R",
            "repository": "CRUDL pull push",
            "tag-retention": "CRUDL operate",
            "immutable-tag": "CUDL",
            "configuration": "RU",
            "robot": "CRUDL",
            "notification-policy": "CRUDL",
            "scan": "CR stop",
            "sbom": "CR stop",
            "scanner": "CR",
            "artifact": "CRDL",
            "artifact-addition": "R",
            "tag": "CDL",
            "accessory": "L",
            "artifact-label": "CD",
            "preheat-policy": "CRUDL",
            "export-cve": "CRL",
        }
    ),
    Role.MAINTAINER: permissions(
        {
            "project": "R",
            "member": "RL",
            "metadata": "R",
            "label": "CRUDL",
            "quota": "R",
            "repository": "CRUDL pull push",
            "tag-retention": "CRUDL operate",
            "immutable-tag": "CUDL",
            "configuration": "R",
            "robot": "RL",
            "notification-policy": "RL",
            "scan": "CR stop",
            "sbom": "CR stop",
            "scanner": "R",
            "artifact": "CRDL",
            "artifact-addition": "R",
            "tag": "CDL",
            "accessory": "L",
            "artifact-label": "CD",
            "export-cve": "CRL",
        }
    ),
    Role.DEVELOPER: permissions(
        {
            "project": "R",
            "member": "RL",
            "label": "RL",
            "quota": "R",
            "repository": "CRUL pull push",
            "tag-retention": "CRUDL operate",
            "configuration": "R",
            "robot": "RL",
            "scan": "R",
            "sbom": "R",
            "scanner": "R",
            "artifact": "CRL",
            "artifact-addition": "R",
            "tag": "CL",
            "accessory": "L",
            "artifact-label": "CD",
            "export-cve": "CRL",
        }
    ),
    Role.GUEST: permissions(
        {
            "project": "R",
            "member": "RL",
            "label": "RL",
            "quota": "R",
            "repository": "RL pull",
            "configuration": "R",
            "robot": "RL",
            "scan": "R",
            "sbom": "R",
            "scanner": "R",
            "artifact": "RL",
            "artifact-addition": "R",
            "tag": "L",
            "accessory": "L",
        }
    ),
    Role.LIMITED_GUEST: permissions(
        {
            "project": "R",
            "quota": "R",
            "repository": "RL pull",
            "configuration": "R",
            "scan": "R",
            "sbom": "R",
            "scanner": "R",
            "artifact": "RL",
            "artifact-addition": "R",
            "tag": "L",
            "accessory": "L",
        }
    ),
}
"""What each role of a project may do."""

PUBLIC_PERMISSIONS: Final = permissions(
    {
        "project": "R",
        "label": "RL",
        "repository": "L pull",
        "scan": "R",
        "scanner": "R",
        "artifact": "RL",
        "artifact-addition": "R",
        "tag": "L",
        "accessory": "L",
    }
)
"""What anybody, anonymous included, may do in a public project."""

IN_PROJECTS: Final = frozenset().union(*ROLE_PERMISSIONS.values(), GRANTABLE_IN_PROJECTS)
"""Everything that may be allowed in a project."""

IN_SYSTEM: Final = GRANTABLE_IN_SYSTEM | permissions({"configuration": "RU"})
"""Everything that may be allowed outside of projects."""

EVERYTHING: Final = IN_PROJECTS | IN_SYSTEM
"""What administrators may do, in the system and in every project."""

NOTHING: Final[frozenset[Permission]] = frozenset()

TOKEN_ACTIONS: Final[Mapping[str, frozenset[Permission]]] = {
    "pull": frozenset({REPOSITORY_PULL}),
    "push": frozenset({REPOSITORY_PUSH}),
    "delete": frozenset({REPOSITORY_DELETE, ARTIFACT_DELETE, TAG_DELETE}),
}
"""The actions of registry tokens; one is granted to whoever has any of its permissions."""

# Over the distribution API deleting knows only one action, so whoever may delete more may delete what it contains. Harbor's
# API, where each of these has an operation of its own, takes them by their names.
_SUFFICIENT: Final[Mapping[Permission, frozenset[Permission]]] = {
    TAG_DELETE: frozenset({TAG_DELETE, ARTIFACT_DELETE, REPOSITORY_DELETE}),
    ARTIFACT_DELETE: frozenset({ARTIFACT_DELETE, REPOSITORY_DELETE}),
}


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer with its reason: `rule` names what decided, for programs; `reason` says it, for people."""

    allowed: bool
    reason: str
    rule: str


def permissions_in(
    principal: Principal, account: Account | None, project: ProjectFacts, role: Role | None
) -> frozenset[Permission]:
    """What a principal may do in a project, from its account, its role there and the project being public."""
    if principal.kind is PrincipalKind.INTERNAL:
        return EVERYTHING
    granted = PUBLIC_PERMISSIONS if project.public else NOTHING
    if account is None:
        return granted if principal.kind is PrincipalKind.ANONYMOUS else NOTHING
    own = _own_permissions(account, project, role)
    return granted | (own if account.limit is None else own & account.limit.of_project(project.id))


def permissions_in_system(principal: Principal, account: Account | None) -> frozenset[Permission]:
    """What a principal may do outside of projects."""
    if principal.kind is PrincipalKind.INTERNAL:
        return EVERYTHING
    if account is not None and account.sysadmin:
        return EVERYTHING if account.limit is None else account.limit.system
    if account is not None and account.grants is not None:
        return account.grants.system
    return NOTHING


def _own_permissions(account: Account, project: ProjectFacts, role: Role | None) -> frozenset[Permission]:
    """What an account may do in a project by itself, without regard to the project being public."""
    if account.sysadmin:
        return EVERYTHING
    if account.grants is not None:
        return account.grants.of_project(project.id)
    return NOTHING if role is None else ROLE_PERMISSIONS[role]


def suffices(granted: frozenset[Permission], permission: Permission) -> bool:
    """Whether what is granted allows an operation of the distribution API."""
    return permission in granted or not granted.isdisjoint(_SUFFICIENT.get(permission, NOTHING))


def token_actions(granted: frozenset[Permission]) -> frozenset[str]:
    """The actions that a token may carry for somebody with these permissions."""
    return frozenset(action for action, needed in TOKEN_ACTIONS.items() if not granted.isdisjoint(needed))


def token_action(permission: Permission) -> str:
    """The action that a token needs for an operation: everything that changes is pushing, unless it deletes."""
    if permission is REPOSITORY_PULL or permission.action in {"pull", "read", "list"}:
        return "pull"
    return "delete" if permission.action == "delete" else "push"


def decide(
    principal: Principal,
    permission: Permission,
    project: ProjectFacts,
    *,
    account: Account | None,
    role: Role | None,
) -> Decision:
    """Whether a principal may do something in a project, and why."""
    if permission in permissions_in(principal, account, project, role):
        return _allowed(principal, permission, project, account=account, role=role)
    if principal.kind not in {PrincipalKind.ANONYMOUS, PrincipalKind.INTERNAL} and account is None:
        return Decision(False, f"{principal.actor} no longer exists, or is disabled or expired.", "no-account")
    if account is not None and account.limit is not None and permission not in account.limit.of_project(project.id):
        reason = f"The access token of {principal.actor} doesn't include {permission} in {project.name}."
        return Decision(False, reason, "token-lacks")
    if principal.kind is PrincipalKind.ROBOT:
        return Decision(False, f"{principal.actor} was not given {permission} in {project.name}.", "robot-lacks")
    if role is not None:
        reason = f"The role {role.title} in {project.name} doesn't include {permission}: {_roles_with(permission)}."
        return Decision(False, reason, f"role-lacks:{role.title}")
    if project.public:
        reason = f"{project.name} is public, which doesn't include {permission}: {_roles_with(permission)}."
        return Decision(False, reason, "public-lacks")
    return Decision(False, f"{principal.actor} is no member of {project.name}.", "no-member")


def _allowed(
    principal: Principal,
    permission: Permission,
    project: ProjectFacts,
    *,
    account: Account | None,
    role: Role | None,
) -> Decision:
    if principal.kind is PrincipalKind.INTERNAL:
        return Decision(True, "Longshore itself may do everything.", "internal")
    if account is not None and account.sysadmin:
        return Decision(True, f"{principal.actor} is a system administrator.", "sysadmin")
    if account is not None and account.grants is not None and permission in account.grants.of_project(project.id):
        return Decision(True, f"{principal.actor} was given {permission}.", "robot")
    if role is not None and permission in ROLE_PERMISSIONS[role]:
        return Decision(True, f"The role {role.title} in {project.name} includes {permission}.", f"role:{role.title}")
    return Decision(True, f"{project.name} is public.", "public")


def _roles_with(permission: Permission) -> str:
    roles = [role.title for role in Role if permission in ROLE_PERMISSIONS[role]]
    return f"it takes {' or '.join(roles)}" if roles else "it takes a system administrator"
