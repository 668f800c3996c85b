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
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

from longshore.oci.digest import Hasher
from longshore.oci.errors import LongshoreError, ServiceUnavailable

_KEY = re.compile(r"([0-9a-f]{2})/\1[0-9a-f]{30}", re.ASCII)


class StoreUnavailable(ServiceUnavailable):
    """The store did not do what it was asked; what was being written must be given up.

    Args:
        message: What clients are told: no address, no path, no name of a bucket.
        for_operator: These, and what was answered. With the message they are what ``str`` gives, for the log and the terminal.
    """

    def __init__(self, message: str, *, for_operator: str = "") -> None:
        super().__init__(message)
        self.for_operator = for_operator

    def __str__(self) -> str:
        """All of it."""
        return f"{self.message} {self.for_operator}".rstrip()


class NotDeleted(StoreUnavailable):
    """Some of the objects that were to be deleted may still be there; all others are gone for good.

    Args:
        message: Why the first of them is, and what to do about it.
        keys: Which ones.
    """

    def __init__(self, message: str, *, keys: Collection[ObjectKey]) -> None:
        super().__init__(message)
        self.keys: frozenset[ObjectKey] = frozenset(keys)


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


NO_STATE = "{}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far an object has durably come, and what its owner must record before telling anybody.

    Attributes:
        offset: Bytes, counted from the object's beginning, that another process could go on from.
        state: What ``resume`` needs to know beside the key and the offset: JSON that only the adapter reads, without
            secrets; ``NO_STATE`` when the object speaks for itself, as a file does.
        helpers: Keys of other objects that the state names. Whatever other key the session has, beside the
            object's, is spent and belongs in the trash, in the transaction that records the checkpoint.
    """

    offset: int
    state: str = NO_STATE
    helpers: tuple[ObjectKey, ...] = ()


class Journal(Protocol):
    """What a writer of an object store must have recorded before it acts, by the owner of the upload session.

    Each call is one transaction that succeeds only while the request still owns the session; otherwise it raises, and the
    writer is finished. Writers of stores that append to one object need none.
    """

    async def helper(self) -> ObjectKey:
        """Return a fresh key of the session for an object beside the one that is written; its row is there now."""
        ...

    async def record(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint whose ``offset`` is the one that the session has already, before something is begun."""
        ...

    async def replace(self, checkpoint: Checkpoint) -> ObjectKey:
        """Return a fresh key under which the object is written from now on, with ``checkpoint`` recorded for it.

        The object's former key becomes a helper's when the checkpoint names it, otherwise it goes to the trash.
        """
        ...


class BlobWriter(Protocol):
    """Appends to one object.

    One task uses a writer at a time. After any error of ``append``, ``checkpoint``, ``sync``, ``seal`` or ``finish``
    the writer is finished: every further call but ``close`` raises ``StoreUnavailable``, the object's content is
    unknown, and its key belongs in the trash. When one of them is cancelled, the writer is finished too, but what the
    last recorded checkpoint says is whole: after ``close`` the object may be resumed there. No call returns, cancelled
    or not, while a thread still works for it.
    """

    @property
    def key(self) -> ObjectKey:
        """The object's key; ``append`` may change it, by ``Journal.replace``, where a store can't append."""
        ...

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

    async def checkpoint(self) -> Checkpoint:
        """Return what is durable by now, in the middle of a stream: at least what was appended 64 MiB ago.

        Its offset may lie before ``offset``, where a store takes bytes in parts. Raises as ``sync`` does.
        """
        ...

    async def sync(self) -> Checkpoint:
        """Return when all appended bytes and the object's name would survive a power cut.

        More may be appended and synced afterwards. Raises ``StorageFull`` or ``StoreUnavailable``.
        """
        ...

    async def seal(self) -> Checkpoint:
        """Make all appended bytes durable and take no more; ``finish`` may begin when the checkpoint is recorded.

        A state of ``NO_STATE`` needs no recording: the object is already whole. Raises as ``sync`` does.
        """
        ...

    async def finish(self) -> None:
        """Make what was sealed the object under ``key``, to be opened by anybody.

        Doing it again, in this process or in another that resumed from the sealed checkpoint, changes nothing. It may take
        minutes for hundreds of gigabytes; the caller keeps its ownership alive meanwhile. Raises ``StoreUnavailable``.
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

    @property
    def appends(self) -> bool:
        """Whether a writer adds to one object in place, so that a takeover must copy what a zombie may still write to.

        A store that takes parts instead is continued by ``resume`` with ``contested``.
        """
        ...

    @property
    def smallest_chunk(self) -> int:
        """Bytes below which a chunk costs more than it brings; smaller ones work all the same. 0 for any size."""
        ...

    async def create(self, key: ObjectKey, journal: Journal | None = None) -> BlobWriter:
        """Begin an object; raises ``ObjectExists`` when the key is taken, ``StorageFull`` below the reserve.

        A store that finds out only at the end, or never, whether a key is taken doesn't raise the first one: fresh keys are
        never taken. Where ``appends`` is false, a journal is needed to write more than fits in one request.
        """
        ...

    async def resume(
        self,
        key: ObjectKey,
        offset: int,
        state: str = NO_STATE,
        journal: Journal | None = None,
        *,
        contested: bool = False,
    ) -> BlobWriter:
        """Continue an object from a recorded checkpoint and drop what lies beyond.

        ``contested`` says that a request which is thought dead may still write to it; only where ``appends`` is false.
        It works below the reserve, so that an upload whose bytes are all there can be finished. Raises
        ``ObjectMissing`` when the object is absent or shorter than ``offset``, at once or when it is written to. A sealed
        checkpoint gives a writer that can only ``finish``.
        """
        ...

    async def open(self, key: ObjectKey, offset: int = 0, length: int | None = None) -> BlobReader:
        """Open an object for reading; raises ``ObjectMissing``.

        ``offset`` and ``length`` say what will be read, in order: a store that has to ask for each range asks once for
        all of it. Anything else may be read too.
        """
        ...

    async def delete(self, keys: Sequence[ObjectKey], *, unfinished: Collection[ObjectKey] = ()) -> None:
        """Delete objects for good: durable when it returns, also when some were gone before. Works on a full store.

        Of the keys that are also in ``unfinished``, parts that never became an object are deleted too. A key that can't be
        deleted keeps no other: the rest is deleted, and then ``NotDeleted`` tells which may still be there.
        """
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

    @property
    def reads_from(self) -> str | None:
        """Scheme, host and port that the URLs lead to; None where no client can reach the store."""
        ...

    async def presign(self, key: ObjectKey, *, lifetime_seconds: int) -> str:
        """Return a URL that answers the object for ``lifetime_seconds``, which stays below the trash delay.

        It costs no request. The URL is a secret: it is logged nowhere.
        """
        ...
