# SPDX-License-Identifier: Apache-2.0
"""How lists are answered: a page in one piece, everything (`page_size=0`) piece by piece with bounded memory."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request, Response
from litestar.response.base import ASGIResponse
from litestar.response.streaming import ASGIStreamingResponse

from longshore.api.paging import Listing, Load, Page
from longshore.api.request import APIRequest
from longshore.api.serialising import JSON, answer
from longshore.edge.request import Request as EdgeRequest
from longshore.edge.response import ClientWatch
from longshore.listing.models import Place

BATCH: Final = 200
"""How many items of a whole list are read at once."""

# A client that takes nothing for so long has gone.
_STALL_SECONDS: Final = 60.0

_Item = TypeVar("_Item")
_Document = TypeVar("_Document")

Show = Callable[[list[_Item]], Iterable[_Document] | Awaitable[Iterable[_Document]]]
"""Makes the documents of items; what belongs to them is read for all of them at once."""


async def answer_list(
    request: APIRequest, page: Page, load: Load[_Item], show: Show[_Item, _Document]
) -> Response[list[_Document]]:
    """A page of a list, with `X-Total-Count` and `Link`; or the whole list, which is read while it is sent.

    Args:
        request: What is answered.
        page: The page that is asked for.
        load: Reads a part of the list.
        show: Makes its documents.
    """
    place = Place()
    items, total = await load(place if page.size is None else page.offset, page.size or BATCH)
    documents, headers = await _documents(show, items), request.page_headers(page, Listing(items, total))
    if page.size is not None or len(items) < BATCH:
        return answer(documents, headers=headers)
    return _Whole(request.incoming, _pieces(documents, place, load, show), headers)


async def _pieces(
    documents: list[_Document], place: Place, load: Load[_Item], show: Show[_Item, _Document]
) -> AsyncIterator[bytes]:
    yield b"[" + _json(documents)
    count = len(documents)
    while count == BATCH:
        place = Place(place + count, place)
        items, _ = await load(place, BATCH)
        count = len(items)
        if items:
            yield b"," + _json(await _documents(show, items))
    yield b"]"


def _json(documents: list[Any]) -> bytes:
    return msgspec.json.encode(documents)[1:-1]


async def _documents(show: Show[_Item, _Document], items: list[_Item]) -> list[_Document]:
    shown = show(items)
    return list(await shown if inspect.isawaitable(shown) else shown)


class _Whole(Response[Any]):
    """The answer that is written while the list is read."""

    def __init__(self, incoming: EdgeRequest, pieces: AsyncIterator[bytes], headers: dict[str, str]) -> None:
        super().__init__(b"", headers=headers, media_type=JSON, status_code=200)
        self._incoming = incoming
        self._pieces = pieces

    def to_asgi_response(
        self,
        app: Any,  # noqa: ARG002 - Litestar gives it by name
        request: Request[Any, Any, Any],  # noqa: ARG002 - the same
        *,
        headers: dict[str, str] | None = None,
        **_: Any,
    ) -> ASGIResponse:
        """What Litestar sends."""
        named = {**(headers or {}), **self.headers}
        return _Watched(self._incoming, iterator=self._pieces, headers=named, media_type=JSON, status_code=200)


class _Watched(ASGIStreamingResponse):
    """Stops reading when nobody takes what was read."""

    __slots__ = ("_incoming",)

    def __init__(self, incoming: EdgeRequest, **given: Any) -> None:
        super().__init__(**given)
        self._incoming = incoming

    async def send_body(self, send: Any, receive: Any) -> None:  # noqa: ARG002 - the watch receives
        """Sends the pieces.

        Raises:
            ClientGone: the client closed the connection or takes nothing.
        """
        with ClientWatch(self._incoming, _STALL_SECONDS) as watch:
            async for piece in self.iterator:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                watch.took_something()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
