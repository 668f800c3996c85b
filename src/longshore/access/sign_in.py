# SPDX-License-Identifier: Apache-2.0
"""Recognising somebody by name and password or secret: throttled, and the same for people and robots."""

from __future__ import annotations

from collections.abc import Callable
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
        access_tokens: Who knows the access tokens of people, which they may send in the place of a password.
        is_access_token: Tells whether a secret has the form of such a token.
        robot_prefix: What the names of robots begin with.
    """

    def __init__(
        self,
        users: Credentials,
        robots: Credentials,
        throttle: Throttle,
        *,
        access_tokens: Credentials | None = None,
        is_access_token: Callable[[str], bool] = lambda _: False,
        robot_prefix: str = ROBOT_PREFIX,
    ) -> None:
        self._users = users
        self._robots = robots
        self._throttle = throttle
        self._access_tokens = access_tokens
        self._is_access_token = is_access_token
        self._robot_prefix = robot_prefix

    async def authenticate(self, name: str, secret: str, source: str) -> Principal:
        """The user or robot with that name and password, access token or secret.

        Raises:
            WrongCredentials: there is none.
            TooManyRequests: too many attempts failed from this source; `retry_after` tells when to try again.
            ServiceUnavailable: the database is away, or too many passwords are waiting to be checked.
        """
        credentials = self._robots if name.startswith(self._robot_prefix) else self._users
        if credentials is self._users and self._access_tokens is not None and self._is_access_token(secret):
            credentials = self._access_tokens
        return await self._throttled(credentials, name, secret, source)

    async def authenticate_person(self, name: str, password: str, source: str) -> Principal:
        """The user with that name and password; neither access tokens nor robots begin a session.

        Raises:
            WrongCredentials: there is none.
            TooManyRequests: too many attempts failed from this source; `retry_after` tells when to try again.
            ServiceUnavailable: the database is away, or too many passwords are waiting to be checked.
        """
        return await self._throttled(self._users, name, password, source)

    async def _throttled(self, credentials: Credentials, name: str, secret: str, source: str) -> Principal:
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
