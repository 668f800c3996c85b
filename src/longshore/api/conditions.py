# SPDX-License-Identifier: Apache-2.0
"""ETags: a reader that has an answer already is told so (304), and a change of what has changed meanwhile is refused (412).

The tag of an answer is the hash of what it says: of its body, and of the headers that tell about the other pages of a list.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from hashlib import blake2b
from typing import Final

from longshore.edge.asgi import Message, Send
from longshore.edge.response import Header
from longshore.oci.errors import PreconditionFailed

_TOLD: Final = frozenset({b"x-total-count", b"link"})
_KEPT: Final = _TOLD | {b"set-cookie", b"x-harbor-csrf-token"}
_TAG_BYTES: Final = 16
# Answers depend on who asks, and whoever keeps one has to ask again.
_CACHE: Final[Header] = (b"cache-control", b"private, no-cache")

Ask = Callable[[Send], Awaitable[None]]
"""Answers a GET by a function that takes the messages."""


def tag_of(headers: Iterable[Header], body: bytes) -> str:
    """The entity tag of an answer, with its quotes."""
    hashed = blake2b(body, digest_size=_TAG_BYTES)
    for name, value in sorted(header for header in headers if header[0] in _TOLD):
        hashed.update(name + b"\0" + value + b"\0")
    return f'"{hashed.hexdigest()}"'


def matches(wanted: str, tag: str) -> bool:
    """Whether the value of `If-Match` or `If-None-Match` has the tag; proxies that compress make weak tags of ours."""
    tags = {part.strip().removeprefix("W/") for part in wanted.split(",")}
    return "*" in tags or tag in tags


def tagged(send: Send, if_none_match: str | None) -> Send:
    """Sends the answer of a GET with its tag, or only that nothing has changed.

    An answer that is written piece by piece has none: its end isn't known at its beginning.
    """
    start: Message | None = None

    async def send_tagged(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            known = any(name == b"content-length" and value != b"0" for name, value in message["headers"])
            if message["status"] == 200 and known:
                start = message
                return
        elif start is not None:
            begun, start = start, None
            tag = tag_of(begun["headers"], message.get("body", b""))
            begun["headers"] = [*begun["headers"], (b"etag", tag.encode()), _CACHE]
            if if_none_match is not None and matches(if_none_match, tag):
                begun["status"] = 304
                kept = {*_KEPT, b"etag", b"cache-control"}
                begun["headers"] = [(name, value) for name, value in begun["headers"] if name in kept]
                message = {"type": "http.response.body", "body": b""}
            await send(begun)
        await send(message)

    return send_tagged


async def check_match(wanted: str, ask: Ask) -> Message | None:
    """Compares `If-Match` of a change with what a GET of the same path answers now.

    Returns:
        None if they match; the answer to the GET, with its body, if it is an error: there is nothing to compare with.

    Raises:
        PreconditionFailed: somebody has changed it meanwhile.
    """
    start: Message = {}
    body = bytearray()

    async def take(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            body.extend(message.get("body", b""))

    await ask(take)
    if start["status"] >= 400:
        return {**start, "body": bytes(body)}
    tag = tag_of(start["headers"], bytes(body))
    if not matches(wanted, tag):
        raise PreconditionFailed(
            f"If-Match: this has changed since it was read, its ETag is {tag} now. Read it again and decide anew."
        )
    return None
