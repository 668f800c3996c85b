# SPDX-License-Identifier: Apache-2.0
"""Builds the services of one process on an open database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from longshore.access.explaining import Explanations
from longshore.access.models import PrincipalKind
from longshore.access.service import AccessService
from longshore.access.sign_in import SignIn
from longshore.access.throttle import Throttle
from longshore.access.tokens import TokenService
from longshore.api.browser import Browsers
from longshore.api.csrf import CSRF
from longshore.api.services import APIServices
from longshore.artifacts.additions import Additions
from longshore.artifacts.contents import Contents
from longshore.artifacts.copying import Copying
from longshore.artifacts.describing import Describer
from longshore.artifacts.icons import Icons
from longshore.artifacts.queries import ArtifactQueries
from longshore.artifacts.repository_queries import RepositoryQueries
from longshore.audit.queries import AuditQueries
from longshore.config import Settings
from longshore.database.connection import Database
from longshore.distribution.authentication import Authenticator
from longshore.distribution.delivery import Delivery
from longshore.distribution.elsewhere import Elsewhere, RedirectMode
from longshore.distribution.services import Services
from longshore.distribution.token import TokenEndpoint
from longshore.edge.asgi import Application
from longshore.groups.queries import GroupQueries
from longshore.groups.service import GroupService
from longshore.identity.access_tokens import AccessTokens
from longshore.identity.credentials import UserCredentials
from longshore.identity.hashing import Passwords
from longshore.identity.queries import UserQueries
from longshore.identity.service import UserService
from longshore.identity.sessions import Sessions
from longshore.identity.token_secret import TokenSecrets, is_access_token
from longshore.labels.queries import LabelQueries
from longshore.labels.service import LabelService
from longshore.marking import open_marked_store
from longshore.opening import periods_of
from longshore.probes import Health, Refreshed
from longshore.projects.allowlists import Allowlists
from longshore.projects.queries import ProjectQueries
from longshore.projects.service import ProjectService
from longshore.quotas.queries import QuotaQueries
from longshore.quotas.service import QuotaService
from longshore.reclaiming import reclaim_of
from longshore.registry.blobs import Blobs
from longshore.registry.deletion import ManifestDeletion
from longshore.registry.descriptions import Descriptions
from longshore.registry.manifests import Manifests
from longshore.registry.periods import Periods
from longshore.registry.pull_log import PullLog
from longshore.registry.pulls import PullCounter
from longshore.registry.reclaim import Reclaim
from longshore.registry.referrers import Listings
from longshore.registry.repository_deletion import RepositoryDeletion
from longshore.registry.tags import Tags
from longshore.registry.uploads import Uploads
from longshore.robots.credentials import RobotCredentials
from longshore.robots.directory import RobotDirectory
from longshore.robots.queries import RobotQueries
from longshore.robots.secret import RobotSecrets
from longshore.robots.service import RobotService
from longshore.search.queries import SearchQueries
from longshore.search.statistics import StatisticQueries
from longshore.storage.port import OpenedStore
from longshore.system.configuration import Configurations, configurations_of, token_minutes
from longshore.system.instance import ensure_instance
from longshore.system.sealing import Sealing
from longshore.system.service import PURPOSE as SEALED_CONFIGURATION
from longshore.system.service import ConfigurationService
from longshore.system.surroundings import surroundings_of

_log = structlog.get_logger("longshore.instance")

_METRICS_SECONDS = 1.0


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What the services of both APIs stand on."""

    database: Database
    store: OpenedStore
    configurations: Configurations
    periods: Periods
    passwords: Passwords
    secrets: RobotSecrets
    users: UserQueries
    robots: RobotQueries
    access: AccessService
    configuration: ConfigurationService
    sign_in: SignIn
    tokens: TokenService
    authenticator: Authenticator
    access_tokens: AccessTokens
    browsers: Browsers


async def open_instance(settings: Settings, secret_key: bytes, database: Database) -> Instance:
    """Builds the services of this process.

    Raises:
        SettingsError: the database was made with another secret key, or the store belongs to another database.
        ServiceUnavailable: database or store can't be reached.
    """
    instance_id = await ensure_instance(database, secret_key)
    store = await open_marked_store(settings, instance_id, database)
    ground = _lay_ground(settings, secret_key, database, store)
    await ground.configuration.keep_fixed()
    pulls = PullCounter(database, ground.configurations)
    health = Health(database, store).states

    def build_api() -> Application:
        from longshore.api.app import build_api as build  # noqa: PLC0415 - so that no pull waits for a web framework

        return build(_api_services(settings, ground, health))

    async def close_passwords() -> None:
        ground.passwords.close()

    return Instance(
        build_api=build_api,
        distribution=_distribution_services(settings, ground, pulls),
        health=health,
        metrics=_metrics_of(reclaim_of(database, store, ground.periods)),
        pulls=pulls,
        closers=[database.close, store.close, close_passwords],
    )


def _lay_ground(settings: Settings, secret_key: bytes, database: Database, store: OpenedStore) -> _Ground:
    passwords, secrets = Passwords(), RobotSecrets(secret_key)
    users, robots = UserQueries(database), RobotQueries(database)
    configurations = configurations_of(settings, database)
    configuration = ConfigurationService(
        database, configurations, Sealing(secret_key, SEALED_CONFIGURATION), has_people=lambda: _has_people(users)
    )
    access_tokens = AccessTokens(database, TokenSecrets(secret_key))
    sign_in = SignIn(
        UserCredentials(database, passwords),
        RobotCredentials(database, secrets, configurations=configurations),
        Throttle(database),
        configurations=configurations,
        access_tokens=access_tokens,
        is_access_token=is_access_token,
    )
    sessions = Sessions(database, configurations, secret_key)
    tokens = TokenService(secret_key)
    return _Ground(
        database=database,
        store=store,
        configurations=configurations,
        periods=periods_of(settings),
        passwords=passwords,
        secrets=secrets,
        users=users,
        robots=robots,
        access=AccessService(database, {PrincipalKind.USER: users, PrincipalKind.ROBOT: robots}, tokens=access_tokens),
        configuration=configuration,
        sign_in=sign_in,
        tokens=tokens,
        authenticator=Authenticator(tokens, sign_in),
        access_tokens=access_tokens,
        browsers=Browsers(sessions, sign_in, users, CSRF(secret_key), configurations),
    )


def _distribution_services(settings: Settings, ground: _Ground, pulls: PullCounter) -> Services:
    database, store, periods = ground.database, ground.store, ground.periods
    blobs = Blobs(database, periods)
    manifests = Manifests(database, periods)
    elsewhere = Elsewhere(
        store,
        redirect=RedirectMode(settings.storage_redirect),
        delay_seconds=settings.reclaim_delay.total_seconds(),
        front_prefix=settings.accel_redirect,
    )
    return Services(
        access=ground.access,
        authenticator=ground.authenticator,
        blobs=blobs,
        configurations=ground.configurations,
        deletion=ManifestDeletion(database, periods),
        delivery=Delivery(store, elsewhere if elsewhere.is_possible else None),
        describer=Describer(Contents(database, store, blobs), manifests),
        listings=Listings(database),
        pull_log=PullLog(database, ground.configurations),
        manifests=manifests,
        pulls=pulls,
        tags=Tags(database, periods),
        tokens=TokenEndpoint(
            ground.access,
            ground.tokens,
            ground.sign_in,
            lifetime=lambda: _token_seconds(settings, ground.configurations),
        ),
        uploads=Uploads(database, store, blobs, periods),
    )


def _api_services(settings: Settings, ground: _Ground, health: Callable[[], Awaitable[dict[str, str]]]) -> APIServices:
    blobs = Blobs(ground.database, ground.periods)
    contents = Contents(ground.database, ground.store, blobs)
    labels = LabelQueries(ground.database)
    return APIServices(
        access=ground.access,
        access_tokens=ground.access_tokens,
        audit=AuditQueries(ground.database),
        additions=Additions(ground.database, contents),
        artifact_queries=ArtifactQueries(ground.database, labels),
        authenticator=ground.authenticator,
        explanations=_explanations(ground),
        browsers=ground.browsers,
        configuration=ground.configuration,
        configurations=ground.configurations,
        projects=ProjectService(ground.database, ground.periods),
        project_queries=ProjectQueries(ground.database),
        users=UserService(ground.database, ground.passwords),
        user_queries=ground.users,
        allowlists=Allowlists(ground.database),
        groups=GroupService(ground.database),
        group_queries=GroupQueries(ground.database),
        copying=Copying(ground.database, Manifests(ground.database, ground.periods), blobs),
        descriptions=Descriptions(ground.database),
        icons=Icons(ground.database, contents),
        labels=LabelService(ground.database),
        label_queries=labels,
        manifest_deletion=ManifestDeletion(ground.database, ground.periods),
        repository_deletion=RepositoryDeletion(ground.database, ground.periods),
        repository_queries=RepositoryQueries(ground.database),
        quotas=QuotaService(ground.database),
        quota_queries=QuotaQueries(ground.database),
        robots=RobotService(ground.database, ground.secrets, ground.configurations),
        robot_queries=ground.robots,
        tags=Tags(ground.database, ground.periods),
        search=SearchQueries(ground.database),
        statistics=StatisticQueries(ground.database),
        health=Refreshed(health).states,
        surroundings=surroundings_of(settings, ground.store),
    )


def _explanations(ground: _Ground) -> Explanations:
    return Explanations(
        ground.access,
        {
            PrincipalKind.USER: ground.users,
            PrincipalKind.ROBOT: RobotDirectory(ground.database, ground.configurations),
        },
        ProjectQueries(ground.database),
        ground.configurations,
    )


async def _token_seconds(settings: Settings, configurations: Configurations) -> int:
    minutes = (await configurations.current()).token_expiration
    # The setting may be more exact than the item that it is the default of.
    return int(settings.token_expiry.total_seconds()) if minutes == token_minutes(settings) else minutes * 60


async def _has_people(users: UserQueries) -> bool:
    _, total = await users.page(limit=1)
    return total > 0


def _metrics_of(reclaim: Reclaim) -> Callable[[], Awaitable[bytes]]:
    scraped_at, scraped = float("-inf"), b""

    async def metrics() -> bytes:
        nonlocal scraped_at, scraped
        from longshore.registry.metrics import registry_metrics  # noqa: PLC0415 - paid for by who is scraped

        # The page is open to all; asking it in a loop must not cost the database more than asking it once a second.
        now = asyncio.get_running_loop().time()
        if now - scraped_at > _METRICS_SECONDS:
            scraped, scraped_at = await registry_metrics(reclaim), now
        return scraped

    return metrics
