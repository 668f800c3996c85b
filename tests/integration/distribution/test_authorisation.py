# SPDX-License-Identifier: Apache-2.0
"""Every route of /v2 for everybody who may ask, by Basic and by token, against one table of expectations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from longshore.access.models import ARTIFACT_DELETE, REPOSITORY_PULL, REPOSITORY_PUSH, TAG_DELETE
from longshore.identity.service import UserService
from longshore.oci import mediatypes
from longshore.oci.digest import Digest
from longshore.projects.models import Role
from longshore.projects.service import ProjectService
from longshore.registry.project_deletion import ProjectDeletion
from longshore.robots.models import RobotGrant
from longshore.robots.secret import RobotSecrets
from longshore.robots.service import RobotService
from tests.integration.distribution.asgi import Answer, Client
from tests.integration.distribution.world import KEY, World, encode, image

DELETE = (ARTIFACT_DELETE, TAG_DELETE)

# Who may pull, push and delete in a private project, and log in (GET /v2/ and the catalog) at all.
MATRIX = """
anonymous         - - - -
outsider          - - - x
limited guest     x - - x
guest             x - - x
developer         x x - x
maintainer        x x x x
project admin     x x x x
system admin      x x x x
pulling robot     x - - x
pushing robot     x x - x
system robot      x x x x
reading robot     x - - x
blind robot       - x - x
robot elsewhere   - - - x
"""
EXPECTED = {
    line[:18].strip(): dict(zip(("pull", "push", "delete", "login"), line[18:].split(), strict=True))
    for line in MATRIX.strip().splitlines()
}
ROLES = {
    "limited guest": Role.LIMITED_GUEST,
    "guest": Role.GUEST,
    "developer": Role.DEVELOPER,
    "maintainer": Role.MAINTAINER,
    "project admin": Role.PROJECT_ADMIN,
}


@dataclass(frozen=True, slots=True)
class Material:
    """What the routes are tried on: a repository with an image, a blob of its own and an upload."""

    repository: str
    manifest: Digest
    payload: bytes
    config: Digest
    loose: Digest
    upload: str
    spare_upload: str


@dataclass(frozen=True, slots=True)
class Route:
    """One route: which right it takes, what a token needs to name, and what it answers to who has it."""

    right: str
    scope: str
    call: Callable[[Client, Material], Awaitable[Answer]]
    status: int
    mounts: bool = False


def _reading(method: str, tail: str) -> Route:
    return Route("pull", "pull", lambda client, it: _on(client, it, method, tail), 200)


READ = ("manifests/latest", "manifests/{manifest}", "blobs/{loose}", "referrers/{manifest}", "tags/list")
PUSHING, DELETING = ("push", "pull,push"), ("delete", "delete")
# In an order in which all of them succeed for who may do everything.
ROUTES = [
    *(_reading(method, tail) for tail in READ for method in ("GET", "HEAD")),
    Route(*PUSHING, lambda client, it: _on(client, it, "PUT", "manifests/latest", it.payload), 201),
    Route(*PUSHING, lambda client, it: _on(client, it, "PUT", "manifests/{manifest}?tag=more", it.payload), 201),
    Route(*PUSHING, lambda client, it: _on(client, it, "POST", "blobs/uploads/"), 202),
    Route(*PUSHING, lambda client, it: _on(client, it, "POST", f"blobs/uploads/?digest={Digest.of(b'y')}", b"y"), 201),
    Route(
        *PUSHING,
        lambda client, it: _on(client, it, "POST", "blobs/uploads/?mount={loose}&from={repository}"),
        201,
        True,
    ),
    Route(*PUSHING, lambda client, it: client.get(it.upload), 204),
    Route(*PUSHING, lambda client, it: client.patch(it.upload, b"x"), 202),
    Route(*PUSHING, lambda client, it: client.put(f"{it.upload}?digest={Digest.of(b'x')}"), 201),
    Route(*PUSHING, lambda client, it: client.delete(it.spare_upload), 204),
    Route(*DELETING, lambda client, it: _on(client, it, "DELETE", "manifests/latest"), 202),
    Route(*DELETING, lambda client, it: _on(client, it, "DELETE", "manifests/{manifest}"), 202),
    Route(*DELETING, lambda client, it: _on(client, it, "DELETE", "blobs/{loose}"), 202),
]


async def _on(client: Client, it: Material, method: str, tail: str, body: bytes = b"") -> Answer:
    tail = tail.format(manifest=it.manifest, loose=it.loose, repository=it.repository)
    headers = {"content-type": mediatypes.OCI_MANIFEST} if "manifests" in tail else {}
    return await client.request(method, f"/v2/{it.repository}/{tail}", headers, body)


async def _material(world: World, admin: Client, repository: str) -> Material:
    config = world.fresh()
    loose = await world.blob(admin, repository, world.fresh())
    digest = await world.blob(admin, repository, config)
    uploads = f"/v2/{repository}/blobs/uploads/"
    upload, spare = [(await admin.post(uploads)).expect(202)["location"] for _ in range(2)]
    manifest = await world.manifest(admin, repository, image(config), "latest")
    return Material(repository, manifest, encode(image(config)), digest, loose, upload, spare)


async def _people(world: World) -> dict[str, Client]:
    await world.project("elsewhere")
    everybody = {"anonymous": world.anonymous, "outsider": await world.user("outsider")}
    for name, role in ROLES.items():
        everybody[name] = await world.member(name.replace(" ", "-"), "demo", role)
    return everybody | {
        "system admin": await world.admin(),
        "pulling robot": await world.robot("pull", "demo", [REPOSITORY_PULL]),
        # As in Harbor, pushing includes pulling for robots of projects, and for them only.
        "pushing robot": await world.robot("push", "demo", [REPOSITORY_PUSH]),
        "system robot": await world.robot("all", "*", [REPOSITORY_PULL, REPOSITORY_PUSH, *DELETE], system=True),
        "reading robot": await world.robot("read", "demo", [REPOSITORY_PULL], system=True),
        "blind robot": await world.robot("blind", "demo", [REPOSITORY_PUSH], system=True),
        "robot elsewhere": await world.robot("ci", "elsewhere", [REPOSITORY_PULL, REPOSITORY_PUSH]),
    }


def _challenge(answer: Answer) -> dict[str, str]:
    scheme, _, rest = answer["www-authenticate"].partition(" ")
    assert scheme == "Bearer"
    parts = [part.partition("=") for part in rest.split('",')]
    assert all(value.startswith('"') for _, _, value in parts)
    return {name: value.strip('"') for name, _, value in parts}


@pytest.mark.parametrize("token", [False, True], ids=["basic", "token"])
@pytest.mark.parametrize("public", [False, True], ids=["private", "public"])
async def test_every_route_for_everybody(world: World, public: bool, token: bool) -> None:
    """Each route answers who may use it, and refuses everybody else in the way their client understands."""
    await world.project("demo", public=public)
    people = await _people(world)
    admin = people["system admin"]
    assert people.keys() == EXPECTED.keys()
    for number, (who, basic) in enumerate(people.items()):
        repository = f"demo/app{number}"
        it = await _material(world, admin, repository)
        client = (
            await world.token(basic, f"repository:{repository}:pull,push,delete")
            if token and (EXPECTED[who]["login"] == "x" or public)
            else basic
        )
        rights = {right for right, mark in EXPECTED[who].items() if mark == "x"} | ({"pull"} if public else set())
        async with world.unchanged():
            for route in ROUTES:
                if route.right not in rights:
                    _check_refusal(await route.call(client, it), route, client, repository)
        for route in ROUTES:
            if route.right in rights:
                # A mount is from what the caller may read itself; for who may not, it is an upload like any other.
                status = 202 if route.mounts and "pull" not in rights else route.status
                assert (await route.call(client, it)).status == status, who


def _check_refusal(answer: Answer, route: Route, client: Client, repository: str) -> None:
    """Basic is told that it may not; who could get another token is told which, and whether the present one is short."""
    scheme = client.headers[0][1].partition(" ")[0] if client.headers else "none"
    assert answer.status == (403 if scheme == "Basic" else 401)
    if answer.body:
        assert answer.code == ("DENIED" if scheme == "Basic" else "UNAUTHORIZED")
    if scheme == "Basic":
        assert not answer.all("www-authenticate")
        return
    challenge = _challenge(answer)
    assert challenge["realm"] == "http://registry.test/service/token"
    assert challenge["service"] == "harbor-registry"
    assert challenge["scope"].split(" ")[0] == f"repository:{repository}:{route.scope}"
    assert challenge.get("error") == ("insufficient_scope" if scheme == "Bearer" else None)


async def test_login(world: World) -> None:
    """GET /v2/ answers who is logged in, by Basic or token, and challenges everybody else; wrong passwords are 401."""
    await world.project("demo", public=True)
    for who, client in (await _people(world)).items():
        expected = 200 if EXPECTED[who]["login"] == "x" else 401
        callers = [client, await world.token(client, "repository:demo/app:pull")]
        for caller in callers:
            for target in ("/v2/", "/v2"):
                answer = await caller.get(target)
                assert answer.status == expected, who
                assert answer["docker-distribution-api-version"] == "registry/2.0"
                assert (answer.body == b"{}") == (expected == 200)
    wrong = [
        world.anonymous.basic("outsider", "wrong"),
        world.anonymous.basic("nobody", "wrong"),
        world.anonymous.basic("robot$demo+pull", "wrong"),
        world.anonymous.bearer("wrong"),
        world.anonymous.bearer("a.b.c"),
        Client(world.edge, (("authorization", "Digest wrong"),)),
        Client(world.edge, (("authorization", "Basic !"),)),
        Client(world.edge, (("authorization", "Basic bm9jb2xvbg=="),)),
    ]
    for caller in wrong:
        for target in ("/v2/", "/v2/demo/app/tags/list", "/v2/_catalog"):
            assert _challenge((await caller.get(target)).expect(401, "UNAUTHORIZED"))["service"] == "harbor-registry"


async def test_token_of_another_repository(world: World) -> None:
    """A token opens what it names, with the actions it names, and asks for a wider one everywhere else."""
    await world.project("demo")
    client = await world.member("admin", "demo", Role.PROJECT_ADMIN)
    it = await _material(world, client, "demo/app")
    for scope, rights in (
        ("repository:demo/app:pull", {"pull"}),
        ("repository:demo/app:push", {"push"}),
        ("repository:demo/app:delete", {"delete"}),
        ("repository:demo/other:pull,push,delete", set()),
        ("repository:demo/app/below:pull,push,delete", set()),
        ("repository:demo:pull,push,delete", set()),
        ("registry:catalog:*", set()),
    ):
        token = await world.token(client, scope)
        for route in ROUTES:
            if route.right not in rights:
                answer = (await route.call(token, it)).expect(401)
                challenge = _challenge(answer)
                assert challenge["error"] == "insufficient_scope"
                assert challenge["scope"].split(" ")[0] == f"repository:demo/app:{route.scope}"
        if "pull" in rights:
            (await token.get("/v2/demo/app/tags/list")).expect(200)
    every = await world.token(client, "repository:demo/other:pull", "repository:demo/app:*")
    for route in ROUTES:
        assert (await route.call(every, it)).status == route.status


async def test_expired_token(world: World) -> None:
    """A token is good until its time is over, and not a second longer."""
    await world.project("demo")
    client = await world.robot("ci", "demo")
    await world.image(client, "demo/app", "latest")
    answer = await client.get("/service/token?service=harbor-registry&scope=repository:demo/app:pull")
    token = client.bearer(answer.json()["token"])
    lifetime = answer.json()["expires_in"]
    (await token.get("/v2/demo/app/tags/list")).expect(200)
    world.wait(lifetime - 2)
    (await token.get("/v2/demo/app/tags/list")).expect(200)
    world.wait(2)
    refused = (await token.get("/v2/demo/app/tags/list")).expect(401, "UNAUTHORIZED")
    assert _challenge(refused)["error"] == "invalid_token"
    assert _challenge(refused)["scope"] == "repository:demo/app:pull"


async def _membership_ends(world: World) -> None:
    member = await world.value("SELECT id FROM project_members")
    await ProjectService(world.database).remove_member(await world.project_id("demo"), member)


async def _password_changes(world: World) -> None:
    await UserService(world.database, world.passwords).reset_password(await world.user_id("somebody"), "Another-1234")


async def _user_deleted(world: World) -> None:
    await UserService(world.database, world.passwords).delete(await world.user_id("somebody"))


async def _robot_disabled(world: World) -> None:
    robots = RobotService(world.database, RobotSecrets(KEY))
    grants = (RobotGrant("demo", frozenset({REPOSITORY_PULL, REPOSITORY_PUSH})),)
    await robots.update(await world.value("SELECT id FROM robots"), description="", disabled=True, grants=grants)


async def _robot_loses_a_permission(world: World) -> None:
    robots = RobotService(world.database, RobotSecrets(KEY))
    grants = (RobotGrant("demo", frozenset({TAG_DELETE})),)
    await robots.update(await world.value("SELECT id FROM robots"), description="", disabled=False, grants=grants)


async def _robot_deleted(world: World) -> None:
    await RobotService(world.database, RobotSecrets(KEY)).delete(await world.value("SELECT id FROM robots"))


async def _robot_gets_another_secret(world: World) -> None:
    await RobotService(world.database, RobotSecrets(KEY)).refresh_secret(await world.value("SELECT id FROM robots"))


async def _project_made_private(world: World) -> None:
    await ProjectService(world.database).set_public(await world.project_id("demo"), public=False)


async def _project_made_anew(world: World) -> None:
    deletion = ProjectDeletion(world.database, world.periods)
    await deletion.delete(await world.project_id("demo"), actor="test", reason="test")
    await world.project("demo")


async def _project_deleted(world: World) -> None:
    deletion = ProjectDeletion(world.database, world.periods)
    await deletion.delete(await world.project_id("demo"), actor="test", reason="test")


@pytest.mark.parametrize(
    ("who", "revoke"),
    [
        ("member", _membership_ends),
        ("member", _password_changes),
        ("member", _user_deleted),
        ("member", _project_deleted),
        ("member", _project_made_anew),
        ("robot", _robot_disabled),
        ("robot", _robot_loses_a_permission),
        ("robot", _robot_deleted),
        ("robot", _robot_gets_another_secret),
        ("robot", _project_made_anew),
        ("anonymous", _project_made_private),
        ("anonymous", _project_made_anew),
        ("outsider", _project_made_private),
    ],
)
async def test_revoked(world: World, who: str, revoke: Callable[[World], Awaitable[None]]) -> None:
    """Two seconds after what a token rests on is gone, the token opens nothing, on no process, for no caller."""
    await world.project("demo", public=who in {"anonymous", "outsider"})
    client = {
        "member": lambda: world.member("somebody", "demo", Role.DEVELOPER),
        "robot": lambda: world.robot("ci", "demo"),
        "outsider": lambda: world.user("outsider"),
    }
    admin = await world.admin()
    basic = await client[who]() if who in client else world.anonymous
    digest = await world.blob(admin, "demo/app", world.fresh())
    other = await world.process()
    token = await world.token(basic, "repository:demo/app:pull,push")
    target = f"/v2/demo/app/blobs/{digest}"
    for caller in (token, token.on(other), basic, basic.on(other)):
        (await caller.get(target)).expect(200)
    await revoke(world)
    world.wait(2.1)
    for edge in (world.edge, other):
        refused = (await token.on(edge).get(target)).expect(401, "UNAUTHORIZED")
        assert _challenge(refused)["error"] in {"invalid_token", "insufficient_scope"}
        assert (await basic.on(edge).get(target)).status in {401, 403}
        (await token.on(edge).post("/v2/demo/app/blobs/uploads/")).expect(401, "UNAUTHORIZED")


async def test_project_made_anew_for_who_may_use_both(world: World) -> None:
    """A new project of an old name is not opened by tokens of the old one, not even for those who may use both."""
    await world.project("demo")
    admin = await world.admin()
    token = await world.token(admin, "repository:demo/app:pull,push")
    (await token.post("/v2/demo/app/blobs/uploads/")).expect(202)
    await _project_made_anew(world)
    world.wait(2.1)
    (await token.post("/v2/demo/app/blobs/uploads/")).expect(401, "UNAUTHORIZED")
    fresh = await world.token(admin, "repository:demo/app:pull,push")
    (await fresh.post("/v2/demo/app/blobs/uploads/")).expect(202)
