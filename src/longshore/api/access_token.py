# SPDX-License-Identifier: Apache-2.0
"""Access tokens of people: ours, beside the tag `user`."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath

from longshore.access.models import PROJECT_READ, USER_READ, USER_UPDATE, Grants
from longshore.api.authentication import authorise_person
from longshore.api.documents.access_token import (
    AccessToken,
    AccessTokenCreated,
    AccessTokenReq,
    limit_of,
    shown_token,
)
from longshore.api.request import APIRequest, parse_id
from longshore.api.serialising import answer, created, empty
from longshore.identity.models import NewAccessToken
from longshore.oci.names import ProjectName
from longshore.robots.models import ANY_PROJECT, SYSTEM, RobotGrant


class AccessTokenController(Controller):
    """What people use in the place of their passwords; they see and end their own, administrators those of everybody."""

    path = "/api/v2.0/users"

    @get("/current/tokens", operation_id="listAccessTokens")
    async def list_own(self, request: APIRequest) -> Response[list[AccessToken]]:
        """The caller's access tokens, at most a hundred, by name."""
        user_id = await authorise_person(request.services.access, request.caller)
        return await _listed(request, user_id)

    @post("/current/tokens", operation_id="createAccessToken")
    async def create(self, request: APIRequest) -> Response[Any]:
        """Makes an access token and tells it, this once. No access token makes others."""
        document, services = request.document(AccessTokenReq), request.services
        user_id = await authorise_person(services.access, request.caller)
        await services.access.authorise_token(request.caller, None)
        days, grants = document.days(), document.grants()
        limit = None if grants is None else await _limit(request, grants)
        new = NewAccessToken(name=document.name or "", limit=limit, days=days)
        token_id, secret = await services.access_tokens.create(user_id, new, by=request.caller.principal)
        made = next(token for token in await services.access_tokens.of_user(user_id) if token.id == token_id)
        shown = shown_token(made, {})
        return created(
            f"/api/v2.0/users/current/tokens/{token_id}",
            AccessTokenCreated(id=token_id, name=new.name, secret=secret, expires_at=shown.expires_at),
        )

    @delete("/current/tokens/{token_id:str}", operation_id="deleteAccessToken", status_code=200)
    async def delete_own(self, request: APIRequest, token_id: FromPath[str]) -> Response[Any]:
        """Ends one of the caller's access tokens."""
        number = parse_id(token_id, "token_id")
        user_id = await authorise_person(request.services.access, request.caller)
        await request.services.access.authorise_token(request.caller, USER_UPDATE)
        await request.services.access_tokens.delete(user_id, number, by=request.caller.principal)
        return empty()

    @get("/{user_id:str}/tokens", operation_id="listAccessTokensOfUser")
    async def list_of_user(self, request: APIRequest, user_id: FromPath[str]) -> Response[list[AccessToken]]:
        """Somebody's access tokens, for administrators."""
        number = parse_id(user_id, "user_id")
        await request.services.access.authorise_system(request.caller, USER_READ)
        return await _listed(request, number)

    @delete("/{user_id:str}/tokens/{token_id:str}", operation_id="deleteAccessTokenOfUser", status_code=200)
    async def delete_of_user(
        self, request: APIRequest, user_id: FromPath[str], token_id: FromPath[str]
    ) -> Response[Any]:
        """Ends one of somebody's access tokens, for administrators."""
        owner, number = parse_id(user_id, "user_id"), parse_id(token_id, "token_id")
        await request.services.access.authorise_system(request.caller, USER_UPDATE)
        await request.services.access_tokens.delete(owner, number, by=request.caller.principal)
        return empty()


async def _listed(request: APIRequest, user_id: int) -> Response[list[AccessToken]]:
    tokens = await request.services.access_tokens.of_user(user_id)
    named = {number for token in tokens if token.limit is not None for number, _ in token.limit.projects}
    names = await request.services.project_queries.living_names(named)
    return answer([shown_token(token, names) for token in tokens], headers={"X-Total-Count": str(len(tokens))})


async def _limit(request: APIRequest, grants: tuple[RobotGrant, ...]) -> Grants:
    """The limit by numbers of projects, of which the caller has to see each: a limit must not tell which ones exist."""
    ids = {}
    for grant in grants:
        if grant.namespace not in {SYSTEM, ANY_PROJECT}:
            named = ProjectName.parse(grant.namespace)
            project = await request.services.access.authorise_project(request.caller, PROJECT_READ, named)
            ids[grant.namespace] = project.id
    return limit_of(grants, ids)
