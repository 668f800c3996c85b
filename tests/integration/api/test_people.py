# SPDX-License-Identifier: Apache-2.0
"""The tag `user`: lists, search, permissions, switches, and what people may do to accounts (wire details 28 and 29)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from longshore.access.models import Role
from longshore.access.policy import IN_PROJECTS, PUBLIC_PERMISSIONS, ROLE_PERMISSIONS
from longshore.database.statement import Statement
from tests.integration.api.conftest import PASSWORD

if TYPE_CHECKING:
    import httpx

    from tests.integration.api.conftest import Account, World


async def _names(client: httpx.AsyncClient, query: str) -> tuple[list[str], str]:
    answer = await client.get(f"/users?{query}")
    assert answer.status_code == 200, answer.text
    return [user["username"] for user in answer.json()], answer.headers["x-total-count"]


async def test_list_filters(world: World, admin: Account) -> None:
    """The list has everybody but user 1, by name; q, username and email narrow it; the total is that of what matches."""
    client = await world.client(admin)
    for name in ("Dora", "erik", "fred", "theodora"):
        await world.user(name)
    assert await _names(client, "") == (["Dora", "erik", "fred", "theodora"], "4")
    assert await _names(client, "username=DORA") == (["Dora", "theodora"], "2")
    assert await _names(client, "email=erik@") == (["erik"], "1")
    assert await _names(client, "q=username%3D~dor,email%3D~theo") == (["theodora"], "1")
    assert await _names(client, "q=username%3Derik") == (["erik"], "1")
    assert await _names(client, "q=username%3D%7Berik%20fred%7D&sort=-username") == (["fred", "erik"], "2")
    assert await _names(client, "q=username%3Dadmin") == ([], "0")
    assert await _names(client, "q=nothing%3D1&sort=-user_id&page_size=2&page=2") == (["erik", "Dora"], "4")
    await client.put("/users/4/disabled", json={"disabled": True})
    assert await _names(client, "q=disabled%3Dtrue") == (["erik"], "1")


async def test_the_total_is_maintained(world: World, admin: Account) -> None:
    """How many users there are is kept by those who add and remove some, and is what a count would find."""
    client = await world.client(admin)
    count = Statement("SELECT count(*) FROM users WHERE deleted_at IS NULL AND id <> 1")
    kept = Statement("SELECT total FROM list_totals WHERE list = 'users'")

    async def totals() -> tuple[int, int, int]:
        counted = await world.database.read(lambda connection: connection.value(count))
        stored = await world.database.read(lambda connection: connection.value(kept))
        return counted, stored or 0, int((await client.get("/users")).headers["x-total-count"])

    assert await totals() == (0, 0, 0)
    first, _ = await world.user(), await world.user()
    assert await totals() == (2, 2, 2)
    assert (await client.delete(f"/users/{first.id}")).status_code == 200
    assert (await client.delete(f"/users/{first.id}")).status_code == 404
    taken = {"username": "user2", "email": "x@x.test", "realname": "x", "password": PASSWORD}
    assert (await client.post("/users", json=taken)).status_code == 409
    assert await totals() == (1, 1, 1)


async def test_search(world: World) -> None:
    """Everybody who is logged in finds people by a part of the name: the shortest first, then by alphabet, one page of them."""
    for name in ("theodora", "dora", "doro", "Dorothea", "erik"):
        await world.user(name)
    client = await world.client(await world.user("x"))
    answer = await client.get("/users/search?username=dor&page=3&page_size=3")
    assert answer.json() == [
        {"user_id": 4, "username": "dora"},
        {"user_id": 5, "username": "doro"},
        {"user_id": 6, "username": "Dorothea"},
    ]
    assert answer.headers["x-total-count"] == "4"
    assert (await client.get("/users/search?username=admin")).json() == []
    assert (await client.get("/users/search?username=%25")).json() == []
    assert (await client.get("/users/search")).status_code == 422
    assert (await client.get("/users/search?username=a&page_size=101")).status_code == 422


async def test_current_permissions(world: World, admin: Account) -> None:
    """What somebody may do in a project, whole or relative; nothing without a scope, or where it may do nothing."""
    team = await world.team()
    guest = await world.client(team.members[Role.GUEST])
    outsider, root = await world.client(await world.user()), await world.client(admin)
    scope = f"/project/{team.id}"

    async def ask(client: httpx.AsyncClient, query: str) -> list[dict[str, str]]:
        answer = await client.get(f"/users/current/permissions?{query}")
        assert answer.status_code == 200
        shown: list[dict[str, str]] = answer.json()
        return shown

    relative = await ask(guest, f"scope={scope}&relative=true")
    assert {"resource": "repository", "action": "pull"} in relative
    assert {"resource": ".", "action": "read"} in relative
    assert len(relative) == len(ROLE_PERMISSIONS[Role.GUEST])
    whole = await ask(guest, f"scope={scope}")
    assert {"resource": f"{scope}/repository", "action": "pull"} in whole
    assert {"resource": scope, "action": "read"} in whole
    assert len(await ask(root, f"scope={scope}")) == len(IN_PROJECTS)
    assert {"resource": "user", "action": "list"} in await ask(root, "scope=/system&relative=1")
    for query in (
        "",
        "scope=",
        "scope=/project/x",
        "scope=/project/999999",
        "scope=/project/1/robot",
        f"scope={scope}",
    ):
        assert await ask(outsider, query) == []
    public, _ = await world.project(public=True)
    assert len(await ask(outsider, f"scope=/project/{public}")) == len(PUBLIC_PERMISSIONS)


@pytest.mark.parametrize(
    ("changes", "status", "word"),
    [
        ({"email": None}, 400, "email"),
        ({"realname": ""}, 400, "realname"),
        ({"realname": "a,b"}, 400, "real name"),
        ({"realname": "x" * 256}, 400, "real name"),
        ({"comment": "x" * 31}, 400, "comment"),
        ({"email": "nobody"}, 400, "email"),
        ({"username": ""}, 400, "username"),
        ({"username": "a$b"}, 400, "username"),
        ({"username": "x" * 256}, 422, "username"),
        ({"username": "dora"}, 409, "dora"),
        ({"email": "dora@test.test"}, 409, "email"),
        ({"password": "short1A"}, 400, "password"),
        ({"password": "nouppercase1"}, 400, "password"),
        ({"password": "A1" + "a" * 127}, 400, "password"),
        ({"password": None}, 400, "password"),
        ({"username": 3}, 422, "username"),
    ],
)
async def test_rules_of_new_users(
    world: World, admin: Account, changes: dict[str, Any], status: int, word: str
) -> None:
    """What breaks a rule is told with the member, and nobody is made."""
    await world.user("dora")
    client = await world.client(admin)
    before = await world.rows()
    body = {"username": "fred", "email": "f@x.test", "realname": "F", "password": PASSWORD} | changes
    answer = await client.post("/users", json=body)
    assert answer.status_code == status
    assert word in answer.json()["errors"][0]["message"]
    assert await world.rows() == before


async def test_disabled_people(world: World, admin: Account) -> None:
    """Who is disabled is shown so, can't log in, keeps memberships, and comes back with the same password."""
    team = await world.team()
    member = team.members[Role.GUEST]
    root, client = await world.client(admin), await world.client(member)
    assert (await client.get(f"/projects/{team.id}")).status_code == 200
    assert (await root.put(f"/users/{member.id}/disabled", json={"disabled": True})).status_code == 200
    assert (await root.get(f"/users/{member.id}")).json()["disabled"] is True
    assert (await client.get(f"/projects/{team.id}")).status_code == 401
    assert (await root.put(f"/users/{member.id}/disabled", json={"disabled": False})).status_code == 200
    assert "disabled" not in (await root.get(f"/users/{member.id}")).json()
    assert (await client.get(f"/projects/{team.id}")).status_code == 200
    for path, body, status in (
        ("/users/1/disabled", {"disabled": True}, 403),
        (f"/users/{member.id}/disabled", {}, 400),
        (f"/users/{member.id}/disabled", {"disabled": 1}, 422),
        ("/users/99999/disabled", {"disabled": True}, 404),
    ):
        assert (await root.put(path, json=body)).status_code == status
    other = await world.user("boss", sysadmin=True)
    boss = await world.client(other)
    assert (await boss.put(f"/users/{other.id}/disabled", json={"disabled": True})).status_code == 403


async def test_what_deleted_people_owned_says_so(world: World, admin: Account) -> None:
    """The project of a deleted owner stays and shows who it was, also when somebody else takes the name."""
    owner = await world.user("dora")
    client, root = await world.client(owner), await world.client(admin)
    assert (await client.post("/projects", json={"project_name": "mine"})).status_code == 201
    assert (await root.get("/projects/mine")).json()["owner_name"] == "dora"
    await root.delete(f"/users/{owner.id}")
    await world.user("dora")
    assert (await root.get("/projects/mine")).json()["owner_name"] == f"dora#{owner.id}"


async def test_cli_secret(world: World, admin: Account) -> None:
    """Nobody has a CLI secret in this mode; a body is needed all the same."""
    client = await world.client(admin)
    answer = await client.put("/users/1/cli_secret", json={"secret": "x"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (412, "PRECONDITION")
    assert (await client.put("/users/1/cli_secret")).status_code == 422
