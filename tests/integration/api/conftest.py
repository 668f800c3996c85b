# SPDX-License-Identifier: Apache-2.0
"""The API over a fresh database, called as ASGI; teams of everybody who may call it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, cast

import httpx
import pytest

from longshore.access.explaining import Explanations
from longshore.access.models import Permission, Principal, PrincipalKind, ProjectFacts, Role
from longshore.access.service import AccessService
from longshore.access.sign_in import SignIn
from longshore.access.throttle import Throttle
from longshore.access.tokens import TokenService
from longshore.access.vocabulary import GRANTABLE_IN_PROJECTS, GRANTABLE_IN_SYSTEM
from longshore.api.app import build_api
from longshore.api.browser import Browsers
from longshore.api.csrf import CSRF
from longshore.api.services import APIServices
from longshore.artifacts.additions import Additions
from longshore.artifacts.contents import Contents
from longshore.artifacts.copying import Copying
from longshore.artifacts.icons import Icons
from longshore.artifacts.queries import ArtifactQueries
from longshore.artifacts.repository_queries import RepositoryQueries
from longshore.audit.queries import AuditQueries
from longshore.audit.service import Recorder
from longshore.database.connection import Connection, Database
from longshore.database.statement import Statement
from longshore.distribution.authentication import Authenticator
from longshore.edge.asgi import Receive, Scope, Send
from longshore.edge.origin import TrustedProxies
from longshore.edge.request import Request
from longshore.events.sequencer import Sequencer
from longshore.groups.queries import GroupQueries
from longshore.groups.service import GroupService
from longshore.identity.access_tokens import AccessTokens
from longshore.identity.credentials import UserCredentials
from longshore.identity.first_start import ensure_admin
from longshore.identity.hashing import Passwords
from longshore.identity.models import NewUser
from longshore.identity.queries import UserQueries
from longshore.identity.service import UserService
from longshore.identity.sessions import Sessions
from longshore.identity.token_secret import TokenSecrets, is_access_token
from longshore.labels.queries import LabelQueries
from longshore.labels.service import LabelService
from longshore.oci.names import ProjectName
from longshore.projects.allowlists import Allowlists
from longshore.projects.queries import ProjectQueries
from longshore.projects.service import ProjectService
from longshore.quotas.queries import QuotaQueries
from longshore.quotas.service import QuotaService
from longshore.registry.blobs import Blobs
from longshore.registry.deletion import ManifestDeletion
from longshore.registry.descriptions import Descriptions
from longshore.registry.manifests import Manifests
from longshore.registry.periods import Periods
from longshore.registry.repository_deletion import RepositoryDeletion
from longshore.registry.tags import Tags
from longshore.robots.credentials import RobotCredentials
from longshore.robots.directory import RobotDirectory
from longshore.robots.models import NEVER, NewRobot, RobotGrant
from longshore.robots.queries import RobotQueries
from longshore.robots.secret import RobotSecrets
from longshore.robots.service import RobotService
from longshore.search.queries import SearchQueries
from longshore.search.statistics import StatisticQueries
from longshore.storage.port import OpenedStore
from longshore.system.configuration import Configurations
from longshore.system.sealing import Sealing
from longshore.system.service import ConfigurationService
from longshore.system.surroundings import Surroundings
from tests.builders import World as Registry
from tests.integration.api.counting import CountingDatabase
from tests.integrity import assert_integrity

KEY = b"k" * 32
PASSWORD = "Secret-1234"
SYSTEM_ONLY = frozenset({Permission("project", "list")})

_TABLES = ("projects", "project_members", "project_metadata", "users", "robots", "labels", "access_tokens")
_ROWS = {name: Statement(f"SELECT * FROM {name} ORDER BY 1, 2") for name in _TABLES}


@dataclass(frozen=True)
class Account:
    """Somebody who can log in; a robot is known by its shown name."""

    id: int
    name: str
    secret: str = PASSWORD


@dataclass(frozen=True)
class Team:
    """A private project, a member of each role with the number of its membership, and a robot that may do everything there."""

    id: int
    name: str
    members: dict[Role, Account]
    member_ids: dict[Role, int]
    robot: Account


class World:
    """All services behind the API over one database, and clients to call it."""

    def __init__(self, database: Database, store: OpenedStore, stack: AsyncExitStack) -> None:
        database = self.database = CountingDatabase(database)
        self.passwords = Passwords(memory_kib=64)
        stack.callback(self.passwords.close)
        self.users, self.user_queries = UserService(database, self.passwords), UserQueries(database)
        self.projects, self.project_queries = ProjectService(database), ProjectQueries(database)
        self.allowlists, self.configurations = Allowlists(database), Configurations(database)
        self.groups, self.group_queries = GroupService(database), GroupQueries(database)
        secrets = RobotSecrets(KEY)
        self.robots = RobotService(database, secrets, self.configurations)
        self.robot_queries = RobotQueries(database)
        self.labels, self.label_queries = LabelService(database), LabelQueries(database)
        self.access_tokens = AccessTokens(database, TokenSecrets(KEY))
        self.access = AccessService(
            database,
            {PrincipalKind.USER: self.user_queries, PrincipalKind.ROBOT: self.robot_queries},
            tokens=self.access_tokens,
        )
        self.tokens = TokenService(KEY)
        sign_in = SignIn(
            UserCredentials(database, self.passwords),
            RobotCredentials(database, secrets, configurations=self.configurations),
            Throttle(database),
            configurations=self.configurations,
            access_tokens=self.access_tokens,
            is_access_token=is_access_token,
        )
        configuration = ConfigurationService(
            database, self.configurations, Sealing(KEY, "configuration"), has_people=self.has_people
        )
        self.sessions = Sessions(database, self.configurations, KEY)
        self.proxies = TrustedProxies()
        self.states: dict[str, str] = {"database": "healthy", "storage": "healthy"}
        periods = Periods()
        blobs = Blobs(database, periods)
        contents = Contents(database, store, blobs)
        self.services = APIServices(
            access=self.access,
            access_tokens=self.access_tokens,
            audit=AuditQueries(database),
            additions=Additions(database, contents),
            artifact_queries=ArtifactQueries(database, self.label_queries),
            authenticator=Authenticator(self.tokens, sign_in),
            explanations=Explanations(
                self.access,
                {
                    PrincipalKind.USER: self.user_queries,
                    PrincipalKind.ROBOT: RobotDirectory(database, self.configurations),
                },
                self.project_queries,
                self.configurations,
            ),
            browsers=Browsers(self.sessions, sign_in, self.user_queries, CSRF(KEY), self.configurations),
            configuration=configuration,
            projects=self.projects,
            project_queries=self.project_queries,
            users=self.users,
            user_queries=self.user_queries,
            allowlists=self.allowlists,
            copying=Copying(database, Manifests(database, periods), blobs),
            descriptions=Descriptions(database),
            icons=Icons(database, contents),
            configurations=self.configurations,
            groups=self.groups,
            group_queries=self.group_queries,
            labels=self.labels,
            label_queries=self.label_queries,
            manifest_deletion=ManifestDeletion(database, periods),
            repository_deletion=RepositoryDeletion(database, periods),
            repository_queries=RepositoryQueries(database),
            quotas=QuotaService(database),
            quota_queries=QuotaQueries(database),
            robots=self.robots,
            robot_queries=self.robot_queries,
            tags=Tags(database, periods),
            search=SearchQueries(database),
            statistics=StatisticQueries(database),
            health=self._health,
        )
        self.api = build_api(self.services)
        self._stack = stack
        self._numbers = itertools.count(1)

    async def audit(self) -> None:
        """Writes the audit log of everything that happened so far."""
        sequencer, recorder = Sequencer(self.database), Recorder(self.database, self.configurations)
        while await sequencer.run_once() or await recorder.run_once():
            pass

    def surround(self, surroundings: Surroundings) -> None:
        """Puts the registry somewhere else."""
        self.api = build_api(replace(self.services, surroundings=surroundings))

    async def has_people(self) -> bool:
        """Whether there is anybody besides the first administrator."""
        return (await self.user_queries.page(limit=1))[1] > 0

    async def _health(self) -> dict[str, str]:
        return self.states

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the composition root does before it calls the API."""
        scope["state"] = {"request": Request(scope, receive, proxies=self.proxies, body_seconds=5)}
        await self.api(scope, receive, send)

    async def client(self, account: Account | None) -> httpx.AsyncClient:
        """A client that calls as somebody, or as nobody."""
        auth = None if account is None else (account.name, account.secret)
        transport = httpx.ASGITransport(app=self)
        made = httpx.AsyncClient(transport=transport, base_url="http://registry.test/api/v2.0", auth=auth)
        return await self._stack.enter_async_context(made)

    @property
    def number(self) -> int:
        """A number that wasn't used yet."""
        return next(self._numbers)

    async def user(self, name: str = "", *, sysadmin: bool = False) -> Account:
        """A new user."""
        name = name or f"user{self.number}"
        new = NewUser(username=name, password=PASSWORD, email=f"{name}@test.test", realname=name, sysadmin=sysadmin)
        return Account(await self.users.create(new), name)

    async def project(self, name: str = "", *, public: bool = False) -> tuple[int, str]:
        """A new project without members."""
        name = name or f"project{self.number}"
        return await self.projects.create(ProjectName(name), owner_id=None, public=public), name

    async def robot(self, *grants: RobotGrant, project: str | None = None) -> Account:
        """A new robot of the system, or of a project."""
        named = None if project is None else ProjectName(project)
        new = NewRobot(name=f"robot{self.number}", grants=grants, duration_days=NEVER, project=named)
        made = await self.robots.create(new, creator="admin")
        return Account(made.id, made.shown_name, made.secret)

    async def principal(self, account: Account) -> Principal:
        """Who a user is, recognised now."""
        found = await self.user_queries.find(account.name)
        assert found is not None
        return found.principal

    async def facts(self, project_id: int) -> ProjectFacts:
        """What requests in a project are judged by."""
        found = await self.project_queries.facts_by_id(project_id)
        assert found is not None
        return found

    async def system_robot(self) -> Account:
        """A robot that may do everything in the system that robots may, and nothing in projects."""
        return await self.robot(RobotGrant("/", GRANTABLE_IN_SYSTEM))

    async def team(self) -> Team:
        """A new team."""
        project_id, name = await self.project()
        members = {role: await self.user() for role in Role}
        ids = {role: await self.projects.add_member(project_id, account.id, role) for role, account in members.items()}
        robot = await self.robot(RobotGrant(name, GRANTABLE_IN_PROJECTS), project=name)
        return Team(project_id, name, members, ids, robot)

    async def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that the API can change."""

        async def read(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
            found = {name: await connection.all(rows) for name, rows in _ROWS.items()}
            return {name: [tuple(cast("Iterable[Any]", row)) for row in rows] for name, rows in found.items()}

        return await self.database.read(read)


@pytest.fixture
async def world(database: Database, store: OpenedStore) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        made = World(database, store, stack)
        await ensure_admin(database, made.passwords, password=PASSWORD)
        yield made


@pytest.fixture
def admin() -> Account:
    return Account(1, "admin")


@pytest.fixture
async def registry(world: World, store: OpenedStore) -> AsyncIterator[Registry]:
    """Pushes into the projects of the world; every test that has it ends with the integrity assertion."""
    yield Registry(world.database, store)
    await assert_integrity(world.database, store)


@pytest.fixture
async def client(world: World, admin: Account) -> httpx.AsyncClient:
    return await world.client(admin)
