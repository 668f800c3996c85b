# SPDX-License-Identifier: Apache-2.0
"""The tag `auditlog`, and the logs of projects: one store in both forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from litestar import Controller, Response, get
from litestar.params import FromPath

from longshore.access.models import AUDIT_LOG_LIST, LOG_LIST
from longshore.api.documents.auditlog import (
    AuditLog,
    AuditLogEventType,
    AuditLogExt,
    shown_ext,
    shown_log,
)
from longshore.api.lists import answer_list
from longshore.api.paging import Page
from longshore.api.places import project_named
from longshore.api.request import APIRequest
from longshore.api.serialising import answer
from longshore.audit.entries import HARBORS_TYPES, OURS
from longshore.audit.models import Record
from longshore.listing.models import Wanted
from longshore.projects.models import Visibility

_Shown = TypeVar("_Shown")


class AuditLogController(Controller):
    """The audit log of the registry; of their projects for those who may read no more."""

    @get("/api/v2.0/audit-logs", operation_id="listAuditLogs")
    async def logs(self, request: APIRequest) -> Response[list[AuditLog]]:
        """The log in its old form."""
        page, wanted = request.page(), request.wanted()
        return await _answer(request, page, wanted, await _visible(request), shown_log)

    @get("/api/v2.0/auditlog-exts", operation_id="listAuditLogExts")
    async def extended_logs(self, request: APIRequest) -> Response[list[AuditLogExt]]:
        """The log."""
        page, wanted = request.page(), request.wanted()
        return await _answer(request, page, wanted, await _visible(request), shown_ext)

    @get("/api/v2.0/auditlog-exts/events", operation_id="listAuditLogEventTypes")
    async def event_types(self, request: APIRequest) -> Response[list[AuditLogEventType]]:
        """The types that entries may have: Harbor's, and then ours."""
        await request.services.access.authorise_system(request.caller, AUDIT_LOG_LIST)
        return answer([AuditLogEventType(event_type=name) for name in (*HARBORS_TYPES, *OURS)])


class ProjectLogController(Controller):
    """The audit log of a project."""

    @get("/api/v2.0/projects/{project_name:str}/logs", operation_id="getLogs")
    async def logs(self, request: APIRequest, project_name: FromPath[str]) -> Response[list[AuditLog]]:
        """The log in its old form."""
        page, wanted = request.page(), request.wanted()
        return await _answer(request, page, wanted, await _of_project(request, project_name), shown_log)

    @get("/api/v2.0/projects/{project_name:str}/auditlog-exts", operation_id="getLogExts")
    async def extended_logs(self, request: APIRequest, project_name: FromPath[str]) -> Response[list[AuditLogExt]]:
        """The log."""
        page, wanted = request.page(), request.wanted()
        return await _answer(request, page, wanted, await _of_project(request, project_name), shown_ext)


async def _visible(request: APIRequest) -> Visibility:
    access, caller = request.services.access, request.caller
    await access.authorise_login(caller)
    if AUDIT_LOG_LIST in await access.permissions_in_system(caller.principal):
        return Visibility(everything=True)
    return await access.projects_with(caller.principal, LOG_LIST)


async def _of_project(request: APIRequest, segment: str) -> Visibility:
    named = project_named(segment)
    project = await request.services.access.authorise_project(request.caller, LOG_LIST, named)
    return Visibility(public=False, project_ids=frozenset({project.id}))


async def _answer(
    request: APIRequest, page: Page, wanted: Wanted, visible: Visibility, show: Callable[[Record], _Shown]
) -> Response[list[_Shown]]:
    async def load(offset: int, limit: int) -> tuple[list[Record], int]:
        return await request.services.audit.page(visible, wanted, offset=offset, limit=limit)

    return await answer_list(request, page, load, lambda found: map(show, found))
