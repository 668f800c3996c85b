# SPDX-License-Identifier: Apache-2.0
"""What an object store can do, as the parts layer asks it: the one thing that each kind of store brings.

Paths are relative to the place in the store that the storage URL names. A client retries what is worth retrying and
gives up at a deadline of its own; what it raises says what to do and holds no secret. Writing the same content again
must be harmless, for an answer may be lost on its way.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from longshore.oci.errors import ServiceUnavailable
from longshore.storage.port import ObjectMissing, StoreUnavailable

Content = bytes | bytearray
"""What is stored in one request; nobody changes it meanwhile."""


class UploadMissing(ObjectMissing):
    """The store knows no such upload in parts: it was completed or aborted, and what it held is gone."""


class BeginningLost(StoreUnavailable):
    """An upload in parts was begun, perhaps, and nobody knows its id: whatever there is, only ``abort_all`` finds."""


class RangeBeyondEnd(ObjectMissing):
    """The object holds no byte of the range that was asked for."""


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One part that the store has taken.

    Attributes:
        number: From 1 to 10,000; gaps are fine.
        size: Bytes.
        tag: What the store gave for it and wants back at completion.
    """

    number: int
    size: int
    tag: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a listing: ``size`` in bytes, ``modified_at`` in microseconds since 1970 by the store's clock."""

    path: str
    size: int
    modified_at: int


class Body(Protocol):
    """What is being read of an object; one task uses it at a time."""

    @property
    def size(self) -> int:
        """Bytes in the whole object."""
        ...

    async def next_chunk(self) -> bytes:
        """Return the next bytes of the range, nothing at its end.

        Raises ``StoreUnavailable`` when the connection breaks or stalls: the rest can be asked for again.
        """
        ...

    def close(self) -> None:
        """Release the connection; never raises, may be called twice."""
        ...


class ObjectClient(Protocol):
    """One place in one object store. Every method may raise ``StoreUnavailable``."""

    async def put(self, path: str, content: Content) -> None:
        """Store a whole object durably, in place of what may be there."""
        ...

    async def put_new(self, path: str, content: Content) -> bool:
        """Store a small whole object unless there is one; False when there is. Used once in the life of a store."""
        ...

    async def get(self, path: str, offset: int, length: int | None) -> Body:
        """Begin to read a range, to the end without a ``length``.

        Raises ``ObjectMissing``, and ``RangeBeyondEnd`` when the object ends before ``offset`` or there.
        """
        ...

    async def size(self, path: str) -> int | None:
        """Return the object's size in bytes, None when there is no such object."""
        ...

    async def begin(self, path: str) -> str:
        """Begin an upload in parts and return its id; raises ``BeginningLost``."""
        ...

    async def put_part(self, path: str, upload: str, number: int, content: Content) -> Part:
        """Store a part durably, in place of an earlier one of the same number; raises ``UploadMissing``."""
        ...

    async def complete(self, path: str, upload: str, parts: Sequence[Part]) -> None:
        """Make the parts the object, without copying them. It may take minutes. Raises ``UploadMissing``."""
        ...

    async def abort_all(self, path: str) -> None:
        """Delete every upload in parts of this path, with all parts, until none is left."""
        ...

    async def delete(self, paths: Sequence[str]) -> Mapping[str, ServiceUnavailable]:
        """Delete objects, also when some are gone; any number of them.

        Returns those that may still be there, with the reason, and raises nothing for them.
        """
        ...

    def listing(self) -> AsyncGenerator[Entry, None]:
        """List all objects in the order of their paths, in bounded memory."""
        ...

    async def close(self) -> None:
        """Release the connections."""
        ...
