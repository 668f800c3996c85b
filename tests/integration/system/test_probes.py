# SPDX-License-Identifier: Apache-2.0
"""What `/readyz` and `/healthz` are told of a component, and how long they wait for it."""

from __future__ import annotations

import asyncio

import pytest

from longshore import probes
from longshore.oci.errors import ServiceUnavailable
from longshore.probes import Probe, Refreshed


class Component:
    """Answers, fails or hangs."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = 0

    async def ask(self) -> str:
        self.asked += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return "healthy"


async def test_what_is_wrong_is_said() -> None:
    """The reason is the component's own, and it is healthy again as soon as it answers."""
    component = Component()
    probe = Probe(component.ask)
    assert await probe.state() == "healthy"
    component.error = ServiceUnavailable("It is away.")
    assert await probe.state() == "It is away."
    component.error = None
    assert await probe.state() == "healthy"


async def test_what_hangs_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first to ask waits for a while, the next ones are told at once, and nobody asks twice meanwhile."""
    monkeypatch.setattr(probes, "_PROBE_SECONDS", 0.2)
    monkeypatch.setattr(probes, "_KNOWN_SECONDS", 0.01)
    component = Component()
    probe = Probe(component.ask)
    assert await probe.state() == "healthy"
    component.gate.clear()
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await probe.state() == "does not answer"
    assert loop.time() - began >= 0.19
    began = loop.time()
    assert await probe.state() == "does not answer"
    assert loop.time() - began < 0.15
    assert component.asked == 2
    component.gate.set()
    await asyncio.sleep(0.02)
    assert await probe.state() == "healthy"


async def test_states_are_refreshed_after_ten_seconds() -> None:
    """However often it is asked, components are at most every ten seconds; then what is wrong shows."""
    asked, now, state = 0, 100.0, "healthy"

    async def ask() -> dict[str, str]:
        nonlocal asked
        asked += 1
        return {"database": state}

    states = Refreshed(ask, clock=lambda: now).states
    for _ in range(5):
        assert list(await asyncio.gather(states(), states())) == [{"database": "healthy"}] * 2
    assert asked == 1
    state = "away"
    now += 9.9
    assert await states() == {"database": "healthy"}
    now += 0.2
    assert await states() == {"database": "away"}
    assert asked == 2
