# SPDX-License-Identifier: Apache-2.0
"""The worker's loop that gives space back: online, in small steps, by any number of workers, with a switch for each step.

There is nothing to start and nothing to wait for. Each step is a queue in the database; a worker that dies in the middle of
one leaves it as it was, and another one goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from longshore.database.connection import Connection, Database, Dialect, Transaction
from longshore.database.statement import Statement
from longshore.oci.errors import NotFound, ServiceUnavailable, StorageFull
from longshore.registry.clock import ClockWatch
from longshore.registry.collect import Collect
from longshore.registry.expiry import EmptyRepositories, Expire, PurgedProjects
from longshore.registry.immutability import ImmutableTags
from longshore.registry.periods import Periods
from longshore.registry.purge import Purge
from longshore.registry.repository_purge import RepositoryPurge
from longshore.registry.review import Review
from longshore.registry.step import Progress, Step
from longshore.registry.sweep import Sweep
from longshore.registry.trim import Trim
from longshore.storage.port import BlobStore

_log = structlog.get_logger("longshore.reclaim")

_BATCH = 50
_SHORTEST_SECONDS = 0.05
_LONGEST_SECONDS = 1.5
_PAUSED = Statement("SELECT name FROM reclaim_steps WHERE paused")
_STATES = Statement("SELECT name, paused, handled, bytes, ran_at FROM reclaim_steps")
_PAUSE = Statement(
    "INSERT INTO reclaim_steps (name, paused) VALUES (:name, :paused)"
    " ON CONFLICT (name) DO UPDATE SET paused = excluded.paused"
)
_RECORD = Statement(
    "INSERT INTO reclaim_steps (name, handled, bytes, ran_at) VALUES (:name, :handled, :bytes, {now})"
    " ON CONFLICT (name) DO UPDATE SET handled = reclaim_steps.handled + excluded.handled,"
    " bytes = reclaim_steps.bytes + excluded.bytes, ran_at = excluded.ran_at"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepState:
    """What people and metrics see of a step.

    Attributes:
        name: the step's name.
        paused: people stopped it.
        handled: how many things it has settled since the database was made.
        bytes: how many bytes that gave back.
        ran_at: when it last settled something, in microseconds since 1970; None: never.
        depth: how much is due now, counted up to `step.DEPTH_LIMIT`.
    """

    name: str
    paused: bool
    handled: int
    bytes: int
    ran_at: int | None
    depth: int


class Reclaim:
    """Runs every step of reclaim, over and over."""

    def __init__(
        self,
        database: Database,
        store: BlobStore,
        periods: Periods,
        immutable: ImmutableTags | None = None,
        *,
        further: Sequence[Step] = (),
    ) -> None:
        self._database = database
        self._clock = ClockWatch(database)
        # SQLite's writer takes what waits together; PostgreSQL's few connections are shared with requests.
        concurrency = 8 if database.dialect is Dialect.SQLITE else 2
        steps: tuple[Step, ...] = (
            Trim(database, periods),
            Review(database, periods, immutable, concurrency=concurrency),
            RepositoryPurge(database),
            Purge(database, periods, concurrency=concurrency),
            Expire(database, periods),
            Collect(database, periods, concurrency=concurrency),
            Sweep(database, store, periods),
            EmptyRepositories(database),
            PurgedProjects(database),
            *further,
        )
        self._steps: Mapping[str, Step] = {step.name: step for step in steps}

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of the steps, in the order in which they run."""
        return tuple(self._steps)

    async def run_once(self, limit: int = _BATCH) -> Progress:
        """One small batch of every step that isn't paused.

        Raises:
            ServiceUnavailable, StorageFull: the database is away, or its disk is full.
        """
        paused = await self._paused()
        total = Progress()
        for name, step in self._steps.items():
            if name in paused:
                continue
            done = await self._run_step(step, limit)
            total += done
            # Requests on the same loop come first.
            await asyncio.sleep(0)
        return total

    async def run(self, stop: asyncio.Event) -> None:
        """Reclaims until `stop` is set, which ends it after the batch at hand: within a second.

        While there is work it goes on at once; the longer nothing is due, the longer it sleeps, up to 1.5 seconds. While the
        database's clock can't be trusted nothing is removed.
        """
        _log.info("reclaim_started", steps=self.steps)
        pause, waiting = _SHORTEST_SECONDS, False
        while not stop.is_set():
            try:
                done = await self.run_once() if await self._clock.steady() else Progress()
                if waiting:
                    _log.info("reclaim_goes_on")
                waiting = False
                pause = _SHORTEST_SECONDS if done.handled else min(pause * 2, _LONGEST_SECONDS)
                if done.more:
                    continue
            except (ServiceUnavailable, StorageFull) as error:
                # Said once, not with every attempt.
                if not waiting:
                    _log.warning("reclaim_waits", error=error.message)
                waiting = True
                pause = _LONGEST_SECONDS
            except Exception:  # noqa: BLE001 - the loop outlives whatever goes wrong in one round
                _log.exception("reclaim_failed")
                pause = _LONGEST_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
        _log.info("reclaim_stopped")

    async def pause(self, name: str) -> None:
        """Stops one step in all workers, at their next batch, until somebody resumes it.

        Raises:
            NotFound: there is no such step.
        """
        await self._switch(name, paused=True)

    async def resume(self, name: str) -> None:
        """Lets a paused step go on.

        Raises:
            NotFound: there is no such step.
        """
        await self._switch(name, paused=False)

    async def states(self) -> list[StepState]:
        """Every step: its switch, its counters, and how much is due."""

        async def read(connection: Connection) -> dict[str, tuple[bool, int, int, int | None]]:
            rows = await connection.all(_STATES)
            return {row[0]: (bool(row[1]), row[2], row[3], row[4]) for row in rows}

        known = await self._database.read(read)
        states = []
        for name, step in self._steps.items():
            paused, handled, freed, ran_at = known.get(name, (False, 0, 0, None))
            states.append(
                StepState(
                    name=name, paused=paused, handled=handled, bytes=freed, ran_at=ran_at, depth=await step.depth()
                )
            )
        return states

    async def _run_step(self, step: Step, limit: int) -> Progress:
        try:
            done = await step.run(limit)
        except (ServiceUnavailable, StorageFull):
            raise
        except Exception:  # noqa: BLE001 - a step that breaks must not stop the others; it is tried again next round
            _log.exception("reclaim_failed", step=step.name)
            return Progress()
        if done.handled:
            _log.debug("reclaimed", step=step.name, handled=done.handled, bytes=done.bytes)
            await self._record(step.name, done)
        return done

    async def _record(self, name: str, done: Progress) -> None:
        async def write(transaction: Transaction) -> int:
            return await transaction.execute(_RECORD, name=name, handled=done.handled, bytes=done.bytes)

        await self._database.write(write)

    async def _paused(self) -> set[str]:
        async def read(connection: Connection) -> set[str]:
            return {row[0] for row in await connection.all(_PAUSED)}

        return await self._database.read(read)

    async def _switch(self, name: str, *, paused: bool) -> None:
        if name not in self._steps:
            raise NotFound(f"There is no step {name!r} of reclaim. Its steps are: {', '.join(self.steps)}.")

        async def write(transaction: Transaction) -> int:
            return await transaction.execute(_PAUSE, name=name, paused=paused)

        await self._database.write(write)
        _log.info("reclaim_switched", step=name, paused=paused)
