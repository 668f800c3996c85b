# SPDX-License-Identifier: Apache-2.0
"""Recognising somebody by name and password or secret: throttled, and the same for people and robots."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from longshore.access.errors import WrongCredentials
from longshore.access.models import Principal
from longshore.access.ports import Credentials
from longshore.access.throttle import Throttle
from longshore.system.configuration import Configurations

ROBOT_PREFIX: Final = "robot$"
"""What the names of robots begin with unless administrators choose something else, and may begin with even then."""

_ONLY_ROBOTS: Final = "$"

_Recognise = Callable[[str, str, str], Awaitable[Principal]]


class SignIn:
    """Recognises users and robots.

    Args:
        users: Who knows the users' passwords.
        robots: Who knows the robots' secrets.
        throttle: Who counts failures.
        configurations: Who knows what else the names of robots begin with; None: nothing else.
        access_tokens: Who knows the access tokens of people, which they may send in the place of a password.
        is_access_token: Tells whether a secret has the form of such a token.
    """

    def __init__(
        self,
        users: Credentials,
        robots: Credentials,
        throttle: Throttle,
        *,
        configurations: Configurations | None = None,
        access_tokens: Credentials | None = None,
        is_access_token: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._users = users
        self._robots = robots
        self._throttle = throttle
        self._configurations = configurations
        self._access_tokens = access_tokens
        self._is_access_token = is_access_token

    async def authenticate(self, name: str, secret: str, source: str) -> Principal:
        """The user or robot with that name and password, access token or secret.

        Raises:
            WrongCredentials: there is none.
            TooManyRequests: too many attempts failed from this source; `retry_after` tells when to try again.
            ServiceUnavailable: the database is away, or too many passwords are waiting to be checked.
        """
        return await self._throttled(self._recognise, name, secret, source)

    async def authenticate_person(self, name: str, password: str, source: str) -> Principal:
        """The user with that name and password; neither access tokens nor robots begin a session.

        Raises:
            WrongCredentials: there is none.
            TooManyRequests: too many attempts failed from this source; `retry_after` tells when to try again.
            ServiceUnavailable: the database is away, or too many passwords are waiting to be checked.
        """
        return await self._throttled(self._users.authenticate, name, password, source)

    async def _throttled(self, recognise: _Recognise, name: str, secret: str, source: str) -> Principal:
        failures = await self._throttle.check(source, name)
        try:
            principal = await recognise(name, secret, source)
        except WrongCredentials as error:
            # A machine that repeats one old password for ever isn't guessing, and isn't counted again.
            if not error.repeated:
                await self._throttle.failed(source, name)
            raise
        if failures:
            await self._throttle.clear(source, name)
        return principal

    async def _recognise(self, name: str, secret: str, source: str) -> Principal:
        if name.startswith(await self._prefixes()):
            try:
                return await self._robots.authenticate(name, secret, source)
            except WrongCredentials:
                # A prefix without a dollar sign may begin the names of people too.
                if _ONLY_ROBOTS in name:
                    raise
        if self._access_tokens is not None and self._is_access_token(secret):
            return await self._access_tokens.authenticate(name, secret, source)
        return await self._users.authenticate(name, secret, source)

    async def _prefixes(self) -> tuple[str, ...]:
        if self._configurations is None:
            return (ROBOT_PREFIX,)
        return (ROBOT_PREFIX, (await self._configurations.current()).robot_name_prefix)
