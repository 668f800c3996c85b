# SPDX-License-Identifier: Apache-2.0
"""Who calls, and the few questions of authorisation that are neither of one project nor of the system."""

from __future__ import annotations

from typing import Final, Protocol

from longshore.access.models import PROJECT_CREATE, USER_CREATE, USER_READ, Caller, Permission, PrincipalKind
from longshore.access.service import AccessService
from longshore.api.browser import Browsers
from longshore.edge.request import Request
from longshore.oci.errors import Denied, NotFound, PreconditionFailed, Unauthorized
from longshore.robots.models import Robot
from longshore.robots.queries import RobotQueries

_BEARER: Final = b"bearer "


class Authenticator(Protocol):
    """Recognises the caller of a request; both edges share one."""

    async def caller(self, authorization: bytes | None, source: str) -> Caller:
        """The caller that the value of the `Authorization` header tells, coming from that address.

        Raises:
            Unauthorized: the header is malformed, or its credentials aren't good.
            TooManyRequests: too many attempts failed from this source.
            ServiceUnavailable: the database is away, or too many passwords are waiting to be checked.
        """
        ...


async def authenticate(authenticator: Authenticator, request: Request) -> Caller:
    """The caller of a request: a user or a robot by Basic, or nobody in particular.

    Raises:
        Unauthorized: the credentials are wrong (where Harbor takes their bearer for anonymous), or a registry's token.
        TooManyRequests: too many attempts failed from this source.
    """
    value = request.header(b"authorization")
    authorization = None if value is None else value.encode("latin-1")
    if authorization is not None and authorization[: len(_BEARER)].lower() == _BEARER:
        raise Unauthorized("Tokens of the registry are for /v2 only. Log in with a name and a password or secret.")
    return await authenticator.caller(authorization, request.origin.source)


async def authorise_creating_projects(access: AccessService, caller: Caller, *, only_admins: bool) -> None:
    """Lets people pass (administrators only, if so configured), and robots of the system that were given `project:create`.

    Raises:
        Unauthorized: the caller is anonymous.
        Denied: the caller is a robot without the permission, or a person without the right to it.
    """
    if only_admins and caller.principal.kind is PrincipalKind.USER and not caller.principal.sysadmin:
        await access.authorise_login(caller)
        raise Denied("Only system admin can create project")
    if caller.principal.kind is PrincipalKind.ROBOT:
        await access.authorise_system(caller, PROJECT_CREATE)
    else:
        await access.authorise_login(caller)
        await access.authorise_token(caller, PROJECT_CREATE)


async def authorise_creating_users(
    access: AccessService, browsers: Browsers, caller: Caller, request: Request, *, self_registration: bool
) -> None:
    """Lets those pass who may make users; and where people may register, whoever does so in a page.

    Raises:
        Unauthorized: the caller is anonymous and nobody may register.
        Denied: the caller may not make users, or registers by the API instead of a page.
    """
    by_page = self_registration and request.authorization is None
    if by_page and USER_CREATE not in await access.permissions_in_system(caller.principal):
        browsers.came_from_page(request)
    else:
        await access.authorise_system(caller, USER_CREATE)


async def authorise_person(access: AccessService, caller: Caller) -> int:
    """Lets people pass; returns the number of the user.

    Raises:
        Unauthorized: the caller is anonymous.
        PreconditionFailed: the caller is a robot.
    """
    await access.authorise_login(caller)
    if caller.principal.kind is not PrincipalKind.USER:
        raise PreconditionFailed("Robots are no users: log in as a person for this.")
    return caller.principal.id


async def authorise_user(access: AccessService, caller: Caller, permission: Permission, user_id: int) -> bool:
    """Lets the user itself pass, and who has the permission in the system; tells whether it is the user itself.

    Raises:
        Unauthorized: the caller is anonymous.
        Denied: the caller is somebody else without the permission, or comes with an access token that doesn't include it.
    """
    if is_user(caller, user_id):
        await access.authorise_login(caller)
        if permission is not USER_READ:
            await access.authorise_token(caller, permission)
        return True
    await access.authorise_system(caller, permission)
    return False


async def authorise_robot(
    access: AccessService, queries: RobotQueries, caller: Caller, permission: Permission, robot_id: int
) -> Robot:
    """Lets pass who has the permission where the robot belongs: in its project or in the system. Returns the robot.

    As in Harbor a robot that doesn't exist is told before whether the caller could see it; only not to strangers.

    Raises:
        Unauthorized: the caller is anonymous.
        NotFound: there is no such robot.
        Denied: the caller hasn't got the permission there.
    """
    await access.authorise_login(caller)
    robot = await queries.robot(robot_id)
    if robot is None:
        raise NotFound(f"The robot {robot_id} doesn't exist.")
    if robot.project_id is None:
        await access.authorise_system(caller, permission)
    else:
        await access.authorise_project(caller, permission, robot.project_id)
    return robot


def is_user(caller: Caller, user_id: int) -> bool:
    """Whether the caller is this very user."""
    return caller.principal.kind is PrincipalKind.USER and caller.principal.id == user_id
