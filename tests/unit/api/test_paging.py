# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from longshore.api.paging import Page, page_headers, parse_page
from longshore.api.query import is_true, parse_flag, parse_q, parse_sort
from longshore.edge.origin import TrustedProxies
from longshore.edge.request import Request
from longshore.listing.models import AllOf, AnyOf, Condition, Exact, Fuzzy, Order, Range
from longshore.oci.errors import BadRequest, Unprocessable


def _request(query: str) -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/x", "query_string": query.encode(), "headers": []}
    return Request(scope, receive, proxies=TrustedProxies(), body_seconds=1)


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("", Page(1, 10)),
        ("page=&page_size=", Page(1, 10)),
        ("page=3&page_size=100", Page(3, 100)),
        ("page=0", Page(1, 10)),
        ("page=-4&page_size=7", Page(1, 7)),
        ("page_size=0", Page(1, None)),
        ("page=9&page_size=-1", Page(9, None)),
    ],
)
def test_parse_page(query: str, page: Page) -> None:
    """The default is the first ten; a page below one is the first, a size below one is everything."""
    assert parse_page(_request(query)) == page


@pytest.mark.parametrize(
    "query", ["page=x", "page=1.5", "page_size=101", "page_size=9999", "page=1e3", "page=" + "9" * 30]
)
def test_unacceptable_page(query: str) -> None:
    """What is no integer, and a size over a hundred, is unprocessable."""
    with pytest.raises(Unprocessable):
        parse_page(_request(query))


@pytest.mark.parametrize(
    ("page", "offset"),
    [(Page(1, 10), 0), (Page(3, 10), 20), (Page(26, 100), 2500), (Page(10**17, 100), 2**62), (Page(7, None), 0)],
)
def test_offset(page: Page, offset: int) -> None:
    """So many items come before a page; never more than a database can count to."""
    assert page.offset == offset


@pytest.mark.parametrize(
    ("page", "total", "link"),
    [
        (Page(1, 10), 10, None),
        (Page(1, 10), 11, '</p?q=a%2Cb&page=2&page_size=10>; rel="next"'),
        (
            Page(2, 10),
            21,
            '</p?q=a%2Cb&page=1&page_size=10>; rel="prev" , </p?q=a%2Cb&page=3&page_size=10>; rel="next"',
        ),
        (Page(3, 10), 21, '</p?q=a%2Cb&page=2&page_size=10>; rel="prev"'),
        (Page(9, 10), 21, None),
        (Page(1, None), 21, None),
    ],
)
def test_links(page: Page, total: int, link: str | None) -> None:
    """Links name the neighbours that there are, with the other parameters, and have no comma but between them."""
    headers = page_headers(_request("page=7&q=a%2Cb"), "/p", page, total)
    assert headers == ({"X-Total-Count": str(total)} | ({} if link is None else {"Link": link}))


@pytest.mark.parametrize(
    ("query", "conditions"),
    [
        ("", {}),
        ("q=", {}),
        ("q=name=a", {"name": Exact("a")}),
        ("q=name=~a%20b", {"name": Fuzzy("a b")}),
        ("q=name=~a%2Bb", {"name": Fuzzy("a b")}),
        ("q=name=~50%25", {"name": Fuzzy("50%")}),
        (
            "q=other=1,Level=project,ProjectID=2",
            {"other": Exact("1"), "level": Exact("project"), "project_id": Exact("2")},
        ),
        ("q=name=\\~a", {"name": Exact("~a")}),
        ("q=name=a%253Db", {"name": Exact("a=b")}),
        ("q=push_time=[2026-01-01T00:00:00~]", {"push_time": Range("2026-01-01T00:00:00", None)}),
        ("q=size=[1~22]", {"size": Range("1", "22")}),
        ("q=size=[~]", {"size": Range(None, None)}),
        ("q=name={a 'b'}", {"name": AnyOf(("a", "b"))}),
        ("q=labels=(1 2)", {"labels": AllOf(("1", "2"))}),
        ("q=labels=()", {"labels": AllOf(())}),
    ],
)
def test_q(query: str, conditions: dict[str, Condition]) -> None:
    """Every form of a condition is read; keys are snake case; the whole is unescaped once more if it can be."""
    assert parse_q(_request(query)) == conditions


@pytest.mark.parametrize(
    "query",
    [
        "q=name",
        "q=name=",
        "q==a",
        "q=name=a,",
        "q=name=[1]",
        "q=name=[1~2",
        "q=name={a b",
        "q=name=(a}",
        "q=name=a%2500",
    ],
)
def test_q_that_is_none(query: str) -> None:
    """What isn't of one of the forms is refused: silence would pass for a filter."""
    with pytest.raises(BadRequest):
        parse_q(_request(query))


@pytest.mark.parametrize(
    ("query", "order"),
    [
        ("", ()),
        ("sort=", ()),
        ("sort=-push_time,ProjectID", (Order("push_time", descending=True), Order("project_id"))),
    ],
)
def test_sort(query: str, order: tuple[Order, ...]) -> None:
    """Keys in their order, `-` for falling."""
    assert parse_sort(_request(query)) == order


@pytest.mark.parametrize("query", ["sort=-", "sort=a,", "sort=,"])
def test_sort_that_is_none(query: str) -> None:
    """A key that is missing is refused."""
    with pytest.raises(BadRequest):
        parse_sort(_request(query))


@pytest.mark.parametrize("word", ["true", "1", "YES", "ok", "y", "On", "selected", "checked", "t", "enabled"])
def test_true(word: str) -> None:
    """Many words say true, in any case."""
    assert is_true(word)


def test_flag() -> None:
    """An empty parameter counts as absent; any other word is false."""
    assert parse_flag(_request("public="), "public") is None
    assert parse_flag(_request(""), "public") is None
    assert parse_flag(_request("public=maybe"), "public") is False
