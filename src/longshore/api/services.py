# SPDX-License-Identifier: Apache-2.0
"""What the controllers of /api call; built once by the composition root."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from longshore.access.explaining import Explanations
from longshore.access.service import AccessService
from longshore.api.authentication import Authenticator
from longshore.identity.queries import UserQueries
from longshore.identity.service import UserService
from longshore.projects.queries import ProjectQueries
from longshore.projects.service import ProjectService
from longshore.robots.queries import RobotQueries
from longshore.robots.service import RobotService

Health = Callable[[], Awaitable[Mapping[str, str]]]


async def _nothing_to_check() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class APIServices:
    """The services behind Harbor's API.

    Attributes:
        health: Tells the state of each component by its name: `healthy`, or what is wrong with it.
    """

    access: AccessService
    authenticator: Authenticator
    explanations: Explanations
    projects: ProjectService
    project_queries: ProjectQueries
    users: UserService
    user_queries: UserQueries
    robots: RobotService
    robot_queries: RobotQueries
    health: Health = _nothing_to_check
