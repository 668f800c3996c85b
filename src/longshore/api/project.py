# SPDX-License-Identifier: Apache-2.0
"""The tag `project`."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Controller, Response, delete, get, head, post, put
from litestar.params import FromPath

from longshore.access.models import (
    MEMBER_LIST,
    PROJECT_DELETE,
    PROJECT_READ,
    PROJECT_UPDATE,
    QUOTA_READ,
    SCANNER_READ,
    Principal,
    PrincipalKind,
    ProjectFacts,
)
from longshore.api.authentication import authorise_creating_projects
from longshore.api.documents.project import (
    Details,
    Project,
    ProjectDeletable,
    ProjectReq,
    ProjectSummary,
    ProjectSummaryQuota,
    shown_project,
)
from longshore.api.lists import answer_list
from longshore.api.query import is_true, parse_flag
from longshore.api.request import APIRequest
from longshore.api.serialising import answer, created, empty
from longshore.api.services import APIServices
from longshore.listing.models import Exact, Fuzzy, Wanted
from longshore.oci.errors import BadRequest, NotFound, Unprocessable
from longshore.oci.names import ProjectName
from longshore.projects.models import Project as StoredProject
from longshore.projects.settings import RETENTION

_LOCATION = "/api/v2.0/projects/"


class ProjectController(Controller):
    """Projects."""

    path = "/api/v2.0/projects"

    @get(operation_id="listProjects")
    async def list_projects(self, request: APIRequest) -> Response[list[Project]]:
        """The projects that the caller may see, by name."""
        page, wanted = request.page(), _parse_list(request)
        detailed = is_true(request.incoming.parameter("with_detail") or "true")
        services, principal = request.services, request.caller.principal
        visible = await services.access.visible_projects(principal)

        async def load(offset: int, limit: int) -> tuple[list[StoredProject], int]:
            return await services.project_queries.page(visible, wanted, offset=offset, limit=limit)

        return await answer_list(
            request, page, load, lambda found: shown_projects(services, principal, found, detailed=detailed)
        )

    @head(operation_id="headProject")
    async def head_project(self, request: APIRequest) -> None:
        """Whether a name is taken, also by a project that the caller can't see."""
        name = request.incoming.parameter("project_name")
        if not name:
            raise Unprocessable("project_name in query is required")
        await request.services.access.authorise_login(request.caller)
        if await request.services.project_queries.facts(name) is None:
            raise NotFound(f"The project {name[:255]!a} doesn't exist.")

    @post(operation_id="createProject")
    async def create_project(self, request: APIRequest) -> Response[Any]:
        """Makes a project, which its creator administrates."""
        document = request.document(ProjectReq)
        services, principal = request.services, request.caller.principal
        configuration = await services.configurations.current()
        only_admins = configuration.project_creation_restriction == "adminonly"
        await authorise_creating_projects(services.access, request.caller, only_admins=only_admins)
        if document.registry_id:
            raise BadRequest("registry_id: projects that cache another registry aren't part of this release.")
        name = ProjectName.parse(document.project_name or "")
        if document.cve_allowlist is not None and document.cve_allowlist.project_id:
            raise BadRequest("cve_allowlist.project_id is the number of another project. Leave it out.")
        # As in Harbor only administrators choose the limit; what others send is ignored.
        quota = document.quota(configuration.storage_per_project, chosen=principal.sysadmin)
        robot = principal.kind is PrincipalKind.ROBOT
        project_id = await services.projects.create(
            name,
            owner_id=await services.user_queries.first_sysadmin() if robot else principal.id,
            public=bool(document.public),
            quota_bytes=quota,
            settings=document.settings(),
            allowlist=document.allowlist(),
            actor=request.actor,
        )
        by_name = request.flag(b"x-resource-name-in-location")
        return created(f"{_LOCATION}{name if by_name else project_id}")

    @get("/{project_name_or_id:str}", operation_id="getProject")
    async def get_project(self, request: APIRequest, project_name_or_id: FromPath[str]) -> Response[Project]:
        """A project."""
        access, project = request.services.access, request.project(project_name_or_id)
        facts = await access.authorise_project(request.caller, PROJECT_READ, project)
        found = await _project(request.services, facts)
        (shown,) = await shown_projects(request.services, request.caller.principal, [found], detailed=True)
        return answer(shown)

    @put("/{project_name_or_id:str}", operation_id="updateProject")
    async def update_project(self, request: APIRequest, project_name_or_id: FromPath[str]) -> Response[Any]:
        """Changes the settings that are given, and leaves the others as they are."""
        document = request.document(ProjectReq)
        access, project = request.services.access, request.project(project_name_or_id)
        facts = await access.authorise_project(request.caller, PROJECT_UPDATE, project)
        if document.cve_allowlist is not None and document.cve_allowlist.project_id not in {None, 0, facts.id}:
            raise BadRequest("cve_allowlist.project_id is the number of another project.")
        retention_id = None if document.metadata is None else document.metadata.retention_id
        if retention_id and retention_id != (await request.services.project_queries.settings(facts.id)).get(RETENTION):
            raise BadRequest("metadata.retention_id is set by the retention policy of the project, not here.")
        await request.services.projects.set_settings(
            facts.id, document.settings(), allowlist=document.allowlist(), actor=request.actor
        )
        return empty()

    @delete("/{project_name_or_id:str}", operation_id="deleteProject", status_code=200)
    async def delete_project(self, request: APIRequest, project_name_or_id: FromPath[str]) -> Response[Any]:
        """Deletes a project that has no repositories."""
        access, project = request.services.access, request.project(project_name_or_id)
        facts = await access.authorise_project(request.caller, PROJECT_DELETE, project)
        await request.services.projects.delete(facts.id, actor=request.actor)
        return empty()

    @get("/{project_name_or_id:str}/_deletable", operation_id="getProjectDeletable")
    async def project_deletable(
        self, request: APIRequest, project_name_or_id: FromPath[str]
    ) -> Response[ProjectDeletable]:
        """Whether a project can be deleted."""
        access, project = request.services.access, request.project(project_name_or_id)
        facts = await access.authorise_project(request.caller, PROJECT_DELETE, project)
        found = await _project(request.services, facts)
        if found.repository_count:
            return answer(ProjectDeletable(message="the project contains repositories, can not be deleted"))
        return answer(ProjectDeletable(deletable=True))

    @get("/{project_name_or_id:str}/summary", operation_id="getProjectSummary")
    async def project_summary(self, request: APIRequest, project_name_or_id: FromPath[str]) -> Response[ProjectSummary]:
        """A project in numbers: those of its members and its quota for who may see them."""
        access, project = request.services.access, request.project(project_name_or_id)
        facts = await access.authorise_project(request.caller, PROJECT_READ, project)
        found = await _project(request.services, facts)
        permissions = await access.permissions(request.caller.principal, facts)
        counts = await request.services.project_queries.member_counts(facts.id) if MEMBER_LIST in permissions else {}
        members = {f"{role.stored}_count": count for role, count in counts.items()}
        quota = _quota(found) if QUOTA_READ in permissions else msgspec.UNSET
        return answer(ProjectSummary(repo_count=found.repository_count, quota=quota, **members))

    @get("/{project_name_or_id:str}/scanner", operation_id="getScannerOfProject")
    async def get_scanner(self, request: APIRequest, project_name_or_id: FromPath[str]) -> Response[Any]:
        """The scanner of a project: there is none before scanners are part of a release, which clients take for that."""
        access, project = request.services.access, request.project(project_name_or_id)
        facts = await access.authorise_project(request.caller, SCANNER_READ, project)
        raise NotFound(f"The project {facts.name} has no scanner.")


def _parse_list(request: APIRequest) -> Wanted:
    incoming = request.incoming
    name, owner, public = incoming.parameter("name"), incoming.parameter("owner"), parse_flag(incoming, "public")
    return request.wanted().also(
        name=Fuzzy(name) if name else None,
        owner=Exact(owner) if owner else None,
        public=None if public is None else Exact("true" if public else "false"),
    )


async def _project(services: APIServices, facts: ProjectFacts) -> StoredProject:
    project = await services.project_queries.project(facts.id)
    if project is None:
        raise NotFound(f"The project {facts.name} doesn't exist.")
    return project


async def shown_projects(
    services: APIServices, principal: Principal, projects: list[StoredProject], *, detailed: bool
) -> list[Project]:
    """The documents of projects: what belongs to them is read for all of them at once."""
    queries, ids = services.project_queries, [project.id for project in projects]
    roles = await queries.roles_of(principal.id, ids) if principal.kind is PrincipalKind.USER else {}
    settings = await queries.settings_of(ids) if detailed else {}
    allowlists = await services.allowlists.of_projects(ids) if detailed else {}
    return [
        shown_project(
            project,
            Details(roles.get(project.id, ()), settings.get(project.id, {}), allowlists.get(project.id)),
            detailed=detailed,
        )
        for project in projects
    ]


def _quota(project: StoredProject) -> ProjectSummaryQuota:
    limit = -1 if project.quota_bytes is None else project.quota_bytes
    return ProjectSummaryQuota(hard={"storage": limit}, used={"storage": project.used_bytes})
