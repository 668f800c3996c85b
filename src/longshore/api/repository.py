# SPDX-License-Identifier: Apache-2.0
"""The tag `repository`."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, delete, get, put
from litestar.params import FromPath

from longshore.access.models import REPOSITORY_DELETE, REPOSITORY_LIST, REPOSITORY_READ, REPOSITORY_UPDATE
from longshore.api.documents.repository import Repository, RepositoryReq, shown_repository
from longshore.api.lists import answer_list
from longshore.api.places import project_named, repository_path
from longshore.api.request import APIRequest
from longshore.api.serialising import answer, empty
from longshore.artifacts.models import ListedRepository


class RepositoryController(Controller):
    """Repositories."""

    path = "/api/v2.0"

    @get("/repositories", operation_id="listAllRepositories")
    async def list_all(self, request: APIRequest) -> Response[list[Repository]]:
        """The repositories of all projects that the caller may see, the newest first."""
        page, wanted, services = request.page(), request.wanted(), request.services
        visible = await services.access.visible_projects(request.caller.principal)

        async def load(offset: int, limit: int) -> tuple[list[ListedRepository], int]:
            return await services.repository_queries.page(visible, wanted, offset=offset, limit=limit)

        return await answer_list(request, page, load, lambda found: map(shown_repository, found))

    @get("/projects/{project_name:str}/repositories", operation_id="listRepositories")
    async def list_of_project(self, request: APIRequest, project_name: FromPath[str]) -> Response[list[Repository]]:
        """The repositories of a project, the newest first."""
        page, wanted, services = request.page(), request.wanted(), request.services
        project = await services.access.authorise_project(request.caller, REPOSITORY_LIST, project_named(project_name))

        async def load(offset: int, limit: int) -> tuple[list[ListedRepository], int]:
            return await services.repository_queries.page_of_project(project.id, wanted, offset=offset, limit=limit)

        return await answer_list(request, page, load, lambda found: map(shown_repository, found))

    @get("/projects/{project_name:str}/repositories/{repository_name:str}", operation_id="getRepository")
    async def get_repository(
        self, request: APIRequest, project_name: FromPath[str], repository_name: FromPath[str]
    ) -> Response[Repository]:
        """A repository."""
        services, path = request.services, repository_path(repository_name)
        project = await services.access.authorise_project(request.caller, REPOSITORY_READ, project_named(project_name))
        return answer(shown_repository(await services.repository_queries.repository(project.id, path)))

    @put("/projects/{project_name:str}/repositories/{repository_name:str}", operation_id="updateRepository")
    async def update_repository(
        self, request: APIRequest, project_name: FromPath[str], repository_name: FromPath[str]
    ) -> Response[Any]:
        """Describes a repository, in Markdown."""
        document, services, path = request.document(RepositoryReq), request.services, repository_path(repository_name)
        project = await services.access.authorise_project(
            request.caller, REPOSITORY_UPDATE, project_named(project_name)
        )
        await services.descriptions.write(project.id, path, document.description or "", actor=request.actor)
        return empty()

    @delete(
        "/projects/{project_name:str}/repositories/{repository_name:str}",
        operation_id="deleteRepository",
        status_code=200,
    )
    async def delete_repository(
        self, request: APIRequest, project_name: FromPath[str], repository_name: FromPath[str]
    ) -> Response[Any]:
        """Deletes a repository with everything in it; its space is free a while later."""
        services, path = request.services, repository_path(repository_name)
        project = await services.access.authorise_project(
            request.caller, REPOSITORY_DELETE, project_named(project_name)
        )
        await services.repository_deletion.delete(project.id, path, actor=request.actor, reason="API")
        return empty()
