# SPDX-License-Identifier: Apache-2.0
"""Robots on the wire: prefixes of administrators' choice, secrets with a grace period, counted lists."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from longshore.access.models import Permission
from longshore.access.vocabulary import GRANTABLE_IN_PROJECTS, GRANTABLE_IN_SYSTEM
from longshore.database.connection import Connection, Transaction
from longshore.database.statement import Statement
from longshore.robots.models import RobotGrant
from tests.integration.api.test_answers import document, nothing

if TYPE_CHECKING:
    from tests.integration.api.conftest import Account, World

PULL = frozenset({Permission("repository", "pull")})
_PREFIX = Statement(
    "INSERT INTO configuration (name, value, updated_at) VALUES ('robot_name_prefix', :value, 0)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_END_GRACE = Statement("UPDATE robots SET previous_secret_until = 1 WHERE previous_secret_until IS NOT NULL")
_TOTALS = Statement("SELECT scope_id, total FROM list_totals WHERE list = 'robots' ORDER BY scope_id")
_COUNTS = Statement("SELECT coalesce(project_id, 0), count(*) FROM robots GROUP BY project_id ORDER BY 1")


async def _set_prefix(world: World, prefix: str) -> None:
    async def write(transaction: Transaction) -> None:
        await transaction.execute(_PREFIX, value=json.dumps(prefix))

    await world.database.write(write)
    world.configurations.forget()


async def _status(world: World, name: str, secret: str) -> int:
    client = await world.client(None)
    return (await client.get("/projects", auth=(name, secret))).status_code


async def test_prefix(world: World, admin: Account) -> None:
    """Robots are shown and log in with the prefix that is set; Harbor's own stays good, others don't (1.3)."""
    client = await world.client(admin)
    _, project = await world.project()
    robot = await world.robot(RobotGrant(project, PULL), project=project)
    short = robot.name.removeprefix("robot$")
    for prefix in ("bot-", "r$", "robot"):
        await _set_prefix(world, prefix)
        shown = document(await client.get(f"/robots/{robot.id}"), "GetRobotByID")
        assert shown["name"] == f"{prefix}{short}"
        assert await _status(world, f"{prefix}{short}", robot.secret) == 200
        assert await _status(world, f"robot${short}", robot.secret) == 200
        assert await _status(world, f"{prefix}{short}", "Wrong-1234") == 401
        for name in (shown["name"], f"robot${short}"):
            nothing(await client.put(f"/robots/{robot.id}", json={**shown, "name": name}))
        assert (await client.put(f"/robots/{robot.id}", json={**shown, "name": short})).status_code == 400
        body = {"name": f"n{world.number}", "level": "system", "duration": -1, "permissions": _permissions(project)}
        made = document(await client.post("/robots", json=body), "CreateRobot")
        assert made["name"] == f"{prefix}{body['name']}"
        assert await _status(world, made["name"], made["secret"]) == 200
    assert await _status(world, f"bot-{short}", robot.secret) == 401


def _permissions(project: str) -> list[dict[str, Any]]:
    return [{"kind": "project", "namespace": project, "access": [{"resource": "repository", "action": "pull"}]}]


async def test_prefix_of_people(world: World) -> None:
    """A prefix that begins the names of people too leaves them who they are, also where a robot has the rest of the name."""
    person = await world.user("bot-maria")
    await _set_prefix(world, "bot-")
    assert await _status(world, person.name, person.secret) == 200
    _, project = await world.project()
    body = {"name": "maria", "level": "system", "duration": -1, "permissions": _permissions(project)}
    root = await world.client(await world.user("root", sysadmin=True))
    made = (await root.post("/robots", json=body)).json()
    assert made["name"] == person.name
    assert await _status(world, person.name, person.secret) == 200
    assert await _status(world, person.name, made["secret"]) == 200
    assert await _status(world, person.name, "Wrong-1234") == 401


async def test_refresh_with_a_grace_period(world: World, admin: Account) -> None:
    """Asked for, the old secret stays good beside the new one until the period ends; a further one ends the oldest (30)."""
    client = await world.client(admin)
    _, project = await world.project()
    robot = await world.robot(RobotGrant(project, PULL))
    path = f"/robots/{robot.id}"
    second = document(await client.patch(path, json={"grace_seconds": 60}), "RefreshSec")["secret"]
    assert [await _status(world, robot.name, secret) for secret in (robot.secret, second)] == [200, 200]
    given = await client.patch(path, json={"secret": "Chosen-1234", "grace_seconds": 60})
    assert given.json() == {}
    secrets = (robot.secret, second, "Chosen-1234")
    assert [await _status(world, robot.name, secret) for secret in secrets] == [401, 200, 200]
    await world.database.write(lambda transaction: transaction.execute(_END_GRACE))
    assert [await _status(world, robot.name, secret) for secret in secrets] == [401, 401, 200]
    last = (await client.patch(path, json={})).json()["secret"]
    assert [await _status(world, robot.name, secret) for secret in (*secrets, last)] == [401, 401, 401, 200]


async def test_refresh_at_once_ends_a_grace_period(world: World, admin: Account) -> None:
    """Without a period nothing but the new secret is good: that is what a leaked one needs."""
    client = await world.client(admin)
    _, project = await world.project()
    robot = await world.robot(RobotGrant(project, PULL))
    second = (await client.patch(f"/robots/{robot.id}", json={"grace_seconds": 60})).json()["secret"]
    third = (await client.patch(f"/robots/{robot.id}", json={})).json()["secret"]
    found = [await _status(world, robot.name, secret) for secret in (robot.secret, second, third)]
    assert found == [401, 401, 200]


@pytest.mark.parametrize(
    ("status", "seconds"), [(400, -1), (400, 30 * 86_400 + 1), (422, "60"), (422, 1.5), (422, 10**30)]
)
async def test_bad_grace_periods(world: World, admin: Account, status: int, seconds: Any) -> None:
    """A period that can't be is refused, and the secret stays."""
    client = await world.client(admin)
    _, project = await world.project()
    robot = await world.robot(RobotGrant(project, PULL))
    assert (await client.patch(f"/robots/{robot.id}", json={"grace_seconds": seconds})).status_code == status
    assert await _status(world, robot.name, robot.secret) == 200


async def test_creator(world: World, admin: Account) -> None:
    """Who made a robot is told by kind and number."""
    _, project = await world.project()
    permissions = _permissions(project)
    body = {"name": "first", "level": "system", "duration": -1, "permissions": permissions}
    body["permissions"] = [
        *permissions,
        {"kind": "system", "namespace": "/", "access": [{"resource": "robot", "action": "create"}]},
    ]
    root = await world.client(admin)
    first = (await root.post("/robots", json=body)).json()
    robot = await world.client(None)
    body = {"name": "second", "level": "system", "duration": -1, "permissions": permissions}
    second = (await robot.post("/robots", json=body, auth=(first["name"], first["secret"]))).json()
    creators = []
    for made in (first, second):
        shown = document(await root.get(f"/robots/{made['id']}"), "GetRobotByID")
        creators.append((shown["creator_type"], shown["creator_ref"]))
    assert creators == [("local", 1), ("robot", first["id"])]


async def test_everything_can_be_granted(world: World, admin: Account) -> None:
    """Every permission that robots can have is given and shown, also those whose feature comes later."""
    client = await world.client(admin)
    _, project = await world.project()
    permissions = [
        {
            "kind": kind,
            "namespace": namespace,
            "access": [{"resource": each.resource, "action": each.action} for each in sorted(grantable)],
        }
        for kind, namespace, grantable in (
            ("system", "/", GRANTABLE_IN_SYSTEM),
            ("project", "*", GRANTABLE_IN_PROJECTS),
            ("project", project, GRANTABLE_IN_PROJECTS),
        )
    ]
    body = {"name": "all", "level": "system", "duration": -1, "permissions": permissions}
    made = document(await client.post("/robots", json=body), "CreateRobot")
    shown = document(await client.get(f"/robots/{made['id']}"), "GetRobotByID")
    assert shown["permissions"] == permissions
    assert shown["expires_at"] == -1


async def test_totals_are_kept(world: World, admin: Account) -> None:
    """How many robots the system and each project have is kept by what makes and deletes them, and shown."""
    client = await world.client(admin)
    project_id, project = await world.project()
    made = [await world.robot(RobotGrant(project, PULL), project=project) for _ in range(3)]
    await world.robot(RobotGrant(project, PULL))
    nothing(await client.delete(f"/robots/{made[0].id}"))

    async def read(connection: Connection) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        kept, counted = await connection.all(_TOTALS), await connection.all(_COUNTS)
        return [(row[0], row[1]) for row in kept], [(row[0], row[1]) for row in counted]

    kept, counted = await world.database.read(read)
    assert kept == counted == [(0, 1), (project_id, 2)]
    answer = await client.get(f"/robots?q=Level=project,ProjectID={project_id}&page_size=1")
    assert answer.headers["x-total-count"] == "2"
    found = await client.get(f"/robots?q=Level=project,ProjectID={project_id},name={project}%252B{_short(made[1])}")
    assert [robot["id"] for robot in found.json()] == [made[1].id]


def _short(robot: Account) -> str:
    return robot.name.rpartition("+")[2]
