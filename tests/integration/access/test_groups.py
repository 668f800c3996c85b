# SPDX-License-Identifier: Apache-2.0
"""What somebody may do by groups: tokens open it, and end with it within seconds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from longshore.access.models import REPOSITORY_PULL, REPOSITORY_PUSH, Caller, Role
from longshore.groups.models import GroupType, NewGroup
from longshore.groups.service import GroupService
from longshore.oci.errors import NotFound, Unauthorized
from longshore.oci.names import RepositoryName

if TYPE_CHECKING:
    from tests.integration.access.conftest import World

HERE = "10.0.0.1"
APP = RepositoryName.parse("team/app")


async def _token(world: World) -> Caller:
    scope = "repository:team/app:pull,push"
    body = f"grant_type=password&username=dora&password=Secret-1234&scope={scope}".encode()
    answer = await world.endpoint.post(body, "application/x-www-form-urlencoded", HERE)
    return world.tokens.verify(answer.token, HERE)


@pytest.mark.parametrize("what", ["leaves the group", "the group loses its role", "the group is deleted"])
async def test_a_token_ends_with_the_group_behind_it(world: World, what: str) -> None:
    """Who may push by a group gets a token for it, which pushes no longer within two seconds of the change."""
    groups = GroupService(world.database)
    project, dora = await world.project("team"), await world.user("dora")
    group = NewGroup(GroupType.OIDC, "developers")
    member = await groups.add_to_project(project, group, Role.DEVELOPER, actor="admin")
    group_id = (await world.project_queries.member(project, member)).entity.id  # type: ignore[union-attr]  # it was just made
    await groups.set_groups_of(dora, [group_id], actor="oidc")
    token = await _token(world)
    await world.access.authorise(token, REPOSITORY_PUSH, APP)
    if what == "leaves the group":
        await groups.set_groups_of(dora, [], actor="oidc")
    elif what == "the group is deleted":
        await groups.delete(group_id, actor="admin")
    else:
        await world.projects.remove_member(project, member)
    world.wait(2.1)
    for permission in (REPOSITORY_PUSH, REPOSITORY_PULL):
        with pytest.raises(Unauthorized):
            await world.access.authorise(token, permission, APP)


async def test_a_group_of_many_projects_is_one_look_up(world: World) -> None:
    """All projects that somebody sees by groups and alone are known in one read."""
    groups = GroupService(world.database)
    dora = await world.user("dora")
    group = NewGroup(GroupType.HTTP, "developers")
    seen = set()
    for number in range(5):
        project = await world.project(f"p{number}")
        await groups.add_to_project(project, group, Role.GUEST, actor="admin")
        seen.add(project)
    own = await world.project("own")
    await world.projects.add_member(own, dora, Role.MAINTAINER)
    (entity,) = {member.entity for (member,) in [(await world.project_queries.members(p))[0] for p in seen]}
    await groups.set_groups_of(dora, [entity.id], actor="proxy")
    before = world.database.reads
    assert await world.project_queries.projects_of_member(dora) == {*seen, own}
    assert world.database.reads == before + 1
    assert await world.project_queries.roles_of(dora, [own, *seen]) == {
        own: (Role.MAINTAINER,),
        **dict.fromkeys(seen, (Role.GUEST,)),
    }


async def test_two_logins_at_once_tell_the_same(world: World) -> None:
    """What both tell is taken over once, and the version rises once: neither ends what the other has begun."""
    groups, dora = GroupService(world.database), await world.user("dora")
    ids = [await groups.create(NewGroup(GroupType.OIDC, name), actor="admin") for name in ("a", "b", "c")]
    before = await world.user_queries.account(dora)
    news = await asyncio.gather(*(groups.set_groups_of(dora, ids, actor="oidc") for _ in range(8)))
    after = await world.user_queries.account(dora)
    assert sorted(news) == [False] * 7 + [True]
    assert before is not None
    assert after is not None
    assert after.access_version == before.access_version + 1
    with pytest.raises(NotFound):
        await groups.set_groups_of(4711, ids, actor="oidc")
