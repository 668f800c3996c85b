# SPDX-License-Identifier: Apache-2.0
"""Copies of database facts that live for two seconds, and for half a minute while the database is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from longshore.oci.errors import ServiceUnavailable

Key = TypeVar("Key")
Value = TypeVar("Value")

# How long a request waits for a database that doesn't answer before it makes do with an older copy, and how long that
# copy then serves before the next attempt.
_PATIENCE_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 1.0


class _Entry(Generic[Value]):
    __slots__ = ("good_until", "loaded_at", "value")

    def __init__(self, value: Value, loaded_at: float, good_until: float) -> None:
        self.value = value
        self.loaded_at = loaded_at
        self.good_until = good_until


class Remembered(Generic[Key, Value]):
    """Values by key, loaded when first asked for and again when the copy is too old.

    Several requests that need the same key at once share one load. What loads as None is never kept, so that names which
    don't exist cost no memory and appear at once when they are made.

    Args:
        load: Brings the value from the database; None when there is nothing.
        fresh_seconds: How long a copy is taken for true.
        stale_seconds: How long it is, counted from its load, while loading raises `ServiceUnavailable`.
        limit: How many are kept; the one that came first goes first.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        load: Callable[[Key], Awaitable[Value | None]],
        *,
        fresh_seconds: float,
        stale_seconds: float,
        limit: int,
        clock: Callable[[], float],
    ) -> None:
        self._load = load
        self._fresh = fresh_seconds
        self._stale = stale_seconds
        self._limit = limit
        self._clock = clock
        self._entries: dict[Key, _Entry[Value]] = {}
        self._loads: dict[Key, asyncio.Task[Value | None]] = {}
        self._loads_forgotten = 0

    def at_hand(self, key: Key) -> Value | None:
        """The value if there is a copy that is at most `fresh_seconds` old; nothing is loaded."""
        entry = self._entries.get(key)
        return entry.value if entry is not None and entry.good_until > self._clock() else None

    async def get(self, key: Key) -> Value | None:
        """The value, at most `fresh_seconds` old.

        Raises:
            ServiceUnavailable: the database is away, and no copy is young enough.
        """
        entry = self._entries.get(key)
        if entry is not None and entry.good_until > self._clock():
            return entry.value
        return await self._shared(key, entry)

    async def fresh(self, key: Key) -> Value | None:
        """The value as the database has it now.

        Raises:
            ServiceUnavailable: the database is away.
        """
        asked_at, forgotten = self._clock(), self._loads_forgotten
        value = await self._load(key)
        if forgotten == self._loads_forgotten:
            self._keep(key, value, asked_at)
        return value

    def forget(self) -> None:
        """Drops every copy. What is being loaded at this moment serves nobody else: it may be older than a change."""
        self._entries.clear()
        self._loads.clear()
        self._loads_forgotten += 1

    async def _shared(self, key: Key, entry: _Entry[Value] | None) -> Value | None:
        load = self._loads.get(key)
        if load is None:
            load = asyncio.create_task(self._renew(key, entry))
            self._loads[key] = load
            load.add_done_callback(lambda done: self._loaded(key, done))
        # The load serves others too: a client that goes away doesn't cancel it.
        return await asyncio.shield(load)

    def _loaded(self, key: Key, load: asyncio.Task[Value | None]) -> None:
        if self._loads.get(key) is load:
            del self._loads[key]
        if not load.cancelled():
            load.exception()  # Looked at, so that nobody complains when all who waited have gone away.

    async def _renew(self, key: Key, entry: _Entry[Value] | None) -> Value | None:
        if entry is None or self._clock() - entry.loaded_at > self._stale:
            return await self.fresh(key)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self.fresh(key)
        except (ServiceUnavailable, TimeoutError):
            entry.good_until = min(self._clock() + _RETRY_SECONDS, entry.loaded_at + self._stale)
            return entry.value

    def _keep(self, key: Key, value: Value | None, asked_at: float) -> None:
        # The age counts from the question: the answer may have been true for the last time right then.
        known = self._entries.get(key)
        if known is not None and known.loaded_at > asked_at:
            return
        if value is None:
            self._entries.pop(key, None)
            return
        if known is None and len(self._entries) >= self._limit:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = _Entry(value, asked_at, asked_at + self._fresh)
