# SPDX-License-Identifier: Apache-2.0
"""What administrators set shows at /v2: read-only mode, and how long tokens are good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from longshore.projects.models import Role

if TYPE_CHECKING:
    from tests.integration.distribution.world import World

_SET = "INSERT INTO configuration (name, value, updated_at) VALUES (:name, :value, 0)"


async def test_read_only_mode(world: World) -> None:
    """In read-only mode pushes and deletions are 403 DENIED and pulls work; within two seconds, and back again."""
    await world.project("demo", public=False)
    client = await world.member("dora", "demo", Role.MAINTAINER)
    digest = await world.image(client, "demo/app", "1")
    await world.sql(_SET, name="read_only", value="true")
    world.wait(3)
    for method, path in (
        ("POST", "/v2/demo/app/blobs/uploads/"),
        ("PUT", "/v2/demo/app/manifests/2"),
        ("DELETE", "/v2/demo/app/manifests/1"),
        ("DELETE", f"/v2/demo/app/manifests/{digest}"),
    ):
        answer = await client.request(method, path)
        assert answer.status == 403, path
        assert answer.json()["errors"][0] == {
            "code": "DENIED",
            "message": "The system is in read only mode. Any modification is prohibited.",
        }
    assert (await client.get("/v2/demo/app/manifests/1")).status == 200
    await world.sql("DELETE FROM configuration")
    world.wait(3)
    assert (await client.delete("/v2/demo/app/manifests/1")).status == 202


@pytest.mark.parametrize("minutes", [1, 90])
async def test_tokens_are_good_for_as_long_as_is_set(world: World, minutes: int) -> None:
    """The item `token_expiration` decides how long a token that is issued now is good."""
    path = "/service/token?service=harbor-registry&scope=repository:demo/app:pull"
    assert (await world.anonymous.get(path)).json()["expires_in"] == 30 * 60
    await world.sql(_SET, name="token_expiration", value=str(minutes))
    world.wait(3)
    assert (await world.anonymous.get(path)).json()["expires_in"] == minutes * 60
