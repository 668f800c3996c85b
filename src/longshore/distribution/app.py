# SPDX-License-Identifier: Apache-2.0
"""The router of /v2: the whole surface is a dozen routes, found from the end of the path.

A repository's name has slashes, so what it is comes last: `/v2/<name>/(manifests|blobs|referrers)/<tail>`,
`/v2/<name>/blobs/uploads/<tail>`, `/v2/<name>/tags/list`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache

from longshore.access.errors import AuthenticationRequired
from longshore.access.models import Caller
from longshore.distribution import blobs, lists, manifests, uploads
from longshore.distribution.challenge import BASIC, bearer, token_realm
from longshore.distribution.services import Services
from longshore.distribution.token import MAXIMUM_BODY
from longshore.edge.errors import render
from longshore.edge.request import Request
from longshore.edge.response import Header, Response, json_response
from longshore.oci.errors import LongshoreError, NotFound, Unauthorized, Unsupported
from longshore.oci.names import RepositoryName

Handler = Callable[[Request, Services, Caller, RepositoryName, str], Awaitable[Response]]

_VERSION: Header = (b"docker-distribution-api-version", b"registry/2.0")

_ROUTES: dict[str, dict[str, Handler]] = {
    "manifests": {"GET": manifests.get, "HEAD": manifests.head, "PUT": manifests.put, "DELETE": manifests.delete},
    "blobs": {"GET": blobs.get, "HEAD": blobs.head, "DELETE": blobs.delete},
    "uploads": {"POST": uploads.start},
    "upload": {
        "GET": uploads.status,
        "PATCH": uploads.append,
        "PUT": uploads.finish,
        "DELETE": uploads.cancel,
    },
    "tags": {"GET": lists.tags, "HEAD": lists.tags},
    "referrers": {"GET": lists.referrers, "HEAD": lists.referrers},
}
# What metrics call each.
_LABELS = {kind: f"v2.{kind}" for kind in _ROUTES}
# What the version check and the catalog know.
_READING = ("GET", "HEAD")
# A path may have hundreds of kilobytes: remembered, a few thousand of them would fill the memory.
_LONGEST_REMEMBERED = 512
_SCOPE_TEXT = re.compile(r"[A-Za-z0-9._:/@*,+ -]*")
# What a challenge asks the token service for.
_SCOPES = {
    "GET": "pull",
    "HEAD": "pull",
    "POST": "pull,push",
    "PUT": "pull,push",
    "PATCH": "pull,push",
    "DELETE": "delete",
}


@dataclass(frozen=True, slots=True)
class Route:
    """What a path below /v2/ names: a kind of resource, a repository and what comes after."""

    kind: str
    name: str
    tail: str


def parse_path(path: str) -> Route | None:
    """The route of a path, None when it is none of ours."""
    return _remembered(path) if len(path) <= _LONGEST_REMEMBERED else _parse(path)


def _parse(path: str) -> Route | None:
    head, _, tail = path[4:].rpartition("/")
    name, _, kind = head.rpartition("/")
    if kind == "uploads" and name.endswith("/blobs"):
        return Route("upload" if tail else "uploads", name[:-6], tail)
    if tail == "uploads" and kind == "blobs":
        return Route("uploads", name, "")
    if kind == "tags":
        return Route("tags", name, "") if tail == "list" else None
    if kind in {"manifests", "blobs", "referrers"}:
        return Route(kind, name, tail)
    return None


# The same few things are asked for again and again.
_remembered = lru_cache(maxsize=4096)(_parse)


class DistributionAPI:
    """Answers every request below /v2/."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def handle(self, request: Request) -> Response:
        """The response, whatever happens.

        Raises:
            ClientGone: nobody is there to be answered.
        """
        route = parse_path(request.path)
        request.route = "v2" if route is None else _LABELS[route.kind]
        try:
            response = await self._dispatch(request, route)
        except LongshoreError as error:
            response = render(error, request, self._challenge(error, request, route))
        response.headers.append(_VERSION)
        return response

    async def _dispatch(self, request: Request, route: Route | None) -> Response:
        services = self._services
        caller = await services.authenticator.caller(request.authorization, request.source)
        request.actor = caller.principal.actor
        if route is None:
            return await self._root(request, caller)
        handlers = _ROUTES[route.kind]
        handler = handlers.get(request.method)
        if handler is None:
            raise Unsupported(f"{request.method} is not supported here. Use {', '.join(handlers)}.")
        if request.method not in _READING:
            await services.configurations.require_writable()
        name = _repository(route.name)
        request.repository = route.name
        return await handler(request, services, caller, name, route.tail)

    async def _root(self, request: Request, caller: Caller) -> Response:
        if request.path in {"/v2/", "/v2"}:
            _require_reading(request)
            # Docker learns from this answer how to log in, so an anonymous caller is asked to, here and only here.
            await self._services.access.authorise_login(caller)
            return Response(200, [(b"content-type", b"application/json; charset=utf-8")], b"{}")
        if request.path in {"/v2/_catalog", "/v2/_catalog/"}:
            _require_reading(request)
            return await lists.catalog(request, self._services, caller)
        raise NotFound(f"There is nothing at {request.path[:200]!r}: no route of the distribution API has this form.")

    async def token(self, request: Request) -> Response:
        """`/service/token`: GET as docker asks, POST as OAuth2 clients do."""
        endpoint, source = self._services.tokens, request.source
        try:
            if request.method in {"GET", "HEAD"}:
                answer = await endpoint.get(request.query, request.authorization, source)
            elif request.method == "POST":
                body = await request.whole_body(MAXIMUM_BODY, "form")
                answer = await endpoint.post(body, request.header(b"content-type") or "", source)
            else:
                refusal = Unsupported(f"{request.method} is not supported here. Use GET or POST.")
                return render(refusal, request, [(b"allow", b"GET, HEAD, POST")])
        except Unauthorized as error:
            return render(error, request, [(b"www-authenticate", BASIC.encode())])
        # A token is for the one who asked (RFC 6749, 5.1).
        return json_response(200, answer.body(), [(b"cache-control", b"no-store")])

    def _challenge(self, error: LongshoreError, request: Request, route: Route | None) -> list[Header]:
        if isinstance(error, Unauthorized):
            scope, reason = "", ""
            if isinstance(error, AuthenticationRequired):
                scope, reason = error.scope, error.reason
            if route is not None and not scope:
                action = "pull,push" if route.kind in {"upload", "uploads"} else _SCOPES.get(request.method, "pull")
                scope = f"repository:{route.name}:{action}"
            origin = request.parameter("from")
            if route is not None and origin is not None and request.parameter("mount") is not None:
                scope += f" repository:{origin}:pull"
            value = bearer(token_realm(request.origin), scope=_quotable(scope), error=reason)
            return [(b"www-authenticate", value.encode())]
        allowed = _READING if route is None else _ROUTES[route.kind]
        if isinstance(error, Unsupported):
            # What is still needed can't be deleted now (RFC 9110, 15.5.6: the methods that the resource supports at present).
            return [(b"allow", ", ".join(method for method in allowed if method != request.method).encode())]
        return []


@lru_cache(maxsize=4096)
def _repository(name: str) -> RepositoryName:
    """Names are asked for again and again; what is no name raises and isn't remembered."""
    return RepositoryName.parse(name)


def _require_reading(request: Request) -> None:
    if request.method not in _READING:
        raise Unsupported(f"{request.method} is not supported here. Use GET.")


def _quotable(scope: str) -> str:
    """Names come from the path as the client wrote it; what can't stand in a quoted string names nothing of ours."""
    return scope if _SCOPE_TEXT.fullmatch(scope) else ""
