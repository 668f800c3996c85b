# SPDX-License-Identifier: Apache-2.0
"""An object store in a folder, for processes that are killed: each request happens whole or not at all, as in a real one."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from longshore.oci.errors import ServiceUnavailable
from longshore.storage.parts.client import Content, Entry, Part, RangeBeyondEnd, UploadMissing
from longshore.storage.port import ObjectMissing, StoreUnavailable
from tests.property.faults import Faults


class FolderClient:
    """Keeps objects, unfinished parts and what is being written in three folders of one file system.

    Before and after each request the process may be killed, or may linger.
    """

    def __init__(self, folder: Path, faults: Faults) -> None:
        self._objects, self._uploads, self._making = (folder / name for name in ("objects", "uploads", "making"))
        for made in (self._objects, self._uploads, self._making):
            made.mkdir(parents=True, exist_ok=True)
        self._faults = faults

    async def put(self, path: str, content: Content) -> None:
        await self._faults.pause()
        self._replace(self._objects / path, content)
        await self._faults.pause()

    async def put_new(self, path: str, content: Content) -> bool:
        if (self._objects / path).exists():
            return False
        await self.put(path, content)
        return True

    async def get(self, path: str, offset: int, length: int | None) -> FolderBody:
        await self._faults.pause()
        try:
            content = (self._objects / path).read_bytes()
        except FileNotFoundError as error:
            raise ObjectMissing(f"There is no object {path}.") from error
        if (offset or length is not None) and (offset >= len(content) or length == 0):
            raise RangeBeyondEnd(f"Object {path} ends before byte {offset}.")
        return FolderBody(len(content), content[offset : None if length is None else offset + length])

    async def size(self, path: str) -> int | None:
        await self._faults.pause()
        try:
            return (self._objects / path).stat().st_size
        except FileNotFoundError:
            return None

    async def begin(self, path: str) -> str:
        await self._faults.pause()
        upload = uuid.uuid4().hex
        (self._uploads / path / upload).mkdir(parents=True)
        await self._faults.pause()
        return upload

    async def put_part(self, path: str, upload: str, number: int, content: Content) -> Part:
        await self._faults.pause()
        try:
            self._replace(self._uploads / path / upload / str(number), content)
        except FileNotFoundError as error:
            raise _no_upload(path, upload) from error
        await self._faults.pause()
        return Part(number, len(content), hashlib.sha256(content).hexdigest())

    async def complete(self, path: str, upload: str, parts: Sequence[Part]) -> None:
        await self._faults.pause()
        folder = self._uploads / path / upload
        try:
            contents = [(folder / str(part.number)).read_bytes() for part in parts]
        except FileNotFoundError as error:
            raise _no_upload(path, upload) from error
        for part, content in zip(parts, contents, strict=True):
            if hashlib.sha256(content).hexdigest() != part.tag:
                raise StoreUnavailable(f"Part {part.number} of {path} isn't what was sent.")
        self._replace(self._objects / path, b"".join(contents))
        # Killed in between, the upload is completed once more, as with a request whose answer was lost.
        shutil.rmtree(folder, ignore_errors=True)
        await self._faults.pause()

    async def abort_all(self, path: str) -> None:
        await self._faults.pause()
        shutil.rmtree(self._uploads / path, ignore_errors=True)

    async def delete(self, paths: Sequence[str]) -> dict[str, ServiceUnavailable]:
        for path in paths:
            await self._faults.pause()
            (self._objects / path).unlink(missing_ok=True)
        return {}

    async def listing(self) -> AsyncGenerator[Entry, None]:
        for path in sorted(str(found.relative_to(self._objects)) for found in self._objects.glob("*/*")):
            try:
                facts = (self._objects / path).stat()
            except FileNotFoundError:
                continue
            yield Entry(path, facts.st_size, facts.st_mtime_ns // 1000)

    def unfinished(self) -> list[str]:
        """Parts that nobody completed or aborted."""
        return sorted(str(found.relative_to(self._uploads)) for found in self._uploads.glob("*/*/*/*"))

    async def close(self) -> None:
        """Nothing is open."""

    def _replace(self, target: Path, content: Content) -> None:
        making = self._making / uuid.uuid4().hex
        making.write_bytes(content)
        if target.is_relative_to(self._objects):
            target.parent.mkdir(parents=True, exist_ok=True)
        try:
            making.replace(target)
        except FileNotFoundError:
            making.unlink()
            raise


class FolderBody:
    """What is read of an object."""

    def __init__(self, size: int, content: bytes) -> None:
        self.size = size
        self._content = content

    async def next_chunk(self) -> bytes:
        chunk, self._content = self._content[:100], self._content[100:]
        return chunk

    def close(self) -> None:
        self._content = b""


def _no_upload(path: str, upload: str) -> UploadMissing:
    return UploadMissing(f"There is no upload {upload} of {path}.")
