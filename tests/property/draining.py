# SPDX-License-Identifier: Apache-2.0
"""The end of a random run: everything is deleted, everything is due, and nothing may be left."""

from __future__ import annotations

import asyncio
import random
import time

from longshore.database.statement import Statement
from longshore.oci.digest import Digest
from longshore.oci.errors import LongshoreError
from tests.integrity import assert_integrity, assert_nothing_left
from tests.property.auditor import Auditor
from tests.property.notes import Notes, Place
from tests.property.registry import Configuration, Registry, note_errors, open_registry

_SECONDS = 60.0
_REPOSITORIES = Statement(
    "SELECT id, project_id, name FROM repositories WHERE deleted_at IS NULL AND listed_at IS NOT NULL ORDER BY id"
)
_LIVE = Statement(
    "SELECT digest FROM manifests WHERE repository_id = :repository_id AND deleted_at IS NULL ORDER BY id DESC"
)
_UNNUMBERED = Statement("SELECT count(*) FROM events WHERE seq IS NULL")


async def _delete_everything(registry: Registry, choice: random.Random) -> None:
    """Half of the repositories as a whole, half of them manifest by manifest, and some projects."""
    for project_id in await registry.project_ids():
        if choice.random() < 0.3:
            await registry.projects.delete(project_id, actor="drain", reason="drain")
    for row in await registry.rows(_REPOSITORIES):
        place = Place(row["project_id"], row["name"])
        if choice.random() < 0.5:
            await registry.repositories.delete(place.project_id, place.path, actor="drain", reason="drain")
        else:
            await _delete_manifests(registry, place, row["id"])


async def _delete_manifests(registry: Registry, place: Place, repository_id: int) -> None:
    while live := await registry.rows(_LIVE, repository_id=repository_id):
        deleted = 0
        for row in live:
            try:
                await registry.deletion.delete(
                    place.project_id, place.path, Digest.parse(row[0]), actor="drain", reason="drain"
                )
                deleted += 1
            except LongshoreError:
                continue  # Its index goes first, or it went along with one already.
        if not deleted:
            raise AssertionError(f"{len(live)} manifests of {place} can't be deleted")


async def drain(configuration: Configuration, notes: Notes) -> None:
    """Deletes everything and reclaims until nothing is left; what is left after a minute is a violation."""
    note_errors(notes)
    registry, database, store = await open_registry(configuration, random.Random(configuration.seed), kill=0, linger=0)
    try:
        await assert_integrity(database, store)
        await _delete_everything(registry, random.Random(configuration.seed))
        until = time.monotonic() + _SECONDS
        while True:
            for step in registry.steps:
                await step.run(50)
            try:
                await assert_nothing_left(database, store)
            except AssertionError as left:
                if time.monotonic() > until:
                    notes.violation(f"LEFT: {left}")
                    break
                await asyncio.sleep(0.02)
            else:
                break
        await assert_integrity(database, store)
        while await registry.sequencer.run_once():
            pass
        await Auditor(registry, notes).audit()
        if left_parts := configuration.unfinished_parts():
            notes.violation(f"parts that nobody completed or aborted are left: {left_parts[:5]}")
        if await registry.value(_UNNUMBERED):
            notes.violation("events without a number are left")
    except AssertionError as broken:
        notes.violation(f"DRAIN: {broken}")
    finally:
        await database.close()
        await store.close()
