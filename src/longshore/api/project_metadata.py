# SPDX-License-Identifier: Apache-2.0
"""The tag `projectMetadata`: the settings of a project, one by one."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from litestar import Controller, Response, delete, get, post, put
from litestar.params import FromPath

from longshore.access.models import METADATA_CREATE, METADATA_DELETE, METADATA_LIST, METADATA_READ, METADATA_UPDATE
from longshore.api.request import APIRequest
from longshore.api.serialising import answer, empty, read_texts
from longshore.api.services import APIServices
from longshore.oci.errors import BadRequest, NotFound
from longshore.projects.settings import PUBLIC


class ProjectMetadataController(Controller):
    """Settings of projects."""

    path = "/api/v2.0/projects/{project_name_or_id:str}/metadatas"

    @get(operation_id="listProjectMetadatas")
    async def list_metadatas(self, request: APIRequest, project_name_or_id: FromPath[str]) -> Response[dict[str, str]]:
        """All settings that are set."""
        access, project = request.services.access, request.project(project_name_or_id)
        facts = await access.authorise_project(request.caller, METADATA_LIST, project)
        return answer(await _settings(request.services, facts.id))

    @post(operation_id="addProjectMetadatas", status_code=200)
    async def add_metadatas(self, request: APIRequest, project_name_or_id: FromPath[str]) -> Response[Any]:
        """Sets one setting that isn't set."""
        sent = read_texts(request.call.body)
        access, project = request.services.access, request.project(project_name_or_id)
        facts = await access.authorise_project(request.caller, METADATA_CREATE, project)
        if len(sent) != 1:
            raise BadRequest(f"The body has {len(sent)} settings: give exactly one with each request.")
        ((name, value),) = sent.items()
        await request.services.projects.add_setting(facts.id, name, value, actor=request.actor)
        return empty()

    @get("/{meta_name:str}", operation_id="getProjectMetadata")
    async def get_metadata(
        self, request: APIRequest, project_name_or_id: FromPath[str], meta_name: FromPath[str]
    ) -> Response[dict[str, str]]:
        """One setting; as in Harbor nothing of it when it isn't set."""
        name = unquote(meta_name, errors="replace")
        access, project = request.services.access, request.project(project_name_or_id)
        facts = await access.authorise_project(request.caller, METADATA_READ, project)
        settings = await _settings(request.services, facts.id)
        return answer({name: settings[name]} if name in settings else {})

    @put("/{meta_name:str}", operation_id="updateProjectMetadata")
    async def update_metadata(
        self, request: APIRequest, project_name_or_id: FromPath[str], meta_name: FromPath[str]
    ) -> Response[Any]:
        """Changes one setting; as in Harbor without effect when it isn't set."""
        name, sent = unquote(meta_name, errors="replace"), read_texts(request.call.body)
        access, project = request.services.access, request.project(project_name_or_id)
        facts = await access.authorise_project(request.caller, METADATA_UPDATE, project)
        if name not in sent:
            raise BadRequest(f"The body lacks the setting {name[:100]!a} that the path names.")
        await request.services.projects.change_setting(facts.id, name, sent[name], actor=request.actor)
        return empty()

    @delete("/{meta_name:str}", operation_id="deleteProjectMetadata", status_code=200)
    async def delete_metadata(
        self, request: APIRequest, project_name_or_id: FromPath[str], meta_name: FromPath[str]
    ) -> Response[Any]:
        """Removes one setting, also one that isn't set. A project without `public` is private."""
        name = unquote(meta_name, errors="replace")
        access, project = request.services.access, request.project(project_name_or_id)
        facts = await access.authorise_project(request.caller, METADATA_DELETE, project)
        await request.services.projects.unset(facts.id, name, actor=request.actor)
        return empty()


async def _settings(services: APIServices, project_id: int) -> dict[str, str]:
    project = await services.project_queries.project(project_id)
    if project is None:
        raise NotFound(f"There is no project {project_id}.")
    settings = await services.project_queries.settings(project_id)
    return {PUBLIC: "true" if project.public else "false", **settings}
