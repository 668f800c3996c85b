# SPDX-License-Identifier: Apache-2.0
"""Asks the database and the store whether they are well, for `/readyz` and `/healthz`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from longshore.database.connection import Database, Replaceable
from longshore.database.memory import Remembered
from longshore.database.statement import Statement
from longshore.oci.errors import LongshoreError
from longshore.storage.port import FreeSpace, OpenedStore

_PROBE_SECONDS = 5.0
_KNOWN_SECONDS = 0.5
_REFRESH_SECONDS = 10.0
_HEALTHY = "healthy"
_PING = Statement("SELECT 1")


class Health:
    """The state of each component, by its name."""

    def __init__(self, database: Database, store: OpenedStore) -> None:
        self._probes = {
            "database": Probe(lambda: _ask_database(database)),
            "storage": Probe(lambda: _ask_store(store)),
        }

    async def states(self) -> dict[str, str]:
        """`healthy`, or what is wrong, for each."""
        states = await asyncio.gather(*(probe.state() for probe in self._probes.values()))
        return dict(zip(self._probes, states, strict=True))


class Refreshed:
    """The states as they were at most ten seconds ago, for whoever may ask as often as he likes.

    Args:
        ask: Tells the states now.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, ask: Callable[[], Awaitable[dict[str, str]]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._memory: Remembered[str, dict[str, str]] = Remembered(
            lambda _key: ask(), fresh_seconds=_REFRESH_SECONDS, stale_seconds=_REFRESH_SECONDS, limit=1, clock=clock
        )

    async def states(self) -> dict[str, str]:
        """`healthy`, or what is wrong, for each component."""
        return await self._memory.get("") or {}


class Probe:
    """Asks a component whether it is well: one question at a time, however many want to know and however long it takes."""

    def __init__(self, ask: Callable[[], Awaitable[str]]) -> None:
        self._ask = ask
        self._asking: asyncio.Task[str] | None = None
        self._said = _HEALTHY

    async def state(self) -> str:
        """`healthy`, or what is wrong; within five seconds, and at once where it was wrong a moment ago.

        A question that hangs is waited for again by the next one.
        """
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._answer())
        # Who asks is often a probe that waits for a second only: it shall see the reason, not a time-out.
        patience = _PROBE_SECONDS if self._said == _HEALTHY else _KNOWN_SECONDS
        done, _ = await asyncio.wait({self._asking}, timeout=patience)
        if done:
            self._said = self._asking.result()
        elif self._said == _HEALTHY:
            self._said = "does not answer"
        return self._said

    async def _answer(self) -> str:
        try:
            return await self._ask()
        except LongshoreError as error:
            return error.message


async def _ask_database(database: Database) -> str:
    if isinstance(database, Replaceable):
        await database.leave_standby()
    else:
        await database.read(lambda connection: connection.value(_PING))
    return _HEALTHY


async def _ask_store(store: OpenedStore) -> str:
    if await store.read_instance() is None:
        return "is not the registry's"
    if isinstance(store, FreeSpace):
        await store.available()
    return _HEALTHY
