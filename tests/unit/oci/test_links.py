# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from longshore.oci.links import next_link

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def test_next_link() -> None:
    """A next page is a relative reference in the form of RFC 8288."""
    assert next_link("/v2/a/b/tags/list", n=10, last="v1.0") == '</v2/a/b/tags/list?n=10&last=v1.0>; rel="next"'


def test_what_is_none_is_left_out() -> None:
    """A parameter without value doesn't appear."""
    assert next_link("/v2/_catalog", n=None, last="a/b") == '</v2/_catalog?last=a%2Fb>; rel="next"'
    assert next_link("/v2/_catalog", n=None) == '</v2/_catalog>; rel="next"'


@given(TEXT, TEXT, st.integers())
def test_links_carry_any_value_safely(path: str, value: str, number: int) -> None:
    """Whatever path and value hold, the link reads back to them and can't leave its header."""
    link = next_link(f"/v2/{path}", artifactType=value, n=number)
    found = re.fullmatch(r'<([!#-;=?-Z_a-z~%]+)>; rel="next"', link)
    assert found is not None
    parts = urlsplit(found[1])
    assert unquote(parts.path) == f"/v2/{path}"
    assert parse_qsl(parts.query, keep_blank_values=True) == [("artifactType", value), ("n", str(number))]


def test_lone_surrogates_do_not_raise() -> None:
    """What isn't Unicode is replaced."""
    assert next_link("/v2/\udc80", last="\udc80") == '</v2/%3F?last=%3F>; rel="next"'
