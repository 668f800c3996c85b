# SPDX-License-Identifier: Apache-2.0
"""The tag `robot`."""

from __future__ import annotations

import re
from typing import Any, Final

from litestar import Controller, Response, delete, get, patch, post, put
from litestar.params import FromPath

from longshore.access.models import (
    ROBOT_CREATE,
    ROBOT_DELETE,
    ROBOT_LIST,
    ROBOT_READ,
    ROBOT_UPDATE,
    Grants,
    PrincipalKind,
)
from longshore.api.authentication import authorise_robot
from longshore.api.documents.robot import (
    Robot,
    RobotCreate,
    RobotSec,
    RobotSecReq,
    RobotUpdate,
    grants,
    shown_created,
    shown_robot,
)
from longshore.api.lists import answer_list
from longshore.api.request import APIRequest, parse_id
from longshore.api.serialising import answer, created, empty
from longshore.listing.models import Exact, Wanted
from longshore.oci.errors import BadRequest
from longshore.robots.models import Robot as StoredRobot
from longshore.robots.models import RobotLevel

_NUMBER: Final = re.compile(r"[0-9]{1,18}")


class RobotController(Controller):
    """Robot accounts of the system and of projects."""

    path = "/api/v2.0/robots"

    @get(operation_id="ListRobot")
    async def list_robots(self, request: APIRequest) -> Response[list[Robot]]:
        """The robots of the system, or of the project that `q` names (`Level=project,ProjectID=1`)."""
        page, wanted = request.page(), request.wanted()
        project_id = _whose(wanted)
        if project_id is None:
            await request.services.access.authorise_system(request.caller, ROBOT_LIST)
        else:
            await request.services.access.authorise_project(request.caller, ROBOT_LIST, project_id)

        async def load(offset: int, limit: int) -> tuple[list[StoredRobot], int]:
            return await request.services.robot_queries.page(project_id, wanted, offset=offset, limit=limit)

        prefix = await _prefix(request)
        return await answer_list(request, page, load, lambda found: [shown_robot(robot, prefix) for robot in found])

    @post(operation_id="CreateRobot")
    async def create_robot(self, request: APIRequest) -> Response[Any]:
        """Makes a robot and tells its secret, this once."""
        document = request.document(RobotCreate)
        await request.services.access.authorise_login(request.caller)
        robot = document.robot()
        if robot.project is None:
            await request.services.access.authorise_system(request.caller, ROBOT_CREATE)
        else:
            await request.services.access.authorise_project(request.caller, ROBOT_CREATE, robot.project)
        made = await request.services.robots.create(
            robot,
            creator=request.actor,
            creator_ref=request.caller.principal.id,
            creator_grants=await _own_grants(request),
        )
        return created(f"/api/v2.0/robots/{made.id}", shown_created(made))

    @get("/{robot_id:str}", operation_id="GetRobotByID")
    async def get_robot(self, request: APIRequest, robot_id: FromPath[str]) -> Response[Robot]:
        """A robot."""
        number, services = parse_id(robot_id, "robot_id"), request.services
        robot = await authorise_robot(services.access, services.robot_queries, request.caller, ROBOT_READ, number)
        return answer(shown_robot(robot, await _prefix(request)))

    @put("/{robot_id:str}", operation_id="UpdateRobot")
    async def update_robot(self, request: APIRequest, robot_id: FromPath[str]) -> Response[Any]:
        """Replaces what a robot may do, and whether and how long it may."""
        number, services, document = parse_id(robot_id, "robot_id"), request.services, request.document(RobotUpdate)
        robot = await authorise_robot(services.access, services.robot_queries, request.caller, ROBOT_UPDATE, number)
        name = robot.shown_name(await _prefix(request))
        if document.name not in {name, robot.shown_name()} or document.level != robot.level.value:
            raise BadRequest(f"name and level of a robot can't be changed: {name}, {robot.level.value}.")
        await services.robots.update(
            number,
            description=document.description or "",
            disabled=bool(document.disable),
            grants=grants(document.permissions or ()),
            duration_days=document.duration,
            editor_grants=await _own_grants(request),
            actor=request.actor,
        )
        return empty()

    @patch("/{robot_id:str}", operation_id="RefreshSec")
    async def refresh_secret(self, request: APIRequest, robot_id: FromPath[str]) -> Response[RobotSec]:
        """Replaces the secret by the given one, or by a new one that is told this once; at once, unless a period is given."""
        number, services, document = parse_id(robot_id, "robot_id"), request.services, request.document(RobotSecReq)
        await authorise_robot(services.access, services.robot_queries, request.caller, ROBOT_UPDATE, number)
        secret = await services.robots.refresh_secret(
            number,
            document.secret,
            grace_seconds=document.grace_seconds or 0,
            editor_grants=await _own_grants(request),
            actor=request.actor,
        )
        return answer(RobotSec(secret=secret or ""))

    @delete("/{robot_id:str}", operation_id="DeleteRobot", status_code=200)
    async def delete_robot(self, request: APIRequest, robot_id: FromPath[str]) -> Response[Any]:
        """Deletes a robot."""
        number, services = parse_id(robot_id, "robot_id"), request.services
        await authorise_robot(services.access, services.robot_queries, request.caller, ROBOT_DELETE, number)
        await services.robots.delete(number, actor=request.actor)
        return empty()


def _whose(wanted: Wanted) -> int | None:
    """Whose robots a list has: those of a project, or (None) of the system."""
    level = wanted.conditions.get("level", Exact(RobotLevel.SYSTEM.value))
    if level not in {Exact(RobotLevel.SYSTEM.value), Exact(RobotLevel.PROJECT.value)}:
        raise BadRequest("q: Level is system or project, as Level=project,ProjectID=1.")
    if level == Exact(RobotLevel.SYSTEM.value):
        return None
    project = wanted.conditions.get("project_id")
    if not isinstance(project, Exact) or _NUMBER.fullmatch(project.text) is None:
        raise BadRequest("q: the robots of a project are asked for with its number, as Level=project,ProjectID=1.")
    return int(project.text)


async def _prefix(request: APIRequest) -> str:
    """What the names of robots begin with now."""
    return (await request.services.configurations.current()).robot_name_prefix


async def _own_grants(request: APIRequest) -> Grants | None:
    """What the caller was given if it is a robot, or comes with a limited access token: it can't give more."""
    principal = request.caller.principal
    if principal.kind is not PrincipalKind.ROBOT and not principal.token_id:
        return None
    account = await request.services.access.current(principal.kind, principal.id, principal.token_id)
    if account is None:
        return Grants()
    return account.grants if principal.kind is PrincipalKind.ROBOT else account.limit
