# SPDX-License-Identifier: Apache-2.0
"""One process of a random run: several clients and reclaim at once, until it is killed or the time is over."""

from __future__ import annotations

import asyncio
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from longshore.oci.errors import LongshoreError, ServiceUnavailable
from longshore.registry.errors import QuotaExceeded
from longshore.storage.port import ObjectExists, ObjectMissing
from tests.property.client import Client, ClientGone
from tests.property.notes import Notes
from tests.property.pulls import Pull
from tests.property.registry import Configuration, Registry, note_errors, open_registry

_CLIENTS = 4
_KILL = 0.0005
# There a transaction has as many points, but a new process pays for new connections and statements.
_KILL_POSTGRESQL = 0.0002
_LINGER = 0.03
# Every few seconds another mood: everything at once, a lazy collector and long lives, or a great clearing-out.
_MOODS = ((1.0, 1.0), (0.05, 0.1), (1.0, 3.0))
_MOOD_SECONDS = 4.0

Operation = Callable[[], Awaitable[object]]


class Worker:
    """The random choices of one process."""

    def __init__(self, registry: Registry, notes: Notes, choice: random.Random, stop_at: float) -> None:
        self._registry = registry
        self._notes = notes
        self._choice = choice
        self._stop_at = stop_at

    async def work(self) -> None:
        """Does one thing after another."""
        client = Client(self._registry, self._notes, self._choice)
        pull = Pull(self._registry, self._notes, self._choice)

        async def pull_somewhere() -> None:
            await pull.pull(await client.place())

        pushing: Sequence[tuple[float, Operation]] = (
            (12, client.push),
            (12, pull_somewhere),
            (3, client.twins),
            (2, client.move_tag),
            (4, client.start_upload),
            (12, client.continue_upload),
            (0.3, client.cancel_upload),
        )
        deleting: Sequence[tuple[float, Operation]] = (
            (1.5, client.delete_blob),
            (9, client.delete_manifest),
            (2, client.delete_tag),
            (0.8, client.delete_repository),
            (0.3, client.delete_project),
        )
        reclaiming: Sequence[tuple[float, Operation]] = ((16, self._reclaim), (1, self._registry.sequencer.run_once))
        while time.monotonic() < self._stop_at:
            collect, delete = _MOODS[int(time.monotonic() / _MOOD_SECONDS) % len(_MOODS)]
            operations = [*pushing, *deleting, *reclaiming]
            weights = [weight for weight, _ in pushing]
            weights += [weight * delete for weight, _ in deleting]
            weights += [weight * collect for weight, _ in reclaiming]
            await self._attempt(self._choice.choices(operations, weights)[0][1])

    async def _attempt(self, operation: Operation) -> None:
        """Runs one operation, now and then as a client that doesn't wait for its end."""
        name = getattr(operation, "__qualname__", "?")
        try:
            if self._choice.random() < 0.02:
                await asyncio.wait_for(operation(), self._choice.random() * 0.03)
            else:
                await operation()
        except (ClientGone, TimeoutError):
            self._notes.count("vanished")
        except QuotaExceeded:
            self._notes.count("full")
        except (ObjectMissing, ObjectExists):
            # A request that slept while its upload was taken over and swept finds the object gone.
            self._notes.count("overtaken")
        except ServiceUnavailable as error:
            self._notes.line("unavailable", f"{name}: {error} {error.__cause__!r}")
        except LongshoreError as error:
            if error.status >= 500:
                self._notes.line("errors", f"{name}: {traceback.format_exc()}")
            self._notes.line("refused", f"{name} {type(error).__name__} {error.message[:60]}")
        except Exception:  # noqa: BLE001 - whatever else there is would be a 500, and fails the run
            self._notes.line("errors", f"{name}: {traceback.format_exc()}")

    async def _reclaim(self) -> None:
        step = self._choice.choice(self._registry.steps)
        done = await step.run(self._choice.choice((1, 5, 20)))
        if step.name == "collect" and done.bytes:
            self._notes.count("collected")


async def work(configuration: Configuration, number: int, stop_at: float) -> None:
    """The life of one process, from its own seed."""
    notes = configuration.notes()
    note_errors(notes)
    choice = random.Random(f"{configuration.seed} {number}")
    kill = _KILL_POSTGRESQL if configuration.is_postgresql else _KILL
    registry, database, store = await open_registry(configuration, choice, kill=kill, linger=_LINGER)
    worker = Worker(registry, notes, choice, stop_at)
    await asyncio.gather(*(worker.work() for _ in range(_CLIENTS)))
    with suppress(ServiceUnavailable):
        await database.close()
    await store.close()
