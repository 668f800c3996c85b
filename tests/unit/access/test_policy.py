# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from longshore.access import policy
from longshore.access.models import (
    ANONYMOUS,
    ARTIFACT_DELETE,
    INTERNAL,
    REPOSITORY_DELETE,
    REPOSITORY_PULL,
    REPOSITORY_PUSH,
    TAG_DELETE,
    Account,
    Grants,
    Permission,
    Principal,
    PrincipalKind,
    ProjectFacts,
    Role,
)
from longshore.access.vocabulary import GRANTABLE_IN_PROJECTS, GRANTABLE_IN_SYSTEM
from longshore.oci.names import ProjectName

USER = Principal(PrincipalKind.USER, 3, "alice", sysadmin=False, access_version=1)
ROBOT = Principal(PrincipalKind.ROBOT, 4, "robot$ci", sysadmin=False, access_version=1)
PRIVATE = ProjectFacts(7, ProjectName("secret"), False, "none", 1)
PUBLIC = ProjectFacts(8, ProjectName("library"), True, "none", 1)
PERSON = Account(access_version=1, sysadmin=False)

# projectAdmin, maintainer, developer, guest, limitedGuest, anybody on a public project
MATRIX = """
project:read                 x x x x x x
project:update               x - - - - -
project:delete               x - - - - -
member:create                x - - - - -
member:list                  x x x x - -
metadata:read                x x - - - -
metadata:update              x - - - - -
metadata:list                - - - - - -
log:list                     x - - - - -
label:create                 x x - - - -
label:list                   x x x x - x
quota:read                   x x x x x -
repository:pull              x x x x x x
repository:push              x x x - - -
repository:read              x x x x x -
repository:list              x x x x x x
repository:update            x x x - - -
repository:delete            x x - - - -
tag-retention:operate        x x x - - -
immutable-tag:create         x x - - - -
immutable-tag:read           - - - - - -
configuration:read           x x x x x -
configuration:update         x - - - - -
robot:create                 x - - - - -
robot:list                   x x x x - -
notification-policy:list     x x - - - -
scan:create                  x x - - - -
scan:read                    x x x x x x
sbom:read                    x x x x x -
scanner:create               x - - - - -
artifact:create              x x x - - -
artifact:read                x x x x x x
artifact:delete              x x - - - -
artifact-addition:read       x x x x x x
tag:create                   x x x - - -
tag:delete                   x x - - - -
tag:list                     x x x x x x
accessory:list               x x x x x x
artifact-label:create        x x x - - -
preheat-policy:list          x - - - - -
export-cve:create            x x x - - -
"""
COLUMNS = (Role.PROJECT_ADMIN, Role.MAINTAINER, Role.DEVELOPER, Role.GUEST, Role.LIMITED_GUEST, None)
CELLS = [
    (column, Permission(*cells[0].split(":")), mark == "x")
    for cells in (line.split() for line in MATRIX.split("\n") if line)
    for column, mark in zip(COLUMNS, cells[1:], strict=True)
]


@pytest.mark.parametrize(("role", "permission", "allowed"), CELLS)
def test_matrix(role: Role | None, permission: Permission, allowed: bool) -> None:
    """A role allows exactly what Harbor's matrix says; without one only a public project allows something."""
    decision = policy.decide(USER, permission, PUBLIC if role is None else PRIVATE, account=PERSON, role=role)
    assert decision.allowed is allowed
    assert decision.reason.endswith(".")


@pytest.mark.parametrize(
    ("role", "count"),
    [
        (Role.PROJECT_ADMIN, 75),
        (Role.MAINTAINER, 53),
        (Role.DEVELOPER, 36),
        (Role.GUEST, 20),
        (Role.LIMITED_GUEST, 14),
    ],
)
def test_role_sizes(role: Role, count: int) -> None:
    """Each role has as many permissions as in Harbor."""
    assert len(policy.ROLE_PERMISSIONS[role]) == count


def test_vocabulary_sizes() -> None:
    """What anybody has in a public project, and what robots may be given, is as many permissions as in Harbor."""
    assert (len(policy.PUBLIC_PERMISSIONS), len(GRANTABLE_IN_SYSTEM), len(GRANTABLE_IN_PROJECTS)) == (12, 70, 70)


def test_anonymous() -> None:
    """Nobody in particular reads public projects and nothing else."""
    assert policy.permissions_in(ANONYMOUS, None, PUBLIC, None) == policy.PUBLIC_PERMISSIONS
    assert policy.permissions_in(ANONYMOUS, None, PRIVATE, None) == frozenset()


def test_sysadmin_and_internal() -> None:
    """Administrators and Longshore itself may do everything everywhere."""
    boss = Account(access_version=1, sysadmin=True)
    assert policy.permissions_in(USER, boss, PRIVATE, None) == policy.EVERYTHING
    assert policy.permissions_in(INTERNAL, None, PRIVATE, None) == policy.EVERYTHING
    assert policy.permissions_in_system(USER, boss) == policy.EVERYTHING
    assert policy.permissions_in_system(USER, PERSON) == frozenset()


def test_account_gone() -> None:
    """A user or robot that is gone may do nothing, not even what anonymous may."""
    assert policy.permissions_in(USER, None, PUBLIC, Role.PROJECT_ADMIN) == frozenset()
    assert policy.decide(ROBOT, REPOSITORY_PULL, PUBLIC, account=None, role=None).rule == "no-account"


def test_robot() -> None:
    """A robot has what it was given there and everywhere, and what is public; a role never counts for it."""
    grants = Grants(everywhere=frozenset({TAG_DELETE}), projects=((7, frozenset({REPOSITORY_PUSH})),))
    account = Account(access_version=1, sysadmin=False, grants=grants)
    assert policy.permissions_in(ROBOT, account, PRIVATE, Role.PROJECT_ADMIN) == {TAG_DELETE, REPOSITORY_PUSH}
    assert policy.permissions_in(ROBOT, account, PUBLIC, None) == policy.PUBLIC_PERMISSIONS | {TAG_DELETE}
    assert policy.decide(ROBOT, REPOSITORY_PULL, PRIVATE, account=account, role=None).rule == "robot-lacks"


def test_token_actions() -> None:
    """A token carries an action for whoever has any of its permissions; deleting more includes deleting less on /v2."""
    assert policy.token_actions(policy.ROLE_PERMISSIONS[Role.MAINTAINER]) == {"pull", "push", "delete"}
    assert policy.token_actions(policy.ROLE_PERMISSIONS[Role.DEVELOPER]) == {"pull", "push"}
    assert policy.token_actions(frozenset({TAG_DELETE})) == {"delete"}
    assert policy.suffices(frozenset({REPOSITORY_DELETE}), TAG_DELETE)
    assert policy.suffices(frozenset({ARTIFACT_DELETE}), TAG_DELETE)
    assert not policy.suffices(frozenset({TAG_DELETE}), ARTIFACT_DELETE)
    assert [policy.token_action(p) for p in (REPOSITORY_PULL, REPOSITORY_PUSH, TAG_DELETE)] == [
        "pull",
        "push",
        "delete",
    ]
