# SPDX-License-Identifier: Apache-2.0
"""Pulls are told in batches: who pulled what under which name, and how often."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from longshore.projects.models import Role
from longshore.registry import pull_log
from longshore.registry.pull_log import Pull, PullLog
from longshore.registry.pulls import PullCounter
from longshore.system.configuration import Configurations

if TYPE_CHECKING:
    from tests.integration.distribution.world import World

_EVENTS = "SELECT project_id, payload FROM events WHERE kind = 'manifest.pulled' ORDER BY id"


async def _events(world: World) -> list[dict[str, Any]]:
    return [{"project_id": row[0], **json.loads(row[1])} for row in await world.rows(_EVENTS)]


async def test_pulls_are_told(world: World) -> None:
    """A pull by tag, by digest and by nobody in particular; the same one is told once, HEAD isn't a pull."""
    number = await world.project("demo", public=True)
    client = await world.member("dora", "demo", Role.DEVELOPER)
    digest = await world.image(client, "demo/a/b", "1")
    for _ in range(3):
        await client.get("/v2/demo/a/b/manifests/1")
    await client.head("/v2/demo/a/b/manifests/1")
    await client.get("/v2/demo/a/b/manifests/2")
    await client.get(f"/v2/demo/a/b/manifests/{digest}")
    await world.anonymous.get("/v2/demo/a/b/manifests/1")
    await world.edge.services.pull_log.flush()
    facts = {"project_id": number, "repository": "a/b", "digest": str(digest)}
    told = await _events(world)
    sources = {event.pop("source") for event in told}
    assert len(sources) == 1
    assert told == [
        {**facts, "tag": "1", "actor": "dora", "count": 3},
        {**facts, "tag": "", "actor": "dora", "count": 1},
        {**facts, "tag": "1", "actor": "anonymous", "count": 1},
    ]
    await world.edge.services.pull_log.flush()
    assert len(await _events(world)) == 3


async def test_pulls_are_not_told_when_the_operator_says_so(world: World) -> None:
    """With `pull_audit_log_disable` nothing is written."""
    log = PullLog(world.database, Configurations(world.database, {"pull_audit_log_disable": True}))
    log.add(Pull(1, "a", "sha256:1", "", "dora", ""))
    await log.flush()
    assert await _events(world) == []


async def test_waiting_pulls_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """More different pulls than wait at most aren't told, and the same one is counted still."""
    monkeypatch.setattr(pull_log, "MOST_WAITING", 2)
    log = PullLog(world.database, Configurations(world.database))
    for tag in ("1", "2", "3", "1"):
        log.add(Pull(1, "a", "sha256:1", tag, "dora", ""))
    await log.flush()
    assert [(event["tag"], event["count"]) for event in await _events(world)] == [("1", 2), ("2", 1)]


_COUNTS = "SELECT pull_count, pulled_at FROM manifest_pulls"


@pytest.mark.parametrize(
    ("items", "counted", "timed"),
    [
        ({}, 2, True),
        ({"pull_time_update_disable": True}, 2, False),
        ({"pull_count_update_disable": True}, 0, True),
        ({"pull_time_update_disable": True, "pull_count_update_disable": True}, None, False),
    ],
)
async def test_what_is_kept_of_pulls(world: World, items: dict[str, Any], counted: int | None, timed: bool) -> None:
    """The operator may leave the times of pulls alone, their number, or both: then nothing at all is written."""
    await world.project("demo", public=True)
    client = await world.member("dora", "demo", Role.DEVELOPER)
    digest = await world.image(client, "demo/app", "1")
    number = await world.value("SELECT id FROM manifests WHERE digest = :digest", digest=str(digest))
    counter = PullCounter(world.database, Configurations(world.database, items))
    for _ in range(2):
        counter.add(number, "1")
    await counter.flush()
    rows = [(row[0], row[1] > 0) for row in await world.rows(_COUNTS)]
    assert rows == ([] if counted is None else [(counted, timed)])
    tag = (await world.rows("SELECT pull_count, pulled_at FROM tags"))[0]
    assert (tag[0], tag[1] is not None) == (counted or 0, timed)
    assert await world.value("SELECT pull_count FROM repositories") == (counted or 0)
