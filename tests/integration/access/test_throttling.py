# SPDX-License-Identifier: Apache-2.0
"""Wrong passwords over HTTP, through every door of the whole application: who guesses is slowed down, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore.access.throttle import FREE_FAILURES, Throttle
from longshore.app import Application
from longshore.config import Settings
from longshore.lifecycle import ProcessState, ServerState
from tests.databases import Databases

PASSWORD = "Secret-1234"
GUESSER = "192.0.2.7"
OWNER = "198.51.100.3"
DOORS = {
    "token": "/service/token?service=harbor-registry",
    "registry": "/v2/",
    "api": "/api/v2.0/users/current",
}


@asynccontextmanager
async def _started(application: Application) -> AsyncIterator[None]:
    """The application between its startup and its shutdown, ready."""
    messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    answers: asyncio.Queue[Any] = asyncio.Queue()
    life = asyncio.create_task(application({"type": "lifespan"}, messages.get, answers.put))
    await messages.put({"type": "lifespan.startup"})
    await answers.get()
    try:
        async with _client(application, OWNER) as client:
            async with asyncio.timeout(60):
                while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - as a load balancer does
                    await asyncio.sleep(0.05)
        yield
    finally:
        await messages.put({"type": "lifespan.shutdown"})
        await life


def _client(application: Application, source: str) -> httpx.AsyncClient:
    # httpx has other names for ASGI's types.
    transport = httpx.ASGITransport(app=application, client=(source, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://registry.test")


@pytest.fixture
async def application(databases: Databases, tmp_path: Path) -> AsyncIterator[Application]:
    """The whole application over a fresh database, with the administrator's password."""
    given = {"data_dir": tmp_path, "admin_password": PASSWORD}
    settings = Settings.model_validate(given | ({"database_url": databases.url} if databases.path is None else {}))
    made = Application(settings, b"k" * 32, ProcessState(ServerState()))
    async with _started(made):
        yield made


@pytest.mark.parametrize(
    ("door", "name"), [("token", "admin"), ("registry", "nobody"), ("registry", "robot$ci"), ("api", "admin")]
)
async def test_who_guesses_is_slowed_down_and_nobody_else(
    application: Application, databases: Databases, door: str, name: str
) -> None:
    """After a few guesses the guesser waits, at every door and with the right password too; the owner elsewhere gets in."""
    async with _client(application, GUESSER) as guesser, _client(application, OWNER) as owner:
        for number in range(FREE_FAILURES + 3):
            answer = await guesser.get(DOORS[door], auth=(name, f"Guess-{number}"))
            if answer.status_code == 429:
                break
            assert answer.status_code == 401
        assert answer.status_code == 429
        await _fail_on(databases, name)
        for path in DOORS.values():
            answer = await guesser.get(path, auth=(name, PASSWORD))
            assert answer.status_code == 429, answer.text
            assert 1 <= int(answer.headers["retry-after"]) <= 300
            (error,) = answer.json()["errors"]
            assert error["code"] in {"TOOMANYREQUESTS", "TOO_MANY_REQUEST"}
            assert GUESSER in error["message"]
            assert f"try again in {answer.headers['retry-after']} second" in error["message"]
            assert name not in error["message"]
            assert (await owner.get(path, auth=("admin", PASSWORD))).status_code == 200
            assert (await owner.get(path, auth=("admin", "Wrong-1234"))).status_code == 401


async def _fail_on(databases: Databases, name: str) -> None:
    """Fails until the delay is about a minute, so that a slow machine doesn't see it end."""
    database = await databases.open()
    for _ in range(6):
        await Throttle(database).failed(GUESSER, name)
    await database.close()


async def test_neighbours_of_an_address_share_its_delay(application: Application) -> None:
    """Whoever has an IPv6 network has more addresses than there are guesses: they count as one source."""
    statuses = set()
    for number in range(FREE_FAILURES + 3):
        async with _client(application, f"2001:db8:1:2::{number + 1:x}") as guesser:
            statuses.add((await guesser.get("/v2/", auth=("admin", f"Guess-{number}"))).status_code)
    assert statuses == {401, 429}
    async with _client(application, "2001:db8:1:3::1") as neighbour:
        assert (await neighbour.get("/v2/", auth=("admin", PASSWORD))).status_code == 200
