# SPDX-License-Identifier: Apache-2.0
"""Projects and what belongs to them, as the contract shows and takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec

from longshore.api.documents.allowlist import CVEAllowlist, CVEAllowlistReq, shown_allowlist
from longshore.api.serialising import Integer, Read, Shown, Time, listed, moment
from longshore.oci.errors import BadRequest
from longshore.projects.allowlists import Allowlist, StoredAllowlist
from longshore.projects.models import Project as StoredProject
from longshore.projects.models import Role

_UNSET: Final = msgspec.UNSET

# Settings of proxy caches, which clients send for every project; and what only the retention policies may set.
_DROPPED: Final = frozenset(
    {
        "proxy_speed_kb",
        "max_upstream_conn",
        "proxy_cache_filter_pattern",
        "proxy_cache_filter_kind",
        "retention_id",
    }
)
_LARGEST_QUOTA: Final = 1024 * 1024**4


class ProjectMetadata(Shown, frozen=True, kw_only=True):
    """The settings of a project, all of them strings."""

    public: str = ""
    enable_content_trust: str | msgspec.UnsetType = _UNSET
    enable_content_trust_cosign: str | msgspec.UnsetType = _UNSET
    prevent_vul: str | msgspec.UnsetType = _UNSET
    severity: str | msgspec.UnsetType = _UNSET
    auto_scan: str | msgspec.UnsetType = _UNSET
    auto_sbom_generation: str | msgspec.UnsetType = _UNSET
    reuse_sys_cve_allowlist: str | msgspec.UnsetType = _UNSET
    retention_id: str | msgspec.UnsetType = _UNSET
    proxy_speed_kb: str | msgspec.UnsetType = _UNSET
    max_upstream_conn: str | msgspec.UnsetType = _UNSET
    proxy_cache_local_on_not_found: str | msgspec.UnsetType = _UNSET
    proxy_referrer_api: str | msgspec.UnsetType = _UNSET
    proxy_cache_filter_pattern: str | msgspec.UnsetType = _UNSET
    proxy_cache_filter_kind: str | msgspec.UnsetType = _UNSET


class Project(Shown, frozen=True, kw_only=True):
    """A project."""

    project_id: int = 0
    owner_id: int = 0
    name: str = ""
    registry_id: int = 0
    creation_time: Time
    update_time: Time
    deleted: bool = False
    owner_name: str = ""
    togglable: bool = False
    current_user_role_id: int = 0
    current_user_role_ids: tuple[int, ...] | None
    repo_count: int
    metadata: ProjectMetadata | msgspec.UnsetType = _UNSET
    cve_allowlist: CVEAllowlist | msgspec.UnsetType = _UNSET


class ProjectDeletable(Shown, frozen=True, kw_only=True):
    """Whether a project can be deleted, and if not, why."""

    deletable: bool = False
    message: str = ""


class ProjectSummaryQuota(Shown, frozen=True, kw_only=True):
    """Bytes by `storage`: the limit (-1 for none) and what is used."""

    hard: dict[str, int]
    used: dict[str, int]


class ProjectSummary(Shown, frozen=True, kw_only=True):
    """A project in numbers; the reader's rights decide which of them it has."""

    repo_count: int
    project_admin_count: int = 0
    maintainer_count: int = 0
    developer_count: int = 0
    guest_count: int = 0
    limited_guest_count: int = 0
    quota: ProjectSummaryQuota | msgspec.UnsetType = _UNSET


class ProjectMetadataReq(Read, frozen=True, kw_only=True):
    """The settings of a project as they are sent."""

    public: str | None = None
    enable_content_trust: str | None = None
    enable_content_trust_cosign: str | None = None
    prevent_vul: str | None = None
    severity: str | None = None
    auto_scan: str | None = None
    auto_sbom_generation: str | None = None
    reuse_sys_cve_allowlist: str | None = None
    retention_id: str | None = None
    proxy_speed_kb: str | None = None
    max_upstream_conn: str | None = None
    proxy_cache_local_on_not_found: str | None = None
    proxy_referrer_api: str | None = None
    proxy_cache_filter_pattern: str | None = None
    proxy_cache_filter_kind: str | None = None

    def settings(self) -> dict[str, str]:
        """What is to be stored; empty values count as absent.

        Raises:
            BadRequest: `public` is neither `true` nor `false`.
        """
        if self.public not in {None, "", "true", "false"}:
            raise BadRequest(f"metadata.public is true or false, not {self.public!a:.40}.")
        given = {name: getattr(self, name) for name in self.__struct_fields__ if name not in _DROPPED}
        return {name: value for name, value in given.items() if value}


class ProjectReq(Read, frozen=True, kw_only=True):
    """What it takes to make or change a project."""

    project_name: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    public: bool | None = None
    metadata: ProjectMetadataReq | None = None
    cve_allowlist: CVEAllowlistReq | None = None
    storage_limit: Integer | None = None
    registry_id: Integer | None = None

    def settings(self) -> dict[str, str]:
        """The settings to store.

        Raises:
            BadRequest: `metadata.public` is neither `true` nor `false`.
        """
        return {} if self.metadata is None else self.metadata.settings()

    def allowlist(self) -> Allowlist | None:
        """The allowlist to store; None to leave the one there is.

        Raises:
            BadRequest: an identifier is blank or there twice, or the time is out of range.
        """
        return None if self.cve_allowlist is None else self.cve_allowlist.allowlist()

    def quota(self, default: int, *, chosen: bool) -> int | None:
        """The limit in bytes, None for none.

        Args:
            default: The limit of projects that don't say, -1 for none.
            chosen: Whether what the document says counts.

        Raises:
            BadRequest: it is below -1 or above 1024 TB.
        """
        limit = (self.storage_limit if chosen else None) or default
        if limit < -1 or limit > _LARGEST_QUOTA:
            raise BadRequest(f"The storage_limit is -1 for none, or at most {_LARGEST_QUOTA} bytes (1024 TB).")
        return None if limit == -1 else limit


@dataclass(frozen=True, slots=True)
class Details:
    """What a project is shown with besides itself; the roles of the reader come with the strongest first."""

    roles: tuple[Role, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    allowlist: StoredAllowlist | None = None


def shown_project(project: StoredProject, details: Details, *, detailed: bool) -> Project:
    """A project for a reader; not `detailed` leaves out what `with_detail=false` does."""
    roles = details.roles
    return Project(
        project_id=project.id,
        owner_id=project.owner_id or 0,
        name=project.name.value,
        creation_time=moment(project.created_at),
        update_time=moment(project.updated_at),
        owner_name=project.owner_name if detailed else "",
        current_user_role_id=roles[0].value if roles else 0,
        current_user_role_ids=listed(role.value for role in roles),
        repo_count=project.repository_count,
        metadata=_metadata(project, details.settings) if detailed else _UNSET,
        cve_allowlist=shown_allowlist(project.id, details.allowlist) if detailed else _UNSET,
    )


def _metadata(project: StoredProject, settings: Mapping[str, str]) -> ProjectMetadata:
    stored = {**settings, "public": "true" if project.public else "false"}
    return ProjectMetadata(**{name: stored[name] for name in ProjectMetadata.__struct_fields__ if name in stored})
