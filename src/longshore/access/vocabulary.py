# SPDX-License-Identifier: Apache-2.0
"""Every permission there is, and which of them a robot may be given: Harbor's vocabulary, word for word.

Permissions are written here as Harbor's documentation writes them: C create, R read, U update, D delete, L list, and any
other action by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from longshore.access.models import Permission

_LETTERS: Final = {"C": "create", "R": "read", "U": "update", "D": "delete", "L": "list"}


def permissions(table: Mapping[str, str]) -> frozenset[Permission]:
    """The permissions that a table of resources and actions names, such as `{"repository": "RL pull"}`."""
    found: set[Permission] = set()
    for resource, actions in table.items():
        for word in actions.split():
            names = [_LETTERS[letter] for letter in word] if word.isupper() else [word]
            found.update(Permission(resource, name) for name in names)
    return frozenset(found)


GRANTABLE_IN_SYSTEM: Final = permissions(
    {
        "audit-log": "L",
        "preheat-instance": "CRUDL",
        "project": "CL",
        "replication-policy": "CRUDL",
        "replication": "CRL",
        "replication-adapter": "L",
        "registry": "CRUDL",
        "scan-all": "CRU stop",
        "system-volumes": "R",
        "garbage-collection": "CRUL stop",
        "purge-audit": "CRUL stop",
        "jobservice-monitor": "L stop",
        "scanner": "CRUDL",
        "label": "CRUD",
        "security-hub": "RL",
        "catalog": "R",
        "quota": "RUL",
        "robot": "CRDL",
        "user": "CRUDL",
        "ldap-user": "CL",
        "user-group": "CRUDL",
    }
)
"""What a robot may be given in the system (kind `system`, namespace `/`)."""

GRANTABLE_IN_PROJECTS: Final = permissions(
    {
        "log": "L",
        "project": "RUD",
        "metadata": "CRUDL",
        "repository": "RUDL pull push",
        "artifact": "CRDL",
        "scan": "CR stop",
        "sbom": "CR stop",
        "tag": "CDL",
        "accessory": "L",
        "artifact-addition": "R",
        "artifact-label": "CD",
        "scanner": "CR",
        "preheat-policy": "CRUDL",
        "immutable-tag": "CUDL",
        "notification-policy": "CRUDL",
        "tag-retention": "CRUDL",
        "label": "CRUDL",
        "quota": "R",
        "robot": "CRDL",
        "export-cve": "CR",
        "member": "CRUDL",
    }
)
"""What a robot may be given in a project (kind `project`, namespace a project's name or `*`)."""
