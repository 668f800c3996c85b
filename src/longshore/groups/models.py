# SPDX-License-Identifier: Apache-2.0
"""Groups of users, as values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from longshore.oci.errors import BadRequest

_LONGEST: Final = 255
_LONGEST_DN: Final = 1024
# What a DN is made of (RFC 4514): types and values, joined by commas that no backslash takes literally.
_PART: Final = r"[A-Za-z0-9.\-]+\s*=\s*(?:\\.|[^,\\])+"
_FIRST: Final = re.compile(r"[^=]+=\s*((?:\\.|[^,\\])+)", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_DN: Final = re.compile(rf"\s*{_PART}(?:,\s*{_PART})*", re.DOTALL)


class GroupType(Enum):
    """Who tells which users are in a group, by the numbers of Harbor's API."""

    LDAP = 1
    HTTP = 2
    OIDC = 3

    @property
    def stored(self) -> str:
        """The type's name in the database."""
        return self.name.lower()

    @classmethod
    def from_stored(cls, name: str) -> GroupType:
        """The type that a row of `user_groups` names."""
        return cls[name.upper()]

    @classmethod
    def parse(cls, value: int) -> GroupType:
        """The type with Harbor's number.

        Raises:
            BadRequest: there is none.
        """
        for kind in cls:
            if kind.value == value:
                return kind
        raise BadRequest(f"group_type is 1 for LDAP, 2 for HTTP or 3 for OIDC, not {value}.")


@dataclass(frozen=True, slots=True)
class NewGroup:
    """What tells a group apart from the others of its type: of LDAP its DN, else its name."""

    type: GroupType
    name: str
    ldap_dn: str | None = None

    @property
    def key(self) -> str:
        """What the database tells it apart by: DNs are the same in any case."""
        return self.name if self.ldap_dn is None else self.ldap_dn.lower()

    @classmethod
    def parse(cls, kind: GroupType, name: str, ldap_dn: str) -> NewGroup:
        """A group as it was sent. One of LDAP without a name is called by the first part of its DN.

        Raises:
            BadRequest: it has no name, or no DN, or one that isn't well-formed.
        """
        name, dn = name.strip(), ldap_dn.strip()
        if kind is not GroupType.LDAP:
            return cls(kind, parse_name(name))
        dn = parse_dn(dn)
        return cls(kind, parse_name(name or _first_value(dn)), dn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group of users; `ldap_dn` None for groups that aren't of LDAP."""

    id: int
    type: GroupType
    name: str
    ldap_dn: str | None


def parse_name(name: str) -> str:
    """A group's name.

    Raises:
        BadRequest: it is empty or too long.
    """
    if not name or len(name) > _LONGEST:
        raise BadRequest(f"A group needs a group_name of 1 to {_LONGEST} characters.")
    return name


def parse_dn(dn: str) -> str:
    """The DN of a group of LDAP.

    Raises:
        BadRequest: it is empty, too long or no DN.
    """
    if not dn or len(dn) > _LONGEST_DN or _DN.fullmatch(dn) is None:
        raise BadRequest("A group of LDAP needs an ldap_group_dn such as cn=developers,ou=groups,dc=example,dc=com.")
    return dn


def _first_value(dn: str) -> str:
    first = _FIRST.match(dn)
    return "" if first is None else _ESCAPED.sub(r"\1", first[1]).strip()
