# SPDX-License-Identifier: Apache-2.0
"""The one decision function: what somebody holds in a place, and whether that allows a permission. Pure, over facts.

Every request is let in or refused by `decide`, and `POST /access/explain` tells what it said. A decision names its rule at once
and writes its reason only for who reads it, so that asking costs a look into a few sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Final

from longshore.access.models import (
    ARTIFACT_DELETE,
    REPOSITORY_DELETE,
    TAG_DELETE,
    Account,
    Permission,
    Principal,
    PrincipalKind,
    ProjectFacts,
    Role,
)
from longshore.access.policy import EVERYTHING, NOTHING, PUBLIC_PERMISSIONS, ROLE_PERMISSIONS

# Over the distribution API deleting knows only one action, so whoever may delete more may delete what it contains. Harbor's
# API, where each of these has an operation of its own, takes them by their names.
_SUFFICIENT: Final[Mapping[Permission, frozenset[Permission]]] = {
    TAG_DELETE: frozenset({TAG_DELETE, ARTIFACT_DELETE, REPOSITORY_DELETE}),
    ARTIFACT_DELETE: frozenset({ARTIFACT_DELETE, REPOSITORY_DELETE}),
}


class Rule(Enum):
    """What decides: the first six allow, the others refuse."""

    ITSELF = "longshore-itself"
    SYSTEM_ADMINISTRATOR = "system-administrator"
    ROLE = "role"
    ROBOT = "robot-permission"
    ROBOT_EVERYWHERE = "robot-permission-everywhere"
    PUBLIC_PROJECT = "public-project"
    DEAD_ACCOUNT = "no-such-account"
    REGISTRY_TOKEN = "registry-token-scope"  # noqa: S105 - the name of a rule
    ACCESS_TOKEN = "access-token-scope"  # noqa: S105 - the name of a rule
    NO_PROJECT = "no-such-project"
    ROLE_LACKS = "role-lacks-it"
    ROBOT_LACKS = "robot-lacks-it"
    PUBLIC_LACKS = "public-project-lacks-it"
    NO_MEMBER = "no-member"
    NO_ADMINISTRATOR = "no-system-administrator"
    READ_ONLY = "read-only"


@dataclass(frozen=True, slots=True)
class Holding:
    """Permissions that somebody has by one rule."""

    rule: Rule
    permissions: frozenset[Permission]


@dataclass(frozen=True)
class Standing:
    """What somebody is in a place: a project, or the system (`project` None).

    Attributes:
        principal: Who.
        project: The project; one that doesn't exist has the number 0, and shows what somebody may do in any project.
        alive: Whether the account behind the principal still exists as it was.
        holdings: What it has by each rule; the first that allows decides.
        role: Its role in the project, if it has one.
        limit: What its access token allows at most; None without one.
    """

    principal: Principal
    project: ProjectFacts | None
    alive: bool
    holdings: tuple[Holding, ...]
    role: Role | None = None
    limit: frozenset[Permission] | None = None

    @cached_property
    def permissions(self) -> frozenset[Permission]:
        """Everything that is allowed."""
        return NOTHING.union(*(self.within(holding) for holding in self.holdings))

    def within(self, holding: Holding) -> frozenset[Permission]:
        """What a holding comes to: an access token takes nothing from what is open to all."""
        if self.limit is None or holding.rule is Rule.PUBLIC_PROJECT:
            return holding.permissions
        return holding.permissions & self.limit


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer with its reason: `rule` names what decided, for programs; `reason` says it, for people."""

    rule: Rule
    permission: Permission
    standing: Standing

    @property
    def allowed(self) -> bool:
        """Whether it may be done."""
        return self.rule in _ALLOWING

    @property
    def reason(self) -> str:
        """Why, in a sentence."""
        return _REASONS[self.rule].format(
            who=self.standing.principal.actor,
            permission=self.permission,
            where="the system" if self.standing.project is None else f"the project {self.standing.project.name}",
            role="" if self.standing.role is None else self.standing.role.title,
        )

    @property
    def remedy(self) -> str:
        """Who can change it, and how; empty when nobody can."""
        return _remedy(self)


_ALLOWING: Final = frozenset(
    (
        Rule.ITSELF,
        Rule.SYSTEM_ADMINISTRATOR,
        Rule.ROLE,
        Rule.ROBOT,
        Rule.ROBOT_EVERYWHERE,
        Rule.PUBLIC_PROJECT,
    )
)
_REASONS: Final[Mapping[Rule, str]] = {
    Rule.ITSELF: "Longshore itself may do everything.",
    Rule.SYSTEM_ADMINISTRATOR: "{who} is a system administrator.",
    Rule.ROLE: "The role {role} in {where} includes {permission}.",
    Rule.ROBOT: "{who} was given {permission} in {where}.",
    Rule.ROBOT_EVERYWHERE: "{who} was given {permission} in every project.",
    Rule.PUBLIC_PROJECT: "{where} is public, which includes {permission}.",
    Rule.DEAD_ACCOUNT: "{who} is deleted, disabled or expired, or was changed since it logged in.",
    Rule.REGISTRY_TOKEN: "The token that {who} came with doesn't include {permission} in this repository.",
    Rule.ACCESS_TOKEN: "The access token that {who} came with doesn't include {permission} in {where}.",
    Rule.NO_PROJECT: "There is no such project, or {who} can't see it.",
    Rule.ROLE_LACKS: "The role {role} in {where} doesn't include {permission}.",
    Rule.ROBOT_LACKS: "{who} wasn't given {permission} in {where}.",
    Rule.PUBLIC_LACKS: "{who} is no member of {where}: it is public, which doesn't include {permission}.",
    Rule.NO_MEMBER: "{who} is no member of {where}.",
    Rule.NO_ADMINISTRATOR: "{permission} in the system is for system administrators.",
    Rule.READ_ONLY: "The registry is read-only: nobody changes anything.",
}


_ROLE_REMEDY: Final = "{admins} can give and take roles; {giving}."
_REMEDIES: Final[Mapping[Rule, str]] = {
    Rule.SYSTEM_ADMINISTRATOR: "A system administrator can change who is one.",
    Rule.NO_ADMINISTRATOR: "A system administrator can change who is one.",
    Rule.ROLE: _ROLE_REMEDY,
    Rule.ROLE_LACKS: _ROLE_REMEDY,
    Rule.PUBLIC_LACKS: _ROLE_REMEDY,
    Rule.NO_MEMBER: _ROLE_REMEDY,
    Rule.ROBOT: "{admins} can change what the robot was given.",
    Rule.ROBOT_EVERYWHERE: "A system administrator can change what the robot was given.",
    Rule.ROBOT_LACKS: "{admins} can change what the robot was given, as far as robots can be given this.",
    Rule.PUBLIC_PROJECT: "{admins} can make it private.",
    Rule.DEAD_ACCOUNT: "A system administrator can look after the account; then log in again.",
    Rule.REGISTRY_TOKEN: "Ask the token service for a token with this scope.",
    Rule.ACCESS_TOKEN: "Its owner can make an access token that includes it.",
    Rule.READ_ONLY: "A system administrator can end the read-only mode.",
}


def explained_rules() -> Iterator[tuple[Rule, bool, str, str]]:
    """Every rule with whether it allows, its reason and who can change it, with the words of the case emphasised."""
    words = {name: f"*{name}*" for name in ("who", "permission", "where", "role", "admins", "giving")}
    for rule in Rule:
        yield rule, rule in _ALLOWING, _REASONS[rule].format(**words), _REMEDIES.get(rule, "").format(**words)


def standing_in(principal: Principal, account: Account | None, project: ProjectFacts, role: Role | None) -> Standing:
    """What a principal is in a project, from its account, its role there and the project being public."""
    if principal.kind is PrincipalKind.INTERNAL:
        return Standing(principal, project, alive=True, holdings=(Holding(Rule.ITSELF, EVERYTHING),))
    public = (Holding(Rule.PUBLIC_PROJECT, PUBLIC_PERMISSIONS),) if project.public else ()
    if account is None:
        alive = principal.kind is PrincipalKind.ANONYMOUS
        return Standing(principal, project, alive, public if alive else ())
    limit = None if account.limit is None else account.limit.of_project(project.id)
    if account.sysadmin:
        own: tuple[Holding, ...] = (Holding(Rule.SYSTEM_ADMINISTRATOR, EVERYTHING),)
    elif account.grants is not None:
        everywhere = account.grants.everywhere
        own = (
            Holding(Rule.ROBOT, account.grants.of_project(project.id) - everywhere),
            Holding(Rule.ROBOT_EVERYWHERE, everywhere),
        )
    elif role is not None:
        own = (Holding(Rule.ROLE, ROLE_PERMISSIONS[role]),)
    else:
        own = ()
    return Standing(principal, project, True, own + public, role, limit)


def standing_in_system(principal: Principal, account: Account | None) -> Standing:
    """What a principal is outside of projects."""
    if principal.kind is PrincipalKind.INTERNAL:
        return Standing(principal, None, alive=True, holdings=(Holding(Rule.ITSELF, EVERYTHING),))
    if account is None:
        return Standing(principal, None, principal.kind is PrincipalKind.ANONYMOUS, ())
    limit = None if account.limit is None else account.limit.system
    if account.sysadmin:
        return Standing(principal, None, True, (Holding(Rule.SYSTEM_ADMINISTRATOR, EVERYTHING),), limit=limit)
    given = () if account.grants is None else (Holding(Rule.ROBOT, account.grants.system),)
    return Standing(principal, None, True, given, limit=limit)


def decide(standing: Standing, permission: Permission, *, contained: bool = False, reached: bool = True) -> Decision:
    """Whether who stands there may do something, and why.

    Args:
        standing: Who asks, and where.
        permission: What for.
        contained: Whether a permission to delete more includes deleting what it contains, as over the distribution API.
        reached: Whether the registry token that the caller came with, if any, names this action on this repository.
    """
    return Decision(_rule(standing, permission, contained=contained, reached=reached), permission, standing)


def _rule(standing: Standing, permission: Permission, *, contained: bool, reached: bool) -> Rule:
    if not standing.alive:
        return Rule.DEAD_ACCOUNT
    if standing.project is not None and not standing.project.id:
        return Rule.NO_PROJECT
    if not reached:
        return Rule.REGISTRY_TOKEN
    wanted = _SUFFICIENT.get(permission) if contained else None
    wanted = wanted or frozenset((permission,))
    limited = False
    for holding in standing.holdings:
        if not wanted.isdisjoint(standing.within(holding)):
            return holding.rule
        limited = limited or not wanted.isdisjoint(holding.permissions)
    return Rule.ACCESS_TOKEN if limited else _lacking(standing)


def _lacking(standing: Standing) -> Rule:
    if standing.principal.kind is PrincipalKind.ROBOT:
        return Rule.ROBOT_LACKS
    if standing.project is None:
        return Rule.NO_ADMINISTRATOR
    if standing.role is not None:
        return Rule.ROLE_LACKS
    return Rule.PUBLIC_LACKS if standing.project.public else Rule.NO_MEMBER


def roles_with(permission: Permission) -> tuple[Role, ...]:
    """The roles of a project that include a permission, the weakest first."""
    ordered = (Role.LIMITED_GUEST, Role.GUEST, Role.DEVELOPER, Role.MAINTAINER, Role.PROJECT_ADMIN)
    return tuple(role for role in ordered if permission in ROLE_PERMISSIONS[role])


def _remedy(decision: Decision) -> str:
    project = decision.standing.project
    admins = "A system administrator" if project is None else f"A project administrator of {project.name}"
    roles = [role.title for role in roles_with(decision.permission)]
    giving = f"{' or '.join(roles)} would do" if roles else "no role includes it, only system administrators have it"
    return _REMEDIES.get(decision.rule, "").format(admins=admins, giving=giving)
