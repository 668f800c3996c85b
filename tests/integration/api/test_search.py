# SPDX-License-Identifier: Apache-2.0
"""Searching projects and repositories, within what the caller sees and within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from longshore.access.models import Permission, Role
from longshore.database.connection import Transaction
from longshore.database.statement import Statement
from longshore.projects.models import Visibility
from longshore.registry import ledger
from longshore.robots.models import RobotGrant
from longshore.search.queries import MOST_HITS, SearchQueries

if TYPE_CHECKING:
    from tests.integration.api.conftest import Account, World

_REPOSITORY = Statement(
    "INSERT INTO repositories (project_id, name, created_at, listed_at, pull_count, artifact_count)"
    " VALUES (:project_id, :name, {now}, {now}, 7, 3)"
)


async def repository(world: World, project_id: int, *names: str) -> None:
    async def write(transaction: Transaction) -> None:
        for name in names:
            await transaction.execute(_REPOSITORY, project_id=project_id, name=name)
        await ledger.change_repository_count(transaction, project_id, len(names))

    await world.database.write(write)


async def _found(world: World, account: Account | None, part: str) -> tuple[list[str], list[str]]:
    world.access.forget()
    answer = await (await world.client(account)).get("/search", params={"q": part})
    assert answer.status_code == 200
    found = answer.json()
    return (
        [project["name"] for project in found["project"]],
        [each["repository_name"] for each in found["repository"]],
    )


async def test_wire(world: World, admin: Account) -> None:
    """A project is shown as in a list with details, a repository by its whole name; both lists are [] when empty."""
    client = await world.client(admin)
    number, _ = await world.project("shop", public=True)
    await repository(world, number, "web/front")
    found = (await client.get("/search?q=SHOP/web")).json()
    assert found == {
        "project": [],
        "repository": [
            {
                "project_id": number,
                "project_name": "shop",
                "project_public": True,
                "repository_name": "shop/web/front",
                "pull_count": 7,
                "artifact_count": 3,
            }
        ],
    }
    (project,) = (await client.get("/search?q=hop")).json()["project"]
    assert project == (await client.get("/projects/shop")).json()
    assert (await client.get("/search?q=nowhere")).json() == {"project": [], "repository": []}
    assert (await client.get("/search")).status_code == 422


async def test_everybody_finds_what_they_see(world: World, admin: Account) -> None:
    """Public projects everybody, private ones those who belong to them, all of them administrators; deleted ones nobody."""
    dora, erik = await world.user("dora"), await world.user("erik")
    for name, public in (("x-open", True), ("x-doras", False), ("x-hidden", False)):
        number, _ = await world.project(name, public=public)
        await repository(world, number, "app", "tool")
        if name == "x-doras":
            await world.projects.add_member(number, dora.id, Role.GUEST)
    everything = ["x-doras", "x-hidden", "x-open"]
    for account, names in (
        (None, ["x-open"]),
        (erik, ["x-open"]),
        (dora, ["x-doras", "x-open"]),
        (admin, everything),
        (await world.robot(RobotGrant("x-hidden", frozenset({Permission("project", "read")}))), ["x-hidden", "x-open"]),
        (await world.robot(RobotGrant("*", frozenset({Permission("project", "read")}))), everything),
    ):
        repositories = [f"{name}/{path}" for name in names for path in ("app", "tool")]
        assert await _found(world, account, "X-") == (names, repositories)
        assert await _found(world, account, "app") == ([], [name for name in repositories if "app" in name])
        assert await _found(world, account, "") == (["library", *names] if names else ["library"], repositories)
    assert await _found(world, admin, "%") == ([], [])
    assert await _found(world, admin, "_") == ([], [])


async def test_bounds(world: World) -> None:
    """At most a hundred of each are found, the reader's own ones first; nothing new begins when the time is over."""
    own, _ = await world.project("zoo")
    await repository(world, own, "app")
    for number in range(3):
        project_id, _ = await world.project(f"p{number}", public=True)
        await repository(world, project_id, *(f"app{each}" for each in range(60)))
    search = SearchQueries(world.database)
    found = await search.repositories(Visibility(project_ids=frozenset({own})), "app")
    assert len(found) == MOST_HITS
    assert "zoo/app" in {each.name for each in found}
    assert [each.name for each in found] == sorted(each.name for each in found)
    ticks = iter(range(0, 1000, 10))
    late = SearchQueries(world.database, clock=lambda: next(ticks))
    assert [each.name for each in await late.repositories(Visibility(project_ids=frozenset({own})), "app")] == [
        "zoo/app"
    ]


@pytest.mark.parametrize("visibility", [Visibility(), Visibility(everything=True)])
async def test_many_projects_are_walked_through(world: World, visibility: Visibility, monkeypatch: Any) -> None:
    """A search goes through all projects, some at a time."""
    monkeypatch.setattr("longshore.search.queries._PROJECTS", 3)
    monkeypatch.setattr("longshore.search.queries._BATCH", 2)
    for number in range(10):
        project_id, _ = await world.project(f"p{number}", public=True)
        await repository(world, project_id, "app", "tool")
    found = await SearchQueries(world.database).repositories(visibility, "app")
    assert [each.name for each in found] == [f"p{number}/app" for number in range(10)]
