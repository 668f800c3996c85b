# SPDX-License-Identifier: Apache-2.0
"""The tag `ping`, and the version of the API."""

from __future__ import annotations

from litestar import Controller, Response, get

from longshore.api.serialising import Shown, answer


class APIVersion(Shown, frozen=True, kw_only=True):
    """Which API this is."""

    version: str


class PingController(Controller):
    """Answers whether the API is there; for anybody."""

    @get("/api/v2.0/ping", operation_id="getPing")
    async def ping(self) -> Response[str]:
        """Pong."""
        return Response("Pong", media_type="text/plain")

    @get("/api/version", operation_id="getVersion")
    async def version(self) -> Response[APIVersion]:
        """The version of the API; without it replication of a real Harbor would speak 1.x."""
        return answer(APIVersion(version="v2.0"))
