# SPDX-License-Identifier: Apache-2.0
"""What somebody sends who wants to break it: never a fault of ours, never a header of theirs, and nothing changed."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING

import pytest

from longshore.access.models import Permission
from longshore.edge.asgi import Message, Scope
from longshore.identity.models import NewUser
from longshore.robots.models import NewRobot, RobotGrant

if TYPE_CHECKING:
    from tests.integration.api.conftest import Account, World

JSON = {"content-type": "application/json"}
NUMBERS = (
    "0",
    "-1",
    "-0",
    "00001000",
    "+1",
    "1.0",
    "1e3",
    "0x1",
    "%31%20",
    "%EF%BC%91",
    "%C2%B2",
    "999999999999999999",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "99999999999999999999",
    "9" * 5000,
)
NAMES = (
    "%F0%9F%98%80",
    "%E2%80%AEnimda",
    "%C3%28",
    "%ED%A0%80",
    "%FF",
    "%",
    "%zz",
    "..%2F..%2Fetc",
    "%252e%252e",
    "a%0D%0AX-Evil:%201",
    "%22%3E%3Cscript%3E",
    "';DROP%20TABLE%20users;--",
    "a" * 3000,
)
LONG = ("a" * 60_000, "%25" * 40_000, "_" * 60_000, "_" * 16_000, "%5C" * 5_000, "%C4%B0" * 2_700, "&a" * 10_000)
QUERIES = (
    "name={}",
    "name={}&name={}",
    "q=name%3D~{}",
    "q=name%3D{}",
    "owner={}",
    "public={}",
    "page={}",
    "page_size={}",
    "username={}",
    "email={}",
    "q=username%3D~{}",
    "q=email%3D{}",
    "entityname={}",
    "q=Level%3Dproject%2CProjectID%3D{}",
    "q=Level%3Dproject%2CProjectID%3D1%2Cname%3D~{}",
    "project_name={}",
    "with_detail={}",
    "sort={}",
    "{}",
    "q={}",
)
LISTS = ("/projects", "/users", "/robots", "/projects/library/members")
WRITES = (
    ("POST", "/projects"),
    ("PUT", "/projects/library"),
    ("POST", "/projects/library/members"),
    ("PUT", "/projects/library/members/1"),
    ("POST", "/users"),
    ("PUT", "/users/3"),
    ("PUT", "/users/3/sysadmin"),
    ("PUT", "/users/3/password"),
    ("POST", "/robots"),
    ("PUT", "/robots/1"),
    ("PATCH", "/robots/1"),
)
DEEP = b"[" * 300_000 + b"]" * 300_000
BODIES = (
    DEEP,
    b'{"metadata":' * 40_000 + b"1" + b"}" * 40_000,
    b'{"permissions":[{"access":' + DEEP + b"}]}",
    b'{"permissions":[' + b"{}," * 200_000 + b"{}]}",
    b'{"unknown":' + DEEP + b"}",
    b'{"duration":' + b"9" * 900_000 + b"}",
    b'{"role_id":1e999}',
    b'{"role_id":-0}',
    b'{"role_id":NaN}',
    b'{"project_name":"\\ud800"}',
    b'{"project_name":"\xed\xa0\x80"}',
    b'{"project_name":"a\x00b"}',
    b'{"project_name":"a\\u0000b"}',
    b'{"project_name":"a\nb"}',
    b'\xef\xbb\xbf{"project_name":"demo"}',
    '{"project_name":"demo"}'.encode("utf-16"),
    b'{"project_name":"demo"} {"project_name":"demo2"}',
    b"{" + b'"a":1,' * 150_000 + b'"a":1}',
    b'{"username":"' + "\u202e".encode() * 100 + b'","password":"Secret-1234","email":"a@b.c","realname":"a"}',
    b"null",
    b"true",
    b'"' + b"\\" * 500_000 + b'"',
    b'"' + b"\\u0041" * 100_000 + b'"',
)


@pytest.fixture
async def arranged(world: World) -> World:
    """User 3, and robot 1 of the project `library`."""
    await world.user("bert")
    await world.robot(RobotGrant("library", frozenset({Permission("repository", "pull")})), project="library")
    return world


@pytest.mark.parametrize(
    "path",
    [
        "/projects/{}",
        "/projects/{}/summary",
        "/projects/{}/_deletable",
        "/projects/{}/members",
        "/projects/{}/members/1",
        "/projects/library/members/{}",
        "/users/{}",
        "/robots/{}",
    ],
)
async def test_numbers_and_names_in_paths(arranged: World, admin: Account, path: str) -> None:
    """No number and no name in a path is too large, too long or too strange: there is just nothing there."""
    client = await arranged.client(admin)
    before = await arranged.rows()
    for text in (*NUMBERS, *NAMES):
        target = f"http://registry.test/api/v2.0{path.format(text)}"
        for method in ("GET", "DELETE", "PUT"):
            answer = await client.request(method, target, json={} if method == "PUT" else None)
            harmless = answer.status_code == 200 and path.endswith("members/{}")  # Removing nothing succeeds in Harbor.
            assert harmless or 400 <= answer.status_code < 500, (method, text[:50], answer.text[:300])
            assert "x-evil" not in answer.headers
    assert await arranged.rows() == before


@pytest.mark.parametrize("path", LISTS)
async def test_queries(arranged: World, admin: Account, path: str) -> None:
    """No parameter is too long or too strange for a list: it is empty, or the parameter is refused."""
    for query in QUERIES:
        for text in (*LONG, *NUMBERS, *NAMES):
            status, body = await _raw_get(arranged, admin, path, query.replace("{}", text))
            assert status < 500, (query, text[:50], body[:300])


async def _raw_get(world: World, account: Account, path: str, query: str) -> tuple[int, bytes]:
    """A GET as it is written: httpx tidies what it is given, and has a limit of its own."""
    credentials = base64.b64encode(f"{account.name}:{account.secret}".encode())
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": f"/api/v2.0{path}",
        "raw_path": f"/api/v2.0{path}".encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"registry.test"), (b"authorization", b"Basic " + credentials)],
        "client": ("127.0.0.1", 1),
        "server": ("registry.test", 80),
    }
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        messages.append(message)

    await world(scope, receive, send)
    return messages[0]["status"], b"".join(message.get("body", b"") for message in messages)


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_bodies(arranged: World, admin: Account, method: str, path: str) -> None:
    """No body is too deep, too long or too broken, and none takes the time of everybody else."""
    client = await arranged.client(admin)
    before = await arranged.rows()
    loop = asyncio.get_running_loop()
    for body in BODIES:
        began = loop.time()
        answer = await client.request(method, path, content=body, headers=JSON)
        assert answer.status_code < 500, (body[:50], answer.text[:300])
        assert loop.time() - began < 5, body[:50]
        assert len(answer.content) < 5_000
    rows = await arranged.rows()
    assert len(rows["users"]) == len(before["users"])
    assert len(rows["projects"]) == len(before["projects"])


async def test_a_member_that_is_there_twice(world: World, admin: Account) -> None:
    """Of a member that a body has twice the last one counts, as in Harbor, for the check and for what is stored alike."""
    client = await world.client(admin)
    body = b'{"project_name":"library","project_name":"second","metadata":{"public":"true","public":"false"}}'
    assert (await client.post("/projects", content=body, headers=JSON)).status_code == 201
    assert (await client.get("/projects/second")).json()["metadata"]["public"] == "false"


@pytest.mark.parametrize(
    "credentials",
    [
        "\U0001f600:x".encode(),
        b"\xff\xfe:\xff",
        b"admin\0:Secret-1234",
        b"admin:Secret-1234\0",
        b":",
        b"admin:",
        b":Secret-1234",
        b"robot$:x",
        b"robot$+:x",
        b"robot$a+b+c:x",
        b"robot$" + b"a" * 2_000 + b":x",
        b"a" * 3_000 + b":x",
        b"admin:" + b"x" * 2_000,
        b"x" * 10_000,
        b"' OR 1=1 --:x",
        b"admin%:Secret-1234",
        b"ADMIN:Secret-1234",
        "\uff41dmin:Secret-1234".encode(),
    ],
)
async def test_credentials(world: World, credentials: bytes) -> None:
    """No name and no password opens anything but the right ones, byte by byte."""
    value = f"Basic {base64.b64encode(credentials).decode()}"
    client = await world.client(None)
    answer = await client.get("/users/current", headers={"authorization": value})
    assert answer.status_code == 401
    text = answer.text.lower()
    assert "secret" not in text.replace("password or secret", "")
    assert "sql" not in text


async def test_what_is_never_shown(world: World, admin: Account) -> None:
    """Values that hold a secret don't show it when somebody prints them, as a log of an unexpected error may."""
    robot = await world.robots.create(_new_robot(), creator="admin")
    assert robot.secret not in repr(robot)
    assert "Secret-1234" not in repr(NewUser(username="dora", password="Secret-1234"))
    principal = await world.user_queries.user(admin.id)
    assert "argon2" not in repr(principal)


def _new_robot() -> NewRobot:
    return NewRobot(
        name="ci", grants=(RobotGrant("*", frozenset({Permission("repository", "pull")})),), duration_days=1
    )


async def test_headers_of_answers_are_ours(arranged: World, admin: Account) -> None:
    """What a client sends in its path, query or host gets into no header but encoded."""
    client = await arranged.client(admin)
    for host in ('evil"\r\nX-Evil: 1', 'a"b', "\u00e9", "a b", "x" * 5000, ""):
        answer = await client.get(
            "/projects?page_size=1", headers={b"host": host.replace("\r\n", " ").encode("latin-1")}
        )
        assert answer.status_code < 500
        assert json.dumps(dict(answer.headers)).count("evil") == 0
    await client.post("/projects", json={"project_name": "second"})
    path = "/projects?page_size=1&x=%0d%0aX-Evil%3a%201&%3e%3b%22=%2c"
    link = (await client.get(path)).headers["link"]
    assert link.count("<") == link.count(">") == 1
    assert "\n" not in link
    body = {"role_id": 3, "member_user": {"username": "bert"}}
    made = await client.post("http://registry.test/api/v2.0/projects/%6Cibrary/members", json=body)
    assert made.headers["location"].startswith("/api/v2.0/projects/%6Cibrary/members/")
