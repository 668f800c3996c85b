# SPDX-License-Identifier: Apache-2.0
"""Quotas as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from longshore.oci.errors import BadRequest

LARGEST_LIMIT: Final = 1024 * 2**40
"""The highest limit in bytes: 1024 TB, as in Harbor."""

NO_LIMIT: Final = -1
"""How Harbor's API writes that there is no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A project's quota, whose number is the project's.

    Attributes:
        limit: The most that live content may amount to, in bytes; None for no limit.
        used: What it amounts to, in bytes.
        trash: What is stored besides, in bytes: deleted, and restorable or not yet collected.
        created_at: Microseconds since 1970.
        updated_at: When the limit was changed last, in microseconds since 1970.
    """

    id: int
    project: str
    owner_name: str
    limit: int | None
    used: int
    trash: int
    created_at: int
    updated_at: int


def parse_limit(value: int) -> int | None:
    """A limit as Harbor's API writes it: bytes, or -1 for none.

    Raises:
        BadRequest: it is 0, below -1, or above 1024 TB.
    """
    if value == NO_LIMIT:
        return None
    if not 1 <= value <= LARGEST_LIMIT:
        raise BadRequest(f"The limit is -1 for none, or 1 to {LARGEST_LIMIT} bytes (1024 TB), not {value}.")
    return value
