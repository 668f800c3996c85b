# SPDX-License-Identifier: Apache-2.0
"""The tag `SystemCVEAllowlist`: the vulnerabilities that are accepted wherever a project has no list of its own."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get, put

from longshore.access.models import CONFIGURATION_UPDATE
from longshore.api.documents.allowlist import CVEAllowlist, CVEAllowlistReq, shown_allowlist
from longshore.api.request import APIRequest
from longshore.api.serialising import answer, empty
from longshore.oci.errors import BadRequest


class SystemCVEAllowlistController(Controller):
    """The allowlist of the system."""

    @get("/api/v2.0/system/CVEAllowlist", operation_id="getSystemCVEAllowlist")
    async def allowlist(self, request: APIRequest) -> Response[CVEAllowlist]:
        """The allowlist; empty while nobody has set it."""
        await request.services.access.authorise_login(request.caller)
        return answer(shown_allowlist(0, await request.services.allowlists.of_system()))

    @put("/api/v2.0/system/CVEAllowlist", operation_id="putSystemCVEAllowlist")
    async def replace_allowlist(self, request: APIRequest) -> Response[Any]:
        """Replaces the allowlist."""
        document = request.document(CVEAllowlistReq)
        await request.services.access.authorise_system(request.caller, CONFIGURATION_UPDATE)
        if document.project_id:
            raise BadRequest("project_id is the number of a project, and this is the allowlist of the system.")
        await request.services.allowlists.set_of_system(document.allowlist(), actor=request.actor)
        return empty()
