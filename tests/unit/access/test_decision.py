# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from longshore.access.decision import Decision, Rule, Standing, decide, standing_in, standing_in_system
from longshore.access.models import (
    ANONYMOUS,
    ARTIFACT_DELETE,
    INTERNAL,
    PROJECT_LIST,
    PROJECT_READ,
    REPOSITORY_DELETE,
    REPOSITORY_PULL,
    REPOSITORY_PUSH,
    TAG_DELETE,
    USER_LIST,
    Account,
    Grants,
    Permission,
    Principal,
    PrincipalKind,
    ProjectFacts,
    Role,
)
from longshore.access.policy import EVERYTHING, PUBLIC_PERMISSIONS
from longshore.oci.names import ProjectName
from tests.harbor_rights import role_permissions

USER = Principal(PrincipalKind.USER, 3, "alice", sysadmin=False, access_version=1)
ROBOT = Principal(PrincipalKind.ROBOT, 4, "robot$ci", sysadmin=False, access_version=1)
PRIVATE = ProjectFacts(7, ProjectName("secret"), False, "none", 1)
PUBLIC = ProjectFacts(8, ProjectName("library"), True, "none", 1)
NOWHERE = ProjectFacts(0, ProjectName("nowhere"), False, "none", 0)
PERSON = Account(access_version=1, sysadmin=False)
BOSS = Account(access_version=1, sysadmin=True)


def _robot(**given: object) -> Account:
    return Account(access_version=1, sysadmin=False, grants=Grants(**given))  # type: ignore[arg-type]  # whatever the test gives


def _rule(standing: Standing, permission: Permission = REPOSITORY_PUSH, **how: bool) -> Rule:
    return decide(standing, permission, **how).rule


@pytest.mark.parametrize(("role", "expected"), role_permissions().items())
def test_matrix(role: Role | None, expected: frozenset[Permission]) -> None:
    """A member is allowed exactly what Harbor's matrix says of its role; a stranger what it says of public projects."""
    standing = standing_in(USER, PERSON, PUBLIC if role is None else PRIVATE, role)
    decisions = [decide(standing, permission) for permission in sorted(EVERYTHING)]
    assert {decision.permission for decision in decisions if decision.allowed} == expected == standing.permissions
    rules = {decision.rule for decision in decisions}
    assert rules == ({Rule.PUBLIC_PROJECT, Rule.PUBLIC_LACKS} if role is None else {Rule.ROLE, Rule.ROLE_LACKS})


@pytest.mark.parametrize(
    ("standing", "permission", "rule", "reason"),
    [
        (
            standing_in(INTERNAL, None, PRIVATE, None),
            REPOSITORY_PUSH,
            Rule.ITSELF,
            "Longshore itself may do everything.",
        ),
        (standing_in_system(INTERNAL, None), USER_LIST, Rule.ITSELF, "Longshore itself may do everything."),
        (
            standing_in(USER, BOSS, PRIVATE, None),
            REPOSITORY_PUSH,
            Rule.SYSTEM_ADMINISTRATOR,
            "alice is a system administrator.",
        ),
        (standing_in_system(USER, BOSS), USER_LIST, Rule.SYSTEM_ADMINISTRATOR, "alice is a system administrator."),
        (
            standing_in_system(USER, PERSON),
            USER_LIST,
            Rule.NO_ADMINISTRATOR,
            "user:list in the system is for system administrators.",
        ),
        (
            standing_in_system(ROBOT, _robot(system=frozenset({USER_LIST}))),
            USER_LIST,
            Rule.ROBOT,
            "robot$ci was given user:list in the system.",
        ),
        (
            standing_in_system(ROBOT, _robot(everywhere=frozenset({PROJECT_READ}))),
            PROJECT_LIST,
            Rule.ROBOT_LACKS,
            "robot$ci wasn't given project:list in the system.",
        ),
        (standing_in_system(ANONYMOUS, None), USER_LIST, Rule.NO_ADMINISTRATOR, ""),
        (
            standing_in(ANONYMOUS, None, PUBLIC, None),
            REPOSITORY_PULL,
            Rule.PUBLIC_PROJECT,
            "the project library is public, which includes repository:pull.",
        ),
        (
            standing_in(ANONYMOUS, None, PRIVATE, None),
            REPOSITORY_PULL,
            Rule.NO_MEMBER,
            "anonymous is no member of the project secret.",
        ),
        (
            standing_in(USER, PERSON, PRIVATE, Role.GUEST),
            REPOSITORY_PUSH,
            Rule.ROLE_LACKS,
            "The role guest in the project secret doesn't include repository:push.",
        ),
        (
            standing_in(USER, None, PUBLIC, Role.PROJECT_ADMIN),
            REPOSITORY_PULL,
            Rule.DEAD_ACCOUNT,
            "alice is deleted, disabled or expired, or was changed since it logged in.",
        ),
        (standing_in_system(ROBOT, None), USER_LIST, Rule.DEAD_ACCOUNT, ""),
        (
            standing_in(USER, BOSS, NOWHERE, None),
            REPOSITORY_PULL,
            Rule.NO_PROJECT,
            "There is no such project, or alice can't see it.",
        ),
    ],
)
def test_rules(standing: Standing, permission: Permission, rule: Rule, reason: str) -> None:
    """Each rule decides where it should and gives its reason; every refusal says who can change it."""
    decision = decide(standing, permission)
    assert decision.rule is rule
    assert decision.reason == (reason or decision.reason)
    assert bool(decision.remedy) is (rule not in {Rule.ITSELF, Rule.NO_PROJECT})


def test_every_rule_has_words() -> None:
    """No rule is without a reason, and no text has an unfilled place."""
    standing = standing_in(USER, PERSON, PRIVATE, Role.GUEST)
    for rule in Rule:
        decision = Decision(rule, REPOSITORY_PUSH, standing)
        assert decision.reason.endswith(".")
        assert "{" not in decision.reason + decision.remedy


def test_robot() -> None:
    """A robot has what it was given there and everywhere, and what is public; a role never counts for it."""
    account = _robot(everywhere=frozenset({TAG_DELETE}), projects=((7, frozenset({REPOSITORY_PUSH})),))
    private, public = (standing_in(ROBOT, account, project, Role.PROJECT_ADMIN) for project in (PRIVATE, PUBLIC))
    assert private.permissions == {TAG_DELETE, REPOSITORY_PUSH}
    assert public.permissions == PUBLIC_PERMISSIONS | {TAG_DELETE}
    assert _rule(private) is Rule.ROBOT
    assert _rule(private, REPOSITORY_PULL) is Rule.ROBOT_LACKS
    assert _rule(public, REPOSITORY_PULL) is Rule.PUBLIC_PROJECT


def test_contained() -> None:
    """Over the distribution API who may delete more may delete what it contains; elsewhere each has its own name."""
    standing = standing_in(ROBOT, _robot(everywhere=frozenset({REPOSITORY_DELETE})), PRIVATE, None)
    assert _rule(standing, TAG_DELETE, contained=True) is Rule.ROBOT_EVERYWHERE
    assert _rule(standing, ARTIFACT_DELETE, contained=True) is Rule.ROBOT_EVERYWHERE
    assert _rule(standing, TAG_DELETE) is Rule.ROBOT_LACKS
    lesser = standing_in(ROBOT, _robot(everywhere=frozenset({TAG_DELETE})), PRIVATE, None)
    assert _rule(lesser, ARTIFACT_DELETE, contained=True) is Rule.ROBOT_LACKS


def test_tokens_limit() -> None:
    """A registry token opens what it names; an access token at most what it includes, and what is open to all besides."""
    standing = standing_in(USER, PERSON, PUBLIC, Role.DEVELOPER)
    assert _rule(standing, reached=False) is Rule.REGISTRY_TOKEN
    limit = Grants(projects=((PUBLIC.id, frozenset({PROJECT_READ})),), system=frozenset({USER_LIST}))
    limited = Account(access_version=1, sysadmin=False, limit=limit)
    standing = standing_in(USER, limited, PUBLIC, Role.DEVELOPER)
    assert standing.permissions == PUBLIC_PERMISSIONS
    assert _rule(standing) is Rule.ACCESS_TOKEN
    assert _rule(standing, PROJECT_READ) is Rule.ROLE
    assert _rule(standing, REPOSITORY_PULL) is Rule.PUBLIC_PROJECT
    assert _rule(standing, Permission("log", "list")) is Rule.ROLE_LACKS
    boss = standing_in_system(USER, Account(access_version=1, sysadmin=True, limit=limit))
    assert _rule(boss, USER_LIST) is Rule.SYSTEM_ADMINISTRATOR
    assert _rule(boss, PROJECT_LIST) is Rule.ACCESS_TOKEN
