# SPDX-License-Identifier: Apache-2.0
"""The database's clock jumps: what is removed, what is owned, and who has to wait."""

from __future__ import annotations

from typing import Any, cast

import pytest

from longshore.access.throttle import FREE_FAILURES, Throttle
from longshore.database.connection import (
    Database,
    ReadFunction,
    Transaction,
)
from longshore.database.statement import Statement
from longshore.oci.errors import TooManyRequests
from longshore.registry.clock import ClockWatch

_BLOCK = Statement("UPDATE sign_in_failures SET blocked_until = {now} + :ahead")


class Jumping:
    """A database whose clock is what the test says, and the running time of its machine."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.running = 5_000.0
        self.slow = 0.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.running += seconds

    async def read(self, _function: ReadFunction[Any]) -> int:
        self.running += self.slow
        return int(self.wall * 1_000_000)


@pytest.fixture
def jumping() -> Jumping:
    return Jumping()


def _watch(jumping: Jumping) -> ClockWatch:
    return ClockWatch(cast("Database", jumping), running=lambda: jumping.running)


@pytest.mark.parametrize("seconds", [86_400.0, -3_600.0])
async def test_after_a_jump_nothing_is_removed_for_a_while(jumping: Jumping, seconds: float) -> None:
    """For fifteen minutes the clock isn't believed; then it is, since nobody put it right."""
    watch = _watch(jumping)
    assert await watch.steady()
    jumping.wall += seconds
    assert not await watch.steady()
    jumping.pass_(800)
    assert not await watch.steady()
    jumping.pass_(101)
    assert await watch.steady()
    jumping.pass_(10)
    assert await watch.steady()


async def test_a_clock_that_is_put_right_is_believed_at_once(jumping: Jumping) -> None:
    """A jump that is corrected costs nothing."""
    watch = _watch(jumping)
    assert await watch.steady()
    jumping.wall += 86_400
    assert not await watch.steady()
    jumping.pass_(60)
    jumping.wall -= 86_400
    assert await watch.steady()


async def test_small_and_slow_differences_are_no_jumps(jumping: Jumping) -> None:
    """Clocks that are corrected a little all the time, and answers that take their time, stop nothing."""
    watch = _watch(jumping)
    for _ in range(50):
        jumping.pass_(1)
        jumping.wall += 2
        assert await watch.steady()
    jumping.slow = 60
    assert await watch.steady()
    jumping.slow = 0
    jumping.wall += 60
    assert await watch.steady()


async def test_a_clock_that_is_put_back_locks_nobody_out(database: Database) -> None:
    """Who has to wait until a time that lies further ahead than any delay reaches may try again now."""
    throttle = Throttle(database)
    for _ in range(FREE_FAILURES + 1):
        await throttle.failed("192.0.2.1", "maria")

    async def block(transaction: Transaction, ahead: int) -> int:
        return await transaction.execute(_BLOCK, ahead=ahead)

    await database.write(lambda transaction: block(transaction, 200_000_000))
    with pytest.raises(TooManyRequests):
        await throttle.check("192.0.2.1", "maria")
    await database.write(lambda transaction: block(transaction, 3_600_000_000))
    assert await throttle.check("192.0.2.1", "maria") == FREE_FAILURES + 1
