# SPDX-License-Identifier: Apache-2.0
"""Projects and what belongs to them, as the contract shows and takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from longshore.api.serialising import NEVER, Integer, Read, Shown, Time, listed, moment
from longshore.oci.errors import BadRequest
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


class CVEAllowlistItem(Shown, frozen=True, kw_only=True):
    """One vulnerability that is accepted."""

    cve_id: str = ""


class CVEAllowlist(Shown, frozen=True, kw_only=True):
    """The vulnerabilities that are accepted in a project."""

    id: int = 0
    project_id: int = 0
    expires_at: int | msgspec.UnsetType = _UNSET
    items: tuple[CVEAllowlistItem, ...] | None
    creation_time: Time
    update_time: Time


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


class CVEAllowlistReq(Read, frozen=True, kw_only=True):
    """The allowlist of a project as it is sent: of this release only its project is looked at."""

    project_id: Integer | None = None


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

    def quota(self) -> int | None:
        """The limit in bytes, None for the default.

        Raises:
            BadRequest: it is below -1 or above 1024 TB.
        """
        limit = self.storage_limit or -1
        if limit < -1 or limit > _LARGEST_QUOTA:
            raise BadRequest(f"The storage_limit is -1 for none, or at most {_LARGEST_QUOTA} bytes (1024 TB).")
        return None if limit == -1 else limit


def shown_project(project: StoredProject, role: Role | None, settings: Mapping[str, str] | None) -> Project:
    """A project for a reader with that role in it; `settings` None leaves out what `with_detail=false` does."""
    detailed = settings is not None
    return Project(
        project_id=project.id,
        owner_id=project.owner_id or 0,
        name=project.name.value,
        creation_time=moment(project.created_at),
        update_time=moment(project.updated_at),
        owner_name=project.owner_name if detailed else "",
        current_user_role_id=0 if role is None else role.value,
        current_user_role_ids=listed(() if role is None else (role.value,)),
        repo_count=project.repository_count,
        metadata=_UNSET if settings is None else _metadata(project, settings),
        cve_allowlist=_allowlist(project.id) if detailed else _UNSET,
    )


def _metadata(project: StoredProject, settings: Mapping[str, str]) -> ProjectMetadata:
    stored = {**settings, "public": "true" if project.public else "false"}
    return ProjectMetadata(**{name: stored[name] for name in ProjectMetadata.__struct_fields__ if name in stored})


def _allowlist(project_id: int) -> CVEAllowlist:
    return CVEAllowlist(project_id=project_id, items=(), creation_time=NEVER, update_time=NEVER)
