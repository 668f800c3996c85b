# SPDX-License-Identifier: Apache-2.0
"""A request as handlers see it: parsed where it is cheap, streaming where it is not."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from urllib.parse import parse_qsl

from longshore.edge.asgi import Receive, Scope
from longshore.edge.origin import Origin, TrustedProxies
from longshore.oci.errors import BadRequest, PayloadTooLarge

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_LONGEST_NUMBER = 18
_DISCARD_LIMIT = 64 * 1024 * 1024
_DISCARD_SECONDS = 10.0


class _Ids:
    """What makes the request ids of this process differ from those of every other."""

    def __init__(self) -> None:
        self._instance = os.urandom(6).hex()
        self._numbers = itertools.count(1)
        self._name_process()
        os.register_at_fork(after_in_child=self._name_process)

    def _name_process(self) -> None:
        self._prefix = f"{self._instance}{os.getpid():x}-"

    def fresh(self) -> str:
        return f"{self._prefix}{next(self._numbers):x}"


_ids = _Ids()


class ClientGone(Exception):  # noqa: N818 - nobody is there to be answered, so it is no error to render
    """The client closed the connection, or sent nothing for too long."""


def fresh_request_id() -> str:
    """An id that no other request of any process has."""
    return _ids.fresh()


class Request:
    """One HTTP request.

    Attributes:
        method: in upper case.
        path: percent-decoded, always beginning with a slash.
        id: the request id: the client's own if it sent a sound one.
        source: the client's address, through trusted proxies.
    """

    __slots__ = (
        "_body_seconds",
        "_headers",
        "_origin",
        "_proxies",
        "_query",
        "_read",
        "_receive",
        "actor",
        "digest",
        "id",
        "method",
        "path",
        "received",
        "repository",
        "route",
        "scope",
        "source",
    )

    def __init__(self, scope: Scope, receive: Receive, *, proxies: TrustedProxies, body_seconds: float) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self._receive = receive
        self._proxies = proxies
        self._body_seconds = body_seconds
        self._query: list[tuple[str, str]] | None = None
        self._origin: Origin | None = None
        lines = scope["headers"]
        headers: dict[bytes, bytes] = dict(lines)
        if len(headers) != len(lines):
            headers = _joined(lines)
        self._headers = headers
        self.source = proxies.source(scope, headers)
        given = headers.get(b"x-request-id")
        self.id = given.decode() if given is not None and _REQUEST_ID.fullmatch(given) else fresh_request_id()
        # What the log line of this request will say.
        self.actor = "-"
        self.repository = ""
        self.digest = ""
        self.route = ""
        self.received = 0
        self._read = False

    def header(self, name: bytes) -> str | None:
        """A header's value; the name in lower case."""
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def origin(self) -> Origin:
        """Scheme, host and source address, through trusted proxies."""
        if self._origin is None:
            self._origin = self._proxies.of(self.scope, self._headers)
        return self._origin

    @property
    def through_trusted_proxy(self) -> bool:
        """Whether a proxy of ours handed the request on."""
        client = self.scope.get("client")
        return client is not None and self._proxies.trusts(client[0])

    @property
    def authorization(self) -> bytes | None:
        """The `Authorization` header as it was sent."""
        return self._headers.get(b"authorization")

    @property
    def query(self) -> list[tuple[str, str]]:
        """All query parameters in order, decoded.

        Raises:
            BadRequest: there are too many of them, or one holds U+0000, which no text in here can.
        """
        if self._query is None:
            text = self.scope["query_string"]
            try:
                self._query = (
                    parse_qsl(text.decode("latin-1"), keep_blank_values=True, max_num_fields=200) if text else []
                )
            except ValueError as error:
                raise BadRequest("The query has more than 200 parameters. Send fewer.") from error
            if b"%00" in text and any("\0" in name or "\0" in value for name, value in self._query):
                raise BadRequest("The query has the character U+0000 (%00). Take it out.")
        return self._query

    def parameter(self, name: str) -> str | None:
        """The first query parameter of that name."""
        return next((value for key, value in self.query if key == name), None)

    @property
    def content_length(self) -> int | None:
        """The announced length of the body in bytes, None when it isn't announced or can't be a length."""
        value = self._headers.get(b"content-length")
        return int(value) if value is not None and value.isdigit() and len(value) <= _LONGEST_NUMBER else None

    async def body(self) -> AsyncIterator[bytes]:
        """The body in the pieces in which it arrives.

        The time limit is for the client's next piece. It does not run while the caller works on the last one, nor after the
        caller has stopped reading: either would cancel the caller for what the client has nothing to do with.

        Raises:
            ClientGone: the client closed the connection or stalled.
        """
        while True:
            try:
                async with asyncio.timeout(self._body_seconds):
                    message = await self._receive()
            except TimeoutError as error:
                raise ClientGone from error
            if message["type"] == "http.disconnect":
                raise ClientGone
            piece = message.get("body", b"")
            if piece:
                self.received += len(piece)
                yield piece
            if not message.get("more_body"):
                self._read = True
                return

    async def discard(self) -> None:
        """Reads what is left of the body before a refusal: a client that is still sending would not see the answer.

        A large body, one that stalls, and one that waits until it is asked for (`Expect`) are left alone.
        """
        announced = self._headers.get(b"content-length", b"0")
        if self._read or b"expect" in self._headers:
            return
        if announced == b"0" and b"transfer-encoding" not in self._headers and self.scope.get("http_version") != "2":
            return
        if (self.content_length or 0) - self.received > _DISCARD_LIMIT:
            return
        until = self.received + _DISCARD_LIMIT
        with suppress(ClientGone, TimeoutError):
            async with asyncio.timeout(_DISCARD_SECONDS):
                async for _ in self.body():
                    if self.received > until:
                        return

    async def whole_body(self, limit: int, what: str) -> bytes:
        """The whole body, at most `limit` bytes of it.

        A longer one is read on for a while before it is refused: a client that is still sending would not see the answer.

        Raises:
            PayloadTooLarge: it is longer.
            ClientGone: the client closed the connection or stalled.
        """
        pieces: list[bytes] = []
        size = 0
        async for piece in self.body():
            size += len(piece)
            if size <= limit:
                pieces.append(piece)
            elif size > _DISCARD_LIMIT:
                break
        if size > limit:
            raise PayloadTooLarge(f"The {what} is larger than the {limit:,} bytes that are allowed. Make it smaller.")
        return b"".join(pieces)

    async def disconnected(self) -> None:
        """Returns when the client closes the connection; call it only after the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _joined(lines: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Several lines of one header mean the same as one line with commas (RFC 9110, 5.2)."""
    headers: dict[bytes, bytes] = {}
    for name, value in lines:
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers
