# SPDX-License-Identifier: Apache-2.0
"""The auditor of a random run: asks the database for every invariant over and over, and looks at the store."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import aclosing

from longshore.database.connection import Connection
from longshore.database.statement import Statement
from longshore.events.service import Events
from longshore.oci.errors import ServiceUnavailable
from longshore.registry.invariants import INVARIANTS, Invariant, violations
from longshore.storage.port import ObjectKey
from tests.property.notes import Notes
from tests.property.registry import Configuration, Registry, note_errors, open_registry

_BLOBS = Statement("SELECT key, size FROM blobs")
_STILL = Statement("SELECT size FROM blobs WHERE key = :key")
_OWNED = Statement("SELECT key FROM upload_keys UNION ALL SELECT key FROM blobs UNION ALL SELECT key FROM trash")
_MORE = (
    Invariant(
        "history-means-tag",
        "A name whose history doesn't end with a deletion is there.",
        Statement(
            """
            SELECT 'tag ' || j.name || ' of repository ' || j.repository_id || ' at ' || j.digest FROM tag_journal j
            WHERE j.action <> 'deleted' AND NOT EXISTS (
                SELECT 1 FROM tag_journal later
                WHERE later.repository_id = j.repository_id AND later.name = j.name AND later.id > j.id)
            AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.repository_id = j.repository_id AND t.name = j.name) LIMIT :limit
            """
        ),
    ),
)


class Auditor:
    """Checks one registry, from outside."""

    def __init__(self, registry: Registry, notes: Notes) -> None:
        self._registry = registry
        self._notes = notes
        self._seq = 0
        self._seen: set[str] = set()

    async def audit(self) -> None:
        """One round. Each invariant is one query, and therefore sees one snapshot."""

        async def look(connection: Connection) -> list[str]:
            return [
                f"{invariant.name}: {offender}"
                for invariant in (*INVARIANTS, *_MORE)
                for offender in await violations(connection, invariant, 3)
            ]

        for broken in await self._registry.database.read(look):
            self._violation(broken)
        await self._check_bytes()
        await self._check_owners()
        await self._check_events()
        self._notes.count("audits")

    async def _check_bytes(self) -> None:
        for row in await self._registry.rows(_BLOBS):
            if await self._registry.store.size(ObjectKey(row["key"])) == row["size"]:
                continue
            if await self._registry.value(_STILL, key=row["key"]) is not None:
                self._violation(f"bytes: {row['key']} of {row['size']} bytes has a row, but the bytes aren't there")

    async def _check_owners(self) -> None:
        async with aclosing(self._registry.store.listing()) as listing:
            keys = {str(entry.key) async for entry in listing}
        owned = {row[0] for row in await self._registry.rows(_OWNED)}
        for key in keys - owned:
            # It may have been swept, file and row, since the listing.
            if await self._registry.store.size(ObjectKey(key)) is not None:
                self._violation(f"bytes: nothing owns {key}")

    async def _check_events(self) -> None:
        """A consumer that reads by number sees every number."""
        for event in await Events(self._registry.database).read(self._seq, 500):
            if event.seq != self._seq + 1:
                self._violation(f"event {event.seq} was seen before {self._seq + 1}")
            self._seq = event.seq

    def _violation(self, text: str) -> None:
        if text not in self._seen:
            self._seen.add(text)
            self._notes.violation(text)


async def audit(configuration: Configuration, stop_at: float) -> None:
    """The life of the auditor's process, in which nothing is ever killed."""
    notes = configuration.notes()
    note_errors(notes)
    registry, database, store = await open_registry(configuration, random.Random(0), kill=0, linger=0)
    auditor = Auditor(registry, notes)
    while time.monotonic() < stop_at:
        try:
            await auditor.audit()
        except ServiceUnavailable as error:
            notes.line("unavailable", f"auditor: {error}")
        await asyncio.sleep(0.1)
    await database.close()
    await store.close()
