# SPDX-License-Identifier: Apache-2.0
"""Pages of lists: `page` and `page_size` outside, one statement underneath; `X-Total-Count` and `Link`."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from urllib.parse import quote, urlencode

from longshore.edge.request import Request
from longshore.oci.errors import Unprocessable

_DEFAULT: Final = 10
_LARGEST: Final = 100
# More than any list has. A page this far away is empty, and the database can count to it.
_FARTHEST: Final = 2**62
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")

_Item = TypeVar("_Item")

Load = Callable[[int, int], Awaitable[tuple[list[_Item], int]]]
"""Skips so many items and reads those behind them, at most so many; and tells how many there are in all."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted: the page's number from 1 on, and its size; None for everything on one page."""

    number: int
    size: int | None

    @property
    def offset(self) -> int:
        """How many items come before it."""
        return 0 if self.size is None else min((self.number - 1) * self.size, _FARTHEST)


@dataclass(frozen=True, slots=True)
class Listing(Generic[_Item]):
    """A page of items, and how many there are on all pages together."""

    items: list[_Item]
    total: int


def parse_page(request: Request) -> Page:
    """The page that a request asks for: the first 10 unless it says otherwise.

    Raises:
        Unprocessable: `page` or `page_size` is no integer, or `page_size` is over 100.
    """
    number = _integer(request, "page", 1)
    size = _integer(request, "page_size", _DEFAULT)
    if size > _LARGEST:
        raise Unprocessable(f"page_size in query should be less than or equal to {_LARGEST}")
    return Page(max(number, 1), size if size > 0 else None)


def page_headers(request: Request, path: str, page: Page, total: int) -> dict[str, str]:
    """`X-Total-Count`, and `Link` to the pages before and after if there are any.

    Args:
        request: Whose other query parameters the links repeat.
        path: The path of the list, percent-encoded.
        page: The page that is shown.
        total: How many items there are in all.
    """
    headers = {"X-Total-Count": str(total)}
    if page.size is None:
        return headers
    links = []
    if page.number > 1 and page.offset < total:
        links.append(_link(request, path, page.number - 1, page.size, "prev"))
    if page.offset + page.size < total:
        links.append(_link(request, path, page.number + 1, page.size, "next"))
    if links:
        headers["Link"] = " , ".join(links)
    return headers


def _link(request: Request, path: str, number: int, size: int, relation: str) -> str:
    others = [(name, value) for name, value in request.query if name not in {"page", "page_size"}]
    # Clients split the header at commas, so that those of the query have to be encoded too.
    query = urlencode([*others, ("page", number), ("page_size", size)], quote_via=quote, safe="", errors="replace")
    return f'<{path}?{query}>; rel="{relation}"'


def _integer(request: Request, name: str, default: int) -> int:
    text = request.parameter(name)
    if not text:
        return default
    if _INTEGER.fullmatch(text) is None:
        raise Unprocessable(f"{name} in query must be of type int64: {text[:100]!a}")
    return int(text)
