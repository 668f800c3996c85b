# SPDX-License-Identifier: Apache-2.0
"""The allowlist of the system, as raw JSON (wire detail 27)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.integration.api.conftest import Account, World

_PATH = "/system/CVEAllowlist"


async def test_replaced_whole(world: World, admin: Account) -> None:
    """It is empty at first, `items` never null; each PUT replaces it, and without a time it doesn't expire."""
    client, somebody = await world.client(admin), await world.client(await world.user())
    fresh = (await somebody.get(_PATH)).json()
    assert fresh == {
        "items": [],
        "creation_time": "0001-01-01T00:00:00.000Z",
        "update_time": "0001-01-01T00:00:00.000Z",
    }
    body = {"items": [{"cve_id": "CVE-2019-10164"}, {"cve_id": "CVE-2017-12345"}], "expires_at": 1573254000, "id": 7}
    answer = await client.put(_PATH, json=body)
    assert (answer.status_code, answer.content, answer.headers.get("content-type")) == (200, b"", None)
    shown = (await somebody.get(_PATH)).json()
    assert shown["items"] == body["items"]
    assert shown["expires_at"] == 1573254000
    assert "project_id" not in shown
    assert (await client.put(_PATH, json={"items": []})).status_code == 200
    shown = (await somebody.get(_PATH)).json()
    assert shown["items"] == []
    assert "expires_at" not in shown


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"items": [{"cve_id": "CVE-1"}, {"cve_id": "CVE-1"}]}, 400),
        ({"items": [{"cve_id": " "}]}, 400),
        ({"items": [{}]}, 400),
        ({"items": [], "project_id": 1}, 400),
        ({"items": [], "expires_at": -1}, 400),
        ({"items": "CVE-1"}, 422),
        ({"expires_at": "soon"}, 422),
        (None, 422),
    ],
)
async def test_what_is_refused(world: World, admin: Account, body: Any, status: int) -> None:
    """Entries that are blank or there twice are refused, where Harbor fails; nothing changes."""
    client = await world.client(admin)
    await client.put(_PATH, json={"items": [{"cve_id": "CVE-9"}]})
    assert (await client.put(_PATH, json=body)).status_code == status
    assert (await client.get(_PATH)).json()["items"] == [{"cve_id": "CVE-9"}]
