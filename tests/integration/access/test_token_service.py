# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from longshore.access.errors import AuthenticationRequired, WrongCredentials
from longshore.access.models import ANONYMOUS, REPOSITORY_PULL, Caller, Role
from longshore.access.throttle import FREE_FAILURES, Throttle
from longshore.distribution.token import MAXIMUM_BODY, TokenAnswer
from longshore.oci.errors import BadRequest, PayloadTooLarge, TooManyRequests, Unsupported
from longshore.robots.models import NewRobot, RobotGrant

if TYPE_CHECKING:
    from tests.integration.access.conftest import World

FORM = "application/x-www-form-urlencoded"
HERE = "10.0.0.1"


def _basic(name: str, password: str = "Secret-1234") -> bytes:  # noqa: S107 - of the tests' users
    return b"Basic " + base64.b64encode(f"{name}:{password}".encode())


def _opened(world: World, answer: TokenAnswer) -> dict[str, set[str]]:
    caller = world.tokens.verify(answer.token, HERE)
    return {scope.repository.value: set(scope.actions) for scope in caller.scopes or ()}


async def test_docker(world: World) -> None:
    """GET with Basic answers what docker wants, and only the part of the scopes that is granted."""
    project = await world.project("team")
    await world.member(project, "dora", Role.DEVELOPER)
    query = [
        ("service", "harbor-registry"),
        ("account", "dora"),
        ("scope", "repository:team/app:pull,push,delete repository:library/x:pull,push"),
        ("scope", "repository:absent/x:pull"),
        ("scope", "plugin:team/app:pull"),
        ("scope", "repository:UPPER:pull"),
        ("scope", "repository:team/app:fly"),
        ("scope", "nonsense"),
    ]
    answer = await world.endpoint.get(query, _basic("dora"), HERE)
    assert _opened(world, answer) == {"team/app": {"pull", "push"}, "library/x": {"pull"}}
    body = answer.body()
    assert body["token"] == body["access_token"]
    assert body["expires_in"] == 1800
    assert str(body["issued_at"]).endswith("Z")
    assert "refresh_token" not in body


async def test_scopes_of_one_repository_add_up(world: World) -> None:
    """Two scopes of one repository are one in the token; `*` is everything that the principal may do."""
    scopes = [("scope", "repository:library/x:pull"), ("scope", "repository:library/x:push")]
    assert _opened(world, await world.endpoint.get(scopes, _basic("admin"), HERE)) == {"library/x": {"pull", "push"}}
    star = [("scope", "repository:library/x:*")]
    answer = await world.endpoint.get(star, _basic("admin"), HERE)
    assert _opened(world, answer) == {"library/x": {"pull", "push", "delete"}}


async def test_login(world: World) -> None:
    """Without a scope the right password gets a token that opens nothing, the wrong one 401, and nobody 401."""
    answer = await world.endpoint.get([("service", "harbor-registry")], _basic("admin"), HERE)
    assert _opened(world, answer) == {}
    await world.access.authorise_login(world.tokens.verify(answer.token, HERE))
    with pytest.raises(WrongCredentials):
        await world.endpoint.get([("scope", "repository:library/x:pull")], _basic("admin", "wrong"), HERE)
    with pytest.raises(AuthenticationRequired):
        await world.endpoint.get([("service", "harbor-registry")], None, HERE)


async def test_throttled_login(world: World) -> None:
    """Too many wrong passwords answer 429 with the seconds to wait, for GET as for POST."""
    for _ in range(FREE_FAILURES + 6):
        await Throttle(world.database).failed(HERE, "admin")
    with pytest.raises(TooManyRequests) as caught:
        await world.endpoint.get([], _basic("admin"), HERE)
    assert 16 < caught.value.retry_after <= 32
    with pytest.raises(TooManyRequests):
        await world.endpoint.post(b"grant_type=password&username=admin&password=x", FORM, HERE)


async def test_refresh_token(world: World) -> None:
    """A refresh token gets tokens without a password until the account changes, and is no token itself."""
    project = await world.project("team")
    user = await world.member(project, "dora", Role.DEVELOPER)
    answer = await world.endpoint.get([("offline_token", "true")], _basic("dora"), HERE)
    refresh = answer.refresh_token
    assert refresh is not None
    with pytest.raises(AuthenticationRequired):
        world.tokens.verify(refresh, HERE)
    body = f"grant_type=refresh_token&refresh_token={refresh}&scope=repository%3Ateam%2Fapp%3Apull&client_id=d".encode()
    second = await world.endpoint.post(body, FORM, HERE)
    assert _opened(world, second) == {"team/app": {"pull"}}
    assert second.refresh_token == refresh
    stolen = f"grant_type=refresh_token&refresh_token={answer.token}".encode()
    with pytest.raises(AuthenticationRequired):
        await world.endpoint.post(stolen, FORM, HERE)
    await world.users.reset_password(user, "Other-12345")
    world.wait(2.1)
    with pytest.raises(AuthenticationRequired):
        await world.endpoint.post(body, FORM, HERE)


async def test_docker_login_of_a_robot(world: World) -> None:
    """It gets no refresh token by GET, so that docker keeps the secret, which every container runtime can use."""
    grants = (RobotGrant("library", frozenset({REPOSITORY_PULL})),)
    robot = await world.robots.create(NewRobot(name="ci", grants=grants, duration_days=1), creator="admin")
    answer = await world.endpoint.get([("offline_token", "true")], _basic("robot$ci", robot.secret), HERE)
    assert answer.refresh_token is None
    form = f"grant_type=password&username=robot%24ci&password={robot.secret}&access_type=offline".encode()
    assert (await world.endpoint.post(form, FORM, HERE)).refresh_token is not None


async def test_offline_access(world: World) -> None:
    """POST with access_type=offline gets a refresh token, nobody in particular never does."""
    form = b"grant_type=password&username=admin&password=Secret-1234&access_type=offline&service=harbor-registry"
    assert (await world.endpoint.post(form, FORM, HERE)).refresh_token is not None
    query = [("scope", "repository:library/x:pull"), ("offline_token", "true")]
    assert (await world.endpoint.get(query, None, HERE)).refresh_token is None


@pytest.mark.parametrize(
    ("query", "authorization", "error"),
    [
        ([("service", "other"), ("scope", "repository:library/x:pull")], None, BadRequest),
        (
            [("scope", f"repository:p/{n}:pull") for n in range(101)],
            None,
            BadRequest,
        ),
        ([("scope", "repository:" + "a" * 600 + ":pull")], None, BadRequest),
        ([("scope", "repository:library/x:pull")], b"Bearer abc", AuthenticationRequired),
        ([("scope", "repository:library/x:pull")], b"Basic ???", AuthenticationRequired),
        ([("scope", "repository:library/x:pull")], b"Basic " + base64.b64encode(b"no colon"), AuthenticationRequired),
    ],
)
async def test_bad_questions(
    world: World, query: list[tuple[str, str]], authorization: bytes | None, error: type[Exception]
) -> None:
    """Another service, too many or too long scopes are 400, a malformed Authorization is 401."""
    with pytest.raises(error):
        await world.endpoint.get(query, authorization, HERE)


@pytest.mark.parametrize(
    ("body", "content_type", "error"),
    [
        (b"grant_type=client_credentials", FORM, Unsupported),
        (b"", FORM, Unsupported),
        (b"grant_type=password&username=admin&password=Secret-1234", "application/json", BadRequest),
        (b"grant_type=password&username=%ff", FORM, BadRequest),
        (b"\xff\xfe", FORM, BadRequest),
        (b"a=b&" * 200, FORM, BadRequest),
        (b"a" * (MAXIMUM_BODY + 1), FORM, PayloadTooLarge),
        (b"grant_type=password", FORM, WrongCredentials),
        (b"grant_type=refresh_token&refresh_token=abc", FORM, AuthenticationRequired),
    ],
)
async def test_bad_forms(world: World, body: bytes, content_type: str, error: type[Exception]) -> None:
    """Whatever isn't a form with a known grant is refused with the code that fits."""
    with pytest.raises(error):
        await world.endpoint.post(body, content_type, HERE)


async def test_callers(world: World) -> None:
    """The Authorization header tells the caller; what it can't be is 401."""
    assert await world.authenticator.caller(None, HERE) == Caller(ANONYMOUS, None, HERE)
    caller = await world.authenticator.caller(_basic("admin"), HERE)
    assert (caller.principal.actor, caller.principal.sysadmin, caller.scopes) == ("admin", True, None)
    token = (await world.endpoint.get([("scope", "repository:library/x:pull")], _basic("admin"), HERE)).token
    caller = await world.authenticator.caller(f"bearer {token}".encode(), HERE)
    assert caller.scopes is not None
    for bad in (b"", b"Digest x", b"Basic", b"Bearer ", b"Bearer a.b.c", b"Basic " + b"A" * 5000):
        with pytest.raises(AuthenticationRequired):
            await world.authenticator.caller(bad, HERE)
