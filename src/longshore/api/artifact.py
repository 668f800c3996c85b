# SPDX-License-Identifier: Apache-2.0
"""The tag `artifact`, and the artifacts of a whole project."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote

from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath

from longshore.access.models import (
    ACCESSORY_LIST,
    ARTIFACT_ADDITION_READ,
    ARTIFACT_CREATE,
    ARTIFACT_DELETE,
    ARTIFACT_LABEL_CREATE,
    ARTIFACT_LABEL_DELETE,
    ARTIFACT_LIST,
    ARTIFACT_READ,
    TAG_CREATE,
    TAG_DELETE,
    TAG_LIST,
    Permission,
)
from longshore.api.documents.artifact import (
    Accessory,
    AddedLabel,
    Artifact,
    NewTag,
    Tag,
    artifact_path,
    shown_accessory,
    shown_artifact,
    shown_tag,
)
from longshore.api.lists import answer_list
from longshore.api.places import artifact_reference, copied_artifact, project_named, repository_path
from longshore.api.query import is_true
from longshore.api.request import APIRequest, parse_id
from longshore.api.serialising import answer, created, empty
from longshore.artifacts import models
from longshore.artifacts.copying import Place
from longshore.artifacts.models import With
from longshore.listing.models import Exact, Wanted
from longshore.oci.digest import Digest
from longshore.oci.errors import NotFound, Unprocessable
from longshore.oci.names import RepositoryName, TagName
from longshore.projects.models import ProjectFacts

_ARTIFACTS: Final = "/{project_name:str}/repositories/{repository_name:str}/artifacts"
_ARTIFACT: Final = f"{_ARTIFACTS}/{{reference:str}}"
_ADDITIONS: Final = frozenset(
    {"build_history", "dependencies", "files", "license", "readme.md", "sbom", "values.yaml", "vulnerabilities"}
)
# What else is accepted has nothing to show before artifacts are scanned: with_scan_overview, with_sbom_overview and
# with_signature, and X-Accept-Vulnerabilities.
_SWITCHES: Final = (
    ("with_tag", "true", With.TAGS),
    ("with_label", "false", With.LABELS),
    ("with_accessory", "false", With.ACCESSORIES),
    ("with_inherited_accessory", "false", With.INHERITED_ACCESSORIES),
    ("with_immutable_status", "false", With.IMMUTABLE_STATUS),
)


class ArtifactController(Controller):
    """Artifacts, and what belongs to them."""

    path = "/api/v2.0/projects"

    @get("/{project_name_or_id:str}/artifacts", operation_id="listArtifactsOfProject")
    async def list_of_project(self, request: APIRequest, project_name_or_id: FromPath[str]) -> Response[list[Artifact]]:
        """The artifacts of all repositories of a project, the newest first."""
        page, wanted, along = request.page(), request.wanted(), _along(request)
        services, latest = request.services, is_true(request.incoming.parameter("latest_in_repository") or "")
        # As in Harbor this isn't open to everybody, even where the project is.
        await services.access.authorise_login(request.caller)
        project = await services.access.authorise_project(
            request.caller, ARTIFACT_LIST, request.project(project_name_or_id)
        )

        async def load(offset: int, limit: int) -> tuple[list[models.Artifact], int]:
            return await services.artifact_queries.page_of_project(
                project.id, wanted, along, latest=latest, offset=offset, limit=limit
            )

        return await answer_list(request, page, load, lambda found: map(shown_artifact, found))

    @get(_ARTIFACTS, operation_id="listArtifacts")
    async def list_artifacts(
        self, request: APIRequest, project_name: FromPath[str], repository_name: FromPath[str]
    ) -> Response[list[Artifact]]:
        """The artifacts of a repository, the newest first; none if there is no such repository."""
        page, wanted, along = request.page(), request.wanted(), _along(request)
        project, path = await _authorise(request, ARTIFACT_LIST, project_name, repository_name)
        queries = request.services.artifact_queries

        async def load(offset: int, limit: int) -> tuple[list[models.Artifact], int]:
            return await queries.page(project.id, path, wanted, along, offset=offset, limit=limit)

        return await answer_list(request, page, load, lambda found: map(shown_artifact, found))

    @post(_ARTIFACTS, operation_id="CopyArtifact", status_code=201)
    async def copy_artifact(
        self, request: APIRequest, project_name: FromPath[str], repository_name: FromPath[str]
    ) -> Response[Any]:
        """Copies the artifact that `from` names, with its children, its accessories and all its tags."""
        text = request.incoming.parameter("from")
        if not text:
            raise Unprocessable("from in query is required: project/repository:tag or project/repository@digest")
        target, path = await _authorise(request, ARTIFACT_CREATE, project_name, repository_name)
        name, reference, given = copied_artifact(text)
        source = await request.services.access.authorise_project(request.caller, ARTIFACT_READ, name.project)
        # Copying makes the repository where there is none, so that its name has to be one.
        target_name = RepositoryName.parse(f"{target.name}/{path}")
        await request.services.copying.copy(
            Place(source.id, str(source.name), name.path),
            reference,
            Place(target.id, str(target.name), target_name.path),
            actor=request.actor,
        )
        return created(artifact_path(str(target_name), given))

    @get(_ARTIFACT, operation_id="getArtifact")
    async def get_artifact(
        self,
        request: APIRequest,
        project_name: FromPath[str],
        repository_name: FromPath[str],
        reference: FromPath[str],
    ) -> Response[Artifact]:
        """An artifact, by its digest or by a tag."""
        along = _along(request)
        project, path = await _authorise(request, ARTIFACT_READ, project_name, repository_name)
        found = await request.services.artifact_queries.artifact(project.id, path, artifact_reference(reference), along)
        return answer(shown_artifact(found))

    @post(f"{_ARTIFACT}/tags", operation_id="createTag", status_code=201)
    async def create_tag(
        self,
        request: APIRequest,
        project_name: FromPath[str],
        repository_name: FromPath[str],
        reference: FromPath[str],
    ) -> Response[Any]:
        """Gives the artifact a name that the repository doesn't have yet."""
        document = request.document(NewTag)
        project, path = await _authorise(request, TAG_CREATE, project_name, repository_name)
        services, name = request.services, document.tag()
        artifact = await services.artifact_queries.artifact(project.id, path, artifact_reference(reference))
        await services.tags.create(project.id, path, name, Digest.parse(artifact.digest), actor=request.actor)
        return empty(status=201)

    @get(f"{_ARTIFACT}/tags", operation_id="listTags")
    async def list_tags(
        self,
        request: APIRequest,
        project_name: FromPath[str],
        repository_name: FromPath[str],
        reference: FromPath[str],
    ) -> Response[list[Tag]]:
        """The tags of an artifact, the newest first."""
        page, wanted, along = request.page(), request.wanted(), _along(request)
        project, path = await _authorise(request, TAG_LIST, project_name, repository_name)
        queries = request.services.artifact_queries
        artifact = await queries.artifact(project.id, path, artifact_reference(reference))

        async def load(offset: int, limit: int) -> tuple[list[models.Tag], int]:
            return await queries.tags(artifact, wanted, along, offset=offset, limit=limit)

        return await answer_list(request, page, load, lambda found: map(shown_tag, found))

    @get(f"{_ARTIFACT}/accessories", operation_id="listAccessories")
    async def list_accessories(
        self,
        request: APIRequest,
        project_name: FromPath[str],
        repository_name: FromPath[str],
        reference: FromPath[str],
    ) -> Response[list[Accessory]]:
        """What belongs to an artifact: signatures, SBOMs and whatever else names it as its subject."""
        page, wanted = request.page(), request.wanted()
        project, path = await _authorise(request, ACCESSORY_LIST, project_name, repository_name)
        queries = request.services.artifact_queries
        artifact = await queries.artifact(project.id, path, artifact_reference(reference))

        async def load(offset: int, limit: int) -> tuple[list[models.Accessory], int]:
            return await queries.accessories(artifact, wanted, offset=offset, limit=limit)

        return await answer_list(request, page, load, lambda found: map(shown_accessory, found))

    @delete(_ARTIFACT, operation_id="deleteArtifact", status_code=200)
    async def delete_artifact(
        self,
        request: APIRequest,
        project_name: FromPath[str],
        repository_name: FromPath[str],
        reference: FromPath[str],
    ) -> Response[Any]:
        """Deletes an artifact with its tags, its accessories, and the children that no other index has."""
        project, path = await _authorise(request, ARTIFACT_DELETE, project_name, repository_name)
        services = request.services
        artifact = await services.artifact_queries.artifact(project.id, path, artifact_reference(reference))
        await services.manifest_deletion.delete(
            project.id, path, Digest.parse(artifact.digest), actor=request.actor, reason="API"
        )
        return empty()

    @delete(f"{_ARTIFACT}/tags/{{tag_name:str}}", operation_id="deleteTag", status_code=200)
    async def delete_tag(
        self,
        request: APIRequest,
        project_name: FromPath[str],
        repository_name: FromPath[str],
        reference: FromPath[str],
        tag_name: FromPath[str],
    ) -> Response[Any]:
        """Takes a tag off the artifact, which stays."""
        project, path = await _authorise(request, TAG_DELETE, project_name, repository_name)
        services = request.services
        artifact = await services.artifact_queries.artifact(project.id, path, artifact_reference(reference))
        name = await _tag_of(request, artifact, unquote(tag_name))
        await services.tags.delete(
            project.id, path, name, actor=request.actor, reason="API", expected=Digest.parse(artifact.digest)
        )
        return empty()

    @post(f"{_ARTIFACT}/labels", operation_id="addLabel", status_code=200)
    async def add_label(
        self,
        request: APIRequest,
        project_name: FromPath[str],
        repository_name: FromPath[str],
        reference: FromPath[str],
    ) -> Response[Any]:
        """Puts a label of the registry or of the project on the artifact."""
        label_id = request.document(AddedLabel).number()
        project, path = await _authorise(request, ARTIFACT_LABEL_CREATE, project_name, repository_name)
        services = request.services
        artifact = await services.artifact_queries.artifact(project.id, path, artifact_reference(reference))
        await services.labels.add_to_artifact(project.id, artifact.id, label_id, actor=request.actor)
        return empty()

    @delete(f"{_ARTIFACT}/labels/{{label_id:str}}", operation_id="removeLabel", status_code=200)
    async def remove_label(
        self,
        request: APIRequest,
        project_name: FromPath[str],
        repository_name: FromPath[str],
        reference: FromPath[str],
        label_id: FromPath[str],
    ) -> Response[Any]:
        """Takes a label off the artifact."""
        number = parse_id(label_id, "label_id")
        project, path = await _authorise(request, ARTIFACT_LABEL_DELETE, project_name, repository_name)
        services = request.services
        artifact = await services.artifact_queries.artifact(project.id, path, artifact_reference(reference))
        await services.labels.remove_from_artifact(project.id, artifact.id, number, actor=request.actor)
        return empty()

    @get(f"{_ARTIFACT}/additions/vulnerabilities", operation_id="getVulnerabilitiesAddition")
    async def vulnerabilities(
        self,
        request: APIRequest,
        project_name: FromPath[str],
        repository_name: FromPath[str],
        reference: FromPath[str],
    ) -> Response[dict[str, Any]]:
        """The reports of scanners on the artifact: none, because nothing scans in this release."""
        project, path = await _authorise(request, ARTIFACT_ADDITION_READ, project_name, repository_name)
        await request.services.artifact_queries.artifact(project.id, path, artifact_reference(reference))
        return answer({})

    @get(f"{_ARTIFACT}/additions/{{addition:str}}", operation_id="getAddition")
    async def get_addition(
        self,
        request: APIRequest,
        project_name: FromPath[str],
        repository_name: FromPath[str],
        reference: FromPath[str],
        addition: FromPath[str],
    ) -> Response[Any]:
        """What the artifact has besides, as its type has it: history, values, readme, dependencies, licence, files, SBOM."""
        name = unquote(addition)
        if name not in _ADDITIONS:
            raise Unprocessable(f"addition in path should be one of {sorted(_ADDITIONS)}, not {name[:100]!a}")
        project, path = await _authorise(request, ARTIFACT_ADDITION_READ, project_name, repository_name)
        services = request.services
        artifact = await services.artifact_queries.artifact(project.id, path, artifact_reference(reference))
        found = await services.additions.read(artifact.id, name)
        kind, _, charset = found.content_type.partition(";")
        # The framework adds the charset to texts by itself, whether or not it is there.
        return Response(found.content, media_type=kind if kind.startswith("text/") and charset else found.content_type)


async def _authorise(
    request: APIRequest, permission: Permission, project_name: str, repository_name: str
) -> tuple[ProjectFacts, str]:
    """The project, when the caller has the permission there, and the repository's name below it."""
    access, project = request.services.access, project_named(project_name)
    return await access.authorise_project(request.caller, permission, project), repository_path(repository_name)


async def _tag_of(request: APIRequest, artifact: models.Artifact, text: str) -> TagName:
    """The tag of that name on the artifact.

    Raises:
        NotFound: the artifact has no such tag, whether or not another one has.
    """
    named = Wanted({"name": Exact(text)})
    tags, _ = await request.services.artifact_queries.tags(artifact, named, offset=0, limit=1)
    if not tags:
        raise NotFound(f"tag {text[:128]!a} attached to artifact {artifact.id} not found")
    return TagName.parse(text)


def _along(request: APIRequest) -> With:
    """What the switches of a request ask for besides the artifacts themselves."""
    along = With.REFERENCES
    for name, default, part in _SWITCHES:
        if is_true(request.incoming.parameter(name) or default):
            along |= part
    return along
