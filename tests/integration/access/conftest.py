# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from longshore.access.models import Caller, Principal, PrincipalKind, Role
from longshore.access.service import AccessService
from longshore.access.sign_in import SignIn
from longshore.access.throttle import Throttle
from longshore.access.tokens import TokenService
from longshore.database.connection import Database, Dialect, ReadFunction, Result, Row, WriteFunction
from longshore.database.statement import Statement
from longshore.distribution.authentication import Authenticator
from longshore.distribution.token import TokenEndpoint
from longshore.identity.access_tokens import AccessTokens
from longshore.identity.credentials import UserCredentials
from longshore.identity.first_start import ensure_admin
from longshore.identity.hashing import Passwords
from longshore.identity.models import NewUser
from longshore.identity.queries import UserQueries
from longshore.identity.service import UserService
from longshore.identity.token_secret import TokenSecrets, is_access_token
from longshore.oci.errors import ServiceUnavailable
from longshore.oci.names import ProjectName
from longshore.projects.queries import ProjectQueries
from longshore.projects.service import ProjectService
from longshore.robots.credentials import RobotCredentials
from longshore.robots.queries import RobotQueries
from longshore.robots.secret import RobotSecrets
from longshore.robots.service import RobotService

KEY = b"k" * 32
PASSWORD = "Secret-1234"


class WatchedDatabase:
    """A database that counts its reads, and that can be away."""

    def __init__(self, inner: Database) -> None:
        self.inner = inner
        self.reads = 0
        self.away = False

    @property
    def dialect(self) -> Dialect:
        return self.inner.dialect

    def read(self, function: ReadFunction[Result]) -> Awaitable[Result]:
        self.reads += 1
        if self.away:
            raise ServiceUnavailable("away")
        return self.inner.read(function)

    def one(self, statement: Statement, **parameters: Any) -> Awaitable[Row | None]:
        return self.read(lambda connection: connection.one(statement, **parameters))

    def write(self, function: WriteFunction[Result]) -> Awaitable[Result]:
        if self.away:
            raise ServiceUnavailable("away")
        return self.inner.write(function)

    async def close(self) -> None:
        await self.inner.close()


@dataclass
class World:
    """All services of access over one database, with clocks that stand still until they are moved."""

    database: WatchedDatabase
    now: float = 1_000.0
    epoch: float = field(default_factory=time.time)
    passwords: Passwords = field(default_factory=lambda: Passwords(memory_kib=64))

    def __post_init__(self) -> None:
        self.users = UserService(self.database, self.passwords)
        self.user_queries = UserQueries(self.database)
        self.projects = ProjectService(self.database)
        self.project_queries = ProjectQueries(self.database)
        self.robot_queries = RobotQueries(self.database)
        secrets = RobotSecrets(KEY)
        self.robots = RobotService(self.database, secrets)
        self.access_tokens = AccessTokens(self.database, TokenSecrets(KEY))
        self.access = AccessService(
            self.database,
            {PrincipalKind.USER: self.user_queries, PrincipalKind.ROBOT: self.robot_queries},
            tokens=self.access_tokens,
            clock=lambda: self.now,
            wall=lambda: self.epoch,
        )
        self.sign_in = SignIn(
            UserCredentials(self.database, self.passwords, clock=lambda: self.now),
            RobotCredentials(self.database, secrets, clock=lambda: self.now),
            Throttle(self.database, clock=lambda: self.now),
            access_tokens=self.access_tokens,
            is_access_token=is_access_token,
        )
        self.tokens = TokenService(KEY, wall=lambda: self.epoch)
        self.endpoint = TokenEndpoint(self.access, self.tokens, self.sign_in)
        self.authenticator = Authenticator(self.tokens, self.sign_in)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.epoch += seconds

    async def user(self, name: str, *, sysadmin: bool = False) -> int:
        return await self.users.create(NewUser(username=name, password=PASSWORD, sysadmin=sysadmin))

    async def project(self, name: str, *, public: bool = False) -> int:
        return await self.projects.create(ProjectName(name), owner_id=None, public=public)

    async def member(self, project_id: int, name: str, role: Role) -> int:
        user_id = await self.user(name)
        await self.projects.add_member(project_id, user_id, role)
        return user_id

    async def principal(self, name: str, password: str = PASSWORD, source: str = "10.0.0.1") -> Principal:
        return await self.sign_in.authenticate(name, password, source)

    async def basic(self, name: str, password: str = PASSWORD) -> Caller:
        return Caller(await self.principal(name, password), None, "10.0.0.1")


@pytest.fixture
async def empty(database: Database) -> WatchedDatabase:
    return WatchedDatabase(database)


@pytest.fixture
async def world(empty: WatchedDatabase) -> AsyncIterator[World]:
    made = World(empty)
    await ensure_admin(empty, made.passwords, password=PASSWORD)
    yield made
    made.passwords.close()


@pytest.fixture
def new_world() -> Callable[[Database], World]:
    return lambda database: World(WatchedDatabase(database))
