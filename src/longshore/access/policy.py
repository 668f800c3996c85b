# SPDX-License-Identifier: Apache-2.0
"""What roles, public projects and tokens come to, as sets of permissions; `access.decision` decides by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from longshore.access.models import (
    ARTIFACT_DELETE,
    REPOSITORY_DELETE,
    REPOSITORY_PULL,
    REPOSITORY_PUSH,
    TAG_DELETE,
    Permission,
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


def token_actions(granted: frozenset[Permission]) -> frozenset[str]:
    """The actions that a token may carry for somebody with these permissions."""
    return frozenset(action for action, needed in TOKEN_ACTIONS.items() if not granted.isdisjoint(needed))


def token_action(permission: Permission) -> str:
    """The action that a token needs for an operation: everything that changes is pushing, unless it deletes."""
    if permission is REPOSITORY_PULL or permission.action in {"pull", "read", "list"}:
        return "pull"
    return "delete" if permission.action == "delete" else "push"
