# SPDX-License-Identifier: Apache-2.0
"""What robots are given: checked when it is given, stored by the numbers of projects, and read back.

A permission belongs to the project, not to its name: a new project of an old name is not opened by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from longshore.access.models import REPOSITORY_PULL, REPOSITORY_PUSH, Grants, Permission
from longshore.access.vocabulary import GRANTABLE_IN_PROJECTS, GRANTABLE_IN_SYSTEM
from longshore.oci.errors import BadRequest, Denied
from longshore.oci.names import ProjectName
from longshore.robots.models import ANY_PROJECT, NEVER, SYSTEM, NewRobot, RobotGrant, RobotLevel

_NAME: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_LONGEST_NAME: Final = 255
_LONGEST_DESCRIPTION: Final = 1_024
_LONGEST_DURATION: Final = 2_147_483_646


def check_new_robot(robot: NewRobot) -> None:
    """Accepts what a robot can be made of.

    Raises:
        BadRequest: something isn't acceptable; the message tells what.
    """
    if len(robot.name) > _LONGEST_NAME or _NAME.fullmatch(robot.name) is None:
        raise BadRequest(
            f"The robot name {robot.name[:100]!a} isn't acceptable: it is made of a-z and 0-9 with single '.', '_' or '-'"
            " between them, and has no prefix."
        )
    check_description(robot.description)
    check_duration(robot.duration_days)
    check_grants(robot.grants, robot.project)


def check_description(text: str) -> None:
    """Accepts a description that isn't too long.

    Raises:
        BadRequest: it is.
    """
    if len(text) > _LONGEST_DESCRIPTION:
        raise BadRequest(f"The description has {len(text)} characters: {_LONGEST_DESCRIPTION} are the most.")


def check_duration(days: int) -> None:
    """Accepts a duration in days: -1 for ever, or 1 to 2147483646.

    Raises:
        BadRequest: it is another one.
    """
    if days != NEVER and not 1 <= days <= _LONGEST_DURATION:
        raise BadRequest(f"The duration is -1 (for ever) or 1 to {_LONGEST_DURATION} days, not {days}.")


def check_grants(grants: Iterable[RobotGrant], project: ProjectName | None) -> None:
    """Accepts permissions that a robot of the system (`project` None), or of that project, can have.

    Raises:
        BadRequest: there are none, one isn't for robots, or a namespace is out of the robot's reach.
    """
    given = tuple(grants)
    if not given:
        raise BadRequest("A robot needs at least one permission.")
    if project is not None and [grant.namespace for grant in given] != [project.value]:
        raise BadRequest(f"A robot of a project has permissions in exactly this project: {project}.")
    namespaces = [grant.namespace for grant in given]
    if len(set(namespaces)) != len(namespaces):
        raise BadRequest("Each namespace may appear once among the permissions.")
    for grant in given:
        grantable = GRANTABLE_IN_SYSTEM if grant.namespace == SYSTEM else GRANTABLE_IN_PROJECTS
        unknown = sorted(str(permission) for permission in grant.permissions - grantable)
        if unknown:
            raise BadRequest(f"These can't be given to a robot in {grant.namespace[:100]}: {', '.join(unknown)[:500]}.")
        if not grant.permissions:
            raise BadRequest(f"The namespace {grant.namespace[:100]} has no permission. Give one or leave it out.")


def check_delegation(wanted: Grants, own: Grants) -> None:
    """Accepts what a robot, or a limited access token, that makes or changes a robot has itself.

    Raises:
        Denied: it wants to give more than it has.
    """
    exceeding = (wanted.system - own.system) | (wanted.everywhere - own.everywhere)
    for project_id, permissions in wanted.projects:
        exceeding |= permissions - own.of_project(project_id)
    if exceeding:
        names = ", ".join(sorted(str(permission) for permission in exceeding))
        raise Denied(f"Robots and limited access tokens can't give what they don't have: {names[:500]}.")


def resolve(grants: Iterable[RobotGrant], project_ids: Mapping[str, int]) -> Grants:
    """Permissions by the numbers of the projects that they name."""
    system: frozenset[Permission] = frozenset()
    everywhere: frozenset[Permission] = frozenset()
    projects: list[tuple[int, frozenset[Permission]]] = []
    for grant in grants:
        if grant.namespace == SYSTEM:
            system |= grant.permissions
        elif grant.namespace == ANY_PROJECT:
            everywhere |= grant.permissions
        else:
            projects.append((project_ids[grant.namespace], grant.permissions))
    return Grants(system, everywhere, tuple(projects))


def to_json(grants: Grants) -> str:
    """What the database holds."""
    entries: list[dict[str, Any]] = []
    if grants.system:
        entries.append({"kind": "system", "access": _access(grants.system)})
    if grants.everywhere:
        entries.append({"kind": "project", "project": None, "access": _access(grants.everywhere)})
    entries += [
        {"kind": "project", "project": project_id, "access": _access(permissions)}
        for project_id, permissions in grants.projects
    ]
    return json.dumps(entries, separators=(",", ":"))


def from_json(text: str) -> Grants:
    """What the database held."""
    system: frozenset[Permission] = frozenset()
    everywhere: frozenset[Permission] = frozenset()
    projects: list[tuple[int, frozenset[Permission]]] = []
    for entry in json.loads(text):
        permissions = frozenset(Permission(item["resource"], item["action"]) for item in entry["access"])
        if entry["kind"] == "system":
            system |= permissions
        elif entry["project"] is None:
            everywhere |= permissions
        else:
            projects.append((entry["project"], permissions))
    return Grants(system, everywhere, tuple(projects))


def effective(grants: Grants, level: RobotLevel) -> Grants:
    """What the permissions amount to: as in Harbor, pushing includes pulling for robots of projects, and only for them."""
    if level is RobotLevel.SYSTEM:
        return grants
    return Grants(
        projects=tuple(
            (project_id, permissions | {REPOSITORY_PULL} if REPOSITORY_PUSH in permissions else permissions)
            for project_id, permissions in grants.projects
        )
    )


def by_name(grants: Grants, project_names: Mapping[int, str]) -> tuple[RobotGrant, ...]:
    """Permissions by the present names of projects; those in projects that are gone are left out."""
    found = []
    if grants.system:
        found.append(RobotGrant(SYSTEM, grants.system))
    if grants.everywhere:
        found.append(RobotGrant(ANY_PROJECT, grants.everywhere))
    found += [
        RobotGrant(project_names[project_id], permissions)
        for project_id, permissions in grants.projects
        if project_id in project_names
    ]
    return tuple(found)


def _access(permissions: frozenset[Permission]) -> list[dict[str, str]]:
    return [{"resource": resource, "action": action} for resource, action in sorted(permissions)]
