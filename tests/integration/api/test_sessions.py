# SPDX-License-Identifier: Apache-2.0
"""Sessions of browsers and the tokens against forged requests: wire details 17 and 18, as raw answers."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

import httpx
import pytest

from longshore.database.statement import Statement
from longshore.edge.origin import TrustedProxies
from tests.integration.api.conftest import PASSWORD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.api.conftest import Account, World

HEADER = "X-Harbor-CSRF-Token"


@pytest.fixture
async def browser(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that isn't logged in; it keeps cookies."""
    transport = httpx.ASGITransport(app=world)
    async with httpx.AsyncClient(transport=transport, base_url="https://registry.test") as client:
        yield client


async def _login(browser: httpx.AsyncClient, name: str, password: str = PASSWORD) -> httpx.Response:
    """As clients do: ask, take the token of the refusal, and ask again."""
    form = {"principal": name, "password": password}
    refused = await browser.post("/c/login", data=form)
    return await browser.post("/c/login", data=form, headers={HEADER: refused.headers[HEADER]})


async def _token(browser: httpx.AsyncClient) -> dict[str, str]:
    return {HEADER: (await browser.get("/api/v2.0/users/current")).headers[HEADER]}


async def test_the_refusal_carries_what_a_repetition_needs(world: World, browser: httpx.AsyncClient) -> None:
    """A login without token is 403 with exactly one token header and, only without cookie, a cookie; both open it."""
    form = {"principal": "admin", "password": PASSWORD}
    refused = await browser.post("/c/login", data=form)
    assert refused.status_code == 403
    assert refused.json()["errors"] == [{"code": "FORBIDDEN", "message": "CSRF token invalid"}]
    assert len(refused.headers.get_list(HEADER)) == 1
    (cookie,) = refused.headers.get_list("set-cookie")
    assert cookie.startswith("_gorilla_csrf=")
    assert cookie.split("; ")[1:] == ["Path=/", "HttpOnly", "SameSite=Strict", "Secure"]
    again = await browser.post("/c/login", data=form)
    assert (again.status_code, "set-cookie" in again.headers, len(again.headers.get_list(HEADER))) == (403, False, 1)
    assert again.headers[HEADER] != refused.headers[HEADER]
    opened = await browser.post("/c/login", data=form, headers={HEADER: refused.headers[HEADER]})
    assert (opened.status_code, opened.content, opened.headers.get("content-type")) == (200, b"", None)
    (session,) = opened.headers.get_list("set-cookie")
    assert session.startswith("sid=")
    assert session.split("; ")[1:] == ["Path=/", "HttpOnly", "SameSite=Strict", "Secure"]
    assert (await browser.get("/api/v2.0/users/current")).json()["username"] == "admin"


@pytest.mark.parametrize("token", ["", "x", "AAAA", "A" * 88, "%00"])
async def test_other_tokens_open_nothing(world: World, browser: httpx.AsyncClient, token: str) -> None:
    """A token that wasn't given out with this cookie is refused, whatever it looks like; so is a cookie of somebody else's."""
    form = {"principal": "admin", "password": PASSWORD}
    refused = await browser.post("/c/login", data=form)
    assert (await browser.post("/c/login", data=form, headers={HEADER: token})).status_code == 403
    browser.cookies.set("_gorilla_csrf", "A" * 88, domain="registry.test")
    assert (await browser.post("/c/login", data=form, headers={HEADER: refused.headers[HEADER]})).status_code == 403
    assert "sid" not in browser.cookies


async def test_plain_http_has_plain_cookies(world: World) -> None:
    """Over http the cookies aren't Secure: a browser wouldn't keep them."""
    transport = httpx.ASGITransport(app=world)
    async with httpx.AsyncClient(transport=transport, base_url="http://registry.test") as browser:
        opened = await _login(browser, "admin")
        assert opened.status_code == 200
        assert "Secure" not in opened.headers["set-cookie"]


async def test_unsafe_requests_of_sessions_need_the_token(world: World, browser: httpx.AsyncClient) -> None:
    """A session changes something only with the token, which every answer to it carries; Basic is exempt, cookies or not."""
    await _login(browser, "admin")
    body = {"project_name": "one"}
    refused = await browser.post("/api/v2.0/projects", json=body)
    assert (refused.status_code, refused.json()["errors"][0]["message"]) == (403, "CSRF token invalid")
    assert len(refused.headers.get_list(HEADER)) == 1
    read = await browser.get("/api/v2.0/projects")
    assert len(read.headers.get_list(HEADER)) == 1
    made = await browser.post("/api/v2.0/projects", json=body, headers={HEADER: read.headers[HEADER]})
    assert made.status_code == 201
    basic = await browser.post("/api/v2.0/projects", json={"project_name": "two"}, auth=("admin", PASSWORD))
    assert (basic.status_code, HEADER in basic.headers, "set-cookie" in basic.headers) == (201, False, False)
    wrong = await browser.get("/api/v2.0/projects", auth=("admin", "Wrong-1234"))
    assert wrong.status_code == 401


async def test_no_cookie_without_login(world: World, browser: httpx.AsyncClient) -> None:
    """Who doesn't log in gets no session: neither strangers nor clients with Basic that keep cookies."""
    for auth in (None, ("admin", PASSWORD)):
        answer = await browser.get("/api/v2.0/projects", auth=auth)
        assert (answer.status_code, "set-cookie" in answer.headers, HEADER in answer.headers) == (200, False, False)


async def test_log_out(world: World, browser: httpx.AsyncClient) -> None:
    """Logging out ends the session itself, not only the cookie; without a session it does nothing."""
    await _login(browser, "admin")
    session = browser.cookies["sid"]
    answer = await browser.get("/c/log_out")
    assert (answer.status_code, answer.content) == (200, b"")
    assert "sid=; " in answer.headers["set-cookie"]
    assert "sid" not in browser.cookies
    browser.cookies.set("sid", session, domain="registry.test")
    assert (await browser.get("/api/v2.0/users/current")).status_code == 401
    assert (await browser.get("/c/log_out")).status_code == 200


@pytest.mark.parametrize(
    ("name", "password"), [("admin", "Wrong-1234"), ("nobody", PASSWORD), ("", ""), ("robot$x", "x"), ("admin", "")]
)
async def test_wrong_credentials(world: World, browser: httpx.AsyncClient, name: str, password: str) -> None:
    """A failed login is 401, begins no session, and is told with its source."""
    answer = await _login(browser, name, password)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "UNAUTHORIZED")
    assert "sid" not in browser.cookies
    rows = await world.database.read(
        lambda c: c.all(Statement("SELECT payload FROM events WHERE kind = 'user.logged_in'"))
    )
    assert [('"success":false' in row[0], PASSWORD in row[0]) for row in rows] == [(True, False)]


async def test_email_logs_in(world: World, browser: httpx.AsyncClient) -> None:
    """People log in by name or by email address."""
    account = await world.user("dora")
    assert (await _login(browser, "dora@test.test")).status_code == 200
    assert (await browser.get("/api/v2.0/users/current")).json()["user_id"] == account.id


async def test_guessing_is_throttled(world: World, browser: httpx.AsyncClient) -> None:
    """Guessing in the login form is slowed down as by Basic, together with it, and with the time to wait."""
    client = await world.client(None)
    for number in range(3):
        assert (await _login(browser, "admin", f"Guess-{number}")).status_code == 401
        assert (await client.get("/projects", auth=("admin", f"Other-{number}"))).status_code == 401
    answer = await _login(browser, "admin")
    assert (answer.status_code, "retry-after" in answer.headers) == (429, True)


async def test_sources_are_seen_through_proxies_of_ours(world: World, browser: httpx.AsyncClient) -> None:
    """Who comes through a proxy of ours is slowed down and told by the own address; nobody else is believed to be one."""

    async def fail(source: str) -> int:
        form = {"principal": "admin", "password": f"Guess-{world.number}"}
        headers = {"x-forwarded-for": source, "x-forwarded-proto": "http"}
        refused = await browser.post("/c/login", data=form, headers=headers)
        headers[HEADER] = refused.headers[HEADER]
        return (await browser.post("/c/login", data=form, headers=headers)).status_code

    world.proxies = TrustedProxies((IPv4Network("127.0.0.1/32"),))
    assert [await fail("192.0.2.1") for _ in range(7)] == [401] * 6 + [429]
    assert await fail("192.0.2.2") == 401
    world.proxies = TrustedProxies()
    assert [await fail(f"192.0.2.{number}") for number in range(10, 17)] == [401] * 6 + [429]
    told = Statement("SELECT payload FROM events WHERE kind = 'user.logged_in' ORDER BY id")
    rows = await world.database.read(lambda c: c.all(told))
    sources = [json.loads(row[0])["source"] for row in rows]
    assert sources == ["192.0.2.1"] * 6 + ["192.0.2.2"] + ["127.0.0.1"] * 6


async def test_the_id_is_nowhere(world: World, browser: httpx.AsyncClient) -> None:
    """The database has no session's id, so that whoever reads it is nobody."""
    await _login(browser, "admin")
    rows = await world.database.read(lambda c: c.all(Statement("SELECT id_hash FROM sessions")))
    assert len(rows) == 1
    assert browser.cookies["sid"] not in rows[0][0]
    browser.cookies.set("sid", rows[0][0], domain="registry.test")
    assert (await browser.get("/api/v2.0/users/current")).status_code == 401


async def test_a_new_login_is_a_new_session(world: World, browser: httpx.AsyncClient) -> None:
    """Whoever logs in again gets another id, and the old one is over: nobody can plant one."""
    await _login(browser, "admin")
    first = browser.cookies["sid"]
    await world.user("dora")
    await _login(browser, "dora")
    assert browser.cookies["sid"] != first
    assert (await world.database.read(lambda c: c.value(Statement("SELECT count(*) FROM sessions")))) == 1


async def test_sessions_time_out(world: World, browser: httpx.AsyncClient) -> None:
    """A session ends when nobody used it for its time; a request renews it, unless it says not to."""
    age = Statement(
        "UPDATE sessions SET renewed_at = renewed_at - CAST(:by AS BIGINT), expires_at = expires_at - CAST(:by AS BIGINT)"
    )

    async def wait(minutes: int) -> None:
        await world.database.write(lambda t: t.execute(age, by=minutes * 60_000_000))

    async def get(**headers: str) -> int:
        return (await browser.get("/api/v2.0/users/current", headers=headers)).status_code

    await _login(browser, "admin")
    await wait(40)
    assert await get() == 200
    await wait(40)
    assert await get(**{"X-Harbor-No-Session-Renewal": "True"}) == 200
    await wait(40)
    assert await get() == 401


@pytest.mark.parametrize("change", ["password", "disabled", "deleted", "demoted", "promoted"])
async def test_what_ends_sessions(world: World, browser: httpx.AsyncClient, admin: Account, change: str) -> None:
    """A changed password, a disabled or deleted user, a demotion or promotion end sessions with the next request."""
    account = await world.user("dora", sysadmin=change == "demoted")
    root = await world.client(admin)
    assert (await _login(browser, "dora")).status_code == 200
    assert (await browser.get("/api/v2.0/users/current")).status_code == 200
    method, suffix, body = {
        "password": ("PUT", "/password", {"new_password": "Another-1234"}),
        "disabled": ("PUT", "/disabled", {"disabled": True}),
        "deleted": ("DELETE", "", None),
        "demoted": ("PUT", "/sysadmin", {"sysadmin_flag": False}),
        "promoted": ("PUT", "/sysadmin", {"sysadmin_flag": True}),
    }[change]
    assert (await root.request(method, f"/users/{account.id}{suffix}", json=body)).status_code == 200
    assert (await browser.get("/api/v2.0/users/current")).status_code == 401
    expected = 401 if change in {"password", "disabled", "deleted"} else 200
    assert (await _login(browser, "dora")).status_code == expected


async def test_user_exists(world: World, browser: httpx.AsyncClient) -> None:
    """Whether a name is taken is told to administrators; to others only where people may register."""
    await world.user("dora")

    async def ask(**form: str) -> httpx.Response:
        refused = await browser.post("/c/userExists", data=form)
        return await browser.post("/c/userExists", data=form, headers={HEADER: refused.headers[HEADER]})

    assert (await ask(target="username", value="dora")).status_code == 401
    await _login(browser, "dora")
    assert (await ask(target="username", value="dora")).status_code == 403
    await _login(browser, "admin")
    for target, value, taken in (
        ("username", "dora", b"true"),
        ("username", "fred", b"false"),
        ("email", "dora@test.test", b"true"),
    ):
        assert (await ask(target=target, value=value)).content == taken
    assert (await ask(target="id", value="1")).status_code == 400


async def test_registering(world: World, browser: httpx.AsyncClient) -> None:
    """Where people may register, a page makes accounts with the token; the API alone doesn't; where not, nobody does."""
    body = {"username": "fred", "email": "f@x.test", "realname": "F", "password": PASSWORD, "sysadmin_flag": True}
    assert (await browser.post("/api/v2.0/users", json=body)).status_code == 401
    switch = Statement("INSERT INTO configuration (name, value, updated_at) VALUES ('self_registration', 'true', 0)")
    await world.database.write(lambda t: t.execute(switch))
    world.configurations.forget()
    refused = await browser.post("/api/v2.0/users", json=body)
    assert (refused.status_code, len(refused.headers.get_list(HEADER))) == (403, 1)
    await world.user("dora")
    basic = await browser.post("/api/v2.0/users", json=body, auth=("dora", PASSWORD))
    assert basic.status_code == 403
    made = await browser.post("/api/v2.0/users", json=body, headers={HEADER: refused.headers[HEADER]})
    assert made.status_code == 201
    assert (await _login(browser, "fred")).status_code == 200
    assert (await browser.get("/api/v2.0/users/current")).json()["sysadmin_flag"] is False


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/c/login", 405), ("POST", "/c/log_out", 405), ("GET", "/c/nothing", 404), ("GET", "/c/", 404)],
)
async def test_other_paths(browser: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    """What isn't there is told in the envelope."""
    answer = await browser.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()["errors"][0]) == {"code", "message"}


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"principal=a%00&password=b", "application/x-www-form-urlencoded", 422),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 422),
        (b"{}", "application/json", 422),
        (b"a=b&" * 50, "application/x-www-form-urlencoded", 422),
        (b"a" * 20_000, "application/x-www-form-urlencoded", 413),
    ],
)
async def test_bad_forms(browser: httpx.AsyncClient, content: bytes, kind: str, status: int) -> None:
    """A body that is no form of a sensible size is refused with the reason."""
    refused = await browser.post("/c/login")
    headers = {HEADER: refused.headers[HEADER], "content-type": kind}
    assert (await browser.post("/c/login", content=content, headers=headers)).status_code == status
