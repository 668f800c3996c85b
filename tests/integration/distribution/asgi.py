# SPDX-License-Identifier: Apache-2.0
"""Speaks ASGI to the edge directly: bodies that stream, pause and break off, and clients that take nothing."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit

from longshore.distribution.app import DistributionAPI
from longshore.distribution.services import Services
from longshore.edge.asgi import Application, Message, Receive, Scope, Send
from longshore.edge.errors import render
from longshore.edge.origin import TrustedProxies
from longshore.edge.request import ClientGone, Request
from longshore.edge.response import Response, Sender
from longshore.lifecycle import ProcessState, ServerState
from longshore.oci.errors import LongshoreError, NotFound

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
Body = bytes | AsyncIterator[bytes] | None


class VanishedError(Exception):
    """Raised by a body: the client closes the connection here."""


class NoAnswerError(Exception):
    """The client was gone, so the edge answered nothing, or only a part of the answer: `received`."""

    def __init__(self, received: bytes = b"") -> None:
        super().__init__()
        self.received = received


class Edge:
    """What `longshore.app` does with a request below /v2 and for the token service. A fault of ours fails the test."""

    def __init__(
        self,
        services: Services,
        *,
        proxies: TrustedProxies | None = None,
        body_seconds: float = 30.0,
        stall_seconds: float = 30.0,
    ) -> None:
        self.services = services
        self._api = DistributionAPI(services)
        self._proxies = proxies or TrustedProxies()
        self._body_seconds = body_seconds
        self._stall_seconds = stall_seconds
        self._state = ProcessState(ServerState())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, proxies=self._proxies, body_seconds=self._body_seconds)
        sender = Sender(send, stall_seconds=self._stall_seconds, state=self._state)
        await sender.respond(request, await self._respond(request))

    async def _respond(self, request: Request) -> Response:
        try:
            if request.path == "/v2" or request.path.startswith("/v2/"):
                return await self._api.handle(request)
            if request.path == "/service/token":
                return await self._api.token(request)
            raise NotFound("There is nothing.")
        except LongshoreError as error:
            return render(error, request)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as it arrived."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __getitem__(self, name: str) -> str:
        """The value of the one header of that name."""
        values = self.all(name)
        assert len(values) == 1, f"{name} is there {len(values)} times: {self}"
        return values[0]

    def get(self, name: str) -> str | None:
        """The value of the header, None when there is none."""
        return self[name] if self.all(name) else None

    def all(self, name: str) -> list[str]:
        """The values of all lines of that name."""
        return [value for key, value in self.headers if key == name.lower()]

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of the first error, after a look at the envelope."""
        envelope = self.json()
        assert set(envelope) == {"errors", "request_id"}
        assert envelope["request_id"] == self["x-request-id"]
        entry = envelope["errors"][0]
        assert entry.keys() <= {"code", "message", "detail"}
        assert len(entry["message"]) > 10
        return str(entry["code"])

    @property
    def message(self) -> str:
        return str(self.json()["errors"][0]["message"])

    def expect(self, status: int, code: str | None = None) -> Answer:
        """This answer, if it has the status, and the code of an error."""
        assert self.status == status, f"{self.status} instead of {status}: {self.headers} {self.body[:2000]!r}"
        if code is not None:
            assert self.code == code, f"{self.code} instead of {code}: {self.message}"
        elif status < 400:
            assert self["docker-distribution-api-version"] == "registry/2.0"
        return self


@dataclass(frozen=True, slots=True)
class Client:
    """A client of one edge, which sends the same headers with every request."""

    edge: Application
    headers: tuple[tuple[str, str], ...] = ()
    source: str = "192.0.2.1"
    log: list[tuple[str, str, int]] = field(default_factory=list)

    def basic(self, name: str, password: str) -> Client:
        """The same client with Basic credentials."""
        encoded = base64.b64encode(f"{name}:{password}".encode()).decode()
        return replace(self, headers=(("authorization", f"Basic {encoded}"),))

    def bearer(self, token: str) -> Client:
        """The same client with a token."""
        return replace(self, headers=(("authorization", f"Bearer {token}"),))

    def on(self, edge: Application) -> Client:
        """The same client, whose requests another process answers."""
        return replace(self, edge=edge)

    async def get(self, target: str, headers: Headers = ()) -> Answer:
        return await self.request("GET", target, headers)

    async def head(self, target: str, headers: Headers = ()) -> Answer:
        answer = await self.request("HEAD", target, headers)
        assert answer.body == b""
        return answer

    async def delete(self, target: str) -> Answer:
        return await self.request("DELETE", target)

    async def post(self, target: str, body: Body = None, headers: Headers = ()) -> Answer:
        return await self.request("POST", target, headers, body)

    async def put(self, target: str, body: Body = None, headers: Headers = ()) -> Answer:
        return await self.request("PUT", target, headers, body)

    async def patch(self, target: str, body: Body = None, headers: Headers = ()) -> Answer:
        return await self.request("PATCH", target, headers, body)

    async def request(self, method: str, target: str, headers: Headers = (), body: Body = None) -> Answer:
        """Sends a request and takes the whole answer.

        A body of bytes comes with its Content-Length; a stream comes without.

        Raises:
            NoAnswerError: the body said that the client vanished.
        """
        exchange = Exchange(body)
        raised: BaseException | None = None
        try:
            await self.edge(self.scope(method, target, headers, body), exchange.receive, exchange.send)
        except ClientGone as gone:
            raised = gone
        finally:
            await exchange.close()
        if raised is not None or not exchange.complete:
            raise NoAnswerError(bytes(exchange.body)) from raised
        answer = Answer(exchange.status, exchange.headers, bytes(exchange.body))
        self.log.append((method, target, answer.status))
        return answer

    def scope(self, method: str, target: str, headers: Headers = (), body: Body = None) -> Scope:
        """The ASGI scope of a request."""
        parts = urlsplit(target)
        given = list(headers.items() if isinstance(headers, Mapping) else headers)
        names = {name.lower() for name, _ in given}
        lines = [*([] if "host" in names else [("host", "registry.test")]), *self.headers, *given]
        if not isinstance(body, AsyncIterator) and "content-length" not in names and (body or method != "GET"):
            lines.append(("content-length", str(len(body or b""))))
        return {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": unquote(parts.path),
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode("latin-1"),
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in lines],
            "client": (self.source, 4711),
        }


class Exchange:
    """The server's side of one request, for `receive` and `send`."""

    def __init__(self, body: Body = None, *, take: Callable[[bytes], Awaitable[None]] | None = None) -> None:
        self._stream = body if isinstance(body, AsyncIterator) else _once(body or b"")
        self._take = take
        self._over = False
        self._gone = asyncio.Event()
        self.status = 0
        self.headers: tuple[tuple[str, str], ...] = ()
        self.body = bytearray()
        self.complete = False

    def vanish(self) -> None:
        """The client closes the connection."""
        self._gone.set()

    async def receive(self) -> Message:
        if not self._over and not self._gone.is_set():
            try:
                piece = await anext(self._stream)
            except StopAsyncIteration:
                self._over = True
                return {"type": "http.request", "body": b"", "more_body": False}
            except VanishedError:
                self._gone.set()
            else:
                return {"type": "http.request", "body": piece, "more_body": True}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            assert not self.status
            self.status = message["status"]
            self.headers = tuple(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]
            )
            assert all(name == name.lower() for name, _ in self.headers)
            return
        assert self.status
        assert not self.complete
        piece = message.get("body", b"")
        if self._take is not None and piece:
            await self._take(piece)
        self.body += piece
        self.complete = not message.get("more_body", False)
        if self.complete and not self._gone.is_set():
            self._check_length()

    async def close(self) -> None:
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()

    def _check_length(self) -> None:
        lengths = [value for name, value in self.headers if name == "content-length"]
        assert len(lengths) == (self.status not in {204, 304})
        assert not lengths or not self.body or int(lengths[0]) == len(self.body)


async def _once(payload: bytes) -> AsyncIterator[bytes]:
    if payload:
        yield payload


async def pieces(*items: bytes, vanish: bool = False) -> AsyncIterator[bytes]:
    """A body that arrives in these pieces; with `vanish` the client is gone after the last one."""
    for item in items:
        yield item
    if vanish:
        raise VanishedError
