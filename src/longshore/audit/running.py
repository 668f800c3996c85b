# SPDX-License-Identifier: Apache-2.0
"""Steps that are taken again and again in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from longshore.oci.errors import LongshoreError

_log = structlog.get_logger("longshore.audit")

_IDLE_SECONDS: Final = 0.5
_AWAY_SECONDS: Final = 2.0


async def run_steps(stop: asyncio.Event, step: Callable[[], Awaitable[int]], *, problem: str) -> None:
    """Takes steps until `stop` is set: at once while there is something to do, else twice a second.

    Args:
        stop: Ends it.
        step: Returns how much it did, 0 for nothing.
        problem: What the log says, once, while steps fail.
    """
    failing = False
    while not stop.is_set():
        pause = _IDLE_SECONDS
        try:
            if await step():
                pause = 0.0
            failing = False
        except LongshoreError as error:
            if not failing:
                _log.warning(problem, error=error.message)
            failing, pause = True, _AWAY_SECONDS
        except Exception:  # noqa: BLE001 - the log has to go on when one step fails, whatever the reason
            if not failing:
                _log.exception(problem)
            failing, pause = True, _AWAY_SECONDS
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause or 0.001)
