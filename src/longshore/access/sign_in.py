# SPDX-License-Identifier: Apache-2.0
"""Recognising somebody by name and password or secret: throttled, and the same for people and robots."""

from __future__ import annotations

from typing import Final

from longshore.access.errors import WrongCredentials
from longshore.access.models import Principal
from longshore.access.ports import Credentials
from longshore.access.throttle import Throttle

ROBOT_PREFIX: Final = "robot$"
"""What the names of robots begin with; names of people can't have a dollar sign."""


class SignIn:
    """Recognises users and robots.

    Args:
        users: Who knows the users' passwords.
        robots: Who knows the robots' secrets.
        throttle: Who counts failures.
        robot_prefix: What the names of robots begin with.
    """

    def __init__(
        self, users: Credentials, robots: Credentials, throttle: Throttle, *, robot_prefix: str = ROBOT_PREFIX
    ) -> None:
        self._users = users
        self._robots = robots
        self._throttle = throttle
        self._robot_prefix = robot_prefix

    async def authenticate(self, name: str, secret: str, source: str) -> Principal:
        """The user or robot with that name and password or secret.

        Raises:
            WrongCredentials: there is none.
            TooManyRequests: too many attempts failed from this source; `retry_after` tells when to try again.
            ServiceUnavailable: the database is away, or too many passwords are waiting to be checked.
        """
        credentials = self._robots if name.startswith(self._robot_prefix) else self._users
        failures = await self._throttle.check(source, name)
        try:
            principal = await credentials.authenticate(name, secret, source)
        except WrongCredentials as error:
            # A machine that repeats one old password for ever isn't guessing, and isn't counted again.
            if not error.repeated:
                await self._throttle.failed(source, name)
            raise
        if failures:
            await self._throttle.clear(source, name)
        return principal
