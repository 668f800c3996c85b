# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.access.errors import AuthenticationRequired
from longshore.distribution.authentication import decode_basic
from longshore.distribution.challenge import bearer, token_realm
from longshore.distribution.token import RequestedScope, parse_scopes
from longshore.edge.origin import Origin
from longshore.oci.errors import BadRequest


def test_scopes() -> None:
    """Scopes come one or several to a parameter; a name may have colons, a kind a class; the rest is left out."""
    found = parse_scopes(
        ["repository:a/b:pull,push registry:catalog:*", "repository(plugin):host:5000/a/b:pull", "x", ""]
    )
    assert found == (
        RequestedScope("repository", "a/b", frozenset({"pull", "push"})),
        RequestedScope("registry", "catalog", frozenset({"*"})),
        RequestedScope("repository", "host:5000/a/b", frozenset({"pull"})),
    )


@given(st.lists(st.text(max_size=600), max_size=120))
def test_scopes_never_fail_otherwise(values: list[str]) -> None:
    """Whatever is asked for is understood, left out, or 400."""
    try:
        scopes = parse_scopes(values)
    except BadRequest:
        return
    assert len(scopes) <= 100


@given(st.text(max_size=50).filter(lambda text: ":" not in text and "\0" not in text), st.text(max_size=50))
def test_basic_round_trip(name: str, secret: str) -> None:
    """Name and password come back as they were sent, colons of the password included."""
    if "\0" in secret:
        return
    assert decode_basic(b"Basic " + base64.b64encode(f"{name}:{secret}".encode())) == (name, secret)


@given(st.binary(max_size=100))
def test_basic_never_fails_otherwise(value: bytes) -> None:
    """Whatever else is sent is 401."""
    for header in (value, b"Basic " + value, b"Basic " + base64.b64encode(value)):
        try:
            name, _ = decode_basic(header)
        except AuthenticationRequired:
            continue
        assert ":" not in name


def test_challenge() -> None:
    """The challenge quotes every value and leaves out what is empty."""
    realm = token_realm(Origin("https", "registry.example.com:8443", ""))
    assert realm == "https://registry.example.com:8443/service/token"
    assert bearer(realm) == f'Bearer realm="{realm}",service="harbor-registry"'
    assert bearer(realm, scope="repository:a/b:pull", error="insufficient_scope") == (
        f'Bearer realm="{realm}",service="harbor-registry",scope="repository:a/b:pull",error="insufficient_scope"'
    )


@pytest.mark.parametrize("host", ["", 'a",b="', "a b", "a/b", "[::1", "a\r\nb"])
def test_bad_hosts(host: str) -> None:
    """A Host that isn't one never gets into a header."""
    with pytest.raises(BadRequest):
        token_realm(Origin("http", host, ""))
