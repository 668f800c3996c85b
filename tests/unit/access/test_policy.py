# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import pairwise

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
from tests.harbor_rights import PROJECT_ROBOTS, ROLE_COLUMNS, SYSTEM_ROBOTS, robot_permissions, role_permissions

USER = Principal(PrincipalKind.USER, 3, "alice", sysadmin=False, access_version=1)
ROBOT = Principal(PrincipalKind.ROBOT, 4, "robot$ci", sysadmin=False, access_version=1)
PRIVATE = ProjectFacts(7, ProjectName("secret"), False, "none", 1)
PUBLIC = ProjectFacts(8, ProjectName("library"), True, "none", 1)
PERSON = Account(access_version=1, sysadmin=False)

EVERY = sorted(policy.EVERYTHING)


@pytest.mark.parametrize(("role", "expected"), role_permissions().items())
def test_matrix(role: Role | None, expected: frozenset[Permission]) -> None:
    """A role allows exactly what Harbor's matrix says; without one only a public project allows something."""
    project = PUBLIC if role is None else PRIVATE
    decisions = [policy.decide(USER, permission, project, account=PERSON, role=role) for permission in EVERY]
    assert {permission for permission, decision in zip(EVERY, decisions, strict=True) if decision.allowed} == expected
    assert all(decision.reason.endswith(".") for decision in decisions)
    if role is not None:
        assert policy.ROLE_PERMISSIONS[role] == expected


def test_roles_contain_one_another() -> None:
    """Each role may do all that a lower one may, so that the strongest of several is all of them together."""
    roles = [policy.ROLE_PERMISSIONS[role] for role in ROLE_COLUMNS if role is not None]
    assert all(higher >= lower for higher, lower in pairwise(roles))


def test_sizes() -> None:
    """The matrix was typed whole: each column has as many permissions as Harbor counts."""
    assert [len(permissions) for permissions in role_permissions().values()] == [75, 53, 36, 20, 14, 12]


def test_robots() -> None:
    """Robots can be given exactly what Harbor gives, 70 permissions in the system and 70 in a project."""
    assert robot_permissions(SYSTEM_ROBOTS) == GRANTABLE_IN_SYSTEM
    assert robot_permissions(PROJECT_ROBOTS) == GRANTABLE_IN_PROJECTS
    assert (len(GRANTABLE_IN_SYSTEM), len(GRANTABLE_IN_PROJECTS)) == (70, 70)


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
