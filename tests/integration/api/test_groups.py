# SPDX-License-Identifier: Apache-2.0
"""Groups of users, and what they may do as members of projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from longshore.access.models import Role
from longshore.projects.models import Entity

if TYPE_CHECKING:
    from tests.integration.api.conftest import Account, World

DN = "cn=Developers,ou=groups,dc=example,dc=com"


async def _add(client: httpx.AsyncClient, project: str, role: Any, **group: Any) -> httpx.Response:
    return await client.post(f"/projects/{project}/members", json={"role_id": role, "member_group": group})


async def test_wire_of_groups(world: World, admin: Account) -> None:
    """A list shows numbers, GET of one doesn't, a search shows no DN; a DN is shown as it was given."""
    client = await world.client(admin)
    made = await client.post("/usergroups", json={"group_type": 1, "ldap_group_dn": DN, "group_name": "devs", "id": 0})
    assert (made.status_code, made.content) == (201, b"")
    path = made.headers["location"]
    number = int(path.removeprefix("/api/v2.0/usergroups/"))
    await client.post("/usergroups", json={"group_type": 3, "group_name": "ops"})
    listed = await client.get("/usergroups/")
    assert listed.headers["x-total-count"] == "2"
    assert listed.json() == [
        {"id": number, "group_name": "devs", "group_type": 1, "ldap_group_dn": DN},
        {"id": number + 1, "group_name": "ops", "group_type": 3},
    ]
    one = await client.get(f"/usergroups/{number}")
    assert one.json() == {"group_name": "devs", "group_type": 1, "ldap_group_dn": DN}
    assert (await client.get("/usergroups?group_name=DEV")).json() == listed.json()[:1]
    found = await client.get(f"/usergroups?ldap_group_dn={DN.upper()}")
    assert (found.json(), found.headers["x-total-count"]) == (listed.json()[:1], "1")
    renamed = await client.put(f"/usergroups/{number}", json={"group_name": "people", "group_type": 2})
    assert (renamed.status_code, renamed.content, "content-type" in renamed.headers) == (200, b"", False)
    assert (await client.get(f"/usergroups/{number}")).json()["group_name"] == "people"
    assert (await client.delete(f"/usergroups/{number}")).status_code == 200
    for method, body in (("GET", None), ("PUT", {"group_name": "x"}), ("DELETE", None)):
        assert (await client.request(method, f"/usergroups/{number}", json=body)).status_code == 404
    assert (await client.get("/usergroups")).headers["x-total-count"] == "1"


async def test_search_of_groups(world: World, admin: Account) -> None:
    """Anybody who is logged in finds groups: the shortest names first, then by name, the first ones whatever the page."""
    client, person = await world.client(admin), await world.client(await world.user())
    for name in ("developers", "devs", "deva", "ops"):
        await client.post("/usergroups", json={"group_type": 2, "group_name": name})
    found = await person.get("/usergroups/search?groupname=DEV&page_size=2&page=7")
    assert "link" not in found.headers
    assert [item["group_name"] for item in found.json()] == ["deva", "devs"]
    assert found.headers["x-total-count"] == "3"
    assert found.json()[0].keys() == {"id", "group_name", "group_type"}
    assert (await person.get("/usergroups/search")).status_code == 422


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"group_name": "devs"}),
        (400, {"group_name": "devs", "group_type": 4}),
        (400, {"group_name": "", "group_type": 2}),
        (400, {"group_name": "x" * 256, "group_type": 3}),
        (400, {"group_name": "devs", "group_type": 1}),
        (400, {"group_name": "devs", "group_type": 1, "ldap_group_dn": "developers"}),
        (409, {"group_name": "taken", "group_type": 3}),
        (409, {"group_type": 1, "ldap_group_dn": "CN=taken,DC=example"}),
        (422, {"group_name": 7, "group_type": 3}),
    ],
)
async def test_refused_groups(world: World, admin: Account, status: int, body: Any) -> None:
    """A group needs a type and what tells it apart, which no other group of the type has; nothing else changes."""
    client = await world.client(admin)
    await client.post("/usergroups", json={"group_type": 3, "group_name": "taken"})
    await client.post("/usergroups", json={"group_type": 1, "ldap_group_dn": "cn=Taken,dc=example"})
    before = (await client.get("/usergroups")).json()
    assert [group["group_name"] for group in before] == ["taken", "Taken"]
    answer = await client.post("/usergroups", json=body)
    assert answer.status_code == status, answer.text
    assert (await client.get("/usergroups")).json() == before


async def test_rename_to_a_taken_name(world: World, admin: Account) -> None:
    """A name that another group of the type has isn't given."""
    client = await world.client(admin)
    paths = []
    for name in ("devs", "ops"):
        made = await client.post("/usergroups", json={"group_type": 2, "group_name": name})
        paths.append(made.headers["location"].removeprefix("/api/v2.0"))
    assert (await client.put(paths[0], json={"group_name": "ops"})).status_code == 409
    assert (await client.put(paths[0], json={"group_name": " "})).status_code == 400


async def test_groups_are_members(world: World, admin: Account) -> None:
    """By number, DN or name; a group of HTTP or OIDC that isn't there is made; each is listed with its name and type."""
    client = await world.client(admin)
    _, name = await world.project("demo")
    ldap = await client.post("/usergroups", json={"group_type": 1, "ldap_group_dn": DN})
    number = int(ldap.headers["location"].rpartition("/")[2])
    added = await _add(client, name, 2, ldap_group_dn=DN.lower())
    assert added.status_code == 201
    assert added.headers["location"].startswith("/api/v2.0/projects/demo/members/")
    shown = (await client.get(added.headers["location"].removeprefix("/api/v2.0"))).json()
    assert shown == {
        "id": shown["id"],
        "project_id": shown["project_id"],
        "entity_id": number,
        "entity_name": "Developers",
        "entity_type": "g",
        "role_id": 2,
        "role_name": "developer",
    }
    assert (await _add(client, name, 3, group_name="cloud", group_type=3)).status_code == 201
    assert (await _add(client, name, 3, group_name="proxy", group_type=2)).status_code == 201
    other = (await client.post("/usergroups", json={"group_type": 2, "group_name": "zoo"})).headers["location"]
    assert (await _add(client, name, 1, id=int(other.rpartition("/")[2]))).status_code == 201
    await client.post(f"/projects/{name}/members", json={"role_id": 4, "member_user": {"username": "admin"}})
    members = await client.get(f"/projects/{name}/members")
    assert [(each["entity_name"], each["entity_type"], each["role_id"]) for each in members.json()] == [
        ("Developers", "g", 2),
        ("admin", "u", 4),
        ("cloud", "g", 3),
        ("proxy", "g", 3),
        ("zoo", "g", 1),
    ]
    named = await client.get(f"/projects/{name}/members?entityname=zoo")
    assert ([each["entity_name"] for each in named.json()], named.headers["x-total-count"]) == (["zoo"], "5")
    summary = (await client.get(f"/projects/{name}/summary")).json()
    assert {key: value for key, value in summary.items() if key.endswith("_count")} == {
        "repo_count": 0,
        "project_admin_count": 1,
        "maintainer_count": 1,
        "developer_count": 1,
        "guest_count": 2,
    }
    assert [group["group_name"] for group in (await client.get("/usergroups")).json()] == [
        "Developers",
        "cloud",
        "proxy",
        "zoo",
    ]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (409, {"role_id": 99, "member_group": {"group_name": "devs", "group_type": 3}}),
        (409, {"role_id": 3, "member_group": {"group_name": "devs"}}),
        (400, {"role_id": 99, "member_group": {"group_name": "new", "group_type": 3}}),
        (400, {"role_id": 3, "member_group": {"group_name": "nobody"}}),
        (400, {"role_id": 3, "member_group": {}}),
        (400, {"role_id": 3}),
        (400, {"role_id": 3, "member_group": {"ldap_group_dn": "nonsense"}}),
        (404, {"role_id": 3, "member_group": {"ldap_group_dn": DN}}),
        (404, {"role_id": 3, "member_group": {"id": 4711}}),
        (404, {"role_id": 3, "member_user": {"username": "nobody"}}),
        (422, {"role_id": 3, "member_group": "devs"}),
    ],
)
async def test_refused_members(world: World, admin: Account, status: int, body: Any) -> None:
    """That a group is a member already is told before the role is looked at; a refusal leaves neither member nor group."""
    client = await world.client(admin)
    _, name = await world.project()
    assert (await _add(client, name, 3, group_name="devs", group_type=3)).status_code == 201
    before = await world.rows()
    answer = await client.post(f"/projects/{name}/members", json=body)
    assert answer.status_code == status, answer.text
    assert await world.rows() == before
    assert len((await client.get("/usergroups")).json()) == 1


async def test_groups_give_their_role(world: World, admin: Account) -> None:
    """The strongest of all roles counts, a user's own and those of its groups; all of them are shown."""
    client, dora = await world.client(admin), await world.user("dora")
    project_id, name = await world.project()
    weak = await _add(client, name, 3, group_name="weak", group_type=3)
    strong = await _add(client, name, 1, group_name="strong", group_type=3)
    groups = [group["id"] for group in (await client.get("/usergroups")).json()]
    assert await world.project_queries.role(project_id, dora.id) is None
    await world.groups.set_groups_of(dora.id, groups[:1], actor="oidc")
    assert await world.project_queries.role(project_id, dora.id) is Role.GUEST
    person = await world.client(dora)
    assert (await person.get(f"/projects/{name}")).json()["current_user_role_id"] == 3
    assert (await person.delete(f"/projects/{name}")).status_code == 403
    await world.groups.set_groups_of(dora.id, groups, actor="oidc")
    await world.projects.add_member(project_id, Entity(dora.id), Role.DEVELOPER)
    world.access.forget()
    shown = (await person.get(f"/projects/{name}")).json()
    assert (shown["current_user_role_id"], shown["current_user_role_ids"]) == (1, [1, 2, 3])
    assert [project["name"] for project in (await person.get("/projects?public=false")).json()] == [name]
    assert (await person.put(f"/projects/{name}", json={"metadata": {"auto_scan": "true"}})).status_code == 200
    await client.delete(strong.headers["location"].removeprefix("/api/v2.0"))
    assert (await person.put(f"/projects/{name}", json={"metadata": {"auto_scan": "true"}})).status_code == 403
    await client.delete(f"/usergroups/{groups[0]}")
    assert (await client.get(weak.headers["location"].removeprefix("/api/v2.0"))).status_code == 404
    assert await world.project_queries.role(project_id, dora.id) is Role.DEVELOPER
    await client.delete(f"/users/{dora.id}")
    assert (await client.get(f"/projects/{name}/members")).headers["x-total-count"] == "0"


async def test_joining_a_group_ends_what_was_granted(world: World, admin: Account) -> None:
    """A user who joins or leaves a group has another access_version: tokens and sessions of before are over."""
    client, dora = await world.client(admin), await world.user("dora")
    made = await client.post("/usergroups", json={"group_type": 3, "group_name": "devs"})
    group_id = int(made.headers["location"].rpartition("/")[2])
    before = await world.user_queries.account(dora.id)
    assert await world.groups.set_groups_of(dora.id, [group_id], actor="oidc")
    after = await world.user_queries.account(dora.id)
    assert before is not None
    assert after is not None
    assert after.access_version > before.access_version
    assert not await world.groups.set_groups_of(dora.id, [group_id], actor="oidc")
    assert await world.user_queries.account(dora.id) == after
