# SPDX-License-Identifier: Apache-2.0
"""What clients hold on to on the wire: documents, headers, empty bodies, paths, pages."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from longshore.access.models import Permission
from longshore.edge.asgi import Message, Receive, Scope, Send
from longshore.robots.models import RobotGrant
from longshore.storage.port import OpenedStore
from tests.builders import World as Builder

if TYPE_CHECKING:
    from tests.integration.api.conftest import Account, World

CONTRACT: dict[str, Any] = json.loads((Path(__file__).parents[2] / "unit/api/contract.json").read_text())
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def conforms(value: Any, kind: Any) -> None:
    """Fails unless the value is what the contract says: of that type, with members of its definition only."""
    if isinstance(kind, list):
        assert isinstance(value, list)
        for each in value:
            conforms(each, kind[0])
    elif kind in CONTRACT["definitions"]:
        members = CONTRACT["definitions"][kind]
        assert isinstance(value, dict)
        for name, member in value.items():
            if not members and isinstance(member, int):
                continue  # A map of numbers (ResourceList).
            facts = members[name]
            if not (member is None and isinstance(facts["type"], list)):
                conforms(member, facts["type"])
    else:
        expected = {"string": str, "date-time": str, "integer": int, "boolean": bool, "object": dict}[kind]
        assert type(value) is expected
        assert kind != "date-time" or TIME.fullmatch(str(value))


def document(answer: httpx.Response, operation: str) -> Any:
    """The document of an answer, which has the shape and the type that the contract gives the operation."""
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    value = answer.json()
    conforms(value, CONTRACT["operations"][operation][str(answer.status_code)])
    return value


def nothing(answer: httpx.Response, status: int = 200) -> httpx.Response:
    """An answer that has nothing to tell: no body and no type."""
    assert (answer.status_code, answer.content) == (status, b"")
    assert "content-type" not in answer.headers
    assert answer.headers["content-length"] == "0"
    return answer


async def test_project_from_its_making_to_its_end(world: World, admin: Account) -> None:
    """A project is made, shown, listed, changed, counted and deleted as the contract has it."""
    client = await world.client(admin)
    body = {
        "project_name": "demo",
        "metadata": {"public": "true", "severity": "High", "proxy_speed_kb": "-1", "unknown": "x"},
        "storage_limit": 5_000_000_000,
        "creation_time": "0001-01-01T00:00:00.000Z",
    }
    made = nothing(await client.post("/projects", json=body), 201)
    location = made.headers["location"]
    assert re.fullmatch(r"/api/v2\.0/projects/\d+", location)
    number = int(location.rpartition("/")[2])
    shown = document(await client.get("/projects/demo"), "getProject")
    assert shown == {
        "project_id": number,
        "owner_id": 1,
        "name": "demo",
        "creation_time": shown["creation_time"],
        "update_time": shown["update_time"],
        "owner_name": "admin",
        "current_user_role_id": 1,
        "current_user_role_ids": [1],
        "repo_count": 0,
        "metadata": {"public": "true", "severity": "high"},
        "cve_allowlist": {
            "project_id": number,
            "items": [],
            "creation_time": "0001-01-01T00:00:00.000Z",
            "update_time": "0001-01-01T00:00:00.000Z",
        },
    }
    assert document(await client.get(f"/projects/{number}"), "getProject") == shown
    listed = document(await client.get("/projects"), "listProjects")
    assert [project["name"] for project in listed] == ["demo", "library"]
    assert listed[0] == shown
    brief = document(await client.get("/projects?with_detail=false"), "listProjects")[0]
    assert brief.keys() == shown.keys() - {"metadata", "owner_name", "cve_allowlist"}
    nothing(await client.put("/projects/demo", json={"metadata": {"auto_scan": "true", "public": "false"}}))
    changed = document(await client.get("/projects/demo"), "getProject")
    assert changed["metadata"] == {"public": "false", "severity": "high", "auto_scan": "true"}
    assert document(await client.get("/projects/demo/summary"), "getProjectSummary") == {
        "repo_count": 0,
        "project_admin_count": 1,
        "quota": {"hard": {"storage": 5_000_000_000}, "used": {"storage": 0}},
    }
    assert document(await client.get("/projects/demo/_deletable"), "getProjectDeletable") == {"deletable": True}
    nothing(await client.head("/projects?project_name=demo"))
    nothing(await client.delete("/projects/demo"))
    nothing(await client.head("/projects?project_name=demo"), 404)
    assert (await client.get("/projects/demo")).status_code == 404
    nothing(await client.post("/projects", json={"project_name": "demo"}), 201)


async def test_project_with_a_repository(world: World, admin: Account, store: OpenedStore) -> None:
    """A project with a repository can't be deleted, says so beforehand, and counts what it holds."""
    client = await world.client(admin)
    number, name = await world.project()
    builder = Builder(world.database, store)
    layer = builder.layer(1_000)
    await builder.image(number, layer, path="app", tags=["latest"])
    assert document(await client.get(f"/projects/{name}"), "getProject")["repo_count"] == 1
    summary = document(await client.get(f"/projects/{name}/summary"), "getProjectSummary")
    assert summary["repo_count"] == 1
    assert summary["quota"]["used"]["storage"] > 1_000
    told = document(await client.get(f"/projects/{name}/_deletable"), "getProjectDeletable")
    assert told == {"message": "the project contains repositories, can not be deleted"}
    refused = await client.delete(f"/projects/{name}")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (412, "PRECONDITION")
    assert (await client.get(f"/projects/{name}")).status_code == 200


async def test_project_by_name_or_number(world: World, admin: Account) -> None:
    """A number in a path is a number unless a header says that it is a name; Location names the project on demand."""
    client = await world.client(admin)
    made = await client.post("/projects", json={"project_name": "1"}, headers={"X-Resource-Name-In-Location": "TRUE"})
    assert made.headers["location"] == "/api/v2.0/projects/1"
    assert (await client.get("/projects/1")).json()["name"] == "library"
    assert (await client.get("/projects/1", headers={"X-Is-Resource-Name": "yes"})).json()["name"] == "1"
    assert (await client.get("/projects/library", headers={"X-Is-Resource-Name": "no"})).json()["name"] == "library"


async def test_public_of_a_new_project(world: World, admin: Account) -> None:
    """`public` at the top counts only where the metadata doesn't have it."""
    client = await world.client(admin)
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "false"),
        ({"public": True}, "true"),
        ({"public": True, "metadata": {"public": "false"}}, "false"),
        ({"public": False, "metadata": {"public": "true"}}, "true"),
    ]
    for number, (body, expected) in enumerate(cases):
        nothing(await client.post("/projects", json={"project_name": f"p{number}", **body}), 201)
        assert (await client.get(f"/projects/p{number}")).json()["metadata"]["public"] == expected


async def test_quota_is_the_administrators_choice(world: World) -> None:
    """A limit that somebody else sends with a new project isn't looked at."""
    client = await world.client(await world.user())
    nothing(await client.post("/projects", json={"project_name": "mine", "storage_limit": 10}), 201)
    assert (await client.get("/projects/mine/summary")).json()["quota"]["hard"] == {"storage": -1}


async def test_lists_show_what_the_caller_sees(world: World, admin: Account) -> None:
    """Nobody sees public projects, members theirs too, a robot those it names, administrators all; totals agree."""
    team, other = await world.team(), await world.project()
    names = {
        None: ["library"],
        next(iter(team.members.values())): ["library", team.name],
        team.robot: ["library", team.name],
        await world.user(): ["library"],
        admin: sorted(["library", team.name, other[1]]),
    }
    for account, expected in names.items():
        client = await world.client(account)
        answer = await client.get("/projects")
        assert [project["name"] for project in document(answer, "listProjects")] == expected
        assert answer.headers["x-total-count"] == str(len(expected))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=a", ["alpha", "beta", "gamma", "library"]),
        ("name=et", ["beta"]),
        ("name=", ["alpha", "beta", "gamma", "library"]),
        ("q=name=beta", ["beta"]),
        ("q=name=bet", []),
        ("q=name%3D~bet", ["beta"]),
        ("q=unknown=1", ["alpha", "beta", "gamma", "library"]),
        ("public=true", ["beta", "library"]),
        ("public=0", ["alpha", "gamma"]),
        ("public=", ["alpha", "beta", "gamma", "library"]),
        ("owner=admin", ["library"]),
        ("q=name=beta&public=false", []),
        ("name=%25", []),
        ("unknown=x&sort=nothing", ["alpha", "beta", "gamma", "library"]),
        ("sort=-name", ["library", "gamma", "beta", "alpha"]),
        ("q=name={alpha 'gamma'}", ["alpha", "gamma"]),
        ("q=public=true,name=~a", ["beta", "library"]),
    ],
)
async def test_project_filters(world: World, admin: Account, query: str, expected: list[str]) -> None:
    """Projects are found by parts of their names, exactly by `q`, by visibility and owner; unknown parameters are ignored."""
    for name in ("alpha", "beta", "gamma"):
        await world.project(name, public=name == "beta")
    answer = await (await world.client(admin)).get(f"/projects?{query}")
    assert [project["name"] for project in document(answer, "listProjects")] == expected
    assert answer.headers["x-total-count"] == str(len(expected))


async def test_pages_of_projects(world: World, admin: Account) -> None:
    """Links lead through all pages and back; a page behind the end is empty with the true total."""
    for number in range(24):
        await world.project(f"p{number:02}")
    client = await world.client(admin)
    expected = ["library", *(f"p{number:02}" for number in range(24))]
    path, seen = "/api/v2.0/projects?page_size=10&with_detail=false", []
    while path:
        answer = await client.get(f"http://registry.test{path}")
        seen += [project["name"] for project in answer.json()]
        found = re.search(r'<([^>]+)>; rel="next"', answer.headers.get("link", ""))
        path = found[1] if found else ""
        assert answer.headers["x-total-count"] == "25"
    assert seen == expected
    last = await client.get("/projects?page=3")
    assert last.headers["link"] == '</api/v2.0/projects?page=2&page_size=10>; rel="prev"'
    behind = await client.get("/projects?page=4")
    assert (behind.status_code, behind.json(), behind.headers["x-total-count"]) == (200, [], "25")
    whole = await client.get("/projects?page_size=0")
    assert ([project["name"] for project in whole.json()], "link" in whole.headers) == (expected, False)


async def test_members(world: World, admin: Account) -> None:
    """Members are made by number or name of a user, shown, found by exact name, changed and removed."""
    client = await world.client(admin)
    anna, bert = await world.user("anna"), await world.user("bert")
    await world.project("demo")
    made = nothing(
        await client.post("/projects/demo/members", json={"role_id": 2, "member_user": {"username": "anna"}}), 201
    )
    assert re.fullmatch(r"/api/v2\.0/projects/demo/members/\d+", made.headers["location"])
    path = made.headers["location"].removeprefix("/api/v2.0")
    await client.post("/projects/demo/members", json={"role_id": 4, "member_user": {"user_id": bert.id}})
    shown = document(await client.get(path), "getProjectMember")
    assert shown == {
        "id": shown["id"],
        "project_id": shown["project_id"],
        "entity_name": "anna",
        "role_name": "developer",
        "role_id": 2,
        "entity_id": anna.id,
        "entity_type": "u",
    }
    answer = await client.get("/projects/demo/members?entityname=bert")
    assert [member["entity_name"] for member in document(answer, "listProjectMembers")] == ["bert"]
    assert answer.headers["x-total-count"] == "2"
    assert (await client.get("/projects/demo/members?entityname=ber")).json() == []
    nothing(await client.put(path, json={"role_id": 5}))
    assert (await client.get(path)).json()["role_name"] == "limitedGuest"
    again = {"role_id": 77, "member_user": {"user_id": anna.id}}
    assert (await client.post("/projects/demo/members", json=again)).status_code == 409
    nothing(await client.delete(path))
    assert (await client.get(path)).status_code == 404
    nothing(await client.put(path, json={"role_id": 1}))
    nothing(await client.delete(path))


async def test_users(world: World, admin: Account) -> None:
    """Users are made with what Terraform sends, found, raised, given another password and deleted."""
    client = await world.client(admin)
    body = {
        "username": "anna",
        "email": "anna@example.com",
        "realname": "Anna",
        "password": "Secret-1234",
        "comment": "hi",
        "sysadmin_flag": True,
        "new_password": "ignored",
    }
    made = nothing(await client.post("/users", json=body), 201)
    path = made.headers["location"].removeprefix("/api/v2.0")
    shown = document(await client.get(path), "getUser")
    times = {name: shown[name] for name in ("creation_time", "update_time")}
    assert shown == times | {
        "email": "anna@example.com",
        "realname": "Anna",
        "comment": "hi",
        "user_id": int(path.rpartition("/")[2]),
        "username": "anna",
        "sysadmin_flag": False,
        "admin_role_in_auth": False,
    }
    await world.user("bert")
    for query, names in (
        ("", ["anna", "bert"]),
        ("?username=NN", ["anna"]),
        ("?email=example", ["anna"]),
        ("?q=username=bert", ["bert"]),
        ("?q=username=admin", []),
        ("?q=email=anna@example.com", ["anna"]),
        ("?q=email=anna", []),
        ("?page=2&page_size=1", ["bert"]),
    ):
        answer = await client.get(f"/users{query}")
        assert [user["username"] for user in document(answer, "listUsers")] == names
    nothing(await client.put(f"{path}/sysadmin", json={"sysadmin_flag": True}))
    assert (await client.get(path)).json()["sysadmin_flag"] is True
    nothing(await client.put(f"{path}/password", json={"new_password": "Another-1234"}))
    own = await client.get("/users/current", auth=("anna", "Another-1234"))
    assert document(own, "getCurrentUserInfo")["username"] == "anna"
    nothing(await client.delete(path))
    assert (await client.get(path)).status_code == 404
    assert (await client.delete(path)).status_code == 404
    for forbidden in ("/users/1", "/users/3"):
        assert (await client.delete(forbidden)).status_code in {403, 404}


async def test_robots(world: World, admin: Account) -> None:
    """A robot of a project is made with a secret that works, shown, changed, given another secret and deleted."""
    client = await world.client(admin)
    number, name = await world.project()
    access = [{"resource": "repository", "action": "push", "effect": "allow"}, {"resource": "tag", "action": "list"}]
    body = {
        "name": "ci",
        "level": "project",
        "duration": -1,
        "secret": "ignored",
        "disable": True,
        "description": "builds",
        "permissions": [{"kind": "project", "namespace": name, "access": access}],
    }
    answer = await client.post("/robots", json=body)
    made = document(answer, "CreateRobot")
    assert answer.headers["location"] == f"/api/v2.0/robots/{made['id']}"
    assert made == {
        "id": made["id"],
        "name": f"robot${name}+ci",
        "secret": made["secret"],
        "creation_time": made["creation_time"],
        "expires_at": -1,
    }
    path = f"/robots/{made['id']}"
    shown = document(await client.get(path), "GetRobotByID")
    assert shown == {
        "id": made["id"],
        "name": f"robot${name}+ci",
        "description": "builds",
        "level": "project",
        "duration": -1,
        "editable": True,
        "disable": False,
        "expires_at": -1,
        "permissions": [
            {
                "kind": "project",
                "namespace": name,
                "access": [
                    {"resource": "repository", "action": "push"},
                    {"resource": "tag", "action": "list"},
                ],
            }
        ],
        "creator_type": "local",
        "creator_ref": 1,
        "creation_time": shown["creation_time"],
        "update_time": shown["update_time"],
    }
    for query, count in (("", 0), (f"?q=Level=project,ProjectID={number}", 1), ("?q=Level%3Dsystem", 0)):
        assert len(document(await client.get(f"/robots{query}"), "ListRobot")) == count
    for condition, count in ((f"name={name}%2Bci", 0), (f"name={name}%252Bci", 1), ("name=ci", 0), ("name=~c", 1)):
        answer = await client.get(f"/robots?q=Level=project,ProjectID={number},{condition}")
        assert (len(answer.json()), answer.headers["x-total-count"]) == (count, str(count))
    assert (await client.get(f"/projects/{name}", auth=(made["name"], made["secret"]))).status_code == 403
    given = document(await client.patch(path, json={"secret": "Chosen-1234"}), "RefreshSec")
    assert given == {}
    fresh = document(await client.patch(path, json={}), "RefreshSec")["secret"]
    assert (await client.get("/projects", auth=(made["name"], "Chosen-1234"))).status_code == 401
    assert (await client.get("/projects", auth=(made["name"], fresh))).status_code == 200
    nothing(await client.put(path, json={**shown, "duration": 30, "description": "other", "disable": True}))
    changed = (await client.get(path)).json()
    assert (changed["duration"], changed["description"], changed["disable"]) == (30, "other", True)
    assert changed["expires_at"] > 0
    assert (await client.get("/projects", auth=(made["name"], fresh))).status_code == 401
    nothing(await client.delete(path))
    assert (await client.get(path)).status_code == 404


async def test_robot_gives_no_more_than_it_has(world: World) -> None:
    """A robot makes robots of what it was given itself, and no others."""
    _, name = await world.project()
    permissions = frozenset({Permission("robot", "create"), Permission("repository", "pull")})
    client = await world.client(await world.robot(RobotGrant(name, permissions), project=name))

    async def make(action: str) -> int:
        access = [{"resource": "repository", "action": action}]
        grant = {"kind": "project", "namespace": name, "access": access}
        body = {"name": f"by-robot-{action}", "level": "project", "duration": 1, "permissions": [grant]}
        return (await client.post("/robots", json=body)).status_code

    assert (await make("pull"), await make("push")) == (201, 403)


async def test_robot_gives_no_more_than_it_has_by_what_pushing_includes(world: World) -> None:
    """Pushing includes pulling for robots of projects: a robot of the system that only pushes can't make one."""
    _, name = await world.project()
    permissions = frozenset({Permission("robot", "create"), Permission("repository", "push")})
    client = await world.client(await world.robot(RobotGrant(name, permissions)))
    grant = {"kind": "project", "namespace": name, "access": [{"resource": "repository", "action": "push"}]}
    for level, status in (("project", 403), ("system", 403)):
        body = {"name": f"more-{level}", "level": level, "duration": 1, "permissions": [grant]}
        assert (await client.post("/robots", json=body)).status_code == status


@pytest.mark.parametrize("days", [1, 365_000, 100_000_000, 106_751_991, 2_147_483_646])
async def test_long_lives(world: World, admin: Account, days: int) -> None:
    """A robot lives as long as the contract allows it to be given, in days from its making."""
    _, name = await world.project()
    grant = {"kind": "project", "namespace": name, "access": [{"resource": "repository", "action": "pull"}]}
    body = {"name": "ci", "level": "project", "duration": days, "permissions": [grant]}
    client = await world.client(admin)
    made = document(await client.post("/robots", json=body), "CreateRobot")
    born = datetime.fromisoformat(made["creation_time"]).timestamp()
    assert made["expires_at"] - int(born) in {days * 86_400, days * 86_400 + 1}
    path = f"/robots/{made['id']}"
    shown = document(await client.get(path), "GetRobotByID")
    assert (shown["duration"], shown["expires_at"]) == (days, made["expires_at"])
    nothing(await client.put(path, json=shown))
    assert (await client.get("/projects", auth=(made["name"], made["secret"]))).status_code == 200


async def test_project_of_a_robot(world: World) -> None:
    """A project that a robot makes belongs to the first administrator."""
    client = await world.client(await world.system_robot())
    nothing(await client.post("/projects", json={"project_name": "made"}), 201)
    listed = (await client.get("/projects?name=made")).json()
    assert [(project["owner_name"], project["current_user_role_ids"]) for project in listed] == [("admin", None)]


async def test_what_the_instance_says(world: World, admin: Account) -> None:
    """Strangers learn how to log in and nothing else; whoever is logged in learns the release."""
    nobody, root = await world.client(None), await world.client(admin)
    anonymous = document(await nobody.get("/systeminfo"), "getSystemInfo")
    assert anonymous == {
        "auth_mode": "db_auth",
        "primary_auth_mode": False,
        "self_registration": False,
        "banner_message": "",
        "oidc_provider_name": "",
    }
    known = document(await root.get("/systeminfo"), "getSystemInfo")
    assert known["harbor_version"].startswith("v2.15.2-")
    assert (known["registry_url"], known["external_url"]) == ("registry.test", "http://registry.test")
    assert (await nobody.get("http://registry.test/api/version")).json() == {"version": "v2.0"}
    pong = await nobody.get("/ping")
    assert (pong.text, pong.headers["content-type"]) == ("Pong", "text/plain; charset=utf-8")


async def test_health(world: World) -> None:
    """Health names each component, and always answers 200."""
    client = await world.client(None)
    healthy = document(await client.get("/health"), "getHealth")
    assert healthy["status"] == "healthy"
    assert {component["name"] for component in healthy["components"]} == {"core", "database", "registry"}
    world.states["database"] = "does not answer"
    sick = document(await client.get("/health"), "getHealth")
    assert sick["status"] == "unhealthy"
    assert {"name": "database", "status": "unhealthy", "error": "does not answer"} in sick["components"]


@pytest.mark.parametrize(
    "path",
    [
        "/projects",
        "/projects/",
        "//projects",
        "/projects//library/",
        "/projects/library/members/",
        "/users/current/",
        "/ping/",
    ],
)
async def test_slashes(world: World, admin: Account, path: str) -> None:
    """Paths work with and without a slash at the end, without redirect, and with doubled slashes."""
    assert (await (await world.client(admin)).get(f"http://registry.test/api/v2.0{path}")).status_code == 200


@pytest.mark.parametrize("name", ["library", "nothing"])
async def test_head_sends_no_byte(world: World, admin: Account, name: str) -> None:
    """A HEAD sends no body, not even one that the server in front would have to swallow."""
    sent: list[bytes] = []

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            sent.append(message.get("body", b""))
            await send(message)

        await world(scope, receive, counted)

    transport = httpx.ASGITransport(app=counting)
    async with httpx.AsyncClient(transport=transport, base_url="http://registry.test") as client:
        await client.head(f"/api/v2.0/projects?project_name={name}", auth=(admin.name, admin.secret))
    assert b"".join(sent) == b""


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "message"),
    [
        ("GET", "/registries", 501, "NOT_IMPLEMENTED", None),
        ("POST", "/projects/a/repositories/b%252Fc/artifacts/v1/scan", 501, "NOT_IMPLEMENTED", None),
        ("GET", "/scanners", 501, "NOT_IMPLEMENTED", None),
        ("GET", "/nope", 404, "NOT_FOUND", "path /api/v2.0/nope was not found"),
        ("PATCH", "/projects", 405, "METHOD_NOT_ALLOWED", None),
        ("OPTIONS", "/projects", 405, "METHOD_NOT_ALLOWED", None),
        ("HEAD", "/users", 405, "", None),
    ],
)
async def test_what_is_not_served(
    world: World, admin: Account, method: str, path: str, status: int, code: str, message: str | None
) -> None:
    """What the contract has and we haven't is 501, what nobody has 404, a wrong method 405 with those that are right."""
    answer = await (await world.client(admin)).request(method, path)
    assert answer.status_code == status
    assert ("allow" in answer.headers) == (status == 405)
    if method != "HEAD":
        error = answer.json()["errors"][0]
        assert error["code"] == code
        assert message in {None, error["message"]}
        assert answer.json()["request_id"]
