# SPDX-License-Identifier: Apache-2.0
"""What is written as `q` is read as it was meant, and nothing that is written brings the parser down."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from longshore.api.query import parse_q, parse_sort
from longshore.edge.origin import TrustedProxies
from longshore.edge.request import Request
from longshore.listing.models import AllOf, AnyOf, Condition, Exact, Fuzzy, Order, Range
from longshore.oci.errors import BadRequest

KEYS = st.from_regex(r"[a-z]{1,8}(?:_[a-z]{1,8}){0,2}", fullmatch=True)
# A value can't have a comma; spaces and quotes mean something within lists only.
TEXTS = st.text(st.characters(blacklist_characters=",\0", blacklist_categories=["Cs"]), min_size=1, max_size=20)
WORDS = st.from_regex(r"[A-Za-z0-9._/:+-]{1,12}", fullmatch=True)


def _request(**parameters: str) -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
    scope = {"type": "http", "method": "GET", "path": "/x", "query_string": query.encode(), "headers": []}
    return Request(scope, receive, proxies=TrustedProxies(), body_seconds=1)


def _written(condition: Condition) -> str:
    match condition:
        case Exact(text):
            return f"\\{text}" if text[0] in "\\~[{(" else text
        case Fuzzy(text):
            return f"~{text}"
        case Range(low, high):
            return f"[{low or ''}~{high or ''}]"
        case AnyOf(texts):
            return f"{{{' '.join(texts)}}}"
        case AllOf(texts):
            return f"({' '.join(texts)})"


CONDITIONS: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Exact, TEXTS),
    st.builds(Fuzzy, TEXTS),
    st.builds(Range, WORDS | st.none(), WORDS | st.none()),
    st.builds(AnyOf, st.lists(WORDS, max_size=4).map(tuple)),
    st.builds(AllOf, st.lists(WORDS, max_size=4).map(tuple)),
)


@given(st.dictionaries(KEYS, CONDITIONS, max_size=4))
def test_what_is_written_is_read(conditions: dict[str, Condition]) -> None:
    """Conditions that are written as documented, and escaped twice, come out as they were."""
    q = ",".join(f"{key}={_written(condition)}" for key, condition in conditions.items())
    assert parse_q(_request(q=quote(q, safe=""))) == conditions


@given(st.lists(st.builds(Order, KEYS, st.booleans()), max_size=4))
def test_orders_are_read(orders: list[Order]) -> None:
    """Keys come out in their order, with their directions."""
    sort = ",".join(f"{'-' if each.descending else ''}{each.key}" for each in orders)
    assert parse_sort(_request(sort=sort)) == tuple(orders)


@given(st.text(st.characters(blacklist_categories=["Cs"]) | st.sampled_from("=~[]{}(),%+'\" \\"), max_size=60))
def test_anything_is_read_or_refused(text: str) -> None:
    """Whatever is sent is conditions or 400, and so for `sort`."""
    for parse in (parse_q, parse_sort):
        with suppress(BadRequest):
            parse(_request(q=text, sort=text))
