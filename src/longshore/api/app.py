# SPDX-License-Identifier: Apache-2.0
"""Harbor's API as an ASGI application.

What holds for every operation happens here, once and in this order: the credentials, the operation that method and path
name, the headers and the body. Then Litestar calls the controller, and `longshore.api.errors` renders whatever it raises.

The composition root puts the edge's request into `scope["state"]["request"]` and adds `X-Request-Id` to every answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote

from litestar import Controller, Litestar, Request, Response
from litestar.exceptions import LitestarException
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin

from longshore.api.access import AccessController
from longshore.api.access_token import AccessTokenController
from longshore.api.artifact import ArtifactController
from longshore.api.auditlog import AuditLogController, ProjectLogController
from longshore.api.authentication import authenticate
from longshore.api.conditions import check_match, tagged
from longshore.api.configure import ConfigureController
from longshore.api.contract import canonical, harbor
from longshore.api.cve_allowlist import SystemCVEAllowlistController
from longshore.api.errors import MethodNotAllowed, NotServed, respond_to
from longshore.api.health import HealthController
from longshore.api.icon import IconController
from longshore.api.label import LabelController
from longshore.api.member import MemberController
from longshore.api.openapi.controller import DescriptionController
from longshore.api.ping import PingController
from longshore.api.project import ProjectController
from longshore.api.project_metadata import ProjectMetadataController
from longshore.api.quota import QuotaController
from longshore.api.repository import RepositoryController
from longshore.api.request import APIRequest, Call
from longshore.api.robot import RobotController
from longshore.api.search import SearchController
from longshore.api.services import APIServices
from longshore.api.statistic import StatisticController
from longshore.api.systeminfo import SystemInfoController
from longshore.api.user import UserController
from longshore.api.usergroup import UserGroupController
from longshore.edge.asgi import Application, Message, Receive, Scope, Send
from longshore.edge.request import ClientGone
from longshore.edge.request import Request as EdgeRequest
from longshore.edge.response import Header
from longshore.edge.response import Response as EdgeResponse
from longshore.oci.errors import BadRequest, PreconditionFailed, Unprocessable

CONTROLLERS: Final[tuple[type[Controller], ...]] = (
    AccessController,
    ArtifactController,
    AccessTokenController,
    AuditLogController,
    ConfigureController,
    DescriptionController,
    HealthController,
    IconController,
    LabelController,
    MemberController,
    PingController,
    ProjectLogController,
    ProjectController,
    ProjectMetadataController,
    RepositoryController,
    QuotaController,
    RobotController,
    SearchController,
    StatisticController,
    SystemCVEAllowlistController,
    SystemInfoController,
    UserController,
    UserGroupController,
)
BODY_LIMIT: Final = 1024 * 1024
"""The longest body of a request in bytes."""

# No name is nearly as long, and SQLite's patterns end at 50,000 bytes.
_LONGEST_QUERY: Final = 16_384
_READING: Final = frozenset({"GET", "HEAD"})
_CHANGING: Final = frozenset({"PUT", "PATCH", "DELETE"})
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
# What works in read-only mode too: how it is left, and what changes nothing.
_ALWAYS: Final = frozenset({"updateConfigurations", "explainAccess", "login", "userExists"})
_ANY_OF: Final = frozenset({"application/json", "application/*", "*/*"})
# What some operations answer besides JSON.
_ALSO: Final = {
    "getCert": frozenset({"application/octet-stream"}),
    "getDocs": frozenset({"text/html", "text/*"}),
    "getPing": frozenset({"text/plain", "text/*"}),
}


def build_api(services: APIServices) -> Application:
    """The application that answers everything below /api, and below /c what browsers need."""
    return _API(services)


class _Framework(Litestar):
    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        # Litestar would import whatever it finds installed, Pydantic and attrs: a tenth of a second for what isn't used here.
        return [*plugins, MsgspecDIPlugin()]


class _API:
    def __init__(self, services: APIServices) -> None:
        self._services = services
        self._contract = harbor()
        self._litestar = _Framework(
            CONTROLLERS,
            request_class=APIRequest,
            exception_handlers={Exception: _render},
            openapi_config=None,
            logging_config=None,
        )
        self._served = frozenset(_operations(self._litestar))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request: EdgeRequest = scope["state"]["request"]
        status = 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(_tidied(message["headers"], head=request.method == "HEAD"))
                self._services.browsers.complete(request, headers)
                message["headers"] = headers
            elif request.method == "HEAD":
                message["body"] = b""
            await told(message)

        told = tagged(send, request.header(b"if-none-match")) if request.method == "GET" else send
        if request.path.startswith("/c/"):
            await _send(await self._services.browsers.respond(request), request, observed)
            return
        try:
            call = await self._prepare(request)
            called = {**scope, "path": call.path, "state": {**scope["state"], "call": call}}
            refused = await self._check_match(call, called, receive)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - rendering sorts them: ours are told, all others are logged
            await _send(respond_to(error, request), request, observed)
            return
        if refused is not None:
            body = refused.pop("body")
            await observed(refused)
            await observed({"type": "http.response.body", "body": body})
            return
        try:
            await self._litestar(called, receive, observed)  # type: ignore[arg-type]  # Litestar has its own names for ASGI's types
        except LitestarException as error:
            # What went wrong in the middle of an answer: that the client has gone, mostly.
            raise error.__cause__ or error from None
        if request.method not in _READING and status < 400:
            # What was just changed here shows in the next answer, instead of within two seconds.
            self._services.access.forget()

    async def _check_match(self, call: Call, scope: Scope, receive: Receive) -> Message | None:
        """The answer to a change of what can't be read by the caller; None for a change that may go on.

        Raises:
            PreconditionFailed: it isn't what `If-Match` says any more, or nothing that has an ETag.
        """
        wanted = call.request.header(b"if-match")
        if not wanted or call.request.method not in _CHANGING:
            return None
        try:
            read = self._contract.operation("GET", call.path) in self._served
        except MethodNotAllowed:
            read = False
        if not read:
            raise PreconditionFailed("If-Match: nothing can be read at this path, so it has no ETag. Leave it out.")

        async def ask(send: Send) -> None:
            await self._litestar({**scope, "method": "GET"}, receive, send)  # type: ignore[arg-type]  # as above

        return await check_match(wanted, ask)

    async def _prepare(self, request: EdgeRequest) -> Call:
        """What holds for every operation.

        Raises:
            LongshoreError: the request doesn't get any further.
            ClientGone: the client closed the connection or stalled.
        """
        path = _raw_path(request.scope)
        _check_text(path, request.scope["query_string"])
        by_session = await self._services.browsers.caller(request)
        caller = by_session or await authenticate(self._services.authenticator, request)
        request.actor = caller.principal.actor
        operation = self._contract.operation(request.method, path)
        if operation not in self._served:
            raise NotServed(f"{operation} isn't served by this release. docs/harbor-compatibility.md tells what is.")
        if request.method not in _READING and operation not in _ALWAYS:
            await self._services.configurations.require_writable()
        _check_accept(request.header(b"accept"), also=_ALSO.get(operation, frozenset()))
        body = b""
        if request.method in _WITH_BODY:
            body = await request.whole_body(BODY_LIMIT, "body")
            _check_content_type(body, request.header(b"content-type"))
        return Call(request, path, caller, self._services, body)


def _operations(application: Litestar) -> Iterable[str]:
    for route in application.routes:
        for handler in getattr(route, "route_handlers", ()):
            if isinstance(handler.operation_id, str):
                yield handler.operation_id


def _raw_path(scope: Scope) -> str:
    raw: bytes | None = scope.get("raw_path")
    path = raw.decode("latin-1") if raw else quote(scope["path"], safe="/%:@$+")
    return canonical(path.partition("?")[0])


def _check_text(path: str, query: bytes) -> None:
    if len(query) > _LONGEST_QUERY:
        raise BadRequest(f"The query has {len(query)} bytes: {_LONGEST_QUERY} are the most.")
    if "%00" in path or b"%00" in query:
        raise BadRequest("The request has the character U+0000, which no name or text here can have.")
    if b";" in query:
        raise BadRequest("The query has a semicolon. Separate parameters by &, and encode a semicolon as %3B.")


def _check_accept(value: str | None, *, also: frozenset[str]) -> None:
    if not value:
        return
    ranges = {part.partition(";")[0].strip().lower() for part in value.split(",")}
    if ranges.isdisjoint(_ANY_OF | also):
        raise Unprocessable(
            f"unsupported media type requested in Accept: {value[:100]!a}. Only application/json is answered."
        )


def _check_content_type(body: bytes, value: str | None) -> None:
    if body and (value or "").partition(";")[0].strip().lower() != "application/json":
        raise Unprocessable(f"unsupported media type {(value or '')[:100]!a}, only application/json is allowed")


def _tidied(headers: Iterable[Header], *, head: bool) -> Iterable[Header]:
    """Of an answer without a body the type is left out too: clients would parse it. No HEAD of the contract has one."""
    listed = list(headers)
    bare = head or (b"content-length", b"0") in listed
    if not bare:
        return listed
    kept = [(name, value) for name, value in listed if name not in {b"content-type", b"content-length"}]
    return [*kept, (b"content-length", b"0")]


def _render(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    response = respond_to(error, request.scope["state"]["request"])
    headers = {name.decode(): value.decode() for name, value in response.headers}
    media_type = headers.pop("content-type")
    body = b"" if request.method == "HEAD" else response.body
    return Response(body, status_code=response.status, headers=headers, media_type=media_type)


async def _send(response: EdgeResponse, request: EdgeRequest, send: Send) -> None:
    body = b"" if request.method == "HEAD" else response.body
    headers = [*response.headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
