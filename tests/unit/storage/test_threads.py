# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from longshore.storage.port import StoreUnavailable
from longshore.storage.threads import Threads


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    threads = Threads(1, "test")
    yield threads
    await threads.close()


async def test_results_and_errors_come_back(threads: Threads) -> None:
    """A function's result is returned and its error raised where it was awaited."""
    assert await threads.run(lambda: threading.current_thread() is not threading.main_thread())
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 / 0)


async def test_a_cancelled_call_returns_after_its_function(threads: Threads) -> None:
    """However often a call is cancelled, it returns when the function has, and undoes its result."""
    go, running = threading.Event(), threading.Event()
    undone: list[str] = []

    def function() -> str:
        running.set()
        go.wait(10)
        return "result"

    task = asyncio.create_task(threads.run(function, undo=undone.append))
    await asyncio.to_thread(running.wait, 10)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.005)
        assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert undone == ["result"]


async def test_a_cancelled_call_whose_function_fails_has_nothing_to_undo(threads: Threads) -> None:
    """A failing function has no result to dispose of; the cancellation is what the caller sees."""
    go, running = threading.Event(), threading.Event()
    undone: list[str] = []

    def function() -> str:
        running.set()
        go.wait(10)
        raise ValueError("failed")

    task = asyncio.create_task(threads.run(function, undo=undone.append))
    await asyncio.to_thread(running.wait, 10)
    task.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert undone == []


async def test_a_call_cancelled_in_the_queue_never_runs(threads: Threads) -> None:
    """What waits for a free thread when it is cancelled returns at once and is never run."""
    go = threading.Event()
    ran: list[int] = []
    first = asyncio.create_task(threads.run(lambda: go.wait(10)))
    second = asyncio.create_task(threads.run(lambda: ran.append(1)))
    await asyncio.sleep(0.01)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert not first.done()
    go.set()
    await first
    await threads.close()
    assert ran == []


async def test_closed_threads_refuse() -> None:
    """After `close` every call raises `StoreUnavailable`."""
    threads = Threads(1, "test")
    await threads.close()
    with pytest.raises(StoreUnavailable, match="stops"):
        await threads.run(lambda: None)
