# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from longshore.access.models import Role, Visibility
from longshore.database.statement import Statement
from longshore.listing.models import Condition, Exact, Fuzzy, Wanted
from longshore.oci.errors import BadRequest, Conflict, NotFound, PreconditionFailed
from longshore.oci.names import ProjectName
from longshore.projects.models import Project

if TYPE_CHECKING:
    from tests.integration.access.conftest import World

EVERYTHING = Visibility(everything=True)


async def _project(world: World, name: str) -> Project:
    found = await world.project_queries.project(ProjectName(name))
    assert found is not None
    return found


async def test_create(world: World) -> None:
    """The owner becomes project administrator; usage starts at nothing; a second one of the name is a conflict."""
    owner = await world.user("dora")
    project_id = await world.projects.create(
        ProjectName("team"), owner_id=owner, quota_bytes=10, settings={"public": "true", "severity": "HIGH"}
    )
    project = await _project(world, "team")
    assert (project.id, project.owner_name, project.public, project.used_bytes) == (project_id, "dora", True, 0)
    (member,), total = await world.project_queries.members(project_id)
    assert (member.name, member.role, total) == ("dora", Role.PROJECT_ADMIN, 1)
    assert await world.project_queries.settings(project_id) == {"severity": "high"}
    with pytest.raises(Conflict):
        await world.project("team")
    with pytest.raises(NotFound):
        await world.projects.create(ProjectName("ghost"), owner_id=4711)


async def test_delete(world: World) -> None:
    """A project with a repository stays; without it goes, and its name is free at once."""
    project_id = await world.project("team")
    insert = Statement(
        "INSERT INTO repositories (project_id, name, created_at, listed_at) VALUES (:id, 'app', {now}, {now})"
    )
    await world.database.write(lambda transaction: transaction.execute(insert, id=project_id))
    with pytest.raises(PreconditionFailed):
        await world.projects.delete(project_id)
    assert (await _project(world, "team")).id == project_id
    remove = Statement("UPDATE repositories SET deleted_at = {now}")
    await world.database.write(lambda transaction: transaction.execute(remove))
    await world.projects.delete(project_id)
    assert await world.project_queries.project(project_id) is None
    assert await world.project("team") > project_id
    with pytest.raises(NotFound):
        await world.projects.delete(project_id)


async def test_every_change_of_access_raises_the_version(world: World) -> None:
    """Membership, role, publicity and what manifests may lack: each raises the project's version."""
    project_id = await world.project("team")
    user = await world.user("dora")
    version = (await _project(world, "team")).access_version
    member = await world.projects.add_member(project_id, user, Role.GUEST)
    await world.projects.change_role(project_id, member, Role.DEVELOPER)
    await world.projects.set_public(project_id, public=True)
    await world.projects.set_sparse(project_id, "any")
    await world.projects.remove_member(project_id, member)
    project = await _project(world, "team")
    assert (project.access_version, project.public, project.sparse) == (version + 5, True, "any")


async def test_members(world: World) -> None:
    """Members are listed by name; adding one twice is a conflict; an unknown membership changes nothing."""
    project_id = await world.project("team")
    for name in ("erik", "dora"):
        await world.member(project_id, name, Role.GUEST)
    members, total = await world.project_queries.members(project_id)
    assert ([member.name for member in members], total) == (["dora", "erik"], 2)
    with pytest.raises(Conflict):
        await world.projects.add_member(project_id, members[0].entity, Role.GUEST)
    with pytest.raises(NotFound):
        await world.projects.add_member(project_id, 4711, Role.GUEST)
    assert not await world.projects.change_role(project_id, 4711, Role.GUEST)
    assert not await world.projects.remove_member(project_id, 4711)
    assert await world.project_queries.member(project_id, members[0].id) == members[0]
    named, total = await world.project_queries.members(project_id, name="erik")
    assert ([member.name for member in named], total) == (["erik"], 2)


async def test_pages(world: World) -> None:
    """Lists go on behind the last name, filter by part of the name, publicity and owner, and count everything shown."""
    owner = await world.user("dora")
    for name in ("a_b", "axb", "zoo"):
        await world.project(name)
    await world.projects.create(ProjectName("open"), owner_id=owner, public=True)

    async def names(
        visibility: Visibility = EVERYTHING, offset: int = 0, limit: int = 100, **conditions: Condition
    ) -> tuple[list[str], int]:
        wanted = Wanted(conditions)
        projects, total = await world.project_queries.page(visibility, wanted, offset=offset, limit=limit)
        return [project.name.value for project in projects], total

    assert await names(limit=2) == (["a_b", "axb"], 5)
    assert await names(offset=2) == (["library", "open", "zoo"], 5)
    assert await names(name=Fuzzy("a_")) == (["a_b"], 1)
    assert await names(public=Exact("true")) == (["library", "open"], 2)
    assert await names(public=Exact("false"), name=Fuzzy("x")) == (["axb"], 1)
    assert await names(owner=Exact("dora")) == (["open"], 1)
    assert await names(Visibility()) == (["library", "open"], 2)
    assert await names(Visibility(public=False)) == ([], 0)
    zoo = (await _project(world, "zoo")).id
    assert await names(Visibility(project_ids=frozenset({zoo}))) == (["library", "open", "zoo"], 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [("public", "maybe"), ("severity", "huge"), ("retention_id", "1"), ("proxy_speed_kb", "fast"), ("nonsense", "1")],
)
async def test_bad_settings(world: World, name: str, value: str) -> None:
    """Unknown settings and values that they can't have are refused, and nothing changes."""
    project_id = await world.project("team")
    with pytest.raises(BadRequest):
        await world.projects.set_settings(project_id, {"auto_scan": "T", name: value})
    assert await world.project_queries.settings(project_id) == {}
    with pytest.raises(BadRequest):
        await world.projects.set_sparse(project_id, "all")


async def test_settings(world: World) -> None:
    """Settings merge one by one; removing one that isn't there is fine; without `public` a project is private."""
    project_id = await world.project("team", public=True)
    await world.projects.set_settings(project_id, {"auto_scan": "T", "proxy_speed_kb": "-1"})
    await world.projects.set_settings(project_id, {"auto_scan": "0"})
    assert await world.project_queries.settings(project_id) == {"auto_scan": "false", "proxy_speed_kb": "-1"}
    await world.projects.unset(project_id, "auto_scan")
    await world.projects.unset(project_id, "auto_scan")
    await world.projects.unset(project_id, "public")
    assert not (await _project(world, "team")).public
    assert await world.project_queries.settings(project_id) == {"proxy_speed_kb": "-1"}
