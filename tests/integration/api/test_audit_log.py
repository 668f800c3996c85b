# SPDX-License-Identifier: Apache-2.0
"""The audit log over the API: both forms, filters, pages, whose projects, and what administrators switch off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from longshore.access.models import LOG_LIST, Role
from longshore.audit.service import Recorder
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.sequencer import Sequencer
from longshore.events.service import append
from longshore.robots.models import RobotGrant

if TYPE_CHECKING:
    import httpx

    from longshore.database.connection import Transaction
    from tests.integration.api.conftest import Account, World

_CURSOR = Statement("SELECT seq FROM audit_cursors WHERE name = 'log'")
_BACK = Statement("UPDATE audit_cursors SET seq = 0 WHERE name = 'log'")
_COUNT = Statement("SELECT count(*) FROM audit_log")
_TOTAL = Statement("SELECT total FROM list_totals WHERE list = 'audit_log' AND scope_id = 0")
_DIGEST = "sha256:" + "a" * 64


async def _tell(world: World, kind: EventKind, project_id: int | None = None, **payload: Any) -> None:
    async def write(transaction: Transaction) -> None:
        await append(transaction, kind=kind, project_id=project_id, payload=payload)

    await world.database.write(write)


def _told(answer: httpx.Response) -> list[tuple[str, str, str]]:
    assert answer.status_code == 200, answer.text
    return [(one["operation"], one["resource_type"], one["resource"]) for one in answer.json()]


async def test_both_forms_show_one_store(world: World, admin: Account) -> None:
    """An entry as raw JSON in both forms, the newest first."""
    client = await world.client(admin)
    await client.post("/projects", json={"project_name": "demo"})
    await world.audit()
    newest = (await client.get("/auditlog-exts?page_size=2")).json()
    assert [(entry["operation"], entry["resource_type"]) for entry in newest] == [
        ("create", "member"),
        ("create", "project"),
    ]
    entry = newest[1]
    time = entry.pop("op_time")
    assert len(time) == len("2006-01-02T15:04:05.000Z")
    assert entry == {
        "id": entry["id"],
        "username": "admin",
        "resource": "demo",
        "resource_type": "project",
        "operation": "create",
        "operation_description": "create project demo",
        "operation_result": True,
    }
    old = (await client.get("/audit-logs?page_size=2")).json()[1]
    del entry["operation_description"], entry["operation_result"]
    assert old == {**entry, "op_time": time}
    assert (await client.get("/projects/demo/logs")).json()[1] == old
    shown = await client.get("/projects/demo/auditlog-exts")
    assert [entry["id"] for entry in shown.json()] == [entry["id"] for entry in newest]
    assert shown.headers["x-total-count"] == "2"


async def test_resources(world: World, admin: Account) -> None:
    """Resources are named as Harbor names them (wire detail 33), and a failure says false."""
    client = await world.client(admin)
    number, name = await world.project()
    facts = {"repository": "a/b", "digest": _DIGEST}
    await _tell(world, EventKind.MANIFEST_PUSHED, number, **facts, tags=["1"], actor="dora")
    await _tell(world, EventKind.MANIFEST_PULLED, number, **facts, tag="1", actor="anonymous", count=3)
    await _tell(world, EventKind.MANIFEST_DELETED, number, **facts, tags=["1"], actor="dora", reason="by digest")
    await world.audit()
    answer = await client.get(f"/projects/{name}/auditlog-exts?sort=op_time")
    assert _told(answer)[1:] == [
        ("create", "artifact", f"{name}/a/b:1"),
        ("pull", "artifact", f"{name}/a/b:1"),
        ("delete", "artifact", f"{name}/a/b@{_DIGEST}"),
    ]
    assert answer.json()[2]["username"] == "anonymous"
    assert "count: 3" in answer.json()[2]["operation_description"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("operation=pull", {"x:1"}),
        ("resource_type=tag", {"x:2"}),
        ("username=erik", {"x:1"}),
        ("username=~ERI", {"x:1"}),
        ("resource=~x:", {"x:1", "x:2"}),
        ("resource={demo demo/x:1}", {"demo", "x:1"}),
        ("operation={pull delete},username=erik", {"x:1"}),
        ("op_time=[2000-01-01T00:00:00~]", {"demo", "x:1", "x:2"}),
        ("op_time=[~2000-01-01T00:00:00]", set()),
        ("nothing=x", {"demo", "x:1", "x:2"}),
    ],
)
async def test_filters(world: World, admin: Account, query: str, found: set[str]) -> None:
    """Entries are filtered by each of their members, by ranges and lists, and counted so."""
    client = await world.client(admin)
    number, name = await world.project("demo")
    facts = {"repository": "x", "digest": _DIGEST}
    await _tell(world, EventKind.MANIFEST_PULLED, number, **facts, tag="1", actor="erik", count=1)
    await _tell(world, EventKind.TAG_DELETED, number, **facts, tag="2", actor="dora")
    await world.audit()
    answer = await client.get(f"/projects/{name}/auditlog-exts", params={"q": query})
    assert {resource.removeprefix("demo/") for _, _, resource in _told(answer)} == found
    assert answer.headers["x-total-count"] == str(len(found))


@pytest.mark.parametrize("query", ["op_time=yesterday", "op_time=~2026", "username=(a b)", "operation_result=maybe"])
async def test_filters_that_are_refused(world: World, admin: Account, query: str) -> None:
    """A condition that doesn't fit its member is 400 and names it."""
    answer = await (await world.client(admin)).get("/auditlog-exts", params={"q": query})
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["errors"][0]["message"]


async def test_whose_projects(world: World, admin: Account) -> None:
    """People see the logs of the projects where their role includes it, robots where it was given, others nothing."""
    first, second = await world.team(), await world.team()
    public, _ = await world.project("open", public=True)
    admin_of_first, limited = first.members[Role.PROJECT_ADMIN], first.members[Role.MAINTAINER]
    await world.projects.add_member(second.id, admin_of_first.id, Role.PROJECT_ADMIN)
    robot = await world.robot(RobotGrant(second.name, frozenset({LOG_LIST})), project=second.name)
    await _tell(world, EventKind.PROJECT_UPDATED, public, changed=["public"], actor="admin")
    await world.audit()
    everything = await (await world.client(admin)).get("/auditlog-exts?page_size=0")
    assert {"open", first.name, second.name} <= {resource for *_, resource in _told(everything)}
    assert everything.headers["x-total-count"] == str(len(everything.json()))
    for path in ("/auditlog-exts?page_size=0", "/audit-logs?page_size=0"):
        both = await (await world.client(admin_of_first)).get(path)
        names = {resource for _, kind, resource in _told(both) if kind == "project"}
        assert names == {first.name, second.name}
        assert both.headers["x-total-count"] == str(len(both.json()))
        assert _told(await (await world.client(limited)).get(path)) == []
        one = await (await world.client(robot)).get(path)
        assert {resource for _, kind, resource in _told(one) if kind == "project"} == {second.name}
        assert _told(await (await world.client(await world.user())).get(path)) == []


async def test_pages_of_several_projects(world: World) -> None:
    """Page by page, all at once, and filtered, the entries of several projects are the same ones in the same order."""
    first, second = await world.team(), await world.team()
    reader = first.members[Role.PROJECT_ADMIN]
    await world.projects.add_member(second.id, reader.id, Role.PROJECT_ADMIN)
    for number in range(230):
        team = (first, second)[number % 2]
        await _tell(world, EventKind.PROJECT_UPDATED, team.id, changed=[str(number)], actor="admin")
    await world.audit()
    client = await world.client(reader)
    whole = await client.get("/auditlog-exts?page_size=0")
    ids = [entry["id"] for entry in whole.json()]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == int(whole.headers["x-total-count"]) > 230
    paged: list[int] = []
    path: str | None = "/auditlog-exts?page_size=100&sort=-op_time"
    while path:
        answer = await client.get(path)
        paged += [entry["id"] for entry in answer.json()]
        following = [link for link in answer.headers.get("link", "").split(" , ") if 'rel="next"' in link]
        path = following[0].partition("<")[2].partition(">")[0].removeprefix("/api/v2.0") if following else None
    assert paged == ids
    filtered = (await client.get("/auditlog-exts?page_size=0&q=operation={create update}")).json()
    assert [entry["id"] for entry in filtered] == ids
    assert (await client.get("/auditlog-exts?page=9&page_size=100")).json() == []


async def test_event_types(world: World, admin: Account) -> None:
    """The types are told, Harbor's first, in the contract's form."""
    types = (await (await world.client(admin)).get("/auditlog-exts/events")).json()
    assert types[0] == {"event_type": "create_artifact"}
    assert {"event_type": "pull_artifact"} in types[:18]
    assert {"event_type": "delete_tag"} in types[18:]


async def test_types_that_are_switched_off(world: World, admin: Account) -> None:
    """What administrators have switched off isn't kept; that they did is."""
    client = await world.client(admin)
    body = {"disabled_audit_log_event_types": "create_project,pull_artifact"}
    assert (await client.put("/configurations", json=body)).status_code == 200
    await client.post("/projects", json={"project_name": "demo"})
    await world.audit()
    told = _told(await client.get("/auditlog-exts?page_size=3"))
    assert told[0] == ("create", "member", "admin")
    assert told[1] == ("update", "configuration", "configuration")


async def test_secrets_stay_out(world: World, admin: Account) -> None:
    """No password, secret or address of a person comes into the log, whatever happens."""
    client = await world.client(admin)
    dora = await world.user("dora")
    await client.put(f"/users/{dora.id}/password", json={"new_password": "Another-1234"})
    robot = await world.system_robot()
    await client.put("/configurations", json={"oidc_client_secret": "hush-hush"})
    await world.audit()
    text = (await client.get("/auditlog-exts?page_size=0")).text
    for secret in ("Secret-1234", "Another-1234", robot.secret, "hush-hush", "@test.test"):
        assert secret not in text
    assert "oidc_client_secret" in text


async def test_each_event_once(world: World) -> None:
    """Several recorders at once, and one that begins again, write each event once; the counts agree with the rows."""
    for _ in range(3):
        await world.user()
    while await Sequencer(world.database).run_once():
        pass
    recorders = [Recorder(world.database, world.configurations) for _ in range(3)]
    for recorder in recorders * 2:
        await recorder.run_once()
    await world.audit()

    async def counts() -> tuple[int, int, int]:
        async def read(connection: Any) -> tuple[int, int, int]:
            seq = await connection.value(_CURSOR)
            return seq, await connection.value(_COUNT), await connection.value(_TOTAL)

        return await world.database.read(read)

    seq, rows, total = await counts()
    assert rows == total == 6
    assert seq == 6
    await world.database.write(lambda transaction: transaction.execute(_BACK))
    await world.audit()
    assert (await counts())[1:] == (12, 12), "going back would have been noticed"
