# SPDX-License-Identifier: Apache-2.0
"""Bad input: the right code, a message that says what is wrong, and nothing changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from longshore.access.models import Permission
from longshore.robots.models import RobotGrant

if TYPE_CHECKING:
    from tests.integration.api.conftest import Account, World

JSON = {"content-type": "application/json"}
HUGE = 10**30
_NO_OBJECTS: tuple[Any, ...] = ([], "text", 7)
ROBOT: dict[str, Any] = {
    "name": "ci",
    "level": "project",
    "duration": 1,
    "permissions": [
        {"kind": "project", "namespace": "library", "access": [{"resource": "repository", "action": "pull"}]}
    ],
}
USER = {"username": "anna", "email": "a@b.c", "realname": "A", "password": "Secret-1234"}


def _robot(**members: Any) -> dict[str, Any]:
    return {**ROBOT, **members}


def _permission(**members: Any) -> dict[str, Any]:
    return _robot(permissions=[{**ROBOT["permissions"][0], **members}])


def _user(**members: Any) -> dict[str, Any]:
    return {**USER, **members}


def _case(status: int, method: str, path: str, body: Any = None) -> Any:
    return pytest.param(status, method, path, body, id=f"{method} {path} {json.dumps(body)[:60]}")


CASES = [
    # Bodies that are none, and members of another type.
    *(
        _case(422, method, path, body)
        for method, path in (
            ("POST", "/projects"),
            ("PUT", "/projects/library"),
            ("POST", "/projects/library/members"),
            ("PUT", "/projects/library/members/1"),
            ("POST", "/users"),
            ("PUT", "/users/3"),
            ("PUT", "/users/1/sysadmin"),
            ("PUT", "/users/1/password"),
            ("POST", "/robots"),
            ("PUT", "/robots/1"),
            ("PATCH", "/robots/1"),
        )
        for body in _NO_OBJECTS
    ),
    _case(422, "POST", "/projects", {"project_name": 7}),
    _case(422, "POST", "/projects", {"project_name": "x" * 256}),
    _case(422, "POST", "/projects", {"project_name": "demo", "metadata": {"public": True}}),
    _case(422, "POST", "/projects", {"project_name": "demo", "storage_limit": "1"}),
    _case(422, "POST", "/projects", {"project_name": "demo", "storage_limit": HUGE}),
    _case(422, "POST", "/projects", {"project_name": "de\0mo"}),
    _case(422, "POST", "/projects/library/members", {"role_id": 1.5}),
    _case(422, "POST", "/projects/library/members", {"role_id": 1, "member_user": {"user_id": HUGE}}),
    _case(422, "POST", "/users", _user(username="a" * 256)),
    _case(422, "POST", "/users", _user(comment="\0")),
    _case(422, "POST", "/robots", _robot(duration="1")),
    _case(422, "POST", "/robots", _robot(duration=HUGE)),
    _case(422, "POST", "/robots", _robot(permissions={})),
    # What the rules forbid.
    _case(400, "POST", "/projects", {}),
    _case(400, "POST", "/projects", {"project_name": "No Name"}),
    _case(400, "POST", "/projects", {"project_name": "a..b"}),
    _case(400, "POST", "/projects", {"project_name": "demo", "metadata": {"public": "maybe"}}),
    _case(400, "POST", "/projects", {"project_name": "demo", "metadata": {"severity": "worst"}}),
    _case(400, "POST", "/projects", {"project_name": "demo", "storage_limit": -2}),
    _case(400, "POST", "/projects", {"project_name": "demo", "storage_limit": 2**60}),
    _case(400, "POST", "/projects", {"project_name": "demo", "registry_id": 3}),
    _case(409, "POST", "/projects", {"project_name": "library"}),
    _case(400, "PUT", "/projects/library", {"metadata": {"public": "1"}}),
    _case(400, "PUT", "/projects/library", {"metadata": {"retention_id": "7"}}),
    _case(400, "PUT", "/projects/library", {"cve_allowlist": {"project_id": 77}}),
    _case(404, "PUT", "/projects/77", {}),
    _case(404, "DELETE", f"/projects/{HUGE}"),
    _case(400, "POST", "/projects/library/members", {}),
    _case(400, "POST", "/projects/library/members", {"role_id": 7, "member_user": {"username": "bert"}}),
    _case(400, "POST", "/projects/library/members", {"role_id": HUGE // 10**15, "member_user": {"username": "bert"}}),
    _case(400, "POST", "/projects/library/members", {"role_id": 1, "member_group": {"group_name": "x"}}),
    _case(404, "POST", "/projects/library/members", {"role_id": 1, "member_user": {"username": "nobody"}}),
    _case(404, "POST", "/projects/library/members", {"role_id": 1, "member_user": {"user_id": 777}}),
    _case(404, "POST", "/projects/library/members", {"role_id": 1, "member_user": {"user_id": -(2**63)}}),
    _case(409, "POST", "/projects/library/members", {"role_id": 1, "member_user": {"user_id": 1}}),
    _case(409, "POST", "/projects/library/members", {"role_id": 9, "member_user": {"user_id": 1}}),
    _case(400, "PUT", "/projects/library/members/1", {"role_id": 9}),
    _case(400, "PUT", "/projects/library/members/1", {}),
    _case(400, "POST", "/users", {}),
    _case(400, "POST", "/users", _user(email="")),
    _case(400, "POST", "/users", _user(email="nowhere")),
    _case(400, "POST", "/users", _user(realname=None)),
    _case(400, "POST", "/users", _user(username="a$b")),
    _case(400, "POST", "/users", _user(username="a,b")),
    _case(400, "POST", "/users", _user(username="")),
    _case(400, "POST", "/users", _user(password="short")),
    _case(400, "POST", "/users", _user(comment="x" * 31)),
    _case(409, "POST", "/users", _user(username="bert")),
    _case(400, "POST", "/users", _user(username="\uff41\uff44\uff4d\uff49\uff4e")),
    _case(400, "POST", "/users", _user(username="ane\u0301")),
    _case(400, "POST", "/users", _user(username="a\u202eb")),
    _case(400, "POST", "/users", _user(email="a\x01@b.c")),
    _case(400, "PUT", "/users/3", {}),
    _case(400, "PUT", "/users/3", {"email": "bert@x.test"}),
    _case(400, "PUT", "/users/3", {"realname": "Bert"}),
    _case(400, "PUT", "/users/3", {"email": "", "realname": "Bert"}),
    _case(400, "PUT", "/users/3", {"email": "nowhere", "realname": "Bert"}),
    _case(400, "PUT", "/users/3", {"email": "bert@x.test", "realname": "B~rt"}),
    _case(400, "PUT", "/users/3", {"email": "bert@x.test", "realname": "B" * 256}),
    _case(400, "PUT", "/users/3", {"email": "bert@x.test", "realname": "Bert", "comment": "x" * 31}),
    _case(404, "PUT", "/users/777", {"email": "bert@x.test", "realname": "Bert"}),
    _case(422, "PUT", "/users/bert", {"email": "bert@x.test", "realname": "Bert"}),
    _case(403, "DELETE", "/users/1"),
    _case(404, "DELETE", "/users/777"),
    _case(403, "PUT", "/users/1/sysadmin", {"sysadmin_flag": False}),
    _case(404, "PUT", "/users/777/sysadmin", {"sysadmin_flag": True}),
    _case(404, "PUT", "/users/777/password", {"new_password": "Another-1234"}),
    _case(400, "PUT", "/users/3/password", {"new_password": "weak"}),
    _case(400, "PUT", "/users/3/password", {}),
    _case(400, "POST", "/robots", {}),
    _case(400, "POST", "/robots", _robot(name="robot$x")),
    _case(400, "POST", "/robots", _robot(name="")),
    _case(400, "POST", "/robots", _robot(level="galaxy")),
    _case(400, "POST", "/robots", _robot(duration=0)),
    _case(400, "POST", "/robots", _robot(duration=-2)),
    _case(400, "POST", "/robots", _robot(duration=2**31)),
    _case(400, "POST", "/robots", _robot(duration=-(2**63))),
    _case(400, "POST", "/robots", _robot(duration=None)),
    _case(400, "POST", "/robots", _robot(permissions=[])),
    _case(400, "POST", "/robots", _robot(permissions=ROBOT["permissions"] * 2)),
    _case(400, "POST", "/robots", _robot(level="system", permissions=ROBOT["permissions"] * 2)),
    _case(400, "POST", "/robots", _permission(kind="system")),
    _case(400, "POST", "/robots", _permission(kind="galaxy")),
    _case(400, "POST", "/robots", _permission(namespace="/")),
    _case(400, "POST", "/robots", _permission(namespace="*")),
    _case(400, "POST", "/robots", _permission(namespace="No Name")),
    _case(404, "POST", "/robots", _permission(namespace="nowhere")),
    _case(400, "POST", "/robots", _permission(access=[])),
    _case(400, "POST", "/robots", _permission(access=[{"resource": "moon", "action": "pull"}])),
    _case(400, "POST", "/robots", _permission(access=[{"resource": "robot", "action": "update"}])),
    _case(400, "POST", "/robots", _permission(access=[{"resource": "tag", "action": "list", "effect": "deny"}])),
    _case(400, "PUT", "/robots/1", {}),
    _case(400, "PUT", "/robots/1", _robot()),
    _case(400, "PUT", "/robots/1", _robot(name="robot$library+robot1", level="system")),
    _case(400, "PUT", "/robots/1", _robot(name="robot$library+robot1", permissions=[])),
    _case(400, "PUT", "/robots/1", _robot(name="robot$library+robot1", duration=0)),
    _case(400, "PUT", "/robots/1", _robot(name="robot$library+robot1", description="x" * 1025)),
    _case(404, "PUT", "/robots/77", _robot()),
    _case(400, "PATCH", "/robots/1", {"secret": "weak"}),
    _case(404, "PATCH", "/robots/77", {}),
    _case(404, "DELETE", "/robots/77"),
    # Paths and parameters.
    _case(422, "GET", "/users/anna"),
    _case(422, "GET", f"/users/{HUGE}"),
    _case(422, "GET", "/robots/x"),
    _case(422, "GET", "/projects/library/members/x"),
    _case(404, "GET", "/projects/library/members/777"),
    _case(404, "GET", "/users/777"),
    _case(404, "GET", "/users/2"),
    _case(404, "GET", "/projects/-1"),
    _case(404, "GET", f"/projects/{'a' * 5000}"),
    _case(404, "GET", "/projects/%F0%9F%98%80"),
    _case(404, "GET", "/projects/%FF%FE"),
    _case(400, "GET", "/projects/a%00b"),
    _case(400, "GET", "/projects?name=a%00b"),
    _case(400, "GET", "/projects?q=name%3Da%2500b"),
    _case(400, "GET", "/projects?name=a;b"),
    _case(400, "GET", "/projects?q=name"),
    _case(400, "GET", "/projects?q=name={a%20b"),
    _case(422, "GET", "/projects?page=x"),
    _case(422, "GET", "/projects?page_size=101"),
    _case(422, "GET", "/users?page_size=1.5"),
    _case(422, "GET", "/robots?page=x"),
    _case(422, "GET", "/projects/library/members?page_size=1000"),
    _case(400, "GET", "/robots?q=Level=project"),
    _case(400, "GET", "/robots?q=Level=galaxy"),
    _case(400, "GET", "/robots?q=Level=project,ProjectID=library"),
    _case(404, "GET", "/robots?q=Level=project,ProjectID=777"),
    _case(422, "HEAD", "/projects"),
    _case(422, "HEAD", "/projects?project_name="),
]


@pytest.mark.parametrize(("status", "method", "path", "body"), CASES)
async def test_refused(world: World, admin: Account, status: int, method: str, path: str, body: Any) -> None:
    """Bad input gets the code of the contract with a message, and changes nothing."""
    await _arrange(world)
    before = await world.rows()
    client = await world.client(admin)
    answer = await client.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    assert await world.rows() == before
    if method != "HEAD":
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        (error,) = answer.json()["errors"]
        assert len(error["message"]) > 10
        assert "Traceback" not in answer.text


async def _arrange(world: World) -> None:
    """The project `library`, its member admin, user 3 `bert` and robot 1 `robot$library+robot1`."""
    assert (await world.user("bert")).id == 3
    grant = RobotGrant("library", frozenset({Permission("repository", "pull")}))
    robot = await world.robot(grant, project="library")
    assert (robot.id, robot.name) == (1, "robot$library+robot1")


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", JSON, 422),
        (b"{", JSON, 422),
        (b"\xff\xfe", JSON, 422),
        (b'{"project_name": "made"}', {}, 422),
        (b'{"project_name": "made"}', {"content-type": "text/plain"}, 422),
        (b'{"project_name": "made"}', {"content-type": "application/x-www-form-urlencoded"}, 422),
        (b'{"project_name": "made"}', {**JSON, "accept": "text/html"}, 422),
        (b'{"x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", JSON, 422),
        (b'{"x": "' + b"x" * (1024 * 1024) + b'"}', JSON, 413),
    ],
)
async def test_body_and_headers(
    world: World, admin: Account, content: bytes, headers: dict[str, str], status: int
) -> None:
    """A body that is no JSON, too long, or of another type, and an Accept that can't be met, are refused."""
    before = await world.rows()
    client = await world.client(admin)
    answer = await client.post("/projects", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    code = {422: "UNPROCESSABLE_ENTITY", 413: "REQUEST_ENTITY_TOO_LARGE"}[status]
    assert answer.json()["errors"][0]["code"] == code
    assert await world.rows() == before


async def test_types_before_credentials(world: World) -> None:
    """Somebody who isn't logged in and sends nonsense is told of the nonsense first, as by Harbor."""
    client = await world.client(None)
    assert (await client.post("/projects", json={"project_name": 7})).status_code == 422
    assert (await client.post("/projects", json={"project_name": "No Name"})).status_code == 401
    assert (await client.get("/users/x")).status_code == 422
    assert (await client.get("/robots/7")).status_code == 401


@pytest.mark.parametrize("value", ["Basic", "Basic !!!", "Basic YQ==", "Digest x", "Basic " + "x" * 10_000])
async def test_malformed_credentials(world: World, value: str) -> None:
    """Credentials that can't be read are refused, not ignored."""
    answer = await (await world.client(None)).get("/projects", headers={"authorization": value})
    assert answer.status_code == 401


async def test_a_fault_of_ours_says_nothing(world: World, admin: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected failure is a 500 with the request's id and nothing of its insides."""

    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("inside")

    monkeypatch.setattr(type(world.project_queries), "page", broken)
    answer = await (await world.client(admin)).get("/projects")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (500, "UNKNOWN")
    assert answer.json()["request_id"] in answer.json()["errors"][0]["message"]
    assert "inside" not in answer.text.replace("inside the registry", "")
