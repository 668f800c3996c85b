# SPDX-License-Identifier: Apache-2.0
"""The tag `member`."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, delete, get, post, put
from litestar.params import FromPath

from longshore.access.models import MEMBER_CREATE, MEMBER_DELETE, MEMBER_LIST, MEMBER_READ, MEMBER_UPDATE
from longshore.api.documents.member import (
    ProjectMember,
    ProjectMemberEntity,
    RoleRequest,
    UserEntity,
    shown_member,
)
from longshore.api.lists import answer_list
from longshore.api.request import APIRequest, parse_id
from longshore.api.serialising import answer, created, empty
from longshore.api.services import APIServices
from longshore.oci.errors import BadRequest, Conflict, NotFound
from longshore.projects.models import Member, Role


class MemberController(Controller):
    """Members of projects."""

    path = "/api/v2.0/projects/{project_name_or_id:str}/members"

    @get(operation_id="listProjectMembers")
    async def list_members(
        self, request: APIRequest, project_name_or_id: FromPath[str]
    ) -> Response[list[ProjectMemberEntity]]:
        """The members by name; `entityname` selects one by its exact name."""
        page, name = request.page(), request.incoming.parameter("entityname") or ""
        access, project = request.services.access, request.project(project_name_or_id)
        facts = await access.authorise_project(request.caller, MEMBER_LIST, project)

        async def load(offset: int, limit: int) -> tuple[list[Member], int]:
            return await request.services.project_queries.members(facts.id, name=name, offset=offset, limit=limit)

        return await answer_list(request, page, load, lambda found: map(shown_member, found))

    @post(operation_id="createProjectMember")
    async def create_member(self, request: APIRequest, project_name_or_id: FromPath[str]) -> Response[Any]:
        """Makes a user a member."""
        document = request.document(ProjectMember)
        access, project = request.services.access, request.project(project_name_or_id)
        facts = await access.authorise_project(request.caller, MEMBER_CREATE, project)
        user_id = await _user_id(request.services, document)
        role = await _role(request.services, facts.id, user_id, document.role_id)
        member_id = await request.services.projects.add_member(facts.id, user_id, role, actor=request.actor)
        return created(f"/api/v2.0/projects/{project_name_or_id}/members/{member_id}")

    @get("/{mid:str}", operation_id="getProjectMember")
    async def get_member(
        self, request: APIRequest, project_name_or_id: FromPath[str], mid: FromPath[str]
    ) -> Response[ProjectMemberEntity]:
        """A member."""
        member_id = parse_id(mid, "mid")
        access, project = request.services.access, request.project(project_name_or_id)
        facts = await access.authorise_project(request.caller, MEMBER_READ, project)
        member = await request.services.project_queries.member(facts.id, member_id)
        if member is None:
            raise NotFound(f"The member {member_id} of {facts.name} doesn't exist.")
        return answer(shown_member(member))

    @put("/{mid:str}", operation_id="updateProjectMember")
    async def update_member(
        self, request: APIRequest, project_name_or_id: FromPath[str], mid: FromPath[str]
    ) -> Response[Any]:
        """Gives a member another role; as in Harbor that of a member who isn't there may be changed too."""
        member_id, document = parse_id(mid, "mid"), request.document(RoleRequest)
        access, project = request.services.access, request.project(project_name_or_id)
        facts = await access.authorise_project(request.caller, MEMBER_UPDATE, project)
        role = Role.parse(document.role_id or 0)
        await request.services.projects.change_role(facts.id, member_id, role, actor=request.actor)
        return empty()

    @delete("/{mid:str}", operation_id="deleteProjectMember", status_code=200)
    async def delete_member(
        self, request: APIRequest, project_name_or_id: FromPath[str], mid: FromPath[str]
    ) -> Response[Any]:
        """Ends a membership, also one that isn't there."""
        member_id = parse_id(mid, "mid")
        access, project = request.services.access, request.project(project_name_or_id)
        facts = await access.authorise_project(request.caller, MEMBER_DELETE, project)
        await request.services.projects.remove_member(facts.id, member_id, actor=request.actor)
        return empty()


async def _user_id(services: APIServices, document: ProjectMember) -> int:
    user = document.member_user or UserEntity()
    if user.user_id:
        return user.user_id
    if not user.username:
        if document.member_group is not None:
            raise BadRequest("member_group: groups of users aren't part of this release. Add the users themselves.")
        raise BadRequest("The member needs member_user with user_id or username.")
    found = await services.user_queries.user_by_name(user.username)
    if found is None:
        raise NotFound(f"The user {user.username[:255]!a} doesn't exist.")
    return found.id


async def _role(services: APIServices, project_id: int, user_id: int, role_id: int | None) -> Role:
    try:
        return Role.parse(role_id or 0)
    except BadRequest:
        # That somebody is a member already is told before the role is looked at.
        if await services.project_queries.role(project_id, user_id) is not None:
            raise Conflict("The user is a member of this project already. Change the role instead.") from None
        raise
