# SPDX-License-Identifier: Apache-2.0
"""Groups as they are sent: what is taken, what is refused, what tells them apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.groups.models import GroupType, NewGroup, parse_dn
from longshore.oci.errors import BadRequest


@pytest.mark.parametrize(
    ("name", "dn", "expected"),
    [
        ("devs", " cn=Devs,dc=x ", NewGroup(GroupType.LDAP, "devs", "cn=Devs,dc=x")),
        ("", "CN=The Devs, OU=Groups,DC=x", NewGroup(GroupType.LDAP, "The Devs", "CN=The Devs, OU=Groups,DC=x")),
        ("", r"cn=a\,b,dc=x", NewGroup(GroupType.LDAP, "a,b", r"cn=a\,b,dc=x")),
    ],
)
def test_ldap(name: str, dn: str, expected: NewGroup) -> None:
    """A group of LDAP has the name that is given, or the first part of its DN."""
    assert NewGroup.parse(GroupType.LDAP, name, dn) == expected


def test_keys() -> None:
    """DNs are the same in any case; names aren't."""
    first, second = (NewGroup.parse(GroupType.LDAP, "", dn) for dn in ("cn=Devs,dc=X", "CN=devs,DC=x"))
    assert first.key == second.key
    assert NewGroup.parse(GroupType.OIDC, "Devs", "").key != NewGroup.parse(GroupType.OIDC, "devs", "").key


@pytest.mark.parametrize("dn", ["", "devs", "cn=", "=devs", "cn=devs,", "cn=devs,dc", "cn=" + "x" * 1100])
def test_no_dn(dn: str) -> None:
    """What isn't made of types and values is no DN."""
    with pytest.raises(BadRequest, match="ldap_group_dn"):
        parse_dn(dn)


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    """Any text is a group, or is refused as a bad request, in no time."""
    for kind in GroupType:
        try:
            group = NewGroup.parse(kind, text, text)
        except BadRequest:
            continue
        assert group.name
        assert (group.ldap_dn is None) is (kind is not GroupType.LDAP)
