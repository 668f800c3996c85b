# SPDX-License-Identifier: Apache-2.0
"""Settings of projects one by one (wire details 20 and 22), and allowlists (27)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from longshore.projects.allowlists import Allowlist

if TYPE_CHECKING:
    from tests.integration.api.conftest import Account, World

NEVER = "0001-01-01T00:00:00.000Z"


async def test_settings_one_by_one(world: World, admin: Account) -> None:
    """Added, listed, read, changed and removed; with and without a slash at the end; answers have no body."""
    client = await world.client(admin)
    await world.project("demo")
    path = "/projects/demo/metadatas"
    assert (await client.get(f"{path}/")).json() == {"public": "false"}
    added = await client.post(f"{path}/", json={"auto_scan": "T"})
    assert (added.status_code, added.content, "content-type" in added.headers) == (200, b"", False)
    assert "location" not in added.headers
    assert (await client.post(path, json={"severity": "HIGH"})).status_code == 200
    assert (await client.get(path)).json() == {"public": "false", "auto_scan": "true", "severity": "high"}
    assert (await client.post(path, json={"severity": "low"})).status_code == 409
    assert (await client.post(path, json={"public": "true"})).status_code == 409
    assert (await client.put(f"{path}/auto_scan", json={"auto_scan": "0"})).status_code == 200
    assert (await client.get(f"{path}/auto_scan")).json() == {"auto_scan": "false"}
    assert (await client.put(f"{path}/public", json={"public": "1"})).status_code == 200
    assert (await client.get(f"{path}/public")).json() == {"public": "true"}
    assert (await client.get("/projects/demo")).json()["metadata"]["public"] == "true"
    assert (await client.delete(f"{path}/severity")).status_code == 200
    for answer in (
        await client.get(f"{path}/severity"),
        await client.get(f"{path}/nonsense"),
    ):
        assert (answer.status_code, answer.json()) == (200, {})
    assert (await client.put(f"{path}/severity", json={"severity": "low"})).status_code == 200
    assert (await client.delete(f"{path}/severity")).status_code == 200
    assert (await client.get(path)).json() == {"public": "true", "auto_scan": "false"}


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("enable_content_trust", "1", "true"),
        ("enable_content_trust_cosign", "f", "false"),
        ("prevent_vul", "TRUE", "true"),
        ("severity", "Critical", "critical"),
        ("auto_scan", "t", "true"),
        ("auto_sbom_generation", "0", "false"),
        ("reuse_sys_cve_allowlist", "False", "false"),
        ("proxy_speed_kb", "-1", "-1"),
        ("max_upstream_conn", "30", "30"),
        ("proxy_cache_local_on_not_found", "true", "true"),
        ("proxy_referrer_api", "true", "true"),
        ("proxy_cache_filter_pattern", "library/**", "library/**"),
        ("proxy_cache_filter_kind", "regex", "regex"),
    ],
)
async def test_every_key(world: World, admin: Account, name: str, value: str, stored: str) -> None:
    """Each key of the contract but the two that are set elsewhere is stored as a text, in one way of writing it."""
    client = await world.client(admin)
    await world.project("demo")
    assert (await client.post("/projects/demo/metadatas/", json={name: value})).status_code == 200
    assert (await client.get(f"/projects/demo/metadatas/{name}")).json() == {name: stored}


@pytest.mark.parametrize(
    ("status", "method", "path", "body"),
    [
        (400, "POST", "/projects/demo/metadatas", {"nonsense": "true"}),
        (400, "POST", "/projects/demo/metadatas", {"retention_id": "1"}),
        (400, "POST", "/projects/demo/metadatas", {}),
        (400, "POST", "/projects/demo/metadatas", {"auto_scan": "true", "severity": "low"}),
        (400, "POST", "/projects/demo/metadatas", {"auto_scan": "perhaps"}),
        (400, "POST", "/projects/demo/metadatas", {"severity": "mild"}),
        (400, "PUT", "/projects/demo/metadatas/auto_scan", {"severity": "low"}),
        (400, "PUT", "/projects/demo/metadatas/auto_scan", {"auto_scan": ""}),
        (400, "PUT", "/projects/demo/metadatas/nonsense", {"nonsense": "x"}),
        (422, "POST", "/projects/demo/metadatas", {"auto_scan": True}),
        (422, "POST", "/projects/demo/metadatas", ["auto_scan"]),
        (422, "POST", "/projects/demo/metadatas", None),
        (404, "POST", "/projects/nowhere/metadatas", {"auto_scan": "true"}),
    ],
)
async def test_refused_settings(world: World, admin: Account, status: int, method: str, path: str, body: Any) -> None:
    """Unknown keys are told by name; nothing changes."""
    client = await world.client(admin)
    await world.project("demo")
    before = await world.rows()
    answer = await client.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    if body and status == 400 and {"nonsense", "retention_id"} & body.keys():
        assert answer.json()["errors"][0]["message"].startswith(f"invalid key: {next(iter(body))}")
    assert await world.rows() == before


async def test_allowlist_of_a_project(world: World, admin: Account) -> None:
    """It is stored, shown and replaced whole; without one an empty one is shown, and with_detail=false shows none."""
    client = await world.client(admin)
    number, _ = await world.project("demo")
    empty = {"project_id": number, "items": [], "creation_time": NEVER, "update_time": NEVER}
    assert (await client.get("/projects/demo")).json()["cve_allowlist"] == empty
    first = {"items": [{"cve_id": "CVE-2"}, {"cve_id": " CVE-1 "}], "expires_at": 1893456000, "project_id": number}
    answer = await client.put("/projects/demo", json={"cve_allowlist": {**first, "creation_time": NEVER, "id": 0}})
    assert (answer.status_code, answer.content) == (200, b"")
    shown = (await client.get("/projects/demo")).json()["cve_allowlist"]
    assert (shown["items"], shown["expires_at"]) == ([{"cve_id": "CVE-2"}, {"cve_id": "CVE-1"}], 1893456000)
    assert shown["creation_time"] != NEVER
    # It is the project's own, also when that of the system is in force, and settings leave it alone.
    await client.put("/projects/demo", json={"metadata": {"reuse_sys_cve_allowlist": "true"}})
    assert (await client.get("/projects/demo")).json()["cve_allowlist"] == shown
    await client.put("/projects/demo", json={"cve_allowlist": {"items": []}})
    emptied = (await client.get("/projects?name=demo")).json()[0]["cve_allowlist"]
    assert (emptied["items"], emptied["id"], "expires_at" in emptied) == ([], shown["id"], False)
    assert "cve_allowlist" not in (await client.get("/projects?with_detail=false")).json()[0]


async def test_allowlist_at_creation(world: World, admin: Account) -> None:
    """A project is made with its allowlist; one of another project, or a wrong one, makes no project."""
    client = await world.client(admin)
    items = [{"cve_id": "CVE-1"}]
    made = await client.post("/projects", json={"project_name": "demo", "cve_allowlist": {"items": items}})
    assert made.status_code == 201
    assert (await client.get("/projects/demo")).json()["cve_allowlist"]["items"] == items
    for wrong in ({"project_id": 1}, {"items": [{"cve_id": ""}]}):
        refused = await client.post("/projects", json={"project_name": "other", "cve_allowlist": wrong})
        assert refused.status_code == 400
    assert (await client.head("/projects?project_name=other")).status_code == 404


@pytest.mark.parametrize(
    "allowlist",
    [
        {"items": [{"cve_id": "CVE-1"}, {"cve_id": "CVE-1"}]},
        {"items": [{"cve_id": "CVE-1"}, {"cve_id": " "}]},
        {"items": [{}]},
        {"items": [{"cve_id": "x" * 256}]},
        {"items": [{"cve_id": f"CVE-{number}"} for number in range(10_001)]},
        {"expires_at": -1},
        {"expires_at": 2**62},
        {"project_id": 4711},
    ],
    ids=lambda allowlist: str(allowlist)[:40],
)
async def test_refused_allowlists(world: World, admin: Account, allowlist: Any) -> None:
    """Blank, repeated or too many identifiers, times that no calendar has and foreign projects are refused (Harbor: 500)."""
    client = await world.client(admin)
    await world.project("demo")
    await client.put("/projects/demo", json={"cve_allowlist": {"items": [{"cve_id": "CVE-9"}]}})
    before = (await client.get("/projects/demo")).json()
    answer = await client.put("/projects/demo", json={"cve_allowlist": allowlist, "metadata": {"auto_scan": "true"}})
    assert answer.status_code == 400
    assert "cve_allowlist" in answer.json()["errors"][0]["message"]
    assert (await client.get("/projects/demo")).json() == before


async def test_allowlist_of_the_system(world: World) -> None:
    """There is one, which belongs to no project."""
    assert await world.allowlists.of_system() is None
    for items in (("CVE-1",), ("CVE-2", "CVE-3")):
        await world.allowlists.set_of_system(Allowlist(items), actor="admin")
        found = await world.allowlists.of_system()
        assert found is not None
        assert (found.project_id, found.allowlist) == (0, Allowlist(items))
