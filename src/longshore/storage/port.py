# SPDX-License-Identifier: Apache-2.0
"""The blob store port: what the registry asks of whatever keeps its bytes.

An adapter implements ``BlobStore`` with its ``BlobWriter`` and ``BlobReader``, and as many of the optional
protocols below as it can. ``longshore.storage.conformance`` holds every promise written here as a test.

The store knows keys and bytes. Digests, repositories and permissions are the database's business; a key is
written once, by one writer at a time (the owner of the upload session), and is never written again after ``sync``
was acknowledged to somebody.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

from longshore.oci.digest import Hasher
from longshore.oci.errors import LongshoreError, ServiceUnavailable

_KEY = re.compile(r"([0-9a-f]{2})/\1[0-9a-f]{30}", re.ASCII)


class StoreUnavailable(ServiceUnavailable):
    """The store did not do what it was asked; what was being written must be given up."""


class ObjectMissing(ServiceUnavailable):
    """The store holds no object under this key, or a shorter one than the database knows."""


class ObjectExists(ServiceUnavailable):
    """The store already holds an object under a key that was to be new."""


class InvalidObjectKey(LongshoreError):  # noqa: N818 - named for what went wrong, as in oci.errors
    """A text is no object key."""


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """The name of an object in the store: ``ab/<32 hex digits>``, where ``ab`` are the first two of the digits.

    Keys order as their texts do. A key says nothing about the content.
    """

    value: str

    def __post_init__(self) -> None:
        if _KEY.fullmatch(self.value) is None:
            raise InvalidObjectKey(
                f"{self.value!r} is no object key: it is two lower-case hex digits, a slash, and 32 hex digits that "
                "begin with the same two. It comes from the database; run `longshore verify` to find the row."
            )

    @classmethod
    def fresh(cls) -> Self:
        """Make a key that no other object has."""
        text = uuid.uuid4().hex
        return cls(f"{text[:2]}/{text}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a key; raises ``InvalidObjectKey`` for anything but the exact form."""
        return cls(text)

    @property
    def shard(self) -> str:
        """The two digits that name the directory."""
        return self.value[:2]

    @property
    def name(self) -> str:
        """The 32 digits after the slash."""
        return self.value[3:]

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class ForeignPath:
    """Something in the store that Longshore did not name; the path is relative to the store's root."""

    value: str

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One entry of a listing: ``size`` in bytes, ``modified_at`` in microseconds since 1970 by the store's clock."""

    key: ObjectKey | ForeignPath
    size: int
    modified_at: int


class BlobWriter(Protocol):
    """Appends to one object.

    One task uses a writer at a time. After any error of ``append`` or ``sync`` the writer is finished: every further
    call but ``close`` raises ``StoreUnavailable``, the object's content is unknown, and its key belongs in the trash.
    A cancelled ``append`` or ``sync`` finishes the writer too, but what had been synced before is whole: after
    ``close`` the object may be resumed there. No call returns, cancelled or not, while a thread still works for it.
    """

    @property
    def offset(self) -> int:
        """Bytes in the object so far, counted from its beginning."""
        ...

    async def append(self, pieces: Sequence[bytes], hasher: Hasher) -> None:
        """Feed the pieces to the hasher and append them, in order; nothing is durable before ``sync``.

        The hasher must not be used by anybody else before this returns. Raises ``StorageFull`` when the store has
        no room or less than its reserve, and ``StoreUnavailable`` for everything else; the hasher's state is then unknown.
        """
        ...

    async def sync(self) -> None:
        """Return when all appended bytes and the object's name would survive a power cut.

        More may be appended and synced afterwards. Raises ``StorageFull`` or ``StoreUnavailable``.
        """
        ...

    async def close(self) -> None:
        """Release what the writer holds; never raises, may be called twice. It does not sync."""
        ...


class BlobReader(Protocol):
    """Reads one object. Several tasks may read at once."""

    @property
    def size(self) -> int:
        """Bytes in the object when it was opened."""
        ...

    def read_cached(self, offset: int, length: int) -> bytes | None:
        """Return ``length`` bytes at ``offset`` without blocking, or None when they are not at hand.

        Fewer bytes come back only where the object ends. What is wrong with the object, ``read`` tells.
        """
        ...

    async def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes at ``offset``, fewer only where the object ends.

        Raises ``StoreUnavailable`` when they can't be read, also when the object is shorter than ``size`` says, and
        ``ObjectMissing`` when it has gone meanwhile (an open file never does).
        """
        ...

    def close(self) -> None:
        """Release what the reader holds; never raises, may be called twice."""
        ...


class BlobStore(Protocol):
    """Keeps objects under keys. Every method may raise ``StoreUnavailable``."""

    async def create(self, key: ObjectKey) -> BlobWriter:
        """Begin an object; raises ``ObjectExists`` when the key is taken, ``StorageFull`` below the reserve."""
        ...

    async def resume(self, key: ObjectKey, offset: int) -> BlobWriter:
        """Continue an object at ``offset`` and drop what lies beyond.

        It works below the reserve, so that an upload whose bytes are all there can be finished. Raises
        ``ObjectMissing`` when the object is absent or shorter than ``offset``.
        """
        ...

    async def open(self, key: ObjectKey) -> BlobReader:
        """Open an object for reading; raises ``ObjectMissing``."""
        ...

    async def delete(self, keys: Sequence[ObjectKey]) -> None:
        """Delete objects for good: durable when it returns, also when some were gone before. Works on a full store."""
        ...

    async def size(self, key: ObjectKey) -> int | None:
        """Return the object's size in bytes, None when there is no such object."""
        ...

    def listing(self) -> AsyncGenerator[StoredObject, None]:
        """List everything in the order of the paths, in bounded memory, leaving out Longshore's own ``meta/``.

        An object that comes or goes while the listing runs may or may not be in it. Close the iterator
        (``contextlib.aclosing``) when leaving it early.
        """
        ...


@runtime_checkable
class InstanceMark(Protocol):
    """A store that remembers which database it belongs to, in ``meta/instance``."""

    async def read_instance(self) -> str | None:
        """Return the id of the database this store belongs to, None when it was never marked."""
        ...

    async def write_instance(self, database_id: str) -> None:
        """Mark the store, once and durably; marking it with the same id again does nothing.

        Raises ``ObjectExists`` when it carries another id.
        """
        ...


class OpenedStore(BlobStore, InstanceMark, Protocol):
    """What ``open_store`` hands out."""

    async def close(self) -> None:
        """Wait for what is running and release everything; whatever is asked afterwards raises."""
        ...


@runtime_checkable
class FreeSpace(Protocol):
    """A store whose room is finite and known. Both figures are bytes."""

    async def available(self) -> int:
        """Return the bytes that may still be written, the reserve included."""
        ...

    async def total(self) -> int:
        """Return the bytes that the whole volume holds."""
        ...


@runtime_checkable
class PresignedReads(Protocol):
    """A store from which a client may fetch an object by itself: object stores, not file systems."""

    async def presign(self, key: ObjectKey, *, lifetime_seconds: int, media_type: str) -> str:
        """Return a URL that answers the object for ``lifetime_seconds``, which stays below the trash delay."""
        ...
