# SPDX-License-Identifier: Apache-2.0
"""What clients hold on to on the wire and no operation chooses for itself; numbers are those of the list of wire details."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from longshore.api.app import CONTROLLERS
from longshore.api.openapi.document import describe

if TYPE_CHECKING:
    from tests.integration.api.conftest import Account, World

ROOT = "http://registry.test"
PARAMETER = re.compile(r"\{\w+\}")
DESCRIBED = describe(CONTROLLERS, "0")["paths"]
READS = sorted(PARAMETER.sub("1", path) for path, methods in DESCRIBED.items() if "get" in methods)
LISTS = sorted(
    PARAMETER.sub("1", path)
    for path, methods in DESCRIBED.items()
    if "get" in methods and {"page", "page_size"} <= {each["name"] for each in methods["get"].get("parameters", ())}
)
CHANGES = sorted(
    (method.upper(), PARAMETER.sub("1", path))
    for path, methods in DESCRIBED.items()
    for method, operation in methods.items()
    if "requestBody" in operation
)


async def test_1_what_nobody_knows_is_ignored(world: World, admin: Account) -> None:
    """Members and parameters that nobody knows, and members that are only shown, are ignored."""
    client = await world.client(admin)
    body = {
        "project_name": "demo",
        "id": 0,
        "immutable": False,
        "creation_time": "0001-01-01T00:00:00.000Z",
        "metadata": {"public": "true", "odd": 7},
    }
    assert (await client.post("/projects?odd=1&odd=2", json=body)).status_code == 201
    assert (await client.get("/projects/demo?odd=%2F")).json()["name"] == "demo"


@pytest.mark.parametrize("path", READS)
async def test_3_and_6_types(world: World, admin: Account, path: str) -> None:
    """JSON is always `application/json; charset=utf-8`, of errors too, and an empty body has no type."""
    answer = await (await world.client(admin)).get(f"{ROOT}{path}")
    kind = answer.headers.get("content-type")
    if not answer.content:
        assert kind is None
    elif kind not in {"text/plain; charset=utf-8", "text/html; charset=utf-8"}:
        assert kind == "application/json; charset=utf-8"
        answer.json()


@pytest.mark.parametrize(
    ("text", "count"),
    [("true", 1), ("YES", 1), ("t", 1), ("1", 1), ("Enabled", 1), ("false", 1), ("0", 1), ("nonsense", 1), ("", 2)],
)
async def test_5_booleans(world: World, admin: Account, text: str, count: int) -> None:
    """Many words are true, all others false, none is an error, and an empty one isn't there."""
    client = await world.client(admin)
    await world.project("open", public=True)
    await world.project("shut")
    answer = await client.get("/projects", params={"public": text, "q": "name={open shut}"})
    assert answer.status_code == 200
    assert len(answer.json()) == count


@pytest.mark.parametrize("path", READS)
async def test_7_slashes(world: World, admin: Account, path: str) -> None:
    """Every path works with a slash at its end, without redirect, and with doubled slashes."""
    client = await world.client(admin)
    plain = await client.get(f"{ROOT}{path}")
    for form in (f"{path}/", path.replace("/api/", "/api//"), f"{path}//"):
        answer = await client.get(f"{ROOT}{form}")
        assert answer.status_code == plain.status_code
        assert answer.headers.get("content-type") == plain.headers.get("content-type")


@pytest.mark.parametrize("path", LISTS)
async def test_8_pages(world: World, admin: Account, path: str) -> None:
    """Empty parameters count as absent; what is too much or no number is 422 for whoever asks; nothing else is refused."""
    client, nobody = await world.client(admin), await world.client(None)
    plain = await client.get(f"{ROOT}{path}")
    for query in ("page=&page_size=&q=&sort=&name=", "page=0", "page=-3", "page_size=10"):
        answer = await client.get(f"{ROOT}{path}?{query}")
        assert (answer.status_code, answer.content) == (plain.status_code, plain.content) or answer.status_code >= 400
        assert answer.status_code == plain.status_code
    for query in ("page_size=101", "page_size=x", "page=1.5", "page=%20"):
        for caller in (client, nobody):
            answer = await caller.get(f"{ROOT}{path}?{query}")
            assert answer.status_code == 422, (query, answer.text)
            assert answer.json()["errors"][0]["code"] == "UNPROCESSABLE_ENTITY"
    if plain.status_code == 200:
        total = plain.headers["x-total-count"]
        behind = await client.get(f"{ROOT}{path}?page=99999")
        assert (behind.status_code, behind.json(), behind.headers["x-total-count"]) == (200, [], total)
        everything = await client.get(f"{ROOT}{path}?page_size=-1")
        assert len(everything.json()) == int(everything.headers["x-total-count"])
        assert "link" not in everything.headers


async def test_10_escapes(world: World, admin: Account) -> None:
    """`q` is unescaped once more than HTTP does, where a plus is a space; what isn't escaped is taken as it stands."""
    client = await world.client(admin)
    body = {"username": "anna", "email": "a@b.c", "realname": "A B+C", "password": "Secret-1234"}
    assert (await client.post("/users", json=body)).status_code == 201
    for q in ("realname%3DA%2520B%252BC", "realname%3D%7EA%2BB", "realname%3DA%20B%252BC"):
        assert [user["username"] for user in (await client.get(f"/users?q={q}")).json()] == ["anna"], q
    assert (await client.get("/users?q=realname%3D%7Eb%2Bc")).json() == []


async def test_12_locations(world: World, admin: Account) -> None:
    """A `Location` is a path with the number of what was made at its end; a project's name if a header asks for it."""
    client = await world.client(admin)
    for headers, last in (({}, r"\d+"), ({"X-Resource-Name-In-Location": "true"}, "second")):
        name = "second" if headers else "first"
        answer = await client.post("/projects", json={"project_name": name}, headers=headers)
        assert re.fullmatch(rf"/api/v2\.0/projects/{last}", answer.headers["location"])
        assert (answer.content, "content-type" in answer.headers) == (b"", False)


async def test_names_that_are_numbers(world: World, admin: Account) -> None:
    """`X-Is-Resource-Name` makes a number a name."""
    client = await world.client(admin)
    await world.project("1")
    assert (await client.get("/projects/1")).json()["name"] == "library"
    for word in ("true", "TRUE", "1", "yes"):
        answer = await client.get("/projects/1", headers={"X-Is-Resource-Name": word})
        assert answer.json()["name"] == "1"


@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_13_bodies(world: World, admin: Account, method: str, path: str) -> None:
    """A missing, malformed or wrongly typed body, its wrong type and an impossible `Accept` are 422 before anything else."""
    before = await world.rows()
    for client in (await world.client(admin), await world.client(None)):
        for content, headers in (
            (b"", {"content-type": "application/json"}),
            (b"{", {"content-type": "application/json"}),
            (b"{}", {"content-type": "text/plain"}),
            (b"{}", {}),
            (b"{}", {"content-type": "application/json", "accept": "image/png"}),
        ):
            answer = await client.request(method, f"{ROOT}{path}", content=content, headers=headers)
            assert answer.status_code == 422, (content, headers, answer.text)
    assert await world.rows() == before


def _error(answer: httpx.Response) -> tuple[int, str]:
    errors = answer.json()["errors"]
    assert len(errors) == 1
    assert errors[0]["message"]
    assert answer.json()["request_id"]
    assert "www-authenticate" not in answer.headers
    return answer.status_code, errors[0]["code"]


async def test_14_order_of_refusals(world: World, admin: Account) -> None:
    """One fault after the other is taken out of a request: the answers come in the order of docs/reference/http.md."""
    team = await world.team()
    outsider = await world.client(await world.user())
    nobody, root = await world.client(None), await world.client(admin)
    path, body = f"/projects/{team.name}/members/999", {"role_id": 3}
    wrong = httpx.BasicAuth("admin", "wrong")
    bad: dict[str, Any] = {"role_id": "three"}

    assert _error(await nobody.put(f"{path}x?a;b", json=bad, auth=wrong)) == (400, "BAD_REQUEST")
    assert _error(await nobody.put(f"{path}x/nowhere", json=bad, auth=wrong)) == (401, "UNAUTHORIZED")
    assert _error(await nobody.put(f"{path}x/nowhere", json=bad)) == (404, "NOT_FOUND")
    assert _error(await nobody.post(f"{path}x", json=bad)) == (405, "METHOD_NOT_ALLOWED")
    assert _error(await nobody.put(f"{path}x", json=bad)) == (422, "UNPROCESSABLE_ENTITY")
    assert _error(await nobody.put(path, json=bad)) == (422, "UNPROCESSABLE_ENTITY")
    assert _error(await nobody.put(path, json=body)) == (401, "UNAUTHORIZED")
    assert _error(await outsider.put(path, json=body)) == (403, "FORBIDDEN")
    assert _error(await outsider.put("/projects/missing/members/999", json=body)) == (403, "FORBIDDEN")
    assert _error(await root.put("/projects/missing/members/999", json=body)) == (404, "NOT_FOUND")
    assert _error(await root.put(path, json={"role_id": 99})) == (400, "BAD_REQUEST")
    # Robots by number are looked for before it is asked who may see them; not for strangers.
    assert _error(await nobody.get("/robots/999")) == (401, "UNAUTHORIZED")
    assert _error(await outsider.get("/robots/999")) == (404, "NOT_FOUND")


@pytest.mark.parametrize("path", READS)
async def test_15_no_challenge(world: World, path: str) -> None:
    """Browsers aren't asked for a password, and wrong credentials are 401 wherever they are sent."""
    client = await world.client(None)
    for auth in (None, ("admin", "wrong"), ("nobody", "wrong")):
        answer = await client.get(f"{ROOT}{path}", auth=auth) if auth else await client.get(f"{ROOT}{path}")
        assert "www-authenticate" not in answer.headers
        if auth is not None:
            # Or too many attempts from here, for who tries a while.
            assert _error(answer) in {(401, "UNAUTHORIZED"), (429, "TOO_MANY_REQUEST")}


@pytest.mark.parametrize(
    "path", ["/gc", "/labels", "/replication/policies", "/system/gc", "/retentions/1", "/scanners"]
)
async def test_not_served_yet(world: World, path: str) -> None:
    """What the contract has and this release hasn't is 501 in the envelope, for anybody; what nobody has is 404."""
    status, code = _error(await (await world.client(None)).get(path))
    served = {f"/api/v2.0{path}", f"/api/v2.0{path}".replace("/1", "/{id}")} & DESCRIBED.keys()
    if path == "/gc":
        assert (status, code) == (404, "NOT_FOUND")
    elif not served:
        assert (status, code) == (501, "NOT_IMPLEMENTED")
