# SPDX-License-Identifier: Apache-2.0
"""Answers why somebody may do something, or why not, to who is entitled to know.

Everybody may ask about itself, and learns of a project only what it could see anyway. Whoever may change the members of a
project may ask about others there, and whoever may read all users about everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from longshore.access.decision import Decision, Rule
from longshore.access.models import (
    ANONYMOUS,
    MEMBER_UPDATE,
    ROBOT_READ,
    USER_READ,
    Caller,
    Permission,
    Principal,
    PrincipalKind,
)
from longshore.access.ports import Directory
from longshore.access.service import AccessService
from longshore.oci.errors import NotFound
from longshore.oci.names import ProjectName
from longshore.projects.models import Membership
from longshore.projects.queries import ProjectQueries
from longshore.system.configuration import Configurations

_READING: Final = frozenset({"read", "list", "pull"})
_BY_ROLE: Final = frozenset({Rule.ROLE, Rule.ROLE_LACKS})


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is asked about; `name` is what it logs in with, empty for anonymous."""

    kind: PrincipalKind
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """May this principal do this?

    `subject` None is the caller itself, `project` None the system. `token` is the actions of the registry token that it
    comes with, None when it comes without one.
    """

    permission: Permission
    subject: Subject | None = None
    project: ProjectName | None = None
    token: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision, and the memberships that gave the role it speaks of."""

    decision: Decision
    memberships: tuple[Membership, ...] = ()


class Explanations:
    """Answers questions about who may do what.

    Args:
        access: Who decides; the same decisions let requests in.
        directories: Who knows the names of users and of robots.
        projects: Who knows memberships.
        configurations: Who knows whether the registry refuses changes now.
    """

    def __init__(
        self,
        access: AccessService,
        directories: Mapping[PrincipalKind, Directory],
        projects: ProjectQueries,
        configurations: Configurations,
    ) -> None:
        self._access = access
        self._directories = directories
        self._projects = projects
        self._configurations = configurations

    async def explain(self, caller: Caller, question: Question) -> Explanation:
        """The decision that the request would meet now, and why.

        Raises:
            Unauthorized: an anonymous caller asks about somebody else.
            Denied: the caller may not ask about others there; whether the project exists isn't told.
            NotFound: there is nobody of that name whom the caller may know of, or, for who would see it, no such project.
            ServiceUnavailable: the database is away.
        """
        itself = _is_itself(caller, question.subject)
        principal = caller.principal
        if not itself and question.subject is not None:
            principal = await self._other(caller, question.subject, question.project)
        decision = await self._decision(principal, question)
        if itself and decision.standing.project is not None and not decision.standing.permissions:
            # What it can't see anything of looks as if it didn't exist.
            decision = _hidden(decision)
        changing = question.permission.action not in _READING
        if decision.allowed and changing and (await self._configurations.current()).read_only:
            decision = replace(decision, rule=Rule.READ_ONLY)
        return Explanation(decision, await self._memberships(decision))

    async def _decision(self, principal: Principal, question: Question) -> Decision:
        if question.project is None:
            return await self._access.decision_in_system(principal, question.permission)
        return await self._access.decision_in_project(
            principal, question.permission, question.project, token=question.token
        )

    async def _other(self, caller: Caller, subject: Subject, project: ProjectName | None) -> Principal:
        project_id = None
        if project is None:
            await self._access.authorise_system(caller, USER_READ)
        else:
            project_id = (await self._access.authorise_project(caller, MEMBER_UPDATE, project)).id
        if subject.kind is PrincipalKind.ANONYMOUS:
            return ANONYMOUS
        found = await self._directories[subject.kind].find(subject.name)
        known = found is not None and (
            subject.kind is PrincipalKind.USER
            or (project_id is not None and found.project_id == project_id)
            or ROBOT_READ in await self._access.permissions_in_system(caller.principal)
        )
        if found is None or not known:
            raise NotFound(f"There is no {subject.kind.value} {subject.name[:255]!a} that you may ask about.")
        return found.principal

    async def _memberships(self, decision: Decision) -> tuple[Membership, ...]:
        project = decision.standing.project
        if decision.rule not in _BY_ROLE or project is None:
            return ()
        return await self._projects.memberships(project.id, decision.standing.principal.id)


def _is_itself(caller: Caller, subject: Subject | None) -> bool:
    principal = caller.principal
    return subject is None or (
        subject.kind is principal.kind and (subject.kind is PrincipalKind.ANONYMOUS or subject.name == principal.name)
    )


def _hidden(decision: Decision) -> Decision:
    standing = decision.standing
    return decision if not standing.alive else replace(decision, rule=Rule.NO_PROJECT)
