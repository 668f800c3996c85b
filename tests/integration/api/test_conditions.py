# SPDX-License-Identifier: Apache-2.0
"""ETags: what hasn't changed isn't sent again, and what has changed isn't changed by somebody who doesn't know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.api.conftest import Account, World


@pytest.mark.parametrize("path", ["/projects/demo", "/projects", "/users/current", "/health"])
async def test_reads_have_tags(world: World, admin: Account, path: str) -> None:
    """A read tells its tag, and whoever has that answer is sent no second one."""
    client = await world.client(admin)
    await world.project("demo")
    first = await client.get(path)
    tag = first.headers["etag"]
    assert (first.status_code, first.headers["cache-control"]) == (200, "private, no-cache")
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await client.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert "content-type" not in again.headers
        assert again.headers.get("x-total-count") == first.headers.get("x-total-count")
    assert (await client.get(path, headers={"If-None-Match": '"other"'})).json() == first.json()


async def test_a_list_changes_with_its_total(world: World, admin: Account) -> None:
    """A page whose items are the same isn't the same when the list has become longer."""
    client = await world.client(admin)
    await world.project("a")
    await world.project("b")
    tag = (await client.get("/projects?page_size=1")).headers["etag"]
    await world.project("c")
    again = await client.get("/projects?page_size=1", headers={"If-None-Match": tag})
    assert (again.status_code, again.headers["x-total-count"]) == (200, "4")


async def test_errors_and_changes_have_none(world: World, admin: Account) -> None:
    """Only what was read has a tag."""
    client = await world.client(admin)
    await world.project("demo")
    assert "etag" not in (await client.get("/projects/missing")).headers
    assert "etag" not in (await client.put("/projects/demo", json={})).headers
    assert "etag" not in (await client.head("/projects?project_name=demo")).headers


async def test_stale_changes_are_refused(world: World, admin: Account) -> None:
    """A change or deletion of what somebody else has changed meanwhile is 412 and changes nothing."""
    client = await world.client(admin)
    await world.project("demo")
    body = {"metadata": {"public": "true"}}
    old = (await client.get("/projects/demo")).headers["etag"]
    assert (await client.put("/projects/demo", json=body, headers={"If-Match": old})).status_code == 200
    before = await world.rows()
    for answer in (
        await client.put("/projects/demo", json={"metadata": {"public": "false"}}, headers={"If-Match": old}),
        await client.delete("/projects/demo", headers={"If-Match": old}),
    ):
        assert answer.status_code == 412
        assert answer.json()["errors"][0]["code"] == "PRECONDITION"
        assert "If-Match" in answer.json()["errors"][0]["message"]
    assert await world.rows() == before
    new = (await client.get("/projects/demo")).headers["etag"]
    assert new != old
    assert (await client.delete("/projects/demo", headers={"If-Match": new})).status_code == 200


async def test_what_cannot_be_read_cannot_match(world: World, admin: Account) -> None:
    """A missing thing is still missing, a foreign one still foreign, and a path without GET has no tag."""
    client, stranger = await world.client(admin), await world.client(await world.user())
    await world.project("demo")
    assert (await client.delete("/projects/missing", headers={"If-Match": "*"})).status_code == 404
    assert (await stranger.delete("/projects/demo", headers={"If-Match": "*"})).status_code == 403
    nobody = await world.client(None)
    assert (await nobody.delete("/projects/demo", headers={"If-Match": "*"})).status_code == 401
    password = {"old_password": "x", "new_password": "y"}
    answer = await client.put("/users/1/password", json=password, headers={"If-Match": "*"})
    assert answer.status_code == 412
    assert (await client.put("/projects/demo", json={}, headers={"If-Match": "*"})).status_code == 200
