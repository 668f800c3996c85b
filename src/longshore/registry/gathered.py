# SPDX-License-Identifier: Apache-2.0
"""Writing every few seconds what has gathered in memory, off every request's path."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from longshore.oci.errors import LongshoreError

_log = structlog.get_logger("longshore.pulls")


async def write_every(
    seconds: float,
    flush: Callable[[], Awaitable[None]],
    stop: asyncio.Event,
    *,
    late_as: str,
    waiting: Callable[[], int],
) -> None:
    """Calls `flush` every few seconds until `stop`, and once more at the end.

    Args:
        seconds: How long to wait between two attempts.
        flush: Writes what has gathered; what it raises only means that it waits for the next attempt.
        stop: Ends it.
        late_as: What the log says when an attempt fails.
        waiting: How much hasn't been written then.
    """
    late = False
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)
        try:
            await flush()
            late = False
        except LongshoreError as error:
            # Said once, not with every attempt.
            if not late:
                _log.warning(late_as, waiting=waiting(), error=error.message)
            late = True
        except Exception:  # noqa: BLE001 - writing must go on when one attempt fails, whatever the reason
            _log.exception(late_as, waiting=waiting())
