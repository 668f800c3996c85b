# SPDX-License-Identifier: Apache-2.0
"""The tag `robot`."""

from __future__ import annotations

import re
from dataclasses import dataclass
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
from longshore.api.paging import Listing, Page, exactly, listing
from longshore.api.query import Term, parse_q
from longshore.api.request import APIRequest, parse_id
from longshore.api.serialising import answer, created, empty
from longshore.edge.request import Request
from longshore.oci.errors import BadRequest
from longshore.robots.models import Robot as StoredRobot
from longshore.robots.models import RobotLevel
from longshore.robots.queries import RobotQueries

_NUMBER: Final = re.compile(r"[0-9]{1,18}")


class RobotController(Controller):
    """Robot accounts of the system and of projects."""

    path = "/api/v2.0/robots"

    @get(operation_id="ListRobot")
    async def list_robots(self, request: APIRequest) -> Response[list[Robot]]:
        """The robots of the system, or of the project that `q` names (`Level=project,ProjectID=1`)."""
        page, wanted = request.page(), _parse_filter(request.incoming)
        if wanted.project_id is None:
            await request.services.access.authorise_system(request.caller, ROBOT_LIST)
        else:
            await request.services.access.authorise_project(request.caller, ROBOT_LIST, wanted.project_id)
        found = await _list(request.services.robot_queries, wanted, page)
        return answer([shown_robot(robot) for robot in found.items], headers=request.page_headers(page, found))

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
            robot, creator=request.actor, creator_grants=await _own_grants(request)
        )
        return created(f"/api/v2.0/robots/{made.id}", shown_created(made))

    @get("/{robot_id:str}", operation_id="GetRobotByID")
    async def get_robot(self, request: APIRequest, robot_id: FromPath[str]) -> Response[Robot]:
        """A robot."""
        number, services = parse_id(robot_id, "robot_id"), request.services
        robot = await authorise_robot(services.access, services.robot_queries, request.caller, ROBOT_READ, number)
        return answer(shown_robot(robot))

    @put("/{robot_id:str}", operation_id="UpdateRobot")
    async def update_robot(self, request: APIRequest, robot_id: FromPath[str]) -> Response[Any]:
        """Replaces what a robot may do, and whether and how long it may."""
        number, services, document = parse_id(robot_id, "robot_id"), request.services, request.document(RobotUpdate)
        robot = await authorise_robot(services.access, services.robot_queries, request.caller, ROBOT_UPDATE, number)
        if document.name != robot.shown_name() or document.level != robot.level.value:
            raise BadRequest(f"name and level of a robot can't be changed: {robot.shown_name()}, {robot.level.value}.")
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
        """Replaces the secret at once: by the given one, or by a new one that is told this once."""
        number, services, document = parse_id(robot_id, "robot_id"), request.services, request.document(RobotSecReq)
        await authorise_robot(services.access, services.robot_queries, request.caller, ROBOT_UPDATE, number)
        secret = await services.robots.refresh_secret(number, document.secret, actor=request.actor)
        return answer(RobotSec(secret=secret or ""))

    @delete("/{robot_id:str}", operation_id="DeleteRobot", status_code=200)
    async def delete_robot(self, request: APIRequest, robot_id: FromPath[str]) -> Response[Any]:
        """Deletes a robot."""
        number, services = parse_id(robot_id, "robot_id"), request.services
        await authorise_robot(services.access, services.robot_queries, request.caller, ROBOT_DELETE, number)
        await services.robots.delete(number, actor=request.actor)
        return empty()


@dataclass(frozen=True, slots=True)
class _Filter:
    """Which robots a list has: of a project or (None) of the system, and what is in their names."""

    project_id: int | None
    name: Term


def _parse_filter(request: Request) -> _Filter:
    terms = parse_q(request, "Level", "ProjectID", "name")
    name = terms.get("name", Term("", fuzzy=True))
    level = terms.get("Level", Term(RobotLevel.SYSTEM.value)).text
    if level == RobotLevel.SYSTEM.value:
        return _Filter(None, name)
    if level != RobotLevel.PROJECT.value:
        raise BadRequest(f"q: Level is system or project, not {level[:40]!a}.")
    project = terms.get("ProjectID", Term("")).text
    if _NUMBER.fullmatch(project) is None:
        raise BadRequest("q: the robots of a project are asked for with its number, as Level=project,ProjectID=1.")
    return _Filter(int(project), name)


async def _list(queries: RobotQueries, wanted: _Filter, page: Page) -> Listing[StoredRobot]:
    # Harbor's stored name of a project's robot has the project in front: `project+name`.
    part = wanted.name.text.rpartition("+")[2]

    async def load(offset: int, limit: int) -> tuple[list[StoredRobot], int]:
        return await queries.page(wanted.project_id, name=part, offset=offset, limit=limit)

    if wanted.name.fuzzy:
        return await listing(page, load)
    robot = await queries.named(wanted.project_id, part)
    return exactly(page, [robot] if robot is not None and robot.shown_name(prefix="") == wanted.name.text else [])


async def _own_grants(request: APIRequest) -> Grants | None:
    """What the caller was given if it is a robot: it can't give more."""
    principal = request.caller.principal
    if principal.kind is not PrincipalKind.ROBOT:
        return None
    account = await request.services.access.current(principal.kind, principal.id)
    return Grants() if account is None or account.grants is None else account.grants
