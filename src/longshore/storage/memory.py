# SPDX-License-Identifier: Apache-2.0
"""The store in memory: the same contract as the others, for unit tests, with faults and power cuts on demand."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum

from longshore.oci.digest import Hasher
from longshore.oci.errors import StorageFull
from longshore.storage.port import (
    NO_STATE,
    Checkpoint,
    ForeignPath,
    Journal,
    NotDeleted,
    ObjectExists,
    ObjectKey,
    ObjectMissing,
    StoredObject,
    StoreUnavailable,
)


class Step(Enum):
    """Where a fault can strike."""

    CREATE = "create"
    RESUME = "resume"
    APPEND = "append"
    SYNC = "sync"
    OPEN = "open"
    READ = "read"
    DELETE = "delete"
    SIZE = "size"
    LISTING = "listing"


@dataclass(slots=True, eq=False)
class Fault:
    """Raises ``error`` at a step, once, after ``skip`` such steps went well; with a ``key`` only that object's count."""

    step: Step
    error: Exception
    skip: int = 0
    key: ObjectKey | None = None


@dataclass(slots=True)
class _Object:
    content: bytearray
    modified_at: int
    durable: bytes | None = None


@dataclass(slots=True, eq=False)
class MemoryStore:
    """Keeps objects in a dictionary. One event loop uses it.

    ``capacity_bytes`` makes it finite. While ``cold`` is set nothing is at hand for ``read_cached``. ``foreign`` holds
    what somebody else put into the store. ``steps`` tells what was done, in order.
    """

    capacity_bytes: int | None = None
    cold: bool = False
    foreign: dict[str, int] = field(default_factory=dict)
    steps: list[tuple[Step, ObjectKey | None]] = field(default_factory=list)
    _objects: dict[ObjectKey, _Object] = field(default_factory=dict)
    _faults: list[Fault] = field(default_factory=list)
    _instance: str | None = None
    _closed: bool = False
    _life: int = 0
    _clock: int = 0

    def fail(self, fault: Fault) -> None:
        """Let a later step fail."""
        self._faults.append(fault)

    def crash(self) -> None:
        """Cut the power: what was not synced is lost, and whoever was writing is gone."""
        self._life += 1
        for key, stored in list(self._objects.items()):
            if stored.durable is None:
                del self._objects[key]
            else:
                stored.content = bytearray(stored.durable)

    def damage(self, key: ObjectKey, content: bytes) -> None:
        """Replace an object's bytes, as a failing disk or a careless person would."""
        self._objects[key].content = bytearray(content)
        self._objects[key].durable = content

    @property
    def appends(self) -> bool:
        """An object is appended to."""
        return True

    @property
    def smallest_chunk(self) -> int:
        """Any size will do."""
        return 0

    async def create(self, key: ObjectKey, journal: Journal | None = None) -> MemoryWriter:  # noqa: ARG002 - needs none
        """Begin an object."""
        self.meet(Step.CREATE, key)
        if key in self._objects:
            raise ObjectExists(f"The store already holds an object {key}. Start the upload again.")
        self.take(0)
        self._objects[key] = _Object(bytearray(), self.tick())
        return MemoryWriter(self, key, self._objects[key].content)

    async def resume(
        self,
        key: ObjectKey,
        offset: int,
        state: str = NO_STATE,  # noqa: ARG002 - an object speaks for itself
        journal: Journal | None = None,  # noqa: ARG002 - needs none
        *,
        contested: bool = False,  # noqa: ARG002 - copied, never continued
    ) -> MemoryWriter:
        """Continue an object at ``offset`` and drop what lies beyond."""
        self.meet(Step.RESUME, key)
        if offset < 0:
            raise ValueError(f"offset {offset} must not be negative")
        stored = self._existing(key)
        if len(stored.content) < offset:
            raise ObjectMissing(f"Object {key} is shorter than the upload's {offset} bytes. Start the upload again.")
        del stored.content[offset:]
        return MemoryWriter(self, key, stored.content)

    async def open(self, key: ObjectKey, offset: int = 0, length: int | None = None) -> MemoryReader:  # noqa: ARG002
        """Open an object for reading."""
        self.meet(Step.OPEN, key)
        return MemoryReader(self, key, self._existing(key).content)

    async def delete(self, keys: Sequence[ObjectKey], *, unfinished: Collection[ObjectKey] = ()) -> None:  # noqa: ARG002
        """Delete objects for good."""
        left: dict[ObjectKey, StoreUnavailable] = {}
        for key in keys:
            try:
                self.meet(Step.DELETE, key)
                self._objects.pop(key, None)
            except StoreUnavailable as error:
                left[key] = error
        for first in left.values():
            raise NotDeleted(first.message, keys=left) from first

    async def size(self, key: ObjectKey) -> int | None:
        """Return the object's size in bytes, None when there is no such object."""
        self.meet(Step.SIZE, key)
        stored = self._objects.get(key)
        return None if stored is None else len(stored.content)

    async def listing(self) -> AsyncGenerator[StoredObject, None]:
        """List everything in the order of the paths."""
        self.meet(Step.LISTING)
        found = [StoredObject(key, len(stored.content), stored.modified_at) for key, stored in self._objects.items()]
        found += [StoredObject(ForeignPath(path), size, 0) for path, size in self.foreign.items()]
        for stored in sorted(found, key=lambda each: each.key.value):
            yield stored

    async def read_instance(self) -> str | None:
        """Return the id of the database this store belongs to."""
        return self._instance

    async def write_instance(self, database_id: str) -> None:
        """Mark the store, once."""
        if not database_id.isprintable() or not database_id:
            raise ValueError("a database id is one line of printable text")
        if self._instance not in (None, database_id):
            raise ObjectExists(f"The store belongs to database {self._instance}, not to {database_id}.")
        self._instance = database_id

    async def available(self) -> int:
        """Return the bytes that may still be written."""
        return await self.total() - sum(len(stored.content) for stored in self._objects.values())

    async def total(self) -> int:
        """Return the capacity, 1 TiB when it is not limited."""
        return 1 << 40 if self.capacity_bytes is None else self.capacity_bytes

    async def close(self) -> None:
        """Refuse everything from now on."""
        self._closed = True

    def meet(self, step: Step, key: ObjectKey | None = None) -> None:
        """Record a step and raise the fault that waits there."""
        if self._closed:
            raise StoreUnavailable("The store is closed because the server stops; try again.")
        self.steps.append((step, key))
        for fault in self._faults:
            if fault.step is step and fault.key in (None, key):
                if fault.skip == 0:
                    self._faults.remove(fault)
                    raise fault.error
                fault.skip -= 1

    def take(self, count: int) -> None:
        """Raise ``StorageFull`` when there is no room for ``count`` more bytes."""
        used = sum(len(stored.content) for stored in self._objects.values())
        if self.capacity_bytes is not None and used + count > self.capacity_bytes:
            raise StorageFull("The store is full. Delete images or enlarge it.")

    def tick(self) -> int:
        """Return the next microsecond of a clock that only writing moves."""
        self._clock += 1
        return self._clock

    @property
    def life(self) -> int:
        """How often the power was cut; a writer of an earlier life writes nothing any more."""
        return self._life

    def acknowledge(self, key: ObjectKey, content: bytearray) -> None:
        """Remember what an object would be after a power cut."""
        stored = self._objects.get(key)
        if stored is not None and stored.content is content:
            stored.durable = bytes(content)
            stored.modified_at = self.tick()

    def _existing(self, key: ObjectKey) -> _Object:
        stored = self._objects.get(key)
        if stored is None:
            raise ObjectMissing(f"The store holds no object {key}. Run `longshore verify`.")
        return stored


class MemoryWriter:
    """Appends to one object; see ``BlobWriter``."""

    def __init__(self, store: MemoryStore, key: ObjectKey, content: bytearray) -> None:
        self._store = store
        self._key = key
        self._content = content
        self._life = store.life
        self._offset = len(content)
        self._finished = False

    @property
    def key(self) -> ObjectKey:
        """The object's key."""
        return self._key

    @property
    def offset(self) -> int:
        """Bytes in the object so far."""
        return self._offset

    async def append(self, pieces: Sequence[bytes], hasher: Hasher) -> None:
        """Feed the pieces to the hasher and append them."""
        self._go_on()
        self._store.meet(Step.APPEND, self._key)
        self._store.take(sum(map(len, pieces)))
        for piece in pieces:
            self._content += piece
            hasher.update(piece)
        self._offset = len(self._content)
        self._finished = False

    async def checkpoint(self) -> Checkpoint:
        """Make durable what was appended."""
        return await self.sync()

    async def sync(self) -> Checkpoint:
        """Make the bytes and the name durable."""
        self._go_on()
        self._store.meet(Step.SYNC, self._key)
        self._store.acknowledge(self._key, self._content)
        self._finished = False
        return Checkpoint(self._offset)

    async def seal(self) -> Checkpoint:
        """Make the bytes and the name durable: the object is whole."""
        return await self.sync()

    async def finish(self) -> None:
        """Do nothing: the object needs no finishing."""

    async def close(self) -> None:
        """Take no more bytes."""
        self._finished = True

    def _go_on(self) -> None:
        if self._finished or self._life != self._store.life:
            raise StoreUnavailable(
                f"Object {self._key} takes no more bytes because an earlier step failed or it was closed. "
                "Start the upload again."
            )
        self._finished = True


class MemoryReader:
    """Reads one object; see ``BlobReader``."""

    def __init__(self, store: MemoryStore, key: ObjectKey, content: bytearray) -> None:
        self._store = store
        self._key = key
        self._content = content
        self._size = len(content)
        self._closed = False

    @property
    def size(self) -> int:
        """Bytes in the object when it was opened."""
        return self._size

    def read_cached(self, offset: int, length: int) -> bytes | None:
        """Return the bytes unless the store is cold."""
        expected = self._expected(offset, length)
        piece = bytes(self._content[offset : offset + expected])
        return None if self._store.cold or len(piece) < expected else piece

    async def read(self, offset: int, length: int) -> bytes:
        """Return the bytes."""
        expected = self._expected(offset, length)
        self._store.meet(Step.READ, self._key)
        piece = bytes(self._content[offset : offset + expected])
        if len(piece) < expected:
            raise StoreUnavailable(
                f"Object {self._key} ends after {len(self._content)} bytes instead of {self._size}: it is damaged. "
                "Push the image again."
            )
        return piece

    def close(self) -> None:
        """Read no more."""
        self._closed = True

    def _expected(self, offset: int, length: int) -> int:
        if self._closed:
            raise StoreUnavailable(f"Object {self._key} was closed while it was read; try again.")
        if offset < 0 or length < 0:
            raise ValueError(f"offset {offset} and length {length} must not be negative")
        return max(min(length, self._size - offset), 0)
