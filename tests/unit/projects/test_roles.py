# SPDX-License-Identifier: Apache-2.0
"""Roles: which is the strongest of several."""

from __future__ import annotations

from itertools import combinations

from longshore.access.policy import ROLE_PERMISSIONS
from longshore.projects.members import total_name
from longshore.projects.models import Role
from longshore.registry.totals import OF_PROJECTS


def test_the_strongest_role_may_do_all_that_the_others_may() -> None:
    """So that somebody who has several may be judged by one."""
    for roles in combinations(Role, 2):
        strongest = Role.strongest(roles)
        assert strongest is not None
        assert ROLE_PERMISSIONS[strongest] == ROLE_PERMISSIONS[roles[0]] | ROLE_PERMISSIONS[roles[1]]
    assert Role.strongest(()) is None


def test_the_numbers_of_members_go_with_their_project() -> None:
    """Those that are kept are those that are forgotten."""
    assert set(map(total_name, Role)) == {name for name in OF_PROJECTS if name.startswith("members.")}
