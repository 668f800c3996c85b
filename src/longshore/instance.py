# SPDX-License-Identifier: Apache-2.0
"""Builds the services of one process on an open database, and prepares an instance at its start."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

import structlog

from longshore.access.models import PrincipalKind
from longshore.access.service import AccessService
from longshore.access.sign_in import SignIn
from longshore.access.throttle import Throttle
from longshore.access.tokens import TokenService
from longshore.api.services import APIServices
from longshore.config import Settings, SettingsError
from longshore.database.connection import Database, Dialect, Replaceable
from longshore.database.errors import DatabaseRefused
from longshore.database.revisions import HEAD, current_revision, serves
from longshore.database.sqlite import SQLiteDatabase
from longshore.database.statement import Statement
from longshore.distribution.authentication import Authenticator
from longshore.distribution.delivery import Delivery
from longshore.distribution.elsewhere import Elsewhere, RedirectMode
from longshore.distribution.services import Services
from longshore.distribution.token import TokenEndpoint
from longshore.edge.asgi import Application
from longshore.identity.credentials import UserCredentials
from longshore.identity.first_start import ensure_admin
from longshore.identity.hashing import Passwords
from longshore.identity.queries import UserQueries
from longshore.identity.service import UserService
from longshore.oci.errors import LongshoreError
from longshore.projects.queries import ProjectQueries
from longshore.projects.service import ProjectService
from longshore.registry.blobs import Blobs
from longshore.registry.deletion import ManifestDeletion
from longshore.registry.manifests import Manifests
from longshore.registry.periods import SECOND, Periods, microseconds
from longshore.registry.pulls import PullCounter
from longshore.registry.reclaim import Reclaim
from longshore.registry.referrers import Listings
from longshore.registry.tags import Tags
from longshore.registry.uploads import Uploads
from longshore.robots.credentials import RobotCredentials
from longshore.robots.queries import RobotQueries
from longshore.robots.secret import RobotSecrets
from longshore.robots.service import RobotService
from longshore.storage.factory import check_url, directory_of, open_store, scheme_of
from longshore.storage.layout import read_instance
from longshore.storage.port import FreeSpace, ObjectExists, OpenedStore
from longshore.storage.refusals import InvalidStorageURL, StoreRefused
from longshore.system.connections import Kind, Share, measure_demand
from longshore.system.instance import ensure_instance

_log = structlog.get_logger("longshore.instance")

_METRICS_SECONDS = 1.0
_PROBE_SECONDS = 5.0
_KNOWN_SECONDS = 0.5
_HEALTHY = "healthy"
_PATIENT_SECONDS = 3600.0
_PING = Statement("SELECT 1")
_ANY_BLOB = Statement("SELECT 1 FROM blobs LIMIT 1")


@dataclass(slots=True, kw_only=True)
class Instance:
    """Everything that one HTTP process serves with, and how to close it.

    Attributes:
        build_api: Imports and builds Harbor's API, which takes longer than all the rest: call it on a thread, when /v2 serves.
    """

    build_api: Callable[[], Application]
    distribution: Services
    health: Callable[[], Awaitable[dict[str, str]]]
    metrics: Callable[[], Awaitable[bytes]]
    pulls: PullCounter
    closers: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    async def close(self) -> None:
        """Closes everything in the opposite order of its opening; what fails to close is logged."""
        for close in reversed(self.closers):
            try:
                await close()
            except Exception as error:  # noqa: BLE001 - one failure must not keep the others open
                _log.warning("not closed", error=str(error))


async def open_instance(settings: Settings, secret_key: bytes, database: Database) -> Instance:
    """Builds the services of this process.

    Raises:
        SettingsError: the database was made with another secret key, or the store belongs to another database.
        ServiceUnavailable: database or store can't be reached.
    """
    instance_id = await ensure_instance(database, secret_key)
    store = await open_marked_store(settings, instance_id, database)
    periods = periods_of(settings)
    passwords = Passwords()
    users, robots, projects = UserQueries(database), RobotQueries(database), ProjectQueries(database)
    secrets = RobotSecrets(secret_key)
    access = AccessService(database, {PrincipalKind.USER: users, PrincipalKind.ROBOT: robots})
    sign_in = SignIn(UserCredentials(database, passwords), RobotCredentials(database, secrets), Throttle(database))
    tokens = TokenService(secret_key, lifetime_seconds=int(settings.token_expiry.total_seconds()))
    authenticator = Authenticator(tokens, sign_in)
    blobs = Blobs(database, periods)
    pulls = PullCounter(database)
    elsewhere = Elsewhere(
        store,
        redirect=RedirectMode(settings.storage_redirect),
        delay_seconds=settings.reclaim_delay.total_seconds(),
        front_prefix=settings.accel_redirect,
    )
    services = Services(
        access=access,
        authenticator=authenticator,
        blobs=blobs,
        deletion=ManifestDeletion(database, periods),
        delivery=Delivery(store, elsewhere if elsewhere.is_possible else None),
        listings=Listings(database),
        manifests=Manifests(database, periods),
        pulls=pulls,
        tags=Tags(database, periods),
        tokens=TokenEndpoint(access, tokens, sign_in),
        uploads=Uploads(database, store, blobs, periods),
    )
    reclaim = Reclaim(database, store, periods)

    probes = {
        "database": _Probe(lambda: _ask_database(database)),
        "storage": _Probe(lambda: _ask_store(store)),
    }

    async def health() -> dict[str, str]:
        states = await asyncio.gather(*(probe.state() for probe in probes.values()))
        return dict(zip(probes, states, strict=True))

    def build_api() -> Application:
        from longshore.api.app import build_api as build  # noqa: PLC0415 - so that no pull waits for a web framework

        return build(
            APIServices(
                access=access,
                authenticator=authenticator,
                projects=ProjectService(database, periods),
                project_queries=projects,
                users=UserService(database, passwords),
                user_queries=users,
                robots=RobotService(database, secrets),
                robot_queries=robots,
                health=health,
            )
        )

    scraped_at, scraped = float("-inf"), b""

    async def metrics() -> bytes:
        nonlocal scraped_at, scraped
        from longshore.registry.metrics import registry_metrics  # noqa: PLC0415 - paid for by who is scraped

        # The page is open to all; asking it in a loop must not cost the database more than asking it once a second.
        now = asyncio.get_running_loop().time()
        if now - scraped_at > _METRICS_SECONDS:
            scraped, scraped_at = await registry_metrics(reclaim), now
        return scraped

    async def close_passwords() -> None:
        passwords.close()

    return Instance(
        build_api=build_api,
        distribution=services,
        health=health,
        metrics=metrics,
        pulls=pulls,
        closers=[database.close, store.close, close_passwords],
    )


async def prepare(settings: Settings, secret_key: bytes, kinds: Collection[Kind] = ("api", "worker")) -> str | None:
    """What a server does once before it starts its processes; returns the administrator's generated password, if any.

    The embedded database is brought to this release's schema. PostgreSQL that is away or waits for `longshore migrate` doesn't
    keep the server from starting: it stays unready and says so.

    Raises:
        SettingsError: the secret key is another one than the database's, PostgreSQL can't serve so many connections, or the
            store refuses.
    """
    try:
        check_url(settings.storage)
    except InvalidStorageURL as error:
        raise _wrong_storage(error) from error
    _warn_of_unused(settings)
    if settings.database_url is None:
        await _migrate_embedded(settings)
    try:
        database = await open_database(settings)
    except DatabaseRefused as error:
        raise _wrong_database(error) from error
    except LongshoreError as error:
        _log.warning("the database is away", reason=error.message)
        return None
    try:
        if database.dialect is Dialect.POSTGRESQL:
            await _check_connections(settings, database, kinds)
        if await missing_revision(database) is not None:
            return None
        instance_id = await ensure_instance(database, secret_key)
        await (await open_marked_store(settings, instance_id, database)).close()
        return await first_start(settings, database)
    except DatabaseRefused as error:
        raise _wrong_database(error) from error
    except LongshoreError as error:
        _log.warning("not prepared", reason=str(error))
        return None
    finally:
        await database.close()


def _wrong_database(error: DatabaseRefused) -> SettingsError:
    return SettingsError(
        f"LONGSHORE_DATABASE_URL: PostgreSQL is there and refuses: {error.answer}. Correct the URL, or make the database and"
        " its user"
    )


async def first_start(settings: Settings, database: Database) -> str | None:
    """Makes the administrator and the project `library` unless they are there; a generated password is returned once.

    Raises:
        SettingsError: the password that the settings give breaks the rules.
    """
    passwords = Passwords()
    given = None if settings.admin_password is None else settings.admin_password.get_secret_value()
    try:
        return await ensure_admin(database, passwords, password=given or None)
    except LongshoreError as error:
        if error.status >= 500:
            raise
        raise SettingsError(f"LONGSHORE_ADMIN_PASSWORD: {error.message}") from error
    finally:
        passwords.close()


def announce(settings: Settings, password: str | None) -> None:
    """Prints the generated password of the first administrator: once, to the terminal, never to the log."""
    if password is None:
        return
    sys.stdout.write(
        "\n  Longshore made its administrator. Write the password down, it is not shown again:\n\n"
        f"      user      admin\n      password  {password}\n\n"
        f"  docker login {settings.host}:{settings.port} -u admin\n\n"
    )
    sys.stdout.flush()


def periods_of(settings: Settings) -> Periods:
    """The waiting times that the settings name."""
    return Periods(
        grace=microseconds(settings.upload_grace),
        window=int(settings.trash_days * 86400 * SECOND),
        delay=microseconds(settings.reclaim_delay),
        upload_expiry=microseconds(settings.upload_expiry),
    )


async def open_database(settings: Settings, kind: Kind | None = None, *, patient: bool = False) -> Database:
    """The database that the settings name, open in this process, whose kind PostgreSQL's connections are named after.

    `patient` with statements that look at everything.

    Raises:
        ServiceUnavailable: it can't be reached.
    """
    if settings.database_url is None:
        return SQLiteDatabase(settings.sqlite_path)
    # Imported here: its driver is not paid for on SQLite.
    from longshore.database.postgresql import COMMAND_SECONDS, PostgreSQLDatabase  # noqa: PLC0415

    return await PostgreSQLDatabase.open(
        settings.database_url.get_secret_value(),
        pool_size=settings.database_pool,
        name="longshore" if kind is None else Share.of(settings, kind).name,
        command_seconds=_PATIENT_SECONDS if patient else COMMAND_SECONDS,
    )


async def open_marked_store(settings: Settings, instance_id: str, database: Database) -> OpenedStore:
    """The store that the settings name, which belongs to this database from its first start on.

    Raises:
        SettingsError: the store can't be used, refuses, or belongs to another database.
        ServiceUnavailable: it is away.
    """
    try:
        if scheme_of(settings.storage) == "file":
            # Before anything is made there: other processes would go on with the folder where the volume was.
            await _require_mark(read_instance(str(directory_of(settings.storage))), instance_id, database)
        store = await open_store(settings.storage, reserve_bytes=_reserve_of(settings))
    except OSError as error:
        raise SettingsError(f"LONGSHORE_STORAGE_URL: the folder can't be used: {error.strerror}") from error
    except LongshoreError as error:
        if error.status >= 503 and not isinstance(error, StoreRefused):
            raise
        raise _wrong_storage(error) from error
    try:
        await _check_mark(store, instance_id, database)
    except BaseException:
        await store.close()
        raise
    return store


def _wrong_storage(error: LongshoreError) -> SettingsError:
    whole, public = (
        f"LONGSHORE_STORAGE_URL: {text.removeprefix('LONGSHORE_STORAGE_URL').removeprefix(':').strip()}"
        for text in (str(error), error.message)
    )
    return SettingsError(whole, public=public)


def _reserve_of(settings: Settings) -> int | None:
    """The bytes to keep free on the volume of a directory; None for a store that has no end."""
    if scheme_of(settings.storage) != "file":
        return None
    folder = directory_of(settings.storage)
    folder.mkdir(parents=True, exist_ok=True)
    return settings.reserve_bytes(shutil.disk_usage(folder).total)


async def missing_revision(database: Database) -> str | None:
    """Why this release can't work on the schema as it is; None when it can."""
    revision = await current_revision(database)
    if serves(revision):
        return None
    return (
        f"The database's schema is at {revision or 'nothing'}, this release needs revision {HEAD}: run `longshore migrate`"
        " with the same settings."
    )


async def _require_mark(mark: str | None, instance_id: str, database: Database) -> None:
    if mark is None and await database.read(lambda connection: connection.value(_ANY_BLOB)) is not None:
        raise SettingsError(
            "LONGSHORE_STORAGE_URL: the store has no mark of this database, which knows of blobs in it. Is the volume mounted?"
            f" Is it the right bucket? If it is really lost, write {instance_id} into meta/instance there, then"
            " `longshore verify --mark-missing`",
            public="The store has no mark of this database, which knows of blobs in it. The server's log says what to do.",
        )


async def _check_mark(store: OpenedStore, instance_id: str, database: Database) -> None:
    """Marks a new store, and refuses one that can't be this database's.

    A folder without a mark where the database knows of blobs is most likely a volume that isn't mounted: serving from it
    would tell every client that its images are gone.

    Raises:
        SettingsError: the store belongs to another database, or its mark is missing.
    """
    await _require_mark(await store.read_instance(), instance_id, database)
    try:
        await store.write_instance(instance_id)
    except ObjectExists as error:
        raise SettingsError(
            "LONGSHORE_STORAGE_URL: the store belongs to another database. Use the store of this database, or an empty one"
        ) from error


def _warn_of_unused(settings: Settings) -> None:
    """Settings of features that come with a later release are checked, but must not be believed to do something."""
    if settings.redis_url is not None:
        _log.warning("this release has no use for the setting", setting="LONGSHORE_REDIS_URL")
    if settings.storage_redirect == "always" and scheme_of(settings.storage) == "file":
        _log.warning("a file system has no presigned redirects", setting="LONGSHORE_STORAGE_REDIRECT")


async def _migrate_embedded(settings: Settings) -> None:
    path = settings.sqlite_path
    if path.exists():
        database = SQLiteDatabase(path)
        try:
            if serves(await current_revision(database)):
                return
        finally:
            await database.close()
    # Imported here: a start on the present schema doesn't pay for the migration tool.
    from longshore.database.migrate import migrate_sqlite  # noqa: PLC0415

    await asyncio.to_thread(migrate_sqlite, path)


async def _check_connections(settings: Settings, database: Database, kinds: Collection[Kind]) -> None:
    """Every process may open its whole pool at once; the server should have room for all of them, of all replicas.

    Raises:
        SettingsError: it has no room for this server even alone. When there is none beside the others it is logged.
    """
    own = [Share.of(settings, kind) for kind in kinds]
    demand = await measure_demand(database, own)
    processes = sum(share.processes for share in own)
    if demand.own > demand.allowed:
        raise SettingsError(
            f"LONGSHORE_DATABASE_POOL: {processes} processes with {settings.database_pool} connections each need {demand.own},"
            f" but the server allows {demand.allowed}. Lower LONGSHORE_DATABASE_POOL or LONGSHORE_WORKERS, or raise"
            " max_connections"
        )
    if demand.total > demand.allowed:
        _log.warning(
            "database connections may run out: lower LONGSHORE_DATABASE_POOL or LONGSHORE_WORKERS, or raise max_connections",
            allowed=demand.allowed,
            needed=demand.total,
            needed_here=demand.own,
            needed_by_replicas=demand.replicas,
            used_by_others=demand.others,
        )


class _Probe:
    """Asks a component whether it is well: one question at a time, however many want to know and however long it takes."""

    def __init__(self, ask: Callable[[], Awaitable[str]]) -> None:
        self._ask = ask
        self._asking: asyncio.Task[str] | None = None
        self._said = _HEALTHY

    async def state(self) -> str:
        """`healthy`, or what is wrong; within five seconds, and at once where it was wrong a moment ago.

        A question that hangs is waited for again by the next one.
        """
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._answer())
        # Who asks is often a probe that waits for a second only: it shall see the reason, not a time-out.
        patience = _PROBE_SECONDS if self._said == _HEALTHY else _KNOWN_SECONDS
        done, _ = await asyncio.wait({self._asking}, timeout=patience)
        if done:
            self._said = self._asking.result()
        elif self._said == _HEALTHY:
            self._said = "does not answer"
        return self._said

    async def _answer(self) -> str:
        try:
            return await self._ask()
        except LongshoreError as error:
            return error.message


async def _ask_database(database: Database) -> str:
    if isinstance(database, Replaceable):
        await database.leave_standby()
    else:
        await database.read(lambda connection: connection.value(_PING))
    return _HEALTHY


async def _ask_store(store: OpenedStore) -> str:
    if await store.read_instance() is None:
        return "is not the registry's"
    if isinstance(store, FreeSpace):
        await store.available()
    return _HEALTHY
