# SPDX-License-Identifier: Apache-2.0
"""Every change of people, projects, members and robots leaves an event, written with it and without secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longshore.access.models import Role
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.projects.allowlists import Allowlist

if TYPE_CHECKING:
    from tests.integration.api.conftest import Account, World

_EVENTS = Statement("SELECT kind, project_id, payload FROM events WHERE id > :after ORDER BY id")
_LAST = Statement("SELECT coalesce(max(id), 0) FROM events")
_FORBIDDEN = ("Secret-1234", "Another-1234", "argon2", "@")

NO_GROUP = {"group_id": None, "group": ""}


class Log:
    """The events that were written since it was looked at last."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._after = 0

    async def new(self) -> list[tuple[str, int | None, dict[str, Any]]]:
        rows = await self._world.database.read(lambda connection: connection.all(_EVENTS, after=self._after))
        self._after = await self._world.database.read(lambda connection: connection.value(_LAST))
        for row in rows:
            assert not any(text in row[2] for text in _FORBIDDEN), row[2]
        return [(row[0], row[1], json.loads(row[2])) for row in rows]


async def test_first_start(world: World) -> None:
    """The first start tells of the administrator, the project and the membership that it makes."""
    events = await Log(world).new()
    assert [event[0] for event in events] == ["user.created", "project.created", "member.added"]
    assert {event[2]["actor"] for event in events} == {"longshore"}


async def test_events_of_people(world: World, admin: Account) -> None:
    """Making, changing and deleting a user is told with who did it and what changed; what changes nothing isn't."""
    log, client = Log(world), await world.client(admin)
    team = await world.project("team")
    await log.new()
    body = {"username": "dora", "email": "d@x.test", "realname": "Dora", "password": "Secret-1234"}
    path = (await client.post("/users", json=body)).headers["location"].removeprefix("/api/v2.0")
    number = int(path.rpartition("/")[2])
    who = {"user_id": number, "username": "dora", "actor": "admin"}
    assert await log.new() == [("user.created", None, {**who, "sysadmin": False})]
    await client.put(path, json={"email": "d@y.test", "realname": "Dora", "comment": "hi"})
    await client.put(path, json={"email": "d@y.test", "realname": "Dora", "comment": "hi"})
    await client.put(f"{path}/password", json={"new_password": "Another-1234"})
    await client.put(f"{path}/sysadmin", json={"sysadmin_flag": True})
    await client.put(f"{path}/sysadmin", json={"sysadmin_flag": True})
    assert await log.new() == [
        ("user.updated", None, {**who, "changed": ["email", "comment"], "sysadmin": False, "disabled": False}),
        ("user.updated", None, {**who, "changed": ["password"], "sysadmin": False, "disabled": False}),
        ("user.updated", None, {**who, "changed": ["sysadmin"], "sysadmin": True, "disabled": False}),
    ]
    own = {"old_password": "Another-1234", "new_password": "Secret-1234"}
    await client.put(f"{path}/password", json=own, auth=("dora", "Another-1234"))
    ((_, _, payload),) = await log.new()
    assert (payload["actor"], payload["changed"]) == ("dora", ["password"])
    await world.projects.add_member(team[0], number, Role.GUEST)
    await log.new()
    await client.delete(path)
    removed, deleted = await log.new()
    assert deleted == ("user.deleted", None, who)
    ended = {**who, **NO_GROUP, "role": "guest", "member_id": removed[2]["member_id"]}
    assert removed == ("member.removed", team[0], ended)
    assert (await client.delete(path)).status_code == 404
    assert await log.new() == []


async def test_events_of_projects_and_members(world: World, admin: Account) -> None:
    """So is what happens to a project and its members."""
    log, client = Log(world), await world.client(admin)
    dora = await world.user("dora")
    await log.new()
    await client.post("/projects", json={"project_name": "demo", "metadata": {"public": "true", "severity": "low"}})
    (project, owner) = await log.new()
    number = project[1]
    facts = {"project": "demo", "public": True, "owner_id": 1, "actor": "admin"}
    assert project == ("project.created", number, facts)
    assert (owner[0], owner[1], owner[2]["role"]) == ("member.added", number, "projectAdmin")
    assert (await client.post("/projects", json={"project_name": "demo"})).status_code == 409
    await client.put("/projects/demo", json={"metadata": {"public": "false", "auto_scan": "true"}})
    assert await log.new() == [("project.updated", number, {"changed": ["auto_scan", "public"], "actor": "admin"})]
    body = {"role_id": 2, "member_user": {"username": "dora"}}
    path = (await client.post("/projects/demo/members", json=body)).headers["location"].removeprefix("/api/v2.0")
    await client.put(path, json={"role_id": 3})
    await client.delete(path)
    await client.delete(path)
    who = {"member_id": int(path.rpartition("/")[2]), "user_id": dora.id, "username": "dora", "actor": "admin"}
    who |= NO_GROUP
    assert await log.new() == [
        ("member.added", number, {**who, "role": "developer"}),
        ("member.updated", number, {**who, "role": "guest"}),
        ("member.removed", number, {**who, "role": "guest"}),
    ]
    await client.delete("/projects/demo")
    ((kind, _, payload),) = await log.new()
    assert (kind, payload["actor"]) == ("project.deleted", "admin")


async def test_events_of_groups(world: World, admin: Account) -> None:
    """So is what happens to a group, to its memberships and to those who are in it."""
    log, client = Log(world), await world.client(admin)
    dora, (project_id, name) = await world.user("dora"), await world.project()
    await log.new()
    body = {"role_id": 3, "member_group": {"group_name": "devs", "group_type": 3}}
    path = (await client.post(f"/projects/{name}/members", json=body)).headers["location"].removeprefix("/api/v2.0")
    made, added = await log.new()
    group_id = made[2]["group_id"]
    who = {"group_id": group_id, "group": "devs", "type": "oidc", "actor": "admin"}
    assert made == ("group.created", None, who)
    member = {"member_id": int(path.rpartition("/")[2]), "user_id": None, "username": "", "role": "guest"}
    member |= {"group_id": group_id, "group": "devs", "actor": "admin"}
    assert added == ("member.added", project_id, member)
    assert await world.groups.set_groups_of(dora.id, [group_id, 4711], actor="oidc")
    assert not await world.groups.set_groups_of(dora.id, [group_id], actor="oidc")
    facts = {"changed": ["groups"], "sysadmin": False, "disabled": False, "actor": "oidc"}
    joined = {"user_id": dora.id, "username": "dora", **facts}
    assert await log.new() == [("user.updated", None, joined)]
    await client.put(f"/usergroups/{group_id}", json={"group_name": "ops"})
    await client.put(f"/usergroups/{group_id}", json={"group_name": "ops"})
    await client.delete(f"/usergroups/{group_id}")
    assert await log.new() == [
        ("group.updated", None, {**who, "group": "ops"}),
        ("member.removed", project_id, {**member, "group": "ops"}),
        ("group.deleted", None, {**who, "group": "ops"}),
    ]


async def test_event_of_allowlist(world: World, admin: Account) -> None:
    """So is a new allowlist, of a project and of the system."""
    log, client = Log(world), await world.client(admin)
    number, name = await world.project()
    await log.new()
    await client.put(f"/projects/{name}", json={"cve_allowlist": {"items": [{"cve_id": "CVE-1"}]}})
    assert await log.new() == [("project.updated", number, {"changed": ["cve_allowlist"], "actor": "admin"})]
    await world.allowlists.set_of_system(Allowlist(("CVE-1", "CVE-2"), 7), actor="admin")
    assert await log.new() == [("allowlist.updated", None, {"items": 2, "expires_at": 7, "actor": "admin"})]


async def test_events_of_robots(world: World, admin: Account) -> None:
    """So is what happens to a robot; that its secret changed is told, the secret isn't."""
    log, client = Log(world), await world.client(admin)
    number, name = await world.project()
    await log.new()
    access = [{"resource": "repository", "action": "pull"}]
    grant = {"kind": "project", "namespace": name, "access": access}
    body = {"name": "ci", "level": "project", "duration": 1, "permissions": [grant]}
    made = (await client.post("/robots", json=body)).json()
    path = f"/robots/{made['id']}"
    await client.patch(path, json={"secret": "Secret-1234"})
    shown = (await client.get(path)).json()
    await client.put(path, json=shown)
    await client.put(path, json={**shown, "duration": 2, "disable": True})
    await client.delete(path)
    who = {"robot_id": made["id"], "name": "ci", "level": "project", "actor": "admin"}
    events = await log.new()
    assert events == [
        ("robot.created", number, who),
        ("robot.updated", number, {**who, "changed": ["secret"]}),
        ("robot.updated", number, {**who, "changed": ["disabled", "duration"]}),
        ("robot.deleted", number, who),
    ]
    assert made["secret"] not in json.dumps(events)


def test_kinds_are_told() -> None:
    """The page of the events tells the payload of every kind."""
    page = (Path(__file__).parents[3] / "docs/reference/events.md").read_text(encoding="utf-8")
    payloads = page.partition("What the payloads hold")[2]
    assert [kind.value for kind in EventKind if f"`{kind.value}`" not in payloads] == []
