# SPDX-License-Identifier: Apache-2.0
"""The tag `usergroup`."""

from __future__ import annotations

from typing import Any, Final

from litestar import Controller, Response, delete, get, post, put
from litestar.params import FromPath

from longshore.access.models import GROUP_CREATE, GROUP_DELETE, GROUP_LIST, GROUP_READ, GROUP_UPDATE
from longshore.api.documents.usergroup import (
    UserGroup,
    UserGroupReq,
    UserGroupSearchItem,
    found_group,
    sent_type,
    shown_group,
)
from longshore.api.lists import answer_list
from longshore.api.request import APIRequest, parse_id
from longshore.api.serialising import answer, created, empty
from longshore.groups.models import Group, GroupType, NewGroup
from longshore.listing.models import Exact, Fuzzy
from longshore.oci.errors import BadRequest, NotFound, Unprocessable

# What a login of that kind never tells isn't shown.
_SHOWN_IN: Final = {"ldap_auth": GroupType.LDAP, "http_auth": GroupType.HTTP}
_MOST_HITS: Final = 100


class UserGroupController(Controller):
    """Groups of users."""

    path = "/api/v2.0/usergroups"

    @get(operation_id="listUserGroups")
    async def list_groups(self, request: APIRequest) -> Response[list[UserGroup]]:
        """The groups by number; where people log in by LDAP or HTTP only those of that kind."""
        page, incoming = request.page(), request.incoming
        name, dn = incoming.parameter("group_name"), incoming.parameter("ldap_group_dn")
        wanted = request.wanted().also(
            group_name=Fuzzy(name) if name else None, ldap_group_dn=Exact(dn) if dn else None
        )
        await request.services.access.authorise_system(request.caller, GROUP_LIST)
        only = _SHOWN_IN.get((await request.services.configurations.current()).auth_mode)

        async def load(offset: int, limit: int) -> tuple[list[Group], int]:
            return await request.services.group_queries.page(wanted, only=only, offset=offset, limit=limit)

        return await answer_list(request, page, load, lambda found: map(shown_group, found))

    @post(operation_id="createUserGroup")
    async def create_group(self, request: APIRequest) -> Response[Any]:
        """Makes a group."""
        document = request.document(UserGroupReq)
        await request.services.access.authorise_system(request.caller, GROUP_CREATE)
        kind = sent_type(document)
        if kind is None:
            raise BadRequest("group_type is missing: 1 for LDAP, 2 for HTTP, 3 for OIDC.")
        group = NewGroup.parse(kind, document.group_name or "", document.ldap_group_dn or "")
        group_id = await request.services.groups.create(group, actor=request.actor)
        return created(f"/api/v2.0/usergroups/{group_id}")

    @get("/search", operation_id="searchUserGroups")
    async def search_groups(self, request: APIRequest) -> Response[list[UserGroupSearchItem]]:
        """Groups by a part of their name, the shortest names first; as in Harbor always the first ones."""
        page, name = request.page(), request.incoming.parameter("groupname")
        if not name:
            raise Unprocessable("groupname in query is required")
        await request.services.access.authorise_login(request.caller)
        groups, total = await request.services.group_queries.search(name, page.size or _MOST_HITS)
        # No links: what is found comes first, whatever page is asked for.
        return answer([found_group(group) for group in groups], headers={"X-Total-Count": str(total)})

    @get("/{group_id:str}", operation_id="getUserGroup")
    async def get_group(self, request: APIRequest, group_id: FromPath[str]) -> Response[UserGroup]:
        """A group."""
        number = parse_id(group_id, "group_id")
        await request.services.access.authorise_system(request.caller, GROUP_READ)
        group = await request.services.group_queries.group(number)
        if group is None:
            raise NotFound(f"There is no group {number}.")
        return answer(shown_group(group, with_id=False))

    @put("/{group_id:str}", operation_id="updateUserGroup")
    async def update_group(self, request: APIRequest, group_id: FromPath[str]) -> Response[Any]:
        """Gives a group another name; nothing else of it can change."""
        number, document = parse_id(group_id, "group_id"), request.document(UserGroupReq)
        await request.services.access.authorise_system(request.caller, GROUP_UPDATE)
        await request.services.groups.rename(number, document.group_name or "", actor=request.actor)
        return empty()

    @delete("/{group_id:str}", operation_id="deleteUserGroup", status_code=200)
    async def delete_group(self, request: APIRequest, group_id: FromPath[str]) -> Response[Any]:
        """Deletes a group and its memberships."""
        number = parse_id(group_id, "group_id")
        await request.services.access.authorise_system(request.caller, GROUP_DELETE)
        await request.services.groups.delete(number, actor=request.actor)
        return empty()
