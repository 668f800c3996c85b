# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import pairwise

import pytest

from longshore.access import policy
from longshore.access.models import (
    REPOSITORY_PULL,
    REPOSITORY_PUSH,
    TAG_DELETE,
    Permission,
    Role,
)
from longshore.access.vocabulary import GRANTABLE_IN_PROJECTS, GRANTABLE_IN_SYSTEM
from tests.harbor_rights import PROJECT_ROBOTS, ROLE_COLUMNS, SYSTEM_ROBOTS, robot_permissions, role_permissions


@pytest.mark.parametrize(("role", "expected"), role_permissions().items())
def test_matrix(role: Role | None, expected: frozenset[Permission]) -> None:
    """A role includes exactly what Harbor's matrix says, and so does a public project."""
    assert (policy.PUBLIC_PERMISSIONS if role is None else policy.ROLE_PERMISSIONS[role]) == expected


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


def test_token_actions() -> None:
    """A token carries an action for whoever has any of its permissions; the action of deleting is one."""
    assert policy.token_actions(policy.ROLE_PERMISSIONS[Role.MAINTAINER]) == {"pull", "push", "delete"}
    assert policy.token_actions(policy.ROLE_PERMISSIONS[Role.DEVELOPER]) == {"pull", "push"}
    assert policy.token_actions(frozenset({TAG_DELETE})) == {"delete"}
    assert [policy.token_action(p) for p in (REPOSITORY_PULL, REPOSITORY_PUSH, TAG_DELETE)] == [
        "pull",
        "push",
        "delete",
    ]
