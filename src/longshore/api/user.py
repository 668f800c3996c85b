# SPDX-License-Identifier: Apache-2.0
"""The tag `user`."""

from __future__ import annotations

import re
from typing import Any, Final

from litestar import Controller, Response, delete, get, post, put
from litestar.params import FromPath

from longshore.access.models import (
    USER_DELETE,
    USER_LIST,
    USER_READ,
    USER_UPDATE,
)
from longshore.access.models import Permission as Granted
from longshore.access.policy import IN_PROJECTS, IN_SYSTEM
from longshore.api.authentication import authorise_creating_users, authorise_person, authorise_user
from longshore.api.documents.user import (
    OIDCCliSecretReq,
    PasswordReq,
    Permission,
    UserCreationReq,
    UserDisabledFlag,
    UserProfile,
    UserResp,
    UserSearchRespItem,
    UserSysAdminFlag,
    shown_permission,
    shown_user,
)
from longshore.api.lists import answer_list
from longshore.api.query import is_true
from longshore.api.request import APIRequest, parse_id
from longshore.api.serialising import answer, created, empty
from longshore.identity.models import User
from longshore.identity.queries import UserQueries
from longshore.listing.models import Fuzzy
from longshore.oci.errors import NotFound, PreconditionFailed, Unprocessable

MOST_FOUND: Final = 100
"""So many users a search without a limit tells: nobody reads more, and nobody shall copy all names this way."""

_PROJECT: Final = re.compile(r"/project/([0-9]{1,18})")


class UserController(Controller):
    """People with accounts."""

    path = "/api/v2.0/users"

    @get(operation_id="listUsers")
    async def list_users(self, request: APIRequest) -> Response[list[UserResp]]:
        """The users by name, without the first administrator."""
        page, wanted = request.page(), request.wanted()
        username, email = request.incoming.parameter("username"), request.incoming.parameter("email")
        wanted = wanted.also(username=Fuzzy(username) if username else None, email=Fuzzy(email) if email else None)
        await request.services.access.authorise_system(request.caller, USER_LIST)

        async def load(offset: int, limit: int) -> tuple[list[User], int]:
            return await request.services.user_queries.page(wanted, offset=offset, limit=limit)

        return await answer_list(request, page, load, lambda found: map(shown_user, found))

    @post(operation_id="createUser")
    async def create_user(self, request: APIRequest) -> Response[Any]:
        """Makes a user: for administrators, and for everybody in a page where people may register."""
        document = request.document(UserCreationReq)
        services = request.services
        open_to_all = (await services.configurations.current()).self_registration
        await authorise_creating_users(
            services.access, services.browsers, request.caller, request.incoming, self_registration=open_to_all
        )
        user_id = await services.users.create(document.user(), by=request.caller.principal)
        return created(f"/api/v2.0/users/{user_id}")

    @get("/current", operation_id="getCurrentUserInfo")
    async def current_user(self, request: APIRequest) -> Response[UserResp]:
        """The user who calls."""
        user_id = await authorise_person(request.services.access, request.caller)
        return answer(shown_user(await _user(request.services.user_queries, user_id)))

    @get("/current/permissions", operation_id="getCurrentUserPermissions")
    async def current_permissions(self, request: APIRequest) -> Response[list[Permission]]:
        """What the caller may do in a scope: `/project/1` or `/system`; nothing without one."""
        scope = request.incoming.parameter("scope") or ""
        relative = is_true(request.incoming.parameter("relative") or "")
        await request.services.access.authorise_login(request.caller)
        granted = await _granted(request, scope)
        return answer([shown_permission(permission, "" if relative else scope) for permission in granted])

    @get("/search", operation_id="searchUsers")
    async def search_users(self, request: APIRequest) -> Response[list[UserSearchRespItem]]:
        """Who has that in the name: for everybody who is logged in, the shortest names first."""
        page, part = request.page(), request.incoming.parameter("username")
        if part is None:
            raise Unprocessable("username in query is required")
        await request.services.access.authorise_login(request.caller)
        found, total = await request.services.user_queries.search(part, limit=page.size or MOST_FOUND)
        items = [UserSearchRespItem(user_id=number, username=name) for number, name in found]
        return answer(items, headers={"X-Total-Count": str(total)})

    @get("/{user_id:str}", operation_id="getUser")
    async def get_user(self, request: APIRequest, user_id: FromPath[str]) -> Response[UserResp]:
        """A user."""
        number = parse_id(user_id, "user_id")
        await authorise_user(request.services.access, request.caller, USER_READ, number)
        return answer(shown_user(await _user(request.services.user_queries, number)))

    @put("/{user_id:str}", operation_id="updateUserProfile")
    async def update_profile(self, request: APIRequest, user_id: FromPath[str]) -> Response[Any]:
        """Replaces email address, real name and comment."""
        number, document = parse_id(user_id, "user_id"), request.document(UserProfile)
        await authorise_user(request.services.access, request.caller, USER_UPDATE, number)
        await request.services.users.update_profile(number, document.profile(), by=request.caller.principal)
        return empty()

    @delete("/{user_id:str}", operation_id="deleteUser", status_code=200)
    async def delete_user(self, request: APIRequest, user_id: FromPath[str]) -> Response[Any]:
        """Ends an account."""
        number = parse_id(user_id, "user_id")
        await request.services.access.authorise_system(request.caller, USER_DELETE)
        await request.services.users.delete(number, by=request.caller.principal)
        return empty()

    @put("/{user_id:str}/sysadmin", operation_id="setUserSysAdmin")
    async def set_sysadmin(self, request: APIRequest, user_id: FromPath[str]) -> Response[Any]:
        """Makes a user a system administrator, or no longer; only people may."""
        number, document = parse_id(user_id, "user_id"), request.document(UserSysAdminFlag)
        principal = request.caller.principal
        await request.services.access.authorise_system(request.caller, USER_UPDATE)
        await request.services.users.set_sysadmin(number, sysadmin=bool(document.sysadmin_flag), by=principal)
        return empty()

    @put("/{user_id:str}/password", operation_id="updateUserPassword")
    async def update_password(self, request: APIRequest, user_id: FromPath[str]) -> Response[Any]:
        """Sets a password; whoever changes the own one gives the old one too."""
        number, document = parse_id(user_id, "user_id"), request.document(PasswordReq)
        users, principal = request.services.users, request.caller.principal
        own = await authorise_user(request.services.access, request.caller, USER_UPDATE, number)
        new = document.new_password or ""
        if own:
            await users.change_password(number, old=document.old_password or "", new=new, by=principal)
        else:
            await users.reset_password(number, new, by=principal)
        return empty()

    @put("/{user_id:str}/disabled", operation_id="setUserDisabled")
    async def set_disabled(self, request: APIRequest, user_id: FromPath[str]) -> Response[Any]:
        """Ours: keeps a user out, or no longer; what the user has stays."""
        number, document = parse_id(user_id, "user_id"), request.document(UserDisabledFlag)
        await request.services.access.authorise_system(request.caller, USER_UPDATE)
        await request.services.users.set_disabled(number, disabled=document.flag(), by=request.caller.principal)
        return empty()

    @put("/{user_id:str}/cli_secret", operation_id="setCliSecret")
    async def set_cli_secret(self, request: APIRequest, user_id: FromPath[str]) -> Response[Any]:
        """Nobody has such a secret who logs in with a password of this registry."""
        parse_id(user_id, "user_id")
        request.document(OIDCCliSecretReq)
        await request.services.access.authorise_login(request.caller)
        raise PreconditionFailed("The auth mode is not OIDC: there are no CLI secrets. Make an access token instead.")


async def _granted(request: APIRequest, scope: str) -> list[Granted]:
    access, principal = request.services.access, request.caller.principal
    if scope == "/system":
        return sorted(await access.permissions_in_system(principal) & IN_SYSTEM)
    named = _PROJECT.fullmatch(scope)
    project = None if named is None else await request.services.project_queries.facts_by_id(int(named[1]))
    return [] if project is None else sorted(await access.permissions(principal, project) & IN_PROJECTS)


async def _user(queries: UserQueries, user_id: int) -> User:
    user = await queries.user(user_id)
    if user is None:
        raise NotFound(f"The user {user_id} doesn't exist.")
    return user
