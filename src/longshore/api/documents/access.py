# SPDX-License-Identifier: Apache-2.0
"""Permissions, and questions about them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from longshore.access.explaining import Explanation, Question, Subject
from longshore.access.models import Permission as StoredPermission
from longshore.access.models import PrincipalKind
from longshore.access.policy import EVERYTHING, IN_PROJECTS, IN_SYSTEM
from longshore.api.documents.user import Permission
from longshore.api.serialising import Read, Shown, listed
from longshore.oci.errors import BadRequest, Unprocessable
from longshore.oci.names import ProjectName, RepositoryName

_LONGEST_NAME = 255


class Permissions(Shown, frozen=True, kw_only=True):
    """What robots can be given, in the system and in projects."""

    system: tuple[Permission, ...] | None
    project: tuple[Permission, ...] | None


class AskedPrincipal(Read, frozen=True, kw_only=True):
    """Who is asked about: a user or a robot by the name it logs in with, or anonymous."""

    kind: Literal["user", "robot", "anonymous"] | None = None
    name: str | None = None


class AccessQuestion(Read, frozen=True, kw_only=True):
    """May this principal do this? Without `principal` the caller itself; without `project` and `repository` in the system."""

    principal: AskedPrincipal | None = None
    resource: str | None = None
    action: str | None = None
    project: str | None = None
    repository: str | None = None
    token_actions: list[Literal["pull", "push", "delete"]] | None = None


class NamedPrincipal(Shown, frozen=True, kw_only=True):
    """Who is spoken of."""

    kind: str
    name: str


class Membership(Shown, frozen=True, kw_only=True):
    """A role in the project; by a group if one is named, else by the person's own membership."""

    role: str
    group: str = ""


class AccessExplanation(Shown, frozen=True, kw_only=True):
    """The answer, the rule that decided, why in a sentence, and who can change it."""

    allowed: bool
    rule: str
    reason: str
    remedy: str = ""
    principal: NamedPrincipal
    permission: Permission
    project: str = ""
    repository: str = ""
    memberships: tuple[Membership, ...] | msgspec.UnsetType = msgspec.UNSET


def shown_permissions(permissions: Iterable[StoredPermission]) -> tuple[Permission, ...] | None:
    """Permissions by resource and action."""
    return listed(Permission(resource=each.resource, action=each.action) for each in sorted(permissions))


def parse_question(asked: AccessQuestion) -> Question:
    """The question that a body asks.

    Raises:
        Unprocessable: resource or action is missing, or there is no such permission.
        BadRequest: its parts don't fit together.
    """
    if not asked.resource or not asked.action:
        raise Unprocessable('resource and action are needed, for example "repository" and "push".')
    permission = StoredPermission(asked.resource, asked.action)
    if permission not in EVERYTHING:
        raise Unprocessable(
            f"resource and action name no permission: {str(permission)[:200]!a}. The reference of permissions lists all."
        )
    project = _project(asked)
    if asked.token_actions is not None and asked.repository is None:
        raise BadRequest("token_actions are those of a token for a repository: name the repository.")
    subject = _subject(asked.principal)
    if permission not in (IN_SYSTEM if project is None else IN_PROJECTS):
        where = "a project: name it, or a repository" if project is None else "the system: leave the project out"
        raise BadRequest(f"{permission} is a permission in {where}.")
    return Question(
        permission=permission,
        subject=subject,
        project=project,
        token=None if asked.token_actions is None else frozenset(asked.token_actions),
    )


def shown_explanation(explanation: Explanation, asked: AccessQuestion) -> AccessExplanation:
    """An answer, with the place as it was asked for."""
    decision = explanation.decision
    principal, project = decision.standing.principal, decision.standing.project
    return AccessExplanation(
        allowed=decision.allowed,
        rule=decision.rule.value,
        reason=decision.reason,
        remedy=decision.remedy,
        principal=NamedPrincipal(kind=principal.kind.value, name=principal.name),
        permission=Permission(resource=decision.permission.resource, action=decision.permission.action),
        project="" if project is None else project.name.value,
        repository=asked.repository or "",
        memberships=tuple(
            Membership(role=membership.role.title, group=membership.group or "")
            for membership in explanation.memberships
        )
        or msgspec.UNSET,
    )


def _project(asked: AccessQuestion) -> ProjectName | None:
    named = None if asked.project is None else ProjectName(asked.project[:_LONGEST_NAME])
    if asked.repository is None:
        return named
    of_repository = RepositoryName.parse(asked.repository).project
    if named is not None and named != of_repository:
        raise BadRequest(f"The repository {asked.repository} isn't in the project {named}. Name one of both.")
    return of_repository


def _subject(asked: AskedPrincipal | None) -> Subject | None:
    if asked is None:
        return None
    if asked.kind is None:
        raise Unprocessable("principal.kind is required: user, robot or anonymous.")
    if asked.kind == "anonymous":
        return Subject(PrincipalKind.ANONYMOUS)
    if not asked.name:
        raise Unprocessable("principal.name is required: the name that the user or robot logs in with.")
    return Subject(PrincipalKind(asked.kind), asked.name)
