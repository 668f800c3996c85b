# SPDX-License-Identifier: Apache-2.0
"""Access tokens of people where docker brings them: Basic at /v2, `GET /service/token`, refresh tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from longshore.access.models import REPOSITORY_PULL, REPOSITORY_PUSH, Grants, Permission, Principal, PrincipalKind, Role
from longshore.identity.access_tokens import AccessTokens
from longshore.identity.models import NewAccessToken
from longshore.identity.service import UserService
from longshore.identity.token_secret import TokenSecrets
from longshore.projects.service import ProjectService
from tests.integration.distribution.world import KEY

if TYPE_CHECKING:
    from tests.integration.distribution.asgi import Client
    from tests.integration.distribution.world import World

SCOPE = "repository:demo/app:pull,push"


async def _token(world: World, name: str, *permissions: Permission, days: int | None = 1) -> tuple[int, Client]:
    """A new access token of a person for the project, or (without permissions) for all that the person may."""
    user_id = await world.user_id(name)
    limit = Grants(projects=((await world.project_id("demo"), frozenset(permissions)),)) if permissions else None
    owner = Principal(PrincipalKind.USER, user_id, name, sysadmin=False, access_version=1)
    tokens = AccessTokens(world.database, TokenSecrets(KEY))
    new = NewAccessToken(name=f"t{world.next()}", limit=limit, days=days)
    token_id, secret = await tokens.create(user_id, new, by=owner)
    return token_id, world.anonymous.basic(name, secret)


async def test_pushing_and_pulling(world: World) -> None:
    """An access token pushes and pulls as the password does: by Basic, by a token, and by a refresh token."""
    await world.project("demo")
    await world.member("dora", "demo", Role.DEVELOPER)
    _, client = await _token(world, "dora")
    await world.image(client, "demo/app", "latest")
    bearer = await world.token(client, SCOPE)
    (await bearer.get("/v2/demo/app/manifests/latest")).expect(200)
    answer = (await client.get(f"/service/token?service=harbor-registry&scope={SCOPE}&offline_token=true")).json()
    assert answer["scope"] == SCOPE
    assert "refresh_token" in answer


async def test_limited(world: World) -> None:
    """A token for pulling gets no more, by Basic and by what the token service issues; push brings pull along."""
    await world.project("demo")
    await world.project("other")
    owner = await world.member("dora", "demo", Role.PROJECT_ADMIN)
    await world.image(owner, "demo/app", "latest")
    _, reading = await _token(world, "dora", REPOSITORY_PULL)
    (await reading.get("/v2/demo/app/manifests/latest")).expect(200)
    (await reading.post("/v2/demo/app/blobs/uploads/")).expect(403)
    (await reading.delete("/v2/demo/app/manifests/latest")).expect(403)
    (await reading.get("/v2/other/app/manifests/latest")).expect(403)
    answer = (await reading.get(f"/service/token?service=harbor-registry&scope={SCOPE}")).json()
    assert answer["scope"] == "repository:demo/app:pull"
    bearer = await world.token(reading, SCOPE)
    (await bearer.get("/v2/demo/app/manifests/latest")).expect(200)
    (await bearer.post("/v2/demo/app/blobs/uploads/")).expect(401)
    _, writing = await _token(world, "dora", REPOSITORY_PUSH)
    answer = (await writing.get(f"/service/token?service=harbor-registry&scope={SCOPE}")).json()
    assert answer["scope"] == SCOPE


async def test_the_catalog_of_a_limited_token(world: World) -> None:
    """The catalog has what the token names and its owner may read, and what is public."""
    for name, public in (("demo", False), ("hers", False), ("open", True)):
        await world.project(name, public=public)
        await world.image(await world.admin(), f"{name}/app", "latest")
    await world.member("dora", "demo", Role.GUEST)
    _, client = await _token(world, "dora", REPOSITORY_PULL)
    assert (await client.get("/v2/_catalog")).json()["repositories"] == ["demo/app", "open/app"]
    root = await world.user("root", sysadmin=True)
    assert "hers/app" in (await root.get("/v2/_catalog")).json()["repositories"]
    _, limited = await _token(world, "root", REPOSITORY_PULL)
    assert (await limited.get("/v2/_catalog")).json()["repositories"] == ["demo/app", "open/app"]


@pytest.mark.parametrize("change", ["ended", "password", "disabled", "deleted", "demoted", "expired", "membership"])
async def test_what_was_issued_ends_too(world: World, change: str) -> None:
    """Within two seconds of a change nothing opens any more: neither the token nor what the token service gave for it."""
    project_id = await world.project("demo")
    await world.user("first", sysadmin=True)
    await world.user("dora", sysadmin=change == "demoted")
    user_id = await world.user_id("dora")
    projects = ProjectService(world.database)
    member_id = await projects.add_member(project_id, user_id, Role.DEVELOPER)
    token_id, client = await _token(world, "dora", REPOSITORY_PULL, REPOSITORY_PUSH)
    await world.image(client, "demo/app", "latest")
    bearer = await world.token(client, SCOPE)
    (await bearer.get("/v2/demo/app/manifests/latest")).expect(200)
    users, tokens = UserService(world.database, world.passwords), AccessTokens(world.database, TokenSecrets(KEY))
    internal = Principal(PrincipalKind.INTERNAL, 0, "longshore", sysadmin=True, access_version=0)
    if change == "ended":
        await tokens.delete(user_id, token_id, by=internal)
    elif change == "password":
        await users.reset_password(user_id, "Another-1234")
    elif change == "disabled":
        await users.set_disabled(user_id, disabled=True)
    elif change == "deleted":
        await users.delete(user_id)
    elif change == "demoted":
        await users.set_sysadmin(user_id, sysadmin=False)
    elif change == "expired":
        await world.sql("UPDATE access_tokens SET expires_at = 1")
    else:
        await projects.remove_member(project_id, member_id)
    world.wait(2.1)
    (await bearer.get("/v2/demo/app/manifests/latest")).expect(401)
    (await client.get("/v2/demo/app/manifests/latest")).expect(403 if change == "membership" else 401)
