# SPDX-License-Identifier: Apache-2.0
"""What the controllers of /api call; built once by the composition root."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from longshore.access.explaining import Explanations
from longshore.access.service import AccessService
from longshore.api.authentication import Authenticator
from longshore.api.browser import Browsers
from longshore.artifacts.additions import Additions
from longshore.artifacts.copying import Copying
from longshore.artifacts.icons import Icons
from longshore.artifacts.queries import ArtifactQueries
from longshore.artifacts.repository_queries import RepositoryQueries
from longshore.audit.queries import AuditQueries
from longshore.groups.queries import GroupQueries
from longshore.groups.service import GroupService
from longshore.identity.access_tokens import AccessTokens
from longshore.identity.queries import UserQueries
from longshore.identity.service import UserService
from longshore.labels.queries import LabelQueries
from longshore.labels.service import LabelService
from longshore.projects.allowlists import Allowlists
from longshore.projects.queries import ProjectQueries
from longshore.projects.service import ProjectService
from longshore.quotas.queries import QuotaQueries
from longshore.quotas.service import QuotaService
from longshore.registry.deletion import ManifestDeletion
from longshore.registry.descriptions import Descriptions
from longshore.registry.repository_deletion import RepositoryDeletion
from longshore.registry.tags import Tags
from longshore.robots.queries import RobotQueries
from longshore.robots.service import RobotService
from longshore.search.queries import SearchQueries
from longshore.search.statistics import StatisticQueries
from longshore.system.configuration import Configurations
from longshore.system.service import ConfigurationService
from longshore.system.surroundings import Surroundings

Health = Callable[[], Awaitable[Mapping[str, str]]]


async def _nothing_to_check() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class APIServices:
    """The services behind Harbor's API.

    Attributes:
        health: Tells the state of each component by its name: `healthy`, or what is wrong with it.
        surroundings: What the instance stands on.
    """

    access: AccessService
    access_tokens: AccessTokens
    audit: AuditQueries
    additions: Additions
    artifact_queries: ArtifactQueries
    authenticator: Authenticator
    explanations: Explanations
    browsers: Browsers
    configuration: ConfigurationService
    configurations: Configurations
    projects: ProjectService
    project_queries: ProjectQueries
    users: UserService
    user_queries: UserQueries
    allowlists: Allowlists
    groups: GroupService
    group_queries: GroupQueries
    copying: Copying
    descriptions: Descriptions
    icons: Icons
    labels: LabelService
    label_queries: LabelQueries
    manifest_deletion: ManifestDeletion
    repository_deletion: RepositoryDeletion
    repository_queries: RepositoryQueries
    quotas: QuotaService
    quota_queries: QuotaQueries
    robots: RobotService
    robot_queries: RobotQueries
    tags: Tags
    search: SearchQueries
    statistics: StatisticQueries
    health: Health = _nothing_to_check
    surroundings: Surroundings = field(default_factory=Surroundings)
