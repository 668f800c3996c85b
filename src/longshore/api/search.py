# SPDX-License-Identifier: Apache-2.0
"""The tag `search`."""

from __future__ import annotations

from litestar import Controller, Response, get

from longshore.api.documents.search import Search, shown_repository
from longshore.api.project import shown_projects
from longshore.api.request import APIRequest
from longshore.api.serialising import answer
from longshore.oci.errors import Unprocessable


class SearchController(Controller):
    """Projects and repositories by a part of their name."""

    path = "/api/v2.0/search"

    @get(operation_id="search")
    async def search(self, request: APIRequest) -> Response[Search]:
        """What of the projects that the caller sees has `q` in its name; anybody may ask."""
        part = request.incoming.parameter("q")
        if part is None:
            raise Unprocessable("q in query is required")
        services, principal = request.services, request.caller.principal
        visible = await services.access.visible_projects(principal)
        projects = await services.search.projects(visible, part)
        repositories = await services.search.repositories(visible, part)
        shown = await shown_projects(services, principal, projects, detailed=True)
        found = Search(project=tuple(shown), repository=tuple(shown_repository(each) for each in repositories))
        return answer(found)
