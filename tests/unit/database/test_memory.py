# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio

import pytest

from longshore.database.memory import Remembered
from longshore.oci.errors import ServiceUnavailable


class Source:
    """A database of numbers that counts its loads, may be away, and answers when it is let."""

    def __init__(self) -> None:
        self.now = 100.0
        self.values: dict[str, int] = {"a": 1}
        self.loads = 0
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.memory: Remembered[str, int] = Remembered(
            self.load, fresh_seconds=2, stale_seconds=30, limit=3, clock=lambda: self.now
        )

    async def load(self, key: str) -> int | None:
        self.loads += 1
        value = self.values.get(key)
        await self.gate.wait()
        if self.away:
            raise ServiceUnavailable("away")
        return value


async def test_copies_age() -> None:
    """A copy serves for two seconds; `fresh` doesn't take it."""
    source = Source()
    assert await source.memory.get("a") == 1
    source.values["a"] = 2
    source.now += 1.9
    assert await source.memory.get("a") == 1
    assert await source.memory.fresh("a") == 2
    assert await source.memory.get("a") == 2
    assert source.loads == 2


async def test_at_hand_is_what_is_young_enough() -> None:
    """A copy is at hand for as long as it serves, and looking for one loads nothing."""
    source = Source()
    assert source.memory.at_hand("a") is None
    assert source.loads == 0
    assert await source.memory.get("a") == 1
    source.now += 1.9
    assert source.memory.at_hand("a") == 1
    source.now += 0.1
    assert source.memory.at_hand("a") is None
    assert await source.memory.get("a") == 1
    source.memory.forget()
    assert source.memory.at_hand("a") is None
    assert source.loads == 2


async def test_nothing_is_not_kept() -> None:
    """What doesn't exist is asked for each time, and what ceases to exist is dropped."""
    source = Source()
    assert await source.memory.get("b") is None
    source.values["b"] = 5
    assert await source.memory.get("b") == 5
    del source.values["b"]
    source.now += 3
    assert await source.memory.get("b") is None
    source.values["b"] = 6
    assert await source.memory.get("b") == 6


async def test_one_load_for_many() -> None:
    """Many who ask at once share a load, and one who goes away doesn't end it for the others."""
    source = Source()
    source.gate.clear()
    waiting = [asyncio.create_task(source.memory.get("a")) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    source.gate.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [1] * 19
    assert source.loads == 1


async def test_away() -> None:
    """While loading fails a copy serves for thirty seconds, tried again each second; `fresh` and strangers fail."""
    source = Source()
    await source.memory.get("a")
    source.away = True
    source.now += 3
    assert await source.memory.get("a") == 1
    assert await source.memory.get("a") == 1
    assert source.loads == 2
    source.now += 26
    assert await source.memory.get("a") == 1
    source.now += 1.5
    with pytest.raises(ServiceUnavailable):
        await source.memory.get("a")
    with pytest.raises(ServiceUnavailable):
        await source.memory.fresh("a")
    with pytest.raises(ServiceUnavailable):
        await source.memory.get("z")


async def test_hanging_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that doesn't answer at all holds a request up for a moment only, if there is a copy."""
    monkeypatch.setattr("longshore.database.memory._PATIENCE_SECONDS", 0.01)
    source = Source()
    await source.memory.get("a")
    source.gate.clear()
    source.now += 3
    assert await source.memory.get("a") == 1


async def test_slow_answer_does_not_replace_a_newer_one() -> None:
    """A load that was asked for earlier and answers later doesn't bring back what was true before."""
    source = Source()
    source.gate.clear()
    slow = asyncio.create_task(source.memory.get("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    source.values["a"] = 2
    source.now += 1
    source.gate.set()
    assert await source.memory.fresh("a") == 2
    assert await slow == 1
    assert await source.memory.get("a") == 2


async def test_what_is_loaded_while_all_is_forgotten_serves_nobody_else() -> None:
    """Who asks after a change doesn't get what somebody had asked for before it, neither then nor later."""
    source = Source()
    source.gate.clear()
    before = asyncio.create_task(source.memory.get("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    source.values["a"] = 2
    source.memory.forget()
    after = asyncio.create_task(source.memory.get("a"))
    await asyncio.sleep(0)
    source.gate.set()
    assert (await before, await after) == (1, 2)
    assert await source.memory.get("a") == 2


async def test_bound() -> None:
    """Only so many are kept; `forget` drops them all."""
    source = Source()
    source.values = dict.fromkeys("abcde", 1)
    for key in "abcde":
        await source.memory.get(key)
    assert list(source.memory._entries) == ["c", "d", "e"]
    source.memory.forget()
    assert not source.memory._entries
