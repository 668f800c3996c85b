# SPDX-License-Identifier: Apache-2.0
"""The worker role: reclaim, the events' numbers, and tidying up, in a process of its own that no pull waits for."""

from __future__ import annotations

import asyncio
import signal

import structlog

from longshore.config import Settings, SettingsError
from longshore.database.connection import Database
from longshore.events.sequencer import Sequencer
from longshore.instance import missing_revision, open_database, open_marked_store, periods_of
from longshore.oci.errors import LongshoreError
from longshore.registry.reclaim import Reclaim
from longshore.system.instance import ensure_instance

_log = structlog.get_logger("longshore.worker")

_WAIT_SECONDS = 1.0


async def run_worker(settings: Settings, secret_key: bytes) -> None:
    """Works until SIGTERM or SIGINT; what is under way then stops within a second and goes on at the next start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    database = await _wait_for_database(settings, stop)
    if database is None:
        return
    try:
        store = await open_marked_store(settings, await ensure_instance(database, secret_key), database)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(Reclaim(database, store, periods_of(settings)).run(stop))
                tasks.create_task(Sequencer(database).run(stop))
        finally:
            await store.close()
    finally:
        await database.close()


async def _wait_for_database(settings: Settings, stop: asyncio.Event) -> Database | None:
    """The database at this release's schema; None when the worker is told to stop first."""
    said = ""
    while not stop.is_set():
        try:
            database = await open_database(settings, "worker")
            reason = await missing_revision(database)
            if reason is None:
                return database
            await database.close()
        except (LongshoreError, SettingsError) as error:
            reason = str(error)
        if reason != said:
            _log.warning("waiting for the database", reason=reason)
            said = reason
        await asyncio.sleep(_WAIT_SECONDS)
    return None
