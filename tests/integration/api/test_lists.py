# SPDX-License-Identifier: Apache-2.0
"""Lists as they are answered: pages, and everything in one answer that is read while it is sent."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from longshore.api.lists import BATCH
from longshore.database.connection import Transaction
from longshore.database.statement import Statement
from longshore.edge.asgi import Message
from longshore.edge.request import ClientGone

if TYPE_CHECKING:
    from tests.integration.api.conftest import Account, World

_FILL = Statement(
    "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)"
    " INSERT INTO users (username, password_hash, created_at, updated_at)"
    " SELECT 'user' || (100000 + n), '!', 0, 0 FROM numbers"
)


async def _fill(world: World, count: int) -> None:
    async def run(transaction: Transaction) -> int:
        return await transaction.execute(_FILL, count=count)

    await world.database.write(run)


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH, 3 * BATCH + 7])
async def test_everything(world: World, admin: Account, count: int) -> None:
    """`page_size=0` is the whole list: with the total, without links, in one piece or in many."""
    client = await world.client(admin)
    if count:
        await _fill(world, count)
    answer = await client.get("/users?page_size=0&page=3")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["x-total-count"] == str(count)
    assert "link" not in answer.headers
    assert [user["username"] for user in answer.json()] == [f"user{100_001 + number}" for number in range(count)]


async def test_a_list_is_read_to_its_end_by_its_links(world: World, admin: Account) -> None:
    """Following `next` comes by every item once, and following `prev` leads back."""
    client = await world.client(admin)
    await _fill(world, 95)
    for query in ("page_size=10", "page_size=10&sort=-user_id", "page_size=7&q=username%3D~user&sort=comment"):
        seen, path = [], f"/api/v2.0/users?{query}"
        while path:
            answer = await client.get(f"http://registry.test{path}")
            seen += [user["user_id"] for user in answer.json()]
            links = [link.partition(">; rel=") for link in answer.headers.get("link", "").split(" , ")]
            path = next((target[1:] for target, _, relation in links if relation == '"next"'), "")
        assert len(seen) == 95
        assert len(set(seen)) == 95


class _Connection:
    """A client that goes away when it has seen so many pieces."""

    def __init__(self, pieces: int) -> None:
        self.pieces: list[bytes] = []
        self._wanted = pieces
        self._gone = asyncio.Event()
        self._asked = False

    async def receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b""}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self.pieces.append(message["body"])
            if len(self.pieces) == self._wanted:
                self._gone.set()
        # The server gives the others a turn when it sends.
        await asyncio.sleep(0)


async def test_who_goes_away_is_not_read_for(world: World, admin: Account) -> None:
    """A list that nobody takes any more is not read to its end, and what was sent of it is no document."""
    await _fill(world, 10 * BATCH)
    client = await world.client(admin)
    request = client.build_request("GET", "/users?page_size=0")
    authorised = next(client.auth.auth_flow(request)) if client.auth is not None else request
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/api/v2.0/users",
        "raw_path": b"/api/v2.0/users",
        "query_string": b"page_size=0",
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in authorised.headers.raw],
        "client": ("127.0.0.1", 1),
        "server": ("registry.test", 80),
    }
    connection = _Connection(2)
    world.database.statements.clear()
    with pytest.raises(ClientGone):
        await world(scope, connection.receive, connection.send)
    pages = [statement for statement in world.database.statements if "WITH page" in statement.text]
    assert len(pages) < 6
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(b"".join(connection.pieces))


async def test_the_description(world: World) -> None:
    """Anybody may read what the API is, as a document and as a page that loads nothing from elsewhere."""
    client = await world.client(None)
    described = await client.get("/../openapi.json")
    assert described.headers["content-type"] == "application/json; charset=utf-8"
    assert described.json()["openapi"] == "3.1.0"
    page = await client.get("/../docs", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert b"<title>API of this registry</title>" in page.content
