# SPDX-License-Identifier: Apache-2.0
"""The tag `configure`: what administrators set while the registry runs."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get, put

from longshore.access.models import CONFIGURATION_READ, CONFIGURATION_UPDATE
from longshore.api.documents.configuration import Configurations, ConfigurationsResponse, shown_configurations
from longshore.api.request import APIRequest
from longshore.api.serialising import answer, empty
from longshore.oci.errors import Denied


class ConfigureController(Controller):
    """Configuration items."""

    @get("/api/v2.0/configurations", operation_id="getConfigurations")
    async def configurations(self, request: APIRequest) -> Response[ConfigurationsResponse]:
        """Every item but the secrets, each with whether it can be changed."""
        await request.services.access.authorise_system(request.caller, CONFIGURATION_READ)
        return answer(shown_configurations(await request.services.configuration.shown()))

    @put("/api/v2.0/configurations", operation_id="updateConfigurations")
    async def update_configurations(self, request: APIRequest) -> Response[Any]:
        """Changes the items that are given."""
        document = request.document(Configurations)
        await request.services.access.authorise_system(request.caller, CONFIGURATION_UPDATE)
        given = {name: value for name in document.__struct_fields__ if (value := getattr(document, name)) is not None}
        source = request.incoming.origin.source
        await request.services.configuration.update(given, actor=request.actor, source=source)
        return empty()

    @get("/api/v2.0/internalconfig", operation_id="getInternalconfig")
    async def internal_configurations(self, request: APIRequest) -> Response[Any]:
        """The configuration with its secrets, which a process of Harbor's asks another: of ours none asks over HTTP."""
        await request.services.access.authorise_login(request.caller)
        raise Denied("The internal configuration is for processes of the registry only, and these read the database.")
