# SPDX-License-Identifier: Apache-2.0
"""The tag `systeminfo`: what this instance says of itself."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Final

import msgspec
from litestar import Controller, Response, get

from longshore.access.models import SYSTEM_VOLUMES_READ, PrincipalKind
from longshore.api.request import APIRequest
from longshore.api.serialising import Shown, Time, answer, listed, moment

HARBOR_RELEASE: Final = "v2.15.2"
"""The release of Harbor whose API this is; clients look at it to know what they may ask for."""


class GeneralInfo(Shown, frozen=True, kw_only=True):
    """What everybody is told, and after that what only those are who are logged in."""

    auth_mode: str
    primary_auth_mode: bool
    self_registration: bool
    banner_message: str
    oidc_provider_name: str
    current_time: Time | msgspec.UnsetType = msgspec.UNSET
    external_url: str | msgspec.UnsetType = msgspec.UNSET
    has_ca_root: bool | msgspec.UnsetType = msgspec.UNSET
    harbor_version: str | msgspec.UnsetType = msgspec.UNSET
    notification_enable: bool | msgspec.UnsetType = msgspec.UNSET
    project_creation_restriction: str | msgspec.UnsetType = msgspec.UNSET
    read_only: bool | msgspec.UnsetType = msgspec.UNSET
    registry_storage_provider_name: str | msgspec.UnsetType = msgspec.UNSET
    registry_url: str | msgspec.UnsetType = msgspec.UNSET


class Storage(Shown, frozen=True, kw_only=True):
    """A volume; sizes in bytes."""

    total: int = 0
    free: int = 0


class SystemInfo(Shown, frozen=True, kw_only=True):
    """The volumes of the store."""

    storage: tuple[Storage, ...] | None


class SystemInfoController(Controller):
    """Tells what this instance is; more to those who are logged in."""

    @get("/api/v2.0/systeminfo", operation_id="getSystemInfo")
    async def info(self, request: APIRequest) -> Response[GeneralInfo]:
        """What this instance says of itself."""
        items = await request.services.configurations.current()
        shown = GeneralInfo(
            auth_mode=items.auth_mode,
            primary_auth_mode=items.primary_auth_mode,
            self_registration=items.self_registration,
            banner_message=items.banner_message,
            oidc_provider_name="",
        )
        if request.caller.principal.kind is PrincipalKind.ANONYMOUS:
            return answer(shown)
        origin = request.incoming.origin
        return answer(
            msgspec.structs.replace(
                shown,
                current_time=moment(time.time_ns() // 1000),
                external_url=f"{origin.scheme}://{origin.host}",
                has_ca_root=request.services.surroundings.has_certificate,
                harbor_version=f"{HARBOR_RELEASE}-longshore.{version('longshore')}",
                notification_enable=items.notification_enable,
                project_creation_restriction=items.project_creation_restriction,
                read_only=items.read_only,
                registry_storage_provider_name=request.services.surroundings.provider,
                registry_url=origin.host,
            )
        )

    @get("/api/v2.0/systeminfo/volumes", operation_id="getVolumes")
    async def volumes(self, request: APIRequest) -> Response[SystemInfo]:
        """How large the store's volume is, and how much of it is free."""
        await request.services.access.authorise_system(request.caller, SYSTEM_VOLUMES_READ)
        found = await request.services.surroundings.volumes()
        return answer(SystemInfo(storage=listed(Storage(total=volume.total, free=volume.free) for volume in found)))

    @get("/api/v2.0/systeminfo/getcert", operation_id="getCert")
    async def certificate(self, request: APIRequest) -> Response[bytes]:
        """The root certificate that clients have to trust."""
        content = await request.services.surroundings.root_certificate()
        headers = {"Content-Disposition": "attachment; filename=ca.crt"}
        return Response(content, media_type="application/octet-stream", headers=headers)
