# SPDX-License-Identifier: Apache-2.0
"""A project that fills up: what is refused and when, what the refusal says, and what is told once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from longshore.oci.digest import Digest
from longshore.quotas.service import QuotaService
from longshore.registry.deletion import ManifestDeletion
from longshore.registry.errors import QuotaExceeded
from longshore.system.configuration import Configurations
from longshore.system.sealing import Sealing
from longshore.system.service import ConfigurationService
from tests.builders import World

ALICE = {"actor": "alice", "reason": "test"}


async def _told(world: World) -> list[tuple[str, dict[str, Any]]]:
    rows = await world.rows("SELECT kind, payload FROM events WHERE kind LIKE 'quota.%' ORDER BY id")
    return [(row[0], json.loads(row[1])) for row in rows]


async def _switch(world: World, value: str) -> None:
    await world.sql(
        "INSERT INTO configuration (name, value, updated_at) VALUES ('quota_per_project_enable', :value, 0)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        value=value,
    )


async def test_full_project_refuses_at_the_start(world: World) -> None:
    """A full project refuses before the first byte, in Harbor's words, with what it holds and may hold."""
    project_id = await world.project(quota_bytes=2048)
    await world.upload(project_id, world.layer(2048))
    with pytest.raises(QuotaExceeded) as caught:
        await world.uploads.start(project_id, "app")
    assert (caught.value.code, caught.value.status) == ("DENIED", 403)
    assert caught.value.message.startswith(
        "adding 1.0 B of storage resource, which when updated to current usage of 2.0 KiB will exceed the configured upper"
        " limit of 2.0 KiB."
    )
    assert caught.value.detail == {"added": 1, "used": 2048, "limit": 2048, "trash": 0, "reclaimable": []}


async def test_refusal_names_what_could_go(world: World) -> None:
    """The largest artifacts that have no tag and are alive are named, at most three, and what is in the trash is told."""
    project_id = await world.project(quota_bytes=20_000)
    tagged = await world.image(project_id, world.layer(3_000), tags=["v1"])
    loose = [await world.image(project_id, world.layer(size), tags=[]) for size in (1_000, 1_100, 1_200, 1_300)]
    gone = await world.image(project_id, world.layer(2_000), tags=[])
    await ManifestDeletion(world.database, world.periods).delete(project_id, "app", gone, **ALICE)
    await world.later()
    with pytest.raises(QuotaExceeded) as caught:
        await world.uploads.start(project_id, "app", declared=20_000)
    message = caught.value.message
    assert all(str(digest) in message for digest in loose[1:])
    assert not any(str(digest) in message for digest in (tagged, gone, loose[0]))
    detail = caught.value.detail
    assert isinstance(detail, dict)
    assert [each["artifact"] for each in detail["reclaimable"]] == [f"app@{digest}" for digest in loose[:0:-1]]
    used, stored = await world.usage(project_id)
    assert detail["trash"] == stored - used > 2_000


async def test_exceeding_is_told_once_for_each_crossing(world: World) -> None:
    """However often a full project refuses, one event tells; after something was given back the next refusal is news."""
    project_id = await world.project(quota_bytes=5_000)
    doomed = await world.image(project_id, world.layer(4_000), tags=["v1"])
    await world.sql("UPDATE repository_blobs SET lease_until = 1 WHERE lease_until IS NOT NULL")
    used = (await world.usage(project_id))[0]
    for _ in range(3):
        with pytest.raises(QuotaExceeded):
            await world.upload(project_id, world.layer(4_500))
    exceeded = [payload for kind, payload in await _told(world) if kind == "quota.exceeded"]
    assert exceeded == [{"added": exceeded[0]["added"], "used": used, "limit": 5_000}]
    await ManifestDeletion(world.database, world.periods).delete(project_id, "app", doomed, **ALICE)
    await world.upload(project_id, world.layer(4_400))
    for _ in range(2):
        with pytest.raises(QuotaExceeded):
            await world.upload(project_id, world.layer(4_500))
    assert sum(kind == "quota.exceeded" for kind, _ in await _told(world)) == 2


async def test_warning_is_told_once_for_each_crossing(world: World) -> None:
    """Coming to 85 percent is told, by whatever it comes there; staying above isn't, coming there again is."""
    project_id = await world.project(quota_bytes=10_000)
    await world.upload(project_id, world.layer(8_400))
    assert await _told(world) == []
    extra = [world.layer(100), world.layer(100)]
    for layer in extra:
        await world.upload(project_id, layer)
    warning = ("quota.warning", {"used": 8_500, "limit": 10_000, "percent": 85})
    assert await _told(world) == [warning]
    for layer in extra:
        await world.blobs.delete(project_id, "app", Digest.of(layer))
    await world.upload(project_id, world.layer(200))
    assert len(await _told(world)) == 2


async def test_new_limit(world: World) -> None:
    """A limit may be set below what is used: nothing goes, nothing more comes, and being near it is told."""
    project_id = await world.project()
    quotas = QuotaService(world.database)
    await world.upload(project_id, world.layer(1_000))
    await quotas.set_limit(project_id, 500, actor="admin")
    await quotas.set_limit(project_id, 500, actor="admin")
    with pytest.raises(QuotaExceeded):
        await world.uploads.start(project_id, "app")
    await quotas.set_limit(project_id, 1_100, actor="admin")
    with pytest.raises(QuotaExceeded):
        await world.uploads.start(project_id, "app", declared=101)
    await quotas.set_limit(project_id, None, actor="admin")
    await world.upload(project_id, world.layer(9_000))
    assert [(kind, payload.get("limit")) for kind, payload in await _told(world)] == [
        ("quota.updated", 500),
        ("quota.warning", 500),
        ("quota.exceeded", 500),
        ("quota.updated", 1_100),
        ("quota.exceeded", 1_100),
        ("quota.updated", -1),
    ]


async def test_quotas_switched_off(world: World) -> None:
    """While administrators have switched limits off, what is put in counts and isn't refused; afterwards it is again."""
    project_id = await world.project(quota_bytes=1_000)
    await _switch(world, "false")
    await world.image(project_id, world.layer(5_000), tags=["v1"])
    assert (await world.usage(project_id))[0] > 5_000
    await _switch(world, "true")
    with pytest.raises(QuotaExceeded):
        await world.uploads.start(project_id, "app")


async def test_deletion_relieves_a_full_project_at_once(world: World) -> None:
    """Deleting works when nothing else does, and makes room at once, though the bytes still wait in the trash."""
    project_id = await world.project(quota_bytes=5_000)
    doomed = await world.image(project_id, world.layer(4_000), tags=["v1"])
    await world.sql("UPDATE repository_blobs SET lease_until = 1 WHERE lease_until IS NOT NULL")
    await QuotaService(world.database).set_limit(project_id, 100)
    await ManifestDeletion(world.database, world.periods).delete(project_id, "app", doomed, **ALICE)
    used, stored = await world.usage(project_id)
    assert (used, stored > 4_000) == (0, True)
    await world.upload(project_id, world.layer(100))


async def test_operator_fixes_the_switch(world: World) -> None:
    """What the operator has fixed is what the ledger goes by from the start on; where nothing is fixed nothing changes."""
    project_id = await world.project(quota_bytes=1_000)
    await _switch(world, "true")
    await _fix(world, {"quota_per_project_enable": False})
    await world.upload(project_id, world.layer(5_000))
    await _fix(world, {})
    await _fix(world, {"self_registration": True})
    await world.upload(project_id, world.layer(6_000))
    await _fix(world, {"quota_per_project_enable": True})
    with pytest.raises(QuotaExceeded):
        await world.uploads.start(project_id, "app")


async def _fix(world: World, overwritten: dict[str, bool]) -> None:
    configurations = Configurations(world.database, overwritten)
    service = ConfigurationService(world.database, configurations, Sealing(b"k" * 32, "test"), has_people=_has_people)
    await service.keep_fixed()


async def _has_people() -> bool:
    return False
