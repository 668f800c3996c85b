# SPDX-License-Identifier: Apache-2.0
"""The tag `icon`."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import unquote

from litestar import Controller, Response, get
from litestar.params import FromPath

from longshore.api.documents.icon import Icon
from longshore.api.request import APIRequest
from longshore.api.serialising import answer
from longshore.oci.digest import Digest


class IconController(Controller):
    """Icons of artifacts."""

    path = "/api/v2.0/icons"

    @get("/{digest:str}", operation_id="getIcon")
    async def get_icon(self, request: APIRequest, digest: FromPath[str]) -> Response[Icon]:
        """An icon, for everybody who knows its digest."""
        icon = await request.services.icons.read(Digest.parse(unquote(digest)))
        return answer(Icon(content_type=icon.content_type, content=b64encode(icon.content).decode()))
