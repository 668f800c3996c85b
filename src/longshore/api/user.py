# SPDX-License-Identifier: Apache-2.0
"""The tag `user`."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, delete, get, post, put
from litestar.params import FromPath

from longshore.access.models import (
    USER_CREATE,
    USER_DELETE,
    USER_LIST,
    USER_READ,
    USER_UPDATE,
)
from longshore.api.authentication import authorise_person, authorise_user
from longshore.api.documents.user import (
    PasswordReq,
    UserCreationReq,
    UserProfile,
    UserResp,
    UserSysAdminFlag,
    shown_user,
)
from longshore.api.lists import answer_list
from longshore.api.request import APIRequest, parse_id
from longshore.api.serialising import answer, created, empty
from longshore.identity.models import User
from longshore.identity.queries import UserQueries
from longshore.listing.models import Fuzzy
from longshore.oci.errors import NotFound


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
        """Makes a user."""
        document = request.document(UserCreationReq)
        await request.services.access.authorise_system(request.caller, USER_CREATE)
        user_id = await request.services.users.create(document.user(), by=request.caller.principal)
        return created(f"/api/v2.0/users/{user_id}")

    @get("/current", operation_id="getCurrentUserInfo")
    async def current_user(self, request: APIRequest) -> Response[UserResp]:
        """The user who calls."""
        user_id = await authorise_person(request.services.access, request.caller)
        return answer(shown_user(await _user(request.services.user_queries, user_id)))

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


async def _user(queries: UserQueries, user_id: int) -> User:
    user = await queries.user(user_id)
    if user is None:
        raise NotFound(f"The user {user_id} doesn't exist.")
    return user
