# SPDX-License-Identifier: Apache-2.0
"""An object store in memory, for unit tests of the parts layer, with faults on demand."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import count

from longshore.oci.errors import ServiceUnavailable
from longshore.storage.parts.client import Content, Entry, Part, RangeBeyondEnd, UploadMissing
from longshore.storage.port import ObjectMissing, StoreUnavailable


class Call(Enum):
    """The calls that a fault can strike."""

    PUT = "put"
    GET = "get"
    CHUNK = "chunk"
    SIZE = "size"
    BEGIN = "begin"
    PART = "part"
    COMPLETE = "complete"
    ABORT = "abort"
    DELETE = "delete"
    LISTING = "listing"


@dataclass(slots=True, eq=False)
class Fault:
    """What happens at a call, once, after ``skip`` such calls went well.

    Attributes:
        call: The kind of call.
        path: With one, only calls about it count.
        error: What is raised; without one the call only waits for the ``gate``.
        done: The store has done what it was asked, only the answer is lost.
        gate: The call waits here; before it has any effect, or after it when it is ``done``.
    """

    call: Call
    error: Exception | None = None
    skip: int = 0
    done: bool = False
    gate: asyncio.Event | None = None
    path: str | None = None


@dataclass(slots=True)
class _Stored:
    content: bytes
    modified_at: int


@dataclass(slots=True, eq=False)
class MemoryClient:
    """Keeps objects and unfinished uploads in dictionaries. One event loop uses it.

    ``objects`` and ``uploads`` (path and id to the parts by number) may be looked at and changed. ``calls`` tells what was
    asked, in order, and ``kinds`` what whole objects came as. ``chunk`` is how much of a range arrives at once, ``clock`` what
    the store's clock says at each writing, in microseconds.
    """

    chunk: int = 256 * 1024
    objects: dict[str, _Stored] = field(default_factory=dict)
    uploads: dict[tuple[str, str], dict[int, bytes]] = field(default_factory=dict)
    calls: list[tuple[Call, str]] = field(default_factory=list)
    kinds: list[type[Content]] = field(default_factory=list)
    in_parts: int = 0
    _faults: list[Fault] = field(default_factory=list)
    _waiting: list[Fault] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=lambda: count(1))
    clock: Iterator[int] = field(default_factory=lambda: count(1))

    def fail(self, fault: Fault) -> None:
        """Let a later call fail or wait."""
        self._faults.append(fault)

    def is_waiting(self, fault: Fault) -> bool:
        """Whether a call has come to the fault's gate."""
        return any(each is fault for each in self._waiting)

    async def put(self, path: str, content: Content) -> None:
        """Store a whole object."""
        self.kinds.append(type(content))
        fault = await self.meet(Call.PUT, path)
        self.objects[path] = _Stored(bytes(content), next(self.clock))
        await self._leave(fault)

    async def put_new(self, path: str, content: Content) -> bool:
        """Store a whole object unless there is one."""
        fault = await self.meet(Call.PUT, path)
        if path in self.objects:
            return False
        self.objects[path] = _Stored(bytes(content), next(self.clock))
        await self._leave(fault)
        return True

    async def get(self, path: str, offset: int, length: int | None) -> MemoryBody:
        """Begin to read a range."""
        _raise(await self.meet(Call.GET, path))
        stored = self.objects.get(path)
        if stored is None:
            raise ObjectMissing(f"There is no object {path}. Run `longshore verify`.")
        if (offset or length is not None) and (offset >= len(stored.content) or length == 0):
            raise RangeBeyondEnd(f"Object {path} ends before byte {offset}. Run `longshore verify`.")
        end = len(stored.content) if length is None else offset + length
        return MemoryBody(self, path, len(stored.content), stored.content[offset:end])

    async def size(self, path: str) -> int | None:
        """Return the object's size."""
        _raise(await self.meet(Call.SIZE, path))
        stored = self.objects.get(path)
        return None if stored is None else len(stored.content)

    async def begin(self, path: str) -> str:
        """Begin an upload in parts."""
        fault = await self.meet(Call.BEGIN, path)
        upload = f"upload-{next(self._numbers)}"
        self.uploads[path, upload] = {}
        await self._leave(fault)
        return upload

    async def put_part(self, path: str, upload: str, number: int, content: Content) -> Part:
        """Store a part."""
        self.in_parts += len(content)
        try:
            fault = await self.meet(Call.PART, path)
            if (path, upload) not in self.uploads:
                raise UploadMissing(f"There is no upload {upload} of {path}. Start the upload again.")
            self.uploads[path, upload][number] = bytes(content)
            await self._leave(fault)
        finally:
            self.in_parts -= len(content)
        return Part(number, len(content), _tag(content))

    async def complete(self, path: str, upload: str, parts: Sequence[Part]) -> None:
        """Make the parts the object."""
        fault = await self.meet(Call.COMPLETE, path)
        taken = self.uploads.get((path, upload))
        if taken is None:
            raise UploadMissing(f"There is no upload {upload} of {path}. Start the upload again.")
        numbers = [part.number for part in parts]
        if not parts or numbers != sorted(set(numbers)):
            raise StoreUnavailable(f"The parts {numbers} of {path} are none, or out of order. Start the upload again.")
        if any(part.tag != _tag(taken.get(part.number, b"")) or part.number not in taken for part in parts):
            raise StoreUnavailable(f"A part of {path} isn't what was sent. Start the upload again.")
        self.objects[path] = _Stored(b"".join(taken[number] for number in numbers), next(self.clock))
        del self.uploads[path, upload]
        await self._leave(fault)

    async def abort_all(self, path: str) -> None:
        """Delete every upload in parts of this path."""
        fault = await self.meet(Call.ABORT, path)
        for found in [key for key in self.uploads if key[0] == path]:
            del self.uploads[found]
        await self._leave(fault)

    async def delete(self, paths: Sequence[str]) -> dict[str, ServiceUnavailable]:
        """Delete objects."""
        left: dict[str, ServiceUnavailable] = {}
        for path in paths:
            try:
                fault = await self.meet(Call.DELETE, path)
                self.objects.pop(path, None)
                await self._leave(fault)
            except ServiceUnavailable as error:
                left[path] = error
        return left

    async def listing(self) -> AsyncGenerator[Entry, None]:
        """List all objects."""
        _raise(await self.meet(Call.LISTING, ""))
        for path in sorted(self.objects):
            stored = self.objects.get(path)
            if stored is not None:
                yield Entry(path, len(stored.content), stored.modified_at)

    async def close(self) -> None:
        """Release nothing."""

    async def meet(self, call: Call, path: str) -> Fault | None:
        """Record a call, let others run as a network would, and meet the fault that waits there."""
        self.calls.append((call, path))
        found = None
        for fault in self._faults:
            if fault.call is call and fault.path in {None, path}:
                if fault.skip == 0:
                    self._faults.remove(fault)
                    found = fault
                    break
                fault.skip -= 1
        await asyncio.sleep(0)
        if found is not None and not found.done:
            await self._leave(found)
        return found

    async def _leave(self, fault: Fault | None) -> None:
        """Wait at the gate, then raise the error."""
        if fault is not None and fault.gate is not None and not self.is_waiting(fault):
            self._waiting.append(fault)
            await fault.gate.wait()
        _raise(fault)


class MemoryBody:
    """What is being read of an object."""

    def __init__(self, client: MemoryClient, path: str, size: int, content: bytes) -> None:
        self._client = client
        self._path = path
        self._size = size
        self._content = content
        self._position = 0
        self.closed = False

    @property
    def size(self) -> int:
        """Bytes in the whole object."""
        return self._size

    async def next_chunk(self) -> bytes:
        """Return the next bytes."""
        _raise(await self._client.meet(Call.CHUNK, self._path))
        chunk = self._content[self._position : self._position + self._client.chunk]
        self._position += len(chunk)
        return chunk

    def close(self) -> None:
        """Read no more."""
        self.closed = True


def _raise(fault: Fault | None) -> None:
    if fault is not None and fault.error is not None:
        raise fault.error


def _tag(content: Content) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
