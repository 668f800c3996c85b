# SPDX-License-Identifier: Apache-2.0
"""The router of /v2: the whole surface is a dozen routes, found from the end of the path.

A repository's name has slashes, so what it is comes last: `/v2/<name>/(manifests|blobs|referrers)/<tail>`,
`/v2/<name>/blobs/uploads/<tail>`, `/v2/<name>/tags/list`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from longshore.access.models import Caller
from longshore.distribution import blobs, lists, manifests, uploads
from longshore.distribution.challenge import challenge
from longshore.distribution.services import Services
from longshore.edge.errors import render
from longshore.edge.request import Request
from longshore.edge.response import Header, Response
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
        try:
            response = await self._dispatch(request, route)
        except LongshoreError as error:
            response = render(error, request, self._challenge(error, request, route))
        response.headers.append(_VERSION)
        return response

    async def _dispatch(self, request: Request, route: Route | None) -> Response:
        services = self._services
        caller = await services.authenticator.authenticate(request.header(b"authorization"), request.origin.source)
        request.actor = caller.principal.actor
        if route is None:
            return await self._root(request, caller)
        handlers = _ROUTES[route.kind]
        handler = handlers.get(request.method)
        if handler is None:
            raise Unsupported(f"{request.method} is not supported here. Use {', '.join(handlers)}.")
        name = RepositoryName.parse(route.name)
        request.repository = route.name
        return await handler(request, services, caller, name, route.tail)

    async def _root(self, request: Request, caller: Caller) -> Response:
        if request.path in {"/v2/", "/v2"}:
            if request.method not in {"GET", "HEAD"}:
                raise Unsupported(f"{request.method} is not supported here. Use GET.")
            # Docker learns from this answer how to log in, so an anonymous caller is asked to, here and only here.
            await self._services.access.authorise_login(caller)
            return Response(200, [(b"content-type", b"application/json; charset=utf-8")], b"{}")
        if request.path in {"/v2/_catalog", "/v2/_catalog/"}:
            if request.method not in {"GET", "HEAD"}:
                raise Unsupported(f"{request.method} is not supported here. Use GET.")
            return await lists.catalog(request, self._services, caller)
        raise NotFound(f"There is nothing at {request.path[:200]!r}: no route of the distribution API has this form.")

    def _challenge(self, error: LongshoreError, request: Request, route: Route | None) -> list[Header]:
        if isinstance(error, Unauthorized):
            scopes: list[str] = []
            if request.path.startswith("/v2/_catalog"):
                scopes.append("registry:catalog:*")
            elif route is not None:
                action = "pull,push" if route.kind in {"upload", "uploads"} else _SCOPES.get(request.method, "pull")
                scopes.append(f"repository:{route.name}:{action}")
                origin = request.parameter("from")
                if origin is not None:
                    scopes.append(f"repository:{origin}:pull")
            return [(b"www-authenticate", challenge(request.origin, scopes))]
        if isinstance(error, Unsupported) and route is not None:
            return [(b"allow", ", ".join(_ROUTES[route.kind]).encode())]
        return []
