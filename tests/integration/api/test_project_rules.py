# SPDX-License-Identifier: Apache-2.0
"""Who makes projects and with what limit, the numbers of projects, and that every list agrees with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from longshore.access.models import Permission, Role
from longshore.access.vocabulary import GRANTABLE_IN_SYSTEM
from longshore.database.connection import Transaction
from longshore.database.statement import Statement
from longshore.registry.invariants import INVARIANTS, violations
from longshore.robots.models import RobotGrant

if TYPE_CHECKING:
    from tests.integration.api.conftest import Account, World

_SET = Statement("INSERT INTO configuration (name, value, updated_at) VALUES (:name, :value, {now})")
_TOTALS = next(invariant for invariant in INVARIANTS if invariant.name == "totals")
READ = frozenset({Permission("project", "read")})


async def _configure(world: World, name: str, value: Any) -> None:
    async def write(transaction: Transaction) -> None:
        await transaction.execute(_SET, name=name, value=json.dumps(value))

    await world.database.write(write)
    world.configurations.forget()


async def test_only_administrators_make_projects(world: World, admin: Account) -> None:
    """With the restriction people are refused in Harbor's words; administrators and robots with the right are not."""
    await _configure(world, "project_creation_restriction", "adminonly")
    person = await world.client(await world.user())
    refused = await person.post("/projects", json={"project_name": "mine"})
    assert refused.status_code == 403
    assert refused.json()["errors"][0] == {"code": "FORBIDDEN", "message": "Only system admin can create project"}
    assert (await (await world.client(None)).post("/projects", json={"project_name": "mine"})).status_code == 401
    robot = await world.client(await world.robot(RobotGrant("/", GRANTABLE_IN_SYSTEM)))
    assert (await robot.post("/projects", json={"project_name": "robots"})).status_code == 201
    assert (await (await world.client(admin)).post("/projects", json={"project_name": "admins"})).status_code == 201


async def test_default_limit(world: World, admin: Account) -> None:
    """A project that doesn't say has the configured limit, and so has everybody's but an administrator's; 0 is none said."""
    await _configure(world, "storage_per_project", 1000)
    client, person = await world.client(admin), await world.client(await world.user())
    for caller, name, body, limit in (
        (client, "absent", {}, 1000),
        (client, "zero", {"storage_limit": 0}, 1000),
        (client, "none", {"storage_limit": -1}, -1),
        (client, "chosen", {"storage_limit": 5}, 5),
        (person, "person", {"storage_limit": 5}, 1000),
    ):
        assert (await caller.post("/projects", json={"project_name": name, **body})).status_code == 201
        assert (await client.get(f"/projects/{name}/summary")).json()["quota"]["hard"] == {"storage": limit}


async def test_robots_see_what_they_were_given(world: World) -> None:
    """A robot sees the projects that it names and the public ones; all of them with `*` or the system's project:list."""
    _, own = await world.project("own")
    await world.project("hidden")
    await world.project("open", public=True)
    for robot, names in (
        (await world.robot(RobotGrant(own, READ)), ["library", "open", "own"]),
        (await world.robot(RobotGrant("*", READ)), ["hidden", "library", "open", "own"]),
        (
            await world.robot(RobotGrant("/", frozenset({Permission("project", "list")}))),
            ["hidden", "library", "open", "own"],
        ),
    ):
        answer = await (await world.client(robot)).get("/projects")
        assert [project["name"] for project in answer.json()] == names
        assert answer.headers["x-total-count"] == str(len(names))


async def test_numbers_of_projects_stay_true(world: World, admin: Account) -> None:
    """Made, opened, closed and deleted: every reader's total is that of the list, and statistics tell the same."""
    client, nobody, dora = await world.client(admin), await world.client(None), await world.user("dora")
    person = await world.client(dora)
    for number in range(6):
        _, name = await world.project(f"p{number}", public=number % 2 == 0)
        if number in {0, 1, 3}:
            await world.projects.add_member(
                (await client.get(f"/projects/{name}")).json()["project_id"], dora.id, Role.GUEST
            )
    for path, body in (
        ("/projects/p0", {"metadata": {"public": "false"}}),
        ("/projects/p0", {"metadata": {"public": "false"}}),
        ("/projects/p5", {"metadata": {"public": "true"}}),
        ("/projects/p4", None),
    ):
        answer = await (client.delete(path) if body is None else client.put(path, json=body))
        assert answer.status_code == 200
        assert await world.database.read(lambda connection: violations(connection, _TOTALS)) == []
        for reader in (client, nobody, person):
            world.access.forget()
            for query in ("", "&public=true", "&public=false", "&name=p", "&owner=admin"):
                shown = await reader.get(f"/projects?page_size=0{query}")
                assert int(shown.headers["x-total-count"]) == len(shown.json()), query
    assert (await client.get("/projects")).headers["x-total-count"] == "6"
    assert (await client.get("/statistics")).json() == {
        "private_project_count": 3,
        "private_repo_count": 0,
        "public_project_count": 3,
        "public_repo_count": 0,
        "total_project_count": 6,
        "total_repo_count": 0,
        "total_storage_consumption": 0,
    }
    assert (await person.get("/statistics")).json() == {
        "private_project_count": 3,
        "private_repo_count": 0,
        "public_project_count": 3,
        "public_repo_count": 0,
        "total_project_count": 0,
        "total_repo_count": 0,
        "total_storage_consumption": 0,
    }


@pytest.mark.parametrize(
    "sort", ["", "name", "-name", "creation_time", "-update_time,name", "owner_id", "-public", "x"]
)
async def test_pages_of_a_member_are_the_list(world: World, sort: str) -> None:
    """The public projects and the own ones come as one list: its pages, one after the other, are all of it in order."""
    dora, erik = await world.user("dora"), await world.user("erik")
    for number in range(23):
        project_id, name = await world.project(f"p{number * 7 % 23:02}", public=number % 3 == 0)
        if number % 4 == 0:
            await world.projects.add_member(project_id, dora.id, Role.GUEST)
        elif number % 4 == 1:
            await world.projects.set_settings(project_id, {"severity": "low"})
        assert name
    await world.projects.add_member((await world.project("eriks"))[0], erik.id, Role.GUEST)
    client = await world.client(dora)
    whole = (await client.get(f"/projects?page_size=0&sort={sort}")).json()
    keys = ("name", "project_id", "creation_time", "update_time")
    for size in (1, 3, 4, 100):
        paged: list[Any] = []
        for page in range(1, 30):
            answer = await client.get(f"/projects?page_size={size}&page={page}&sort={sort}")
            assert int(answer.headers["x-total-count"]) == len(whole)
            paged += answer.json()
        assert [project["name"] for project in paged] == [project["name"] for project in whole]
    assert "eriks" not in {project["name"] for project in whole}
    key = sort.removeprefix("-").partition(",")[0]
    if key in keys:
        values = [project[key] for project in whole]
        assert values == sorted(values, reverse=sort.startswith("-"))
    if not sort:
        assert [project["name"] for project in whole] == sorted(project["name"] for project in whole)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name=LIB", ["library"]),
        ("owner=admin", ["library"]),
        ("owner=dor", []),
        ("owner=dora", ["doras", "gone"]),
        ("q=owner=~DOR", ["doras", "gone"]),
        ("q=owner={admin dora}", ["doras", "gone", "library"]),
        ("q=name={'doras' 'library'}", ["doras", "library"]),
        ("public=true", ["library"]),
        ("q=public=false", ["doras", "gone"]),
        ("q=name=~o,public=true", []),
        ("q=owner_id=1", ["library"]),
        ("q=nonsense=1", ["doras", "gone", "library"]),
        ("sort=-name", ["library", "gone", "doras"]),
        ("sort=nonsense,-project_id", ["gone", "doras", "library"]),
    ],
)
async def test_filters(world: World, admin: Account, query: str, names: list[str]) -> None:
    """Every filter and order of the list."""
    dora = await world.client(await world.user("dora"))
    for name in ("doras", "gone"):
        await dora.post("/projects", json={"project_name": name})
    answer = await (await world.client(admin)).get(f"/projects?{query}")
    assert [project["name"] for project in answer.json()] == names
    assert answer.headers["x-total-count"] == str(len(names))
