# SPDX-License-Identifier: Apache-2.0
"""Quotas on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import World as Builder
from tests.integration.api.test_answers import TIME, nothing

if TYPE_CHECKING:
    from longshore.storage.port import OpenedStore
    from tests.integration.api.conftest import Account, World

GIBIBYTE = 2**30


async def test_quota(world: World, admin: Account, store: OpenedStore) -> None:
    """A quota shows its project, its limit and what is used (24); ours shows the trash besides."""
    client = await world.client(admin)
    body = {"project_name": "demo", "storage_limit": 10_000}
    number = int((await client.post("/projects", json=body)).headers["location"].rpartition("/")[2])
    await Builder(world.database, store).upload(number, b"x" * 1_000)
    answer = await client.get(f"/quotas/{number}")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    shown = answer.json()
    assert shown == {
        "id": number,
        "ref": {"id": number, "name": "demo", "owner_name": "admin"},
        "hard": {"storage": 10_000},
        "used": {"storage": 1_000},
        "trash": {"storage": 0},
        "creation_time": shown["creation_time"],
        "update_time": shown["creation_time"],
    }
    assert TIME.fullmatch(shown["creation_time"])
    nothing(await client.put(f"/quotas/{number}", json={"hard": {"storage": 5 * GIBIBYTE}, "id": 7}))
    changed = (await client.get(f"/quotas/{number}")).json()
    assert (changed["id"], changed["hard"]) == (number, {"storage": 5 * GIBIBYTE})
    assert changed["update_time"] > changed["creation_time"]
    nothing(await client.put(f"/quotas/{number}", json={"hard": {"storage": -1}}))
    assert (await client.get(f"/quotas/{number}")).json()["hard"] == {"storage": -1}
    summary = (await client.get("/projects/demo/summary")).json()
    assert summary["quota"] == {"hard": {"storage": -1}, "used": {"storage": 1_000}}


async def test_lists(world: World, admin: Account, store: OpenedStore) -> None:
    """The newest come first (9); no limit sorts as the largest (24); one is found by its project; deleted ones are gone."""
    client, builder = await world.client(admin), Builder(world.database, store)
    numbers = {}
    for name, limit, used in (("a", 5_000, 300), ("b", -1, 100), ("c", 7_000, 200)):
        body = {"project_name": name, "storage_limit": limit}
        location = (await client.post("/projects", json=body)).headers["location"]
        numbers[name] = int(location.rpartition("/")[2])
        await builder.upload(numbers[name], builder.layer(used))

    async def names(query: str) -> list[str]:
        answer = await client.get(f"/quotas?{query}")
        assert answer.status_code == 200, answer.text
        assert int(answer.headers["x-total-count"]) >= len(answer.json())
        return [quota["ref"]["name"] for quota in answer.json()]

    assert await names("") == ["c", "b", "a", "library"]
    assert await names("sort=creation_time") == ["library", "a", "b", "c"]
    assert (await names("sort=hard.storage"))[:2] == ["a", "c"]
    assert (await names("sort=-hard.storage"))[2:] == ["c", "a"]
    assert await names("sort=-used.storage") == ["a", "c", "b", "library"]
    assert await names("sort=used.storage&page_size=2&page=2") == ["c", "a"]
    assert await names(f"reference=project&reference_id={numbers['b']}") == ["b"]
    assert await names(f"reference_id={numbers['b']}") == ["b"]
    assert await names("reference=project") == ["c", "b", "a", "library"]
    assert await names("reference=registry") == []
    assert await names("reference_id=x") == []
    nothing(await client.delete("/projects/library"))
    assert await names("sort=creation_time") == ["a", "b", "c"]
    assert (await client.get("/quotas/1")).status_code == 404


@pytest.mark.parametrize(
    ("status", "path", "body"),
    [
        (422, "/quotas/1", []),
        (422, "/quotas/1", {"hard": 5}),
        (422, "/quotas/1", {"hard": {"storage": "5"}}),
        (422, "/quotas/1", {"hard": {"storage": 1.5}}),
        (422, "/quotas/1", {"hard": {"storage": 10**30}}),
        (422, "/quotas/x", {"hard": {"storage": 5}}),
        (400, "/quotas/1", {}),
        (400, "/quotas/1", {"hard": {}}),
        (400, "/quotas/1", {"hard": {"storage": 0}}),
        (400, "/quotas/1", {"hard": {"storage": -2}}),
        (400, "/quotas/1", {"hard": {"storage": 1024 * 2**40 + 1}}),
        (400, "/quotas/1", {"hard": {"storage": 5, "count": 1}}),
        (404, "/quotas/777", {"hard": {"storage": 5}}),
    ],
)
async def test_bad_updates(world: World, admin: Account, status: int, path: str, body: Any) -> None:
    """What a limit can't be is refused, and nothing changes (24)."""
    client, before = await world.client(admin), await world.rows()
    answer = await client.put(path, json=body)
    assert answer.status_code == status, answer.text
    assert await world.rows() == before


async def test_copying_into_a_full_project(world: World, admin: Account, store: OpenedStore) -> None:
    """A full project refuses a copy as DENIED, which tells it from a missing permission, and says what it may hold (1.5)."""
    client, builder = await world.client(admin), Builder(world.database, store)
    source_id, source = await world.project()
    target_id, target = await world.project()
    image = await builder.image(source_id, builder.layer(3_000), path="app", tags=["v1"])
    nothing(await client.put(f"/quotas/{target_id}", json={"hard": {"storage": 1_000}}))
    answer = await client.post(f"/projects/{target}/repositories/app/artifacts?from={source}/app@{image}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "DENIED")
    assert "will exceed the configured upper limit of 1000.0 B" in answer.json()["errors"][0]["message"]
    assert (await client.get(f"/quotas/{target_id}")).json()["used"] == {"storage": 0}
