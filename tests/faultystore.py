# SPDX-License-Identifier: Apache-2.0
"""A stand-in between a client and an S3 server that does what networks and servers do on bad days."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Arrived:
    """One request as it came in: its first line's method and target, its headers' bytes, its body."""

    method: str
    target: str
    head: bytes
    body: bytes


@dataclass(slots=True, eq=False)
class Fault:
    """What becomes of the requests that match, `times` times after `skip` others.

    Attributes:
        method: Which ones: the method, what their target contains, and what their headers do.
        answer: Status, body and headers that are sent instead of asking the server.
        hang: Nothing is sent at all.
        dropped: The server carries it out, and the connection is cut instead of the answer.
        cut_after: The connection is cut after that many bytes of the answer's body.
        stall_after: Nothing comes after that many bytes of the answer's body.
        change_body: Makes another body of the request's on its way.
        change_head: Makes other headers of the answer's.
        change_answer: The server carries it out, and this is answered instead, made from what the server said.
    """

    method: str
    contains: str = ""
    head: bytes = b""
    times: int = 1
    skip: int = 0
    answer: tuple[int, bytes, dict[str, str]] | None = None
    hang: bool = False
    dropped: bool = False
    cut_after: int | None = None
    stall_after: int | None = None
    change_body: Callable[[bytes], bytes] | None = None
    change_head: Callable[[bytes], bytes] | None = None
    change_answer: Callable[[bytes], tuple[int, bytes]] | None = None


@dataclass(slots=True, eq=False)
class FaultyStore:
    """The stand-in; `arrived` tells what came in."""

    endpoint: str = ""
    upstream: str | None = None
    faults: list[Fault] = field(default_factory=list)
    arrived: list[Arrived] = field(default_factory=list)
    connections: set[asyncio.Task[None]] = field(default_factory=set)

    def fail(self, fault: Fault) -> None:
        """Add a fault."""
        self.faults.append(fault)

    def count(self, method: str, contains: str = "") -> int:
        """How many such requests came in."""
        return sum(each.method == method and contains in each.target for each in self.arrived)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
                while await self._one(reader, writer):
                    pass
        finally:
            self.connections.discard(task)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        body = await reader.readexactly(int(_header(head, "content-length") or "0"))
        self.arrived.append(Arrived(method, target, head, body))
        fault = self._fault(self.arrived[-1])
        if fault is not None and fault.hang:
            await reader.read()
            return False
        if fault is not None and fault.answer is not None:
            await _send(writer, method, *fault.answer)
            return True
        if self.upstream is None:
            await _send(writer, method, 404, b"<html>Not Found</html>", {})
            return True
        if fault is not None and fault.change_body is not None:
            body = fault.change_body(body)
        return await self._forward(method, head, body, reader, writer, fault)

    async def _forward(
        self,
        method: str,
        head: bytes,
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        fault: Fault | None,
    ) -> bool:
        address = urlsplit(self.upstream or "")
        theirs, ours = await asyncio.open_connection(address.hostname, address.port)
        try:
            ours.write(head + body)
            answer = await theirs.readuntil(b"\r\n\r\n")
            left = 0 if method == "HEAD" else int(_header(answer, "content-length") or "0")
            if fault is not None and fault.change_answer is not None:
                await _send(writer, method, *fault.change_answer(await theirs.readexactly(left)), {})
                return True
            if fault is not None and fault.dropped:
                await theirs.readexactly(left)
                return False
            writer.write(fault.change_head(answer) if fault is not None and fault.change_head else answer)
            sent = 0
            while left:
                piece = await theirs.read(min(left, 16 * 1024))
                for limit in () if fault is None else (fault.cut_after, fault.stall_after):
                    if limit is not None and sent + len(piece) > limit:
                        writer.write(piece[: limit - sent])
                        await writer.drain()
                        if fault is not None and fault.stall_after is not None:
                            await reader.read()
                        return False
                writer.write(piece)
                await writer.drain()
                sent += len(piece)
                left -= len(piece)
            return True
        finally:
            ours.transport.abort()

    def _fault(self, arrived: Arrived) -> Fault | None:
        for fault in self.faults:
            wanted = fault.method == arrived.method and fault.contains in arrived.target and fault.head in arrived.head
            if wanted and fault.times:
                if fault.skip:
                    fault.skip -= 1
                    return None
                fault.times -= 1
                return fault
        return None


@asynccontextmanager
async def standing_in(upstream: str | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[FaultyStore]:
    """Start a stand-in for the server at `upstream`, or for none."""
    store = FaultyStore(upstream=upstream)
    server = await asyncio.start_server(store.serve, "127.0.0.1", 0, ssl=tls, limit=1024 * 1024)
    port = server.sockets[0].getsockname()[1]
    store.endpoint = f"{'http' if tls is None else 'https'}://127.0.0.1:{port}"
    try:
        yield store
    finally:
        server.close()
        for task in store.connections:
            task.cancel()
        await asyncio.gather(*store.connections, return_exceptions=True)
        # What was aborted is closed by the next turns of the event loop.
        await asyncio.sleep(0.01)


def said(code: str, message: str = "as they say", **more: str) -> bytes:
    """The body of an error."""
    extra = "".join(f"<{name}>{text}</{name}>" for name, text in more.items())
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message>{extra}</Error>".encode()


def _header(head: bytes, name: str) -> str | None:
    for line in head.decode("latin-1").split("\r\n")[1:]:
        found, _, value = line.partition(":")
        if found.lower() == name:
            return value.strip()
    return None


async def _send(writer: asyncio.StreamWriter, method: str, status: int, body: bytes, headers: dict[str, str]) -> None:
    lines = [
        f"HTTP/1.1 {status} Said",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if method == "HEAD" else body))
    await writer.drain()
