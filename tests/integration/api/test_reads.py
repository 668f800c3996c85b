# SPDX-License-Identifier: Apache-2.0
"""What answers cost the database: as many statements for a long page as for a short one, and for a far one as for the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from longshore.access.models import Permission, Role
from longshore.labels.models import LabelFacts
from longshore.robots.models import RobotGrant

if TYPE_CHECKING:
    from tests.builders import World as Registry
    from tests.integration.api.conftest import Account, World

PULL = frozenset({Permission("repository", "pull")})


async def _cost(world: World, account: Account | None, path: str, count: int) -> list[str]:
    """The statements of an answer with so many items, behind a first one that remembers who asks."""
    client = await world.client(account)
    await client.get(path)
    world.database.statements.clear()
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()) == count
    return [statement.text for statement in world.database.statements]


@pytest.mark.parametrize("detail", ["true", "false"])
async def test_a_page_of_projects_costs_the_same_whatever_its_length(world: World, admin: Account, detail: str) -> None:
    """Fifty projects cost as many reads as five, on the first page and on the last, for everybody."""
    somebody = await world.user()
    for number in range(60):
        project_id, _ = await world.project(public=number % 2 == 0)
        await world.projects.set_settings(project_id, {"severity": "high", "auto_scan": "true"})
        await world.projects.add_member(project_id, somebody.id, Role.GUEST)
    everywhere = await world.robot(RobotGrant("*", PULL))
    for account in (admin, somebody, everywhere):
        path = f"/projects?with_detail={detail}"
        five = await _cost(world, account, f"{path}&page_size=5", 5)
        assert await _cost(world, account, f"{path}&page_size=50", 50) == five
        assert len(await _cost(world, account, f"{path}&page_size=5&page=12", 5)) == len(five)
        assert await _cost(world, account, f"{path}&page_size=0", 61) == five
        # Two lists are merged for whoever belongs to private projects.
        assert len(five) <= (9 if account is somebody else 6)


async def test_other_lists_cost_the_same_whatever_their_length(world: World, admin: Account) -> None:
    """So do users, members and robots."""
    project_id, name = await world.project()
    for _ in range(30):
        user = await world.user()
        await world.projects.add_member(project_id, user.id, Role.GUEST)
        await world.robot(RobotGrant(name, PULL), project=name)
        await world.robot(RobotGrant("*", PULL), RobotGrant(name, PULL))
    for path in (
        "/users?",
        f"/projects/{name}/members?",
        f"/robots?q=Level=project,ProjectID={project_id}&",
        "/robots?",
    ):
        three = await _cost(world, admin, f"{path}page_size=3", 3)
        assert await _cost(world, admin, f"{path}page_size=30", 30) == three
        assert len(await _cost(world, admin, f"{path}page_size=3&page=10", 3)) == len(three)


async def test_members_are_counted_in_one_read(world: World, admin: Account) -> None:
    """The numbers of a project cost the same with thirty members as with none."""
    client = await world.client(admin)
    project_id, name = await world.project()
    await client.get(f"/projects/{name}/summary")
    world.database.statements.clear()
    await client.get(f"/projects/{name}/summary")
    none = list(world.database.statements)
    for number in range(30):
        await world.projects.add_member(project_id, (await world.user()).id, Role.GUEST if number else Role.MAINTAINER)
    world.database.statements.clear()
    summary = (await client.get(f"/projects/{name}/summary")).json()
    assert (summary["guest_count"], summary["maintainer_count"]) == (29, 1)
    assert world.database.statements == none


async def test_artifacts_cost_the_same_whatever_their_length(world: World, registry: Registry, admin: Account) -> None:
    """With all that may be asked for along with them: one statement for each kind of thing, never one for each row."""
    project, name = await world.project()
    label = await world.labels.create(project, LabelFacts(name="good"))
    for number in range(20):
        child = await registry.image(project, registry.layer())
        index = await registry.index(project, child, tags=[f"a{number}", f"b{number}"])
        await registry.image(project, registry.layer(), subject=index)
        await registry.image(project, registry.layer(), path=f"other{number}")
    await registry.sql(f"INSERT INTO artifact_labels SELECT manifest_id, {label}, 0 FROM artifacts")
    switches = "&".join(
        f"{switch}=true"
        for switch in ("with_label", "with_accessory", "with_inherited_accessory", "with_immutable_status")
    )
    digest = str(index)
    for path, most in (
        (f"/projects/{name}/repositories/app/artifacts?q=base=*&{switches}", 11),
        (f"/projects/{name}/repositories/app/artifacts?with_label=true", 8),
        (f"/projects/{name}/artifacts?q=base=*&{switches}", 11),
        (f"/projects/{name}/repositories?", 3),
        ("/repositories?", 3),
    ):
        two = await _cost(world, admin, f"{path}&page_size=2", 2)
        assert await _cost(world, admin, f"{path}&page_size=20", 20) == two
        assert len(await _cost(world, admin, f"{path}&page_size=2&page=10", 2)) == len(two)
        assert len(two) <= most, two
    below = f"/projects/{name}/repositories/app/artifacts/{digest}"
    for path in (f"{below}/tags?", f"{below}/accessories?"):
        assert len(await _cost(world, admin, path, 2 if "tags" in path else 1)) <= 6


@pytest.mark.parametrize("path", ["/projects", "/users", "/robots", "/projects/library/members"])
async def test_a_page_beyond_all_numbers(world: World, admin: Account, path: str) -> None:
    """A page that no database could count to is empty like any behind the end."""
    answer = await (await world.client(admin)).get(f"{path}?page=999999999999999999&page_size=100")
    assert (answer.status_code, answer.json()) == (200, [])
    assert "link" not in answer.headers
