# SPDX-License-Identifier: Apache-2.0
"""What the registry records of one upload session, in memory: for the conformance suite and the property tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from longshore.storage.port import NO_STATE, BlobStore, BlobWriter, Checkpoint, ObjectKey, StoreUnavailable


@dataclass(slots=True, eq=False)
class MemorySession:
    """The rows of one session; every journal but the one handed out last has lost the session.

    Attributes:
        key: The object's.
        recorded: The last checkpoint that was recorded.
        helpers: The session's other keys.
        trash: Keys that are the session's no more, and whether parts may be left under them.
    """

    key: ObjectKey = field(default_factory=ObjectKey.fresh)
    recorded: Checkpoint = field(default_factory=lambda: Checkpoint(0))
    helpers: set[ObjectKey] = field(default_factory=set)
    trash: dict[ObjectKey, bool] = field(default_factory=dict)
    _owner: int = 0

    def claim(self) -> MemoryJournal:
        """Hand the session to a new owner."""
        self._owner += 1
        return MemoryJournal(self, self._owner)

    async def open(self, store: BlobStore, *, contested: bool = False) -> tuple[BlobWriter, MemoryJournal]:
        """Own the session and continue its object."""
        journal = self.claim()
        checkpoint = self.recorded
        writer = await store.resume(self.key, checkpoint.offset, checkpoint.state, journal, contested=contested)
        return writer, journal

    async def discard(self, store: BlobStore) -> None:
        """Delete everything that the session ever had, as expiry and the sweep do."""
        self._owner += 1
        for key in (self.key, *self.helpers):
            self.throw_away(key)
        self.helpers.clear()
        await self.sweep(store)

    async def sweep(self, store: BlobStore) -> None:
        """Delete what is in the trash."""
        await store.delete(list(self.trash), unfinished=[key for key, unfinished in self.trash.items() if unfinished])

    def owned_by(self, owner: int) -> None:
        """Raise ``StoreUnavailable`` when somebody else owns the session by now."""
        if owner != self._owner:
            raise StoreUnavailable("Another request has taken over this upload. Ask for its status.")

    def keep(self, checkpoint: Checkpoint) -> None:
        """Record a checkpoint; keys that it doesn't name are spent."""
        if not set(checkpoint.helpers) <= self.helpers:
            raise ValueError(f"{checkpoint} names a key that the session doesn't have")
        for spent in self.helpers - set(checkpoint.helpers):
            self.throw_away(spent)
        self.helpers = set(checkpoint.helpers)
        self.recorded = checkpoint

    def throw_away(self, key: ObjectKey) -> None:
        """Put a key into the trash."""
        self.trash[key] = key == self.key and self.recorded.state != NO_STATE


@dataclass(frozen=True, slots=True)
class MemoryJournal:
    """One owner's hold on a session; see ``Journal``."""

    session: MemorySession
    owner: int

    async def helper(self) -> ObjectKey:
        """Return a fresh key of the session."""
        self.session.owned_by(self.owner)
        key = ObjectKey.fresh()
        self.session.helpers.add(key)
        return key

    async def record(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint that makes no progress."""
        self.session.owned_by(self.owner)
        if checkpoint.offset != self.session.recorded.offset:
            raise ValueError(f"{checkpoint} is elsewhere than {self.session.recorded}")
        await self.advance(checkpoint)

    async def replace(self, checkpoint: Checkpoint) -> ObjectKey:
        """Give the object another key."""
        session = self.session
        session.owned_by(self.owner)
        old = session.key
        if old in checkpoint.helpers:
            session.helpers.add(old)
        else:
            session.throw_away(old)
        session.key = ObjectKey.fresh()
        session.keep(checkpoint)
        return session.key

    async def advance(self, checkpoint: Checkpoint) -> None:
        """Keep any checkpoint, as the owner does between two steps."""
        self.session.owned_by(self.owner)
        self.session.keep(checkpoint)
