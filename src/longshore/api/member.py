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
from longshore.api.documents.usergroup import UserGroupReq, sent_type
from longshore.api.lists import answer_list
from longshore.api.request import APIRequest, parse_id
from longshore.api.serialising import answer, created, empty
from longshore.api.services import APIServices
from longshore.groups.models import GroupType, NewGroup
from longshore.oci.errors import BadRequest, NotFound
from longshore.projects.models import Entity, Member, Role
from longshore.projects.service import already_member


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
        """Makes a user or a group of users a member."""
        document = request.document(ProjectMember)
        access, project = request.services.access, request.project(project_name_or_id)
        facts = await access.authorise_project(request.caller, MEMBER_CREATE, project)
        whom = await find_entity(request.services, document)
        role = await _role(request.services, facts.id, whom, document.role_id)
        if isinstance(whom, Entity):
            member_id = await request.services.projects.add_member(facts.id, whom, role, actor=request.actor)
        else:
            member_id = await request.services.groups.add_to_project(facts.id, whom, role, actor=request.actor)
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


async def find_entity(services: APIServices, document: ProjectMember) -> Entity | NewGroup:
    """Who shall be a member: a user, a group, or what tells a group apart that may have to be made.

    Raises:
        BadRequest: neither a user nor a group is given, or not what it takes to find it.
        NotFound: there is no such user.
    """
    user = document.member_user or UserEntity()
    if user.user_id:
        return Entity(user.user_id)
    if user.username:
        found = await services.user_queries.user_by_name(user.username)
        if found is None:
            raise NotFound(f"The user {user.username[:255]!a} doesn't exist.")
        return Entity(found.id)
    if document.member_group is None:
        raise BadRequest("The member needs member_user with user_id or username, or member_group.")
    return await _group(services, document.member_group)


async def _group(services: APIServices, group: UserGroupReq) -> Entity | NewGroup:
    if group.id:
        return Entity(group.id, is_group=True)
    if group.ldap_group_dn:
        return NewGroup.parse(GroupType.LDAP, group.group_name or "", group.ldap_group_dn)
    if not group.group_name:
        raise BadRequest("member_group needs id, ldap_group_dn or group_name.")
    kind = sent_type(group)
    if kind is None:
        return await services.group_queries.entity_by_name(group.group_name)
    return NewGroup.parse(kind, group.group_name, "")


async def _role(services: APIServices, project_id: int, whom: Entity | NewGroup, role_id: int | None) -> Role:
    try:
        return Role.parse(role_id or 0)
    except BadRequest:
        # That somebody is a member already is told before the role is looked at.
        entity = whom if isinstance(whom, Entity) else await services.group_queries.entity(whom)
        if entity is not None and await services.project_queries.membership(project_id, entity) is not None:
            raise already_member(entity) from None
        raise
