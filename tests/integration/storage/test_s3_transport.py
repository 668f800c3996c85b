# SPDX-License-Identifier: Apache-2.0
"""Who waits for whom when a server is slow, and for how long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from longshore.storage.s3.credentials import Credentials, GivenCredentials
from longshore.storage.s3.failures import BrokenConnectionError, NoTurnError, S3Error
from longshore.storage.s3.transport import Asked, Transport
from longshore.storage.s3.turns import Turns
from tests.faultystore import Fault, FaultyStore, said, standing_in


@pytest.fixture
async def network() -> AsyncIterator[FaultyStore]:
    async with standing_in() as network:
        yield network


@pytest.fixture
async def transport(network: FaultyStore) -> AsyncIterator[Transport]:
    """Two requests at once, and none may stand still for longer than a second."""
    source = GivenCredentials(Credentials("a", "b"))
    transport = Transport(f"{network.endpoint}/bucket", "us-east-1", source, tls=None, timeout=1, concurrency=2)
    yield transport
    await transport.close()


async def _seconds(transport: Transport, asked: Asked) -> tuple[float, BaseException | None]:
    started, error = time.monotonic(), None
    try:
        await transport.ask(asked)
    except (BrokenConnectionError, S3Error) as caught:
        error = caught
    return time.monotonic() - started, error


async def test_waiting_for_a_turn_ends_at_the_deadline(transport: Transport, network: FaultyStore) -> None:
    """When nothing moves, the request that waits longest is told as soon as the one that was sent first."""
    network.fail(Fault("GET", times=1000, hang=True))
    told = await asyncio.gather(*(_seconds(transport, Asked("GET", f"key{number}")) for number in range(10)))
    assert max(seconds for seconds, _ in told) < 4
    assert all(isinstance(error, BrokenConnectionError) for _, error in told)
    assert any(isinstance(error, NoTurnError) and "too slow" in str(error) for _, error in told)


async def test_whoever_backs_off_lets_others_go_first(transport: Transport, network: FaultyStore) -> None:
    """Requests that a server asks to be patient hold no turn while they are."""
    network.fail(Fault("GET", contains="busy", times=1000, answer=(503, said("SlowDown"), {})))
    network.fail(Fault("GET", contains="free", times=1000, answer=(200, b"", {})))
    busy = [asyncio.ensure_future(_seconds(transport, Asked("GET", f"busy{number}"))) for number in range(10)]
    await asyncio.sleep(0.5)
    free = await asyncio.gather(*(_seconds(transport, Asked("GET", "free")) for _ in range(10)))
    assert all(error is None for _, error in free)
    assert max(seconds for seconds, _ in free) < 1
    assert all(isinstance(error, S3Error) for _, error in await asyncio.gather(*busy))


async def test_what_takes_minutes_keeps_nobody_waiting(transport: Transport, network: FaultyStore) -> None:
    """Completions that a server works on have turns of their own."""
    network.fail(Fault("POST", times=1000, hang=True))
    network.fail(Fault("GET", times=1000, answer=(200, b"", {})))
    completions = [
        asyncio.ensure_future(transport.ask(Asked("POST", f"key{number}", patience=600))) for number in range(5)
    ]
    await asyncio.sleep(0.1)
    seconds, error = await _seconds(transport, Asked("GET", "key"))
    assert (error, seconds < 1) == (None, True)
    assert network.count("POST") == 2
    for completion in completions:
        completion.cancel()
    await asyncio.gather(*completions, return_exceptions=True)


async def test_only_some_may_wait(transport: Transport, network: FaultyStore) -> None:
    """What waits holds what it is going to send, so beyond a number it is refused at once, and the others are not."""
    network.fail(Fault("GET", times=1000, hang=True))
    told = await asyncio.gather(*(_seconds(transport, Asked("GET", f"key{number}")) for number in range(300)))
    at_once = [error for seconds, error in told if seconds < 0.5]
    assert len(at_once) == 300 - 256 - 2
    assert all(isinstance(error, NoTurnError) and "256 requests wait" in str(error) for error in at_once)


async def test_a_turn_that_nobody_waits_for_any_more_is_not_lost() -> None:
    """Whoever is cancelled while it waits, or past its deadline, leaves the turn to the next one."""
    turns, loop = Turns(1), asyncio.get_running_loop()

    async def wait() -> None:
        async with turns.one(loop.time() + 60):
            pass

    async with turns.one(loop.time() + 60):
        waiting = [asyncio.ensure_future(wait()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        with pytest.raises(NoTurnError):
            async with turns.one(loop.time() + 0.01):
                pass
    await asyncio.wait_for(asyncio.gather(*waiting[1:]), 5)
