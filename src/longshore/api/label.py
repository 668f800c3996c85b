# SPDX-License-Identifier: Apache-2.0
"""The tag `label`."""

from __future__ import annotations

import re
from typing import Any, Final

from litestar import Controller, Response, delete, get, post, put
from litestar.params import FromPath

from longshore.access.models import (
    LABEL_CREATE,
    LABEL_DELETE,
    LABEL_LIST,
    LABEL_READ,
    LABEL_UPDATE,
    Permission,
    PrincipalKind,
)
from longshore.api.documents.label import Label, LabelReq, parse_owner, shown_label
from longshore.api.lists import answer_list
from longshore.api.request import APIRequest, parse_id
from longshore.api.serialising import answer, created, empty
from longshore.labels.models import Label as StoredLabel
from longshore.listing.models import Fuzzy
from longshore.oci.errors import NotFound, Unprocessable

_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")


class LabelController(Controller):
    """Labels of the registry and of projects."""

    path = "/api/v2.0/labels"

    @get(operation_id="ListLabels")
    async def list_labels(self, request: APIRequest) -> Response[list[Label]]:
        """The labels of the registry (`scope=g`), which everybody may see, or of a project (`scope=p&project_id=1`)."""
        name, page = request.incoming.parameter("name"), request.page()
        wanted = request.wanted().also(name=Fuzzy(name) if name else None)
        project_id = parse_owner(request.incoming.parameter("scope"), _project_id(request))
        if project_id is not None:
            await request.services.access.authorise_project(request.caller, LABEL_LIST, project_id)

        async def load(offset: int, limit: int) -> tuple[list[StoredLabel], int]:
            return await request.services.label_queries.page(project_id, wanted, offset=offset, limit=limit)

        return await answer_list(request, page, load, lambda found: map(shown_label, found))

    @post(operation_id="CreateLabel")
    async def create_label(self, request: APIRequest) -> Response[Any]:
        """Makes a label."""
        document = request.document(LabelReq)
        facts, project_id = document.facts(), document.owner()
        await _authorise(request, LABEL_CREATE, project_id)
        label_id = await request.services.labels.create(project_id, facts, actor=request.actor)
        return created(f"/api/v2.0/labels/{label_id}")

    @get("/{label_id:str}", operation_id="GetLabelByID")
    async def get_label(self, request: APIRequest, label_id: FromPath[str]) -> Response[Label]:
        """A label."""
        label = await _authorise_label(request, LABEL_READ, parse_id(label_id, "label_id"))
        return answer(shown_label(label))

    @put("/{label_id:str}", operation_id="UpdateLabel")
    async def update_label(self, request: APIRequest, label_id: FromPath[str]) -> Response[Any]:
        """Gives a label another name, description and color; scope and project stay."""
        number, document = parse_id(label_id, "label_id"), request.document(LabelReq)
        await _authorise_label(request, LABEL_UPDATE, number)
        await request.services.labels.update(number, document.facts(), actor=request.actor)
        return empty()

    @delete("/{label_id:str}", operation_id="DeleteLabel", status_code=200)
    async def delete_label(self, request: APIRequest, label_id: FromPath[str]) -> Response[Any]:
        """Deletes a label and takes it off every artifact."""
        number = parse_id(label_id, "label_id")
        await _authorise_label(request, LABEL_DELETE, number)
        await request.services.labels.delete(number, actor=request.actor)
        return empty()


async def _authorise(request: APIRequest, permission: Permission, project_id: int | None) -> None:
    """Lets pass who has the permission where the label belongs.

    As in Harbor a project that doesn't exist is told before whether the caller could see it; only not to strangers.
    """
    services, caller = request.services, request.caller
    if project_id is None:
        await services.access.authorise_system(caller, permission)
        return
    if caller.principal.kind is not PrincipalKind.ANONYMOUS:
        await services.access.authorise_login(caller)
        if await services.project_queries.facts_by_id(project_id) is None:
            raise NotFound(f"The project {project_id} doesn't exist.")
    await services.access.authorise_project(caller, permission, project_id)


async def _authorise_label(request: APIRequest, permission: Permission, label_id: int) -> StoredLabel:
    """Lets pass who has the permission where the label belongs, and returns it; a missing one is told as in `_authorise`."""
    label = await request.services.label_queries.label(label_id)
    if label is None:
        await request.services.access.authorise_login(request.caller)
        raise NotFound(f"The label {label_id} doesn't exist.")
    await _authorise(request, permission, label.project_id)
    return label


def _project_id(request: APIRequest) -> int | None:
    text = request.incoming.parameter("project_id")
    if not text:
        return None
    if _INTEGER.fullmatch(text) is None:
        raise Unprocessable(f"project_id in query must be of type int64: {text[:100]!a}")
    return int(text)
