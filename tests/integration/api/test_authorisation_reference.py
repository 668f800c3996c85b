# SPDX-License-Identifier: Apache-2.0
"""The matrix compared with Harbor's own tables, and what it doesn't ask: later releases, public projects."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from longshore.access.models import Permission, Role
from longshore.api.operations import OPERATIONS as CONTRACT
from tests.builders import World as Registry
from tests.harbor_rights import PROJECT_ROBOTS, SYSTEM_ROBOTS, needs, robot_permissions, role_permissions
from tests.integration.api.test_authorisation_matrix import COLUMNS, OPERATIONS, Operation, _target

if TYPE_CHECKING:
    from longshore.storage.port import OpenedStore
    from tests.integration.api.conftest import Account, World

OURS = {
    "createAccessToken": "login",
    "deleteAccessToken": "login",
    "deleteAccessTokenOfUser": "system user:update",
    "explainAccess-others": "project member:update",
    "explainAccess-own": "nobody",
    "getDocs": "nobody",
    "getOpenAPI": "nobody",
    "listAccessTokens": "login",
    "listAccessTokensOfUser": "system user:read",
    "setUserDisabled": "system user:update",
}
"""What operations that only we have need, in the words of `tests.harbor_rights.NEEDS`."""

_ROBOTS = "project robot, system robot"
DIFFERENCES = {
    "createAccessToken": (_ROBOTS, "412 instead of 201: robots are no users"),
    "deleteAccessToken": (_ROBOTS, "412 instead of 404: robots are no users"),
    "listAccessTokens": (_ROBOTS, "412 instead of 200: robots are no users"),
    "setCliSecret": (
        "outsider, limited guest, guest, developer, maintainer, project admin, project robot",
        "412 to everybody: whose account it is plays no part where nobody has such a secret",
    ),
    "getCurrentUserInfo": (_ROBOTS, "412 instead of 200: robots are no users"),
    "setUserSysAdmin": ("system robot", "ours: no robot makes administrators, whatever it was given"),
}
"""Whose answers are others than Harbor's tables alone would give: for which callers, and why."""

ALWAYS_LOGIN = frozenset({"listArtifactsOfProject"})
"""What is 401 for anonymous even in a public project."""

RIGHTS = needs() | OURS
ROLES = role_permissions()
PUBLIC = ROLES[None]


def need_of(operation: Operation) -> str:
    """What an operation of the matrix needs."""
    return RIGHTS.get(str(operation)) or RIGHTS[operation.name]


def permission_of(need: str) -> Permission:
    """The permission that a need names at its end."""
    return Permission(*need.rpartition(" ")[2].split(":"))


def allowed_to(need: str) -> frozenset[str]:
    """The columns that have what an operation needs, by Harbor's tables."""
    known = frozenset(COLUMNS) - {"anonymous"}
    if need == "internal":
        return frozenset()
    if need in {"nobody", "login"}:
        return frozenset(COLUMNS) if need == "nobody" else known
    if need == "project administrator":
        return frozenset({"project admin", "system admin"})
    permission = permission_of(need)
    level = "project" if need.startswith("project ") else "system"
    given = robot_permissions(PROJECT_ROBOTS if level == "project" else SYSTEM_ROBOTS)
    robots = frozenset({f"{level} robot"}) if permission in given else frozenset()
    if need.startswith("person or "):
        return known - {"project robot", "system robot"} | robots
    members: frozenset[str] = frozenset()
    if level == "project":
        members = frozenset(_title(role) for role, held in ROLES.items() if role is not None and permission in held)
    return frozenset({"system admin"}) | members | robots


def _title(role: Role) -> str:
    return role.stored.replace("_", " ")


def test_matrix_follows_harbors_tables() -> None:
    """The matrix lets in exactly whom Harbor's tables let in; every difference is listed with its reason."""
    different = {}
    for operation in OPERATIONS:
        statuses = dict(zip(COLUMNS, operation.expected.split(), strict=True))
        allowed = allowed_to(need_of(operation))
        let_in = {column for column, status in statuses.items() if status not in {"401", "403"}}
        usual = statuses["system admin"]
        odd = [column for column in COLUMNS if column in let_in and statuses[column] != usual]
        columns = [column for column in COLUMNS if (column in let_in) != (column in allowed) or column in odd]
        if columns:
            different[str(operation)] = ", ".join(columns)
        assert statuses["anonymous"] != "403"
        assert "401" not in list(statuses.values())[1:]
    assert different == {name: columns for name, (columns, _) in DIFFERENCES.items()}


async def test_operations_of_later_releases(world: World, admin: Account) -> None:
    """What the contract has and this release hasn't is 501 to everybody."""
    served = {operation.name for operation in OPERATIONS}
    missing = [(method, path) for method, path, name in CONTRACT if name not in served]
    for client in (await world.client(None), await world.client(await world.user()), await world.client(admin)):
        for method, path in missing:
            answer = await client.request(method, re.sub(r"{\w+}", "1", path))
            assert answer.status_code == 501, (method, path)
            assert answer.json()["errors"][0]["code"] == "NOT_IMPLEMENTED"


READS_IN_PROJECTS = [
    operation for operation in OPERATIONS if operation.method == "GET" and re.match("project .*:", need_of(operation))
]


@pytest.mark.parametrize("operation", READS_IN_PROJECTS, ids=str)
async def test_public_matrix(world: World, admin: Account, operation: Operation, store: OpenedStore) -> None:
    """In a public project everybody reads what Harbor's last column says, with a login or without."""
    target = await _target(world, Registry(world.database, store) if operation.pushed else None)
    opened = await (await world.client(admin)).put(f"/projects/{target.team.id}", json={"metadata": {"public": "true"}})
    assert opened.status_code == 200
    open_to_all = permission_of(need_of(operation)) in PUBLIC
    for account, refusal in ((None, 401), (await world.user(), 403)):
        refused = not open_to_all or (account is None and operation.name in ALWAYS_LOGIN)
        answer = await (await world.client(account)).get(operation.path(target))
        assert (answer.status_code == refusal) is refused, answer.status_code
