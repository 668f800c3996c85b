# SPDX-License-Identifier: Apache-2.0
"""The tag `health`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from litestar import Controller, Response, get

from longshore.api.request import APIRequest
from longshore.api.serialising import Shown, answer

_NAMES: Final[Mapping[str, str]] = {"storage": "registry"}
"""What Harbor calls a component of ours."""


class ComponentHealthStatus(Shown, frozen=True, kw_only=True):
    """The state of one component."""

    name: str = ""
    status: str = ""
    error: str = ""


class OverallHealthStatus(Shown, frozen=True, kw_only=True):
    """The state of everything; `status` is `healthy` only if all components are."""

    status: str = ""
    components: tuple[ComponentHealthStatus, ...] | None


class HealthController(Controller):
    """Tells how the components are; for anybody, and always with 200."""

    @get("/api/v2.0/health", operation_id="getHealth")
    async def health(self, request: APIRequest) -> Response[OverallHealthStatus]:
        """The state of the components, those of them that we have by Harbor's names."""
        states = await request.services.health()
        components = (
            _component("core", "healthy"),
            *(_component(_NAMES.get(name, name), state) for name, state in states.items()),
        )
        healthy = all(component.status == "healthy" for component in components)
        return answer(OverallHealthStatus(status="healthy" if healthy else "unhealthy", components=components))


def _component(name: str, state: str) -> ComponentHealthStatus:
    if state == "healthy":
        return ComponentHealthStatus(name=name, status=state)
    return ComponentHealthStatus(name=name, status="unhealthy", error=state)
