# SPDX-License-Identifier: Apache-2.0
"""Everything that a scenario of /v2 needs: processes on one database and store, people, projects, and pushes."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from longshore.access.models import REPOSITORY_PULL, REPOSITORY_PUSH, Permission, PrincipalKind
from longshore.access.ports import Accounts
from longshore.access.service import AccessService
from longshore.access.sign_in import SignIn
from longshore.access.throttle import Throttle
from longshore.access.tokens import TokenService
from longshore.artifacts.contents import Contents
from longshore.artifacts.describing import Describer
from longshore.database.connection import Connection, Database, Row, Transaction
from longshore.database.statement import Statement
from longshore.distribution.authentication import Authenticator
from longshore.distribution.delivery import Delivery
from longshore.distribution.services import Services
from longshore.distribution.token import TokenEndpoint
from longshore.identity.access_tokens import AccessTokens
from longshore.identity.credentials import UserCredentials
from longshore.identity.hashing import Passwords
from longshore.identity.models import NewUser
from longshore.identity.queries import UserQueries
from longshore.identity.service import UserService
from longshore.identity.token_secret import TokenSecrets, is_access_token
from longshore.oci import mediatypes
from longshore.oci.digest import Algorithm, Digest
from longshore.oci.names import ProjectName
from longshore.projects.models import Role
from longshore.projects.queries import ProjectQueries
from longshore.projects.service import ProjectService
from longshore.registry.blobs import Blobs
from longshore.registry.deletion import ManifestDeletion
from longshore.registry.manifests import Manifests
from longshore.registry.periods import Periods
from longshore.registry.pull_log import PullLog
from longshore.registry.pulls import PullCounter
from longshore.registry.referrers import Listings
from longshore.registry.tags import Tags
from longshore.registry.uploads import Uploads
from longshore.robots.credentials import RobotCredentials
from longshore.robots.models import NEVER, NewRobot, RobotGrant
from longshore.robots.queries import RobotQueries
from longshore.robots.secret import RobotSecrets
from longshore.robots.service import RobotService
from longshore.storage.port import NO_STATE, BlobReader, BlobStore, BlobWriter, Journal, ObjectKey
from longshore.system.configuration import Configurations
from tests.databases import Databases
from tests.integration.distribution.asgi import Answer, Client, Edge
from tests.shelves import Shelf

KEY = b"k" * 32
PASSWORD = "Secret-1234"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
HOUR = 3600 * 1_000_000

# What a request may leave behind; events and log-in failures are told apart.
_TABLES = (
    "projects, project_usage, repositories, blobs, project_blobs, repository_blobs, manifests, manifest_blobs,"
    " manifest_wants, manifest_children, tags, tag_journal, upload_sessions, upload_keys, trash, events"
)


class WatchedStore:
    """A store that counts what is opened, for reading and for writing."""

    def __init__(self, inner: BlobStore) -> None:
        self.inner = inner
        self.opened = self.created = self.resumed = 0

    @property
    def appends(self) -> bool:
        return self.inner.appends

    @property
    def smallest_chunk(self) -> int:
        return self.inner.smallest_chunk

    async def create(self, key: ObjectKey, journal: Journal | None = None) -> BlobWriter:
        self.created += 1
        return await self.inner.create(key, journal)

    async def resume(
        self,
        key: ObjectKey,
        offset: int,
        state: str = NO_STATE,
        journal: Journal | None = None,
        *,
        contested: bool = False,
    ) -> BlobWriter:
        self.resumed += 1
        return await self.inner.resume(key, offset, state, journal, contested=contested)

    async def open(self, key: ObjectKey, offset: int = 0, length: int | None = None) -> BlobReader:
        self.opened += 1
        return await self.inner.open(key, offset, length)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@dataclass(slots=True, kw_only=True)
class World:
    """One registry. Its clocks stand still until `wait` moves them; the database's clock is moved by `sql`."""

    databases: Databases
    database: Database
    store: WatchedStore
    shelf: Shelf
    periods: Periods = field(default_factory=lambda: Periods(grace=HOUR, window=HOUR, delay=HOUR))
    now: float = 1_000.0
    epoch: float = field(default_factory=time.time)
    opened: list[Database] = field(default_factory=list)
    passwords: Passwords = field(default_factory=lambda: Passwords(memory_kib=64))
    edge: Edge = field(init=False)
    number: int = 0

    def __post_init__(self) -> None:
        self.edge = Edge(self.services(self.database))

    def services(self, database: Database, periods: Periods | None = None) -> Services:
        """The services of one process, as `longshore.instance` builds them."""
        periods = periods or self.periods
        users, robots = UserQueries(database), RobotQueries(database)
        sources: dict[PrincipalKind, Accounts] = {PrincipalKind.USER: users, PrincipalKind.ROBOT: robots}
        access_tokens = AccessTokens(database, TokenSecrets(KEY))
        access = AccessService(database, sources, tokens=access_tokens, clock=lambda: self.now, wall=lambda: self.epoch)
        sign_in = SignIn(
            UserCredentials(database, self.passwords, clock=lambda: self.now),
            RobotCredentials(database, RobotSecrets(KEY), clock=lambda: self.now),
            Throttle(database, clock=lambda: self.now),
            access_tokens=access_tokens,
            is_access_token=is_access_token,
        )
        tokens = TokenService(KEY, wall=lambda: self.epoch)
        blobs = Blobs(database, periods)
        configurations = Configurations(database, clock=lambda: self.now)

        async def lifetime() -> int:
            return (await configurations.current()).token_expiration * 60

        manifests = Manifests(database, periods)
        return Services(
            access=access,
            authenticator=Authenticator(tokens, sign_in),
            blobs=blobs,
            configurations=configurations,
            deletion=ManifestDeletion(database, periods),
            delivery=Delivery(self.store),
            describer=Describer(Contents(database, self.store, blobs), manifests),
            listings=Listings(database),
            pull_log=PullLog(database, configurations),
            manifests=manifests,
            pulls=PullCounter(database, configurations),
            tags=Tags(database, periods),
            tokens=TokenEndpoint(access, tokens, sign_in, lifetime=lifetime),
            uploads=Uploads(database, self.store, blobs, periods),
        )

    async def process(self, *, periods: Periods | None = None, **edge: Any) -> Edge:
        """Another process on the same database and store."""
        database = await self.databases.open()
        self.opened.append(database)
        return Edge(self.services(database, periods), **edge)

    def wait(self, seconds: float) -> None:
        """Lets time pass for everything but the database."""
        self.now += seconds
        self.epoch += seconds

    @property
    def anonymous(self) -> Client:
        return Client(self.edge)

    async def user(self, name: str, *, sysadmin: bool = False) -> Client:
        """A person who logs in with Basic."""
        await UserService(self.database, self.passwords).create(
            NewUser(username=name, password=PASSWORD, sysadmin=sysadmin)
        )
        return self.anonymous.basic(name, PASSWORD)

    async def admin(self) -> Client:
        """A system administrator."""
        return await self.user(f"admin{self.next()}", sysadmin=True)

    async def member(self, name: str, project: str, role: Role) -> Client:
        """A new person with a role in the project."""
        client = await self.user(name)
        await ProjectService(self.database).add_member(await self.project_id(project), await self.user_id(name), role)
        return client

    async def robot(
        self,
        name: str,
        namespace: str,
        permissions: Iterable[Permission] = (REPOSITORY_PULL, REPOSITORY_PUSH),
        *,
        system: bool = False,
    ) -> Client:
        """A robot of the project, or of the system with permissions there."""
        robot = NewRobot(
            name=name,
            grants=(RobotGrant(namespace, frozenset(permissions)),),
            duration_days=NEVER,
            project=None if system else ProjectName(namespace),
        )
        created = await RobotService(self.database, RobotSecrets(KEY)).create(robot, creator="test")
        return self.anonymous.basic(created.shown_name, created.secret)

    async def project(
        self, name: str, *, public: bool = False, sparse: str = "none", quota_bytes: int | None = None
    ) -> int:
        return await ProjectService(self.database).create(
            ProjectName(name), owner_id=None, public=public, sparse=sparse, quota_bytes=quota_bytes
        )

    async def token(self, client: Client, *scopes: str) -> Client:
        """The same caller with a token for these scopes."""
        query = "&".join(f"scope={scope}" for scope in scopes)
        answer = await client.get(f"/service/token?service=harbor-registry&{query}")
        assert answer.status == 200, answer
        return client.bearer(answer.json()["token"])

    def next(self) -> int:
        self.number += 1
        return self.number

    def fresh(self, size: int = 100) -> bytes:
        """Bytes that nobody pushed yet."""
        return f"{self.next()} ".encode().ljust(size, b"x")

    async def blob(
        self, client: Client, repository: str, payload: bytes, algorithm: Algorithm = Algorithm.SHA256
    ) -> Digest:
        """Pushes a blob in one request."""
        digest = Digest.of(payload, algorithm)
        (await client.post(f"/v2/{repository}/blobs/uploads/?digest={digest}", payload)).expect(201)
        return digest

    async def image(self, client: Client, repository: str, tag: str | None = None, **members: Any) -> Digest:
        """Pushes an image with a config and a layer of its own; returns its digest."""
        layers = [self.fresh() for _ in range(2)]
        for layer in layers:
            await self.blob(client, repository, layer)
        manifest = image(layers[0], layers[1:], **members)
        return await self.manifest(client, repository, manifest, tag)

    async def manifest(
        self, client: Client, repository: str, manifest: Mapping[str, Any], tag: str | None = None
    ) -> Digest:
        """Pushes a manifest; returns its digest."""
        payload = encode(manifest)
        digest = Digest.of(payload)
        answer = await self.push(client, repository, payload, manifest["mediaType"], tag or str(digest))
        answer.expect(201)
        return digest

    async def push(self, client: Client, repository: str, payload: bytes, media_type: str, reference: str) -> Answer:
        target = f"/v2/{repository}/manifests/{reference}"
        return await client.put(target, payload, {"content-type": media_type})

    async def sql(self, text: str, **parameters: Any) -> int:
        """Changes rows behind the product's back."""
        statement = Statement(text)

        async def run(transaction: Transaction) -> int:
            return await transaction.execute(statement, **parameters)

        return await self.database.write(run)

    async def rows(self, text: str, **parameters: Any) -> list[Row]:
        statement = Statement(text)

        async def run(connection: Connection) -> list[Row]:
            return await connection.all(statement, **parameters)

        return await self.database.read(run)

    async def value(self, text: str, **parameters: Any) -> Any:
        rows = await self.rows(text, **parameters)
        return rows[0][0] if rows else None

    async def user_id(self, name: str) -> int:
        return int(await self.value("SELECT id FROM users WHERE username = :name AND deleted_at IS NULL", name=name))

    async def project_id(self, name: str) -> int:
        return int(await self.value("SELECT id FROM projects WHERE name = :name AND deleted_at IS NULL", name=name))

    async def facts(self, name: str) -> Any:
        facts = await ProjectQueries(self.database).facts(name)
        assert facts is not None
        return facts

    async def rows_left(self) -> dict[str, int]:
        """How many rows each table has."""
        counts = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM {table}" for table in _TABLES.split(", "))
        return {row[0]: int(row[1]) for row in await self.rows(counts)}

    async def footprint(self) -> dict[str, int]:
        """How many rows each table has, and how many objects the store."""
        async with aclosing(self.store.inner.listing()) as listing:
            return await self.rows_left() | {"objects": len([stored async for stored in listing])}

    async def damage(self, digest: Digest, content: bytes | None) -> None:
        """Changes the bytes of a blob in the store behind the product's back; None takes them away."""
        key: str = await self.value("SELECT key FROM blobs WHERE digest = :digest", digest=str(digest))
        if content is None:
            await self.shelf.remove(key)
        else:
            await self.shelf.put(key, content)

    @asynccontextmanager
    async def unchanged(self) -> AsyncIterator[None]:
        """What happens in here leaves no row and no file behind."""
        before = await self.footprint()
        yield
        assert await self.footprint() == before

    async def close(self) -> None:
        for database in self.opened:
            await database.close()
        self.passwords.close()


def encode(manifest: Mapping[str, Any]) -> bytes:
    """A manifest as it goes over the wire."""
    return json.dumps(manifest, indent=1).encode()


def descriptor(payload: bytes, media_type: str = LAYER, algorithm: Algorithm = Algorithm.SHA256) -> dict[str, Any]:
    """How a manifest names these bytes."""
    return {"mediaType": media_type, "digest": str(Digest.of(payload, algorithm)), "size": len(payload)}


def image(
    config: bytes, layers: Iterable[bytes] = (), media_type: str = mediatypes.OCI_MANIFEST, **members: Any
) -> dict[str, Any]:
    """An image manifest."""
    config_type = mediatypes.DOCKER_CONFIG if media_type == mediatypes.DOCKER_MANIFEST else mediatypes.OCI_CONFIG
    return {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor(config, config_type),
        "layers": [descriptor(layer) for layer in layers],
        **members,
    }


def index(
    children: Mapping[Digest, int] | Iterable[Mapping[str, Any]], media_type: str = mediatypes.OCI_INDEX, **members: Any
) -> dict[str, Any]:
    """An index of manifests, by digest and size or as whole descriptors."""
    entries = (
        [
            {"mediaType": mediatypes.OCI_MANIFEST, "digest": str(digest), "size": size}
            for digest, size in children.items()
        ]
        if isinstance(children, Mapping)
        else [dict(child) for child in children]
    )
    return {"schemaVersion": 2, "mediaType": media_type, "manifests": entries, **members}


class Scenario(Protocol):
    """One story, told over every database and every store. Its name names the test."""

    __name__: str

    def __call__(self, world: World) -> Awaitable[None]: ...
