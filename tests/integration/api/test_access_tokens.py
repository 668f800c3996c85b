# SPDX-License-Identifier: Apache-2.0
"""Access tokens of people over the API: made once, limited, listed, ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from longshore.access.models import REPOSITORY_PULL, Principal, PrincipalKind, Role
from longshore.database.connection import Transaction
from longshore.database.statement import Statement
from longshore.groups.models import GroupType, NewGroup
from longshore.identity.token_secret import is_access_token
from longshore.robots.models import RobotGrant
from tests.integration.api.conftest import PASSWORD, Account

if TYPE_CHECKING:
    from tests.integration.api.conftest import World

TOKENS = "/users/current/tokens"


def _in(namespace: str, *permissions: str) -> dict[str, Any]:
    access = [dict(zip(("resource", "action"), each.split(":"), strict=True)) for each in permissions]
    return {"kind": "system" if namespace == "/" else "project", "namespace": namespace, "access": access}


async def _token(world: World, owner: Account, *permissions: dict[str, Any], name: str = "ci") -> Account:
    """The owner as seen with a new token."""
    body: dict[str, Any] = {"name": name, "duration": 30}
    if permissions:
        body["permissions"] = permissions
    answer = await (await world.client(owner)).post(TOKENS, json=body)
    assert answer.status_code == 201, answer.text
    return Account(owner.id, owner.name, answer.json()["secret"])


async def test_made_and_shown_once(world: World) -> None:
    """A token is told when it is made and never again; the list says what it may and when it was used."""
    team = await world.team()
    owner = team.members[Role.DEVELOPER]
    client = await world.client(owner)
    permissions = [_in(team.name, "repository:pull", "repository:push"), _in("*", "project:read")]
    answer = await client.post(TOKENS, json={"name": "ci", "duration": 30, "permissions": permissions})
    made = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/api/v2.0{TOKENS}/{made['id']}")
    assert set(made) == {"id", "name", "secret", "expires_at"}
    assert is_access_token(made["secret"])
    (shown,) = (await client.get(TOKENS)).json()
    assert {key: shown[key] for key in ("id", "name", "active", "expires_at", "last_used")} == {
        "id": made["id"],
        "name": "ci",
        "active": True,
        "expires_at": made["expires_at"],
        "last_used": "0001-01-01T00:00:00.000Z",
    }
    assert [(each["kind"], each["namespace"]) for each in shown["permissions"]] == [
        ("project", "*"),
        ("project", team.name),
    ]
    assert made["secret"] not in str(await world.rows())
    bearer = await world.client(Account(owner.id, owner.name, made["secret"]))
    assert (await bearer.get(f"/projects/{team.id}")).status_code == 200
    assert (await client.get(TOKENS)).json()[0]["last_used"] > "2020"


async def test_use_is_written_once_a_minute(world: World) -> None:
    """When a token was used is written by the first request of a minute, not by each."""
    owner = await world.user()
    client = await world.client(await _token(world, owner))
    await client.get("/users/current")
    used = Statement("SELECT used_at FROM access_tokens")
    first = await world.database.read(lambda connection: connection.value(used))
    await client.get("/users/current")
    assert await world.database.read(lambda connection: connection.value(used)) == first


async def test_unlimited_token_is_its_owner(world: World, admin: Account) -> None:
    """A token without permissions does what its owner may, by name or email address, but makes no other token."""
    owner = await world.user("dora")
    token = await _token(world, owner)
    for name in ("dora", "dora@test.test"):
        client = await world.client(Account(owner.id, name, token.secret))
        assert (await client.get("/users/current")).json()["username"] == "dora"
    assert (await client.post("/projects", json={"project_name": "hers"})).status_code == 201
    assert (await client.post(TOKENS, json={"name": "other", "duration": 1})).status_code == 403
    root = await world.client(await _token(world, admin))
    assert (await root.get("/users")).status_code == 200
    stranger = await world.client(Account(0, "admin", token.secret))
    assert (await stranger.get("/users/current")).status_code == 401


async def test_limited_token(world: World) -> None:
    """A limited token does what is in it and what its owner may, and nothing that is only one of both."""
    team = await world.team()
    owner, other_id, other = team.members[Role.DEVELOPER], *(await world.project())
    await world.projects.add_member(other_id, owner.id, Role.PROJECT_ADMIN)
    client = await world.client(
        await _token(world, owner, _in(team.name, "project:read", "member:list", "member:create"))
    )
    assert (await client.get(f"/projects/{team.name}")).status_code == 200
    assert (await client.get(f"/projects/{team.name}/members")).status_code == 200
    assert (await client.get(f"/projects/{team.name}/summary")).status_code == 200
    body = {"role_id": 3, "member_user": {"user_id": 1}}
    assert (await client.post(f"/projects/{team.name}/members", json=body)).status_code == 403
    assert (await client.get(f"/projects/{other}")).status_code == 403
    assert (await client.delete(f"/projects/{other}")).status_code == 403
    assert (await client.post("/projects", json={"project_name": "new"})).status_code == 403
    assert (await client.get("/users/current")).status_code == 200
    profile = {"email": "n@x.test", "realname": "N"}
    assert (await client.put(f"/users/{owner.id}", json=profile)).status_code == 403
    password = {"old_password": PASSWORD, "new_password": "Another-1234"}
    assert (await client.put(f"/users/{owner.id}/password", json=password)).status_code == 403


async def test_limited_token_of_an_administrator(world: World, admin: Account) -> None:
    """An administrator's limited token is no administrator's, wherever it isn't told so."""
    _, name = await world.project()
    _, hidden = await world.project("hidden")
    client = await world.client(
        await _token(world, admin, _in("/", "user:list"), _in(name, "project:read", "robot:create", "repository:pull"))
    )
    assert (await client.get("/users")).status_code == 200
    assert (await client.get("/users/1")).status_code == 200
    assert (await client.delete("/users/2")).status_code == 403
    assert (await client.get(f"/projects/{name}")).status_code == 200
    assert (await client.get(f"/projects/{hidden}")).status_code == 403
    assert [each["name"] for each in (await client.get("/projects?public=false")).json()] == [name]
    robot = {"name": "r", "level": "project", "duration": 1, "permissions": [_in(name, "repository:push")]}
    assert (await client.post("/robots", json=robot)).status_code == 403
    robot["permissions"] = [_in(name, "repository:pull")]
    assert (await client.post("/robots", json=robot)).status_code == 201


async def test_a_limited_token_rules_over_nobody(world: World, admin: Account) -> None:
    """It may be given to change users, but makes no administrator, and changes none; an unlimited one is its owner."""
    somebody, ruler = await world.user(), await world.user()
    whole = await world.client(await _token(world, admin, name="whole"))
    assert (await whole.put(f"/users/{ruler.id}/sysadmin", json={"sysadmin_flag": True})).status_code == 200
    limited = await world.client(await _token(world, admin, _in("/", "user:update", "user:read", "user:delete")))
    for method, path, body in (
        ("PUT", f"/users/{somebody.id}/sysadmin", {"sysadmin_flag": True}),
        ("PUT", f"/users/{ruler.id}/sysadmin", {"sysadmin_flag": False}),
        ("PUT", f"/users/{ruler.id}/password", {"new_password": "Another-1-password"}),
        ("PUT", f"/users/{ruler.id}/disabled", {"disabled": True}),
        ("DELETE", f"/users/{ruler.id}", None),
    ):
        assert (await limited.request(method, path, json=body)).status_code == 403, path
    shown = [(await whole.get(f"/users/{account.id}")).json() for account in (somebody, ruler)]
    assert [each["sysadmin_flag"] for each in shown] == [False, True]
    path = f"/users/{somebody.id}/password"
    assert (await limited.put(path, json={"new_password": "Another-1-password"})).status_code == 200


async def test_a_limited_token_gets_no_secret_of_a_stronger_robot(world: World, admin: Account) -> None:
    """It changes robots that may no more than it, so that it can't act as another one."""
    team = await world.team()
    owner = team.members[Role.PROJECT_ADMIN]
    robot = await world.robot(RobotGrant(team.name, frozenset({REPOSITORY_PULL})), project=team.name)
    weak = await world.client(await _token(world, owner, _in(team.name, "robot:update", "robot:read"), name="weak"))
    shown = (await weak.get(f"/robots/{robot.id}")).json()
    assert (await weak.patch(f"/robots/{robot.id}", json={})).status_code == 403
    assert (await weak.put(f"/robots/{robot.id}", json={**shown, "disable": True})).status_code == 403
    assert (await (await world.client(robot)).get(f"/projects/{team.name}/repositories")).status_code != 401
    strong = _in(team.name, "robot:update", "robot:read", "repository:pull")
    client = await world.client(await _token(world, owner, strong, name="strong"))
    assert (await client.patch(f"/robots/{robot.id}", json={})).status_code == 200


async def test_creating_projects_by_a_limited_token(world: World) -> None:
    """Everybody may make projects; a limited token if it says so."""
    client = await world.client(await _token(world, await world.user(), _in("/", "project:create")))
    assert (await client.post("/projects", json={"project_name": "new"})).status_code == 201


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"name": "", "duration": 1}, 400, "name"),
        ({"name": "x" * 256, "duration": 1}, 400, "name"),
        ({"name": " x", "duration": 1}, 400, "name"),
        ({"name": "x"}, 400, "duration"),
        ({"name": "x", "duration": 0}, 400, "duration"),
        ({"name": "x", "duration": -2}, 400, "duration"),
        ({"name": "x", "duration": 100_001}, 400, "duration"),
        ({"name": "x", "duration": "1"}, 422, "duration"),
        ({"name": "x", "duration": 1, "permissions": []}, 400, "permissions"),
        ({"name": "x", "duration": 1, "permissions": [_in("*", "repository:fly")]}, 400, "repository:fly"),
        ({"name": "x", "duration": 1, "permissions": [_in("/", "repository:pull")]}, 400, "repository:pull"),
        ({"name": "x", "duration": 1, "permissions": [_in("*", "tag:list"), _in("*", "tag:create")]}, 400, "namespace"),
        ({"name": "x", "duration": 1, "permissions": [_in("hidden", "tag:list")]}, 403, "hidden"),
        ({"name": "x", "duration": 1, "permissions": [_in("nowhere", "tag:list")]}, 403, "nowhere"),
        ({"name": "ci", "duration": 1}, 409, "ci"),
        (None, 422, "body"),
    ],
)
async def test_bad_tokens(world: World, body: Any, status: int, word: str) -> None:
    """What can't be a token is refused with the reason, and none is made."""
    await world.project("hidden")
    owner = await world.user()
    await _token(world, owner)
    client = await world.client(owner)
    before = await world.rows()
    answer = await client.post(TOKENS, json=body) if body is not None else await client.post(TOKENS)
    assert answer.status_code == status
    assert word in answer.json()["errors"][0]["message"]
    assert await world.rows() == before


async def test_ended_by_owner_and_administrator(world: World, admin: Account) -> None:
    """The owner and administrators list and end tokens; nobody else does, and nobody ends one by a wrong path."""
    owner, other = await world.user(), await world.user()
    first, second = await _token(world, owner, name="a"), await _token(world, owner, name="b")
    root, mine, others = await world.client(admin), await world.client(owner), await world.client(other)
    ids = [token["id"] for token in (await root.get(f"/users/{owner.id}/tokens")).json()]
    assert len(ids) == 2
    assert (await others.get(f"/users/{owner.id}/tokens")).status_code == 403
    assert (await others.delete(f"{TOKENS}/{ids[0]}")).status_code == 404
    assert (await root.delete(f"/users/{other.id}/tokens/{ids[0]}")).status_code == 404
    assert (await (await world.client(first)).get("/users/current")).status_code == 200
    assert (await mine.delete(f"{TOKENS}/{ids[0]}")).status_code == 200
    assert (await root.delete(f"/users/{owner.id}/tokens/{ids[1]}")).status_code == 200
    for token in (first, second):
        assert (await (await world.client(token)).get("/users/current")).status_code == 401
    assert (await mine.get(TOKENS)).json() == []


@pytest.mark.parametrize("change", ["password", "disabled", "deleted", "demoted"])
async def test_what_ends_tokens(world: World, admin: Account, change: str) -> None:
    """What ends logins ends access tokens: they are shown as over, and their name is free."""
    owner = await world.user("dora", sysadmin=change == "demoted")
    root, token = await world.client(admin), await world.client(await _token(world, owner))
    assert (await token.get("/users/current")).status_code == 200
    path = f"/users/{owner.id}"
    if change == "password":
        await root.put(f"{path}/password", json={"new_password": "Another-1234"})
    elif change == "disabled":
        await root.put(f"{path}/disabled", json={"disabled": True})
    elif change == "demoted":
        await root.put(f"{path}/sysadmin", json={"sysadmin_flag": False})
    else:
        await root.delete(path)
    assert (await token.get("/users/current")).status_code == 401
    shown = (await root.get(f"{path}/tokens")).json()
    assert [each["active"] for each in shown] == ([] if change == "deleted" else [False])
    if change == "disabled":
        await root.put(f"{path}/disabled", json={"disabled": False})
        assert (await token.get("/users/current")).status_code == 401
        await _token(world, owner)


async def test_expired_token(world: World) -> None:
    """A token that is over opens nothing, and its name is free."""
    owner = await world.user()
    token = await world.client(await _token(world, owner))
    assert (await token.get("/users/current")).status_code == 200
    await world.database.write(lambda t: t.execute(Statement("UPDATE access_tokens SET expires_at = {now} - 1")))
    assert (await token.get("/users/current")).status_code == 401
    await _token(world, owner)


async def test_no_session_by_token(world: World) -> None:
    """A token begins no session, which would open more than it does; and looks like no password."""
    owner = await world.user("dora")
    token = await _token(world, owner)
    client = await world.client(None)
    url = "http://registry.test/c/login"
    form = {"principal": "dora", "password": token.secret}
    refused = await client.post(url, data=form)
    header = {"x-harbor-csrf-token": refused.headers["x-harbor-csrf-token"]}
    assert (await client.post(url, data=form, headers=header)).status_code == 401


async def test_there_are_a_hundred_at_most(world: World) -> None:
    """Nobody fills the database with tokens."""
    owner = await world.user()
    await _token(world, owner)
    fill = Statement(
        "INSERT INTO access_tokens (user_id, name, secret_hash, access_version, created_at)"
        " VALUES (:user_id, :name, :name, 1, 0)"
    )

    async def write(transaction: Transaction) -> None:
        for number in range(99):
            await transaction.execute(fill, user_id=owner.id, name=f"t{number}")

    await world.database.write(write)
    answer = await (await world.client(owner)).post(TOKENS, json={"name": "more", "duration": 1})
    assert (answer.status_code, "100" in answer.json()["errors"][0]["message"]) == (400, True)


async def test_a_group_change_ends_logins(world: World) -> None:
    """Whoever joins or leaves a group logs in anew: the access token and the session of before are over."""
    owner = await world.user("dora")
    token = await world.client(await _token(world, owner))
    principal = Principal(PrincipalKind.USER, owner.id, "dora", sysadmin=False, access_version=1)
    session = await world.sessions.begin(principal, "10.0.0.1")
    assert (await token.get("/users/current")).status_code == 200
    assert await world.sessions.find(session) == principal
    group_id = await world.groups.create(NewGroup(GroupType.OIDC, "developers"), actor="admin")
    assert await world.groups.set_groups_of(owner.id, [group_id], actor="oidc")
    world.access.forget()
    assert (await token.get("/users/current")).status_code == 401
    assert await world.sessions.find(session) is None
