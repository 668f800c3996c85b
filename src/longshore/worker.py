# SPDX-License-Identifier: Apache-2.0
"""The worker role: reclaim, the events' numbers, and tidying up, in a process of its own that no pull waits for."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress

import structlog

from longshore.audit.forwarding import Forwarder
from longshore.audit.service import Recorder
from longshore.config import Settings, SettingsError
from longshore.database.connection import Database
from longshore.events.sequencer import Sequencer
from longshore.marking import open_marked_store
from longshore.oci.errors import LongshoreError
from longshore.opening import missing_revision, open_database, periods_of
from longshore.reclaiming import reclaim_of
from longshore.storage.port import OpenedStore
from longshore.system.configuration import configurations_of
from longshore.system.instance import ensure_instance

_log = structlog.get_logger("longshore.worker")

_WAIT_SECONDS = 1.0


async def run_worker(settings: Settings, secret_key: bytes) -> None:
    """Works until SIGTERM or SIGINT; what is under way then stops within a second and goes on at the next start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    opened = await _wait_for_both(settings, secret_key, stop)
    if opened is None:
        return
    database, store = opened
    try:
        configurations = configurations_of(settings, database)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reclaim_of(database, store, periods_of(settings)).run(stop))
            tasks.create_task(Sequencer(database).run(stop))
            tasks.create_task(Recorder(database, configurations).run(stop))
            tasks.create_task(Forwarder(database, configurations).run(stop))
    finally:
        await store.close()
        await database.close()


async def _wait_for_both(
    settings: Settings, secret_key: bytes, stop: asyncio.Event
) -> tuple[Database, OpenedStore] | None:
    """The database at this release's schema, and its store; None when the worker is told to stop first."""
    said = ""
    while not stop.is_set():
        try:
            return await _open_both(settings, secret_key)
        except (LongshoreError, SettingsError) as error:
            if str(error) != said:
                said = str(error)
                _log.warning("waiting for database and store", reason=said)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _WAIT_SECONDS)
    return None


async def _open_both(settings: Settings, secret_key: bytes) -> tuple[Database, OpenedStore]:
    database = await open_database(settings, "worker")
    try:
        missing = await missing_revision(database)
        if missing is not None:
            raise SettingsError(missing)
        instance_id = await ensure_instance(database, secret_key)
        return database, await open_marked_store(settings, instance_id, database)
    except BaseException:
        await database.close()
        raise
