# SPDX-License-Identifier: Apache-2.0
"""The challenge that tells a client where to get a token."""

from __future__ import annotations

import re
from typing import Final

from longshore.access.tokens import SERVICE
from longshore.edge.origin import Origin
from longshore.oci.errors import BadRequest

TOKEN_PATH: Final = "/service/token"  # noqa: S105 - a path

BASIC: Final = 'Basic realm="longshore"'
"""The challenge of the token service itself."""

# What can stand in a quoted string and be a host: a name or an address, perhaps with a port.
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


def token_realm(origin: Origin) -> str:
    """The address of the token service, as the client reaches it.

    Raises:
        BadRequest: the request names no host that could be one.
    """
    if _HOST.fullmatch(origin.host) is None:
        raise BadRequest("The Host header isn't a host name or an address with an optional port.")
    return f"{origin.scheme}://{origin.host}{TOKEN_PATH}"


def bearer(realm: str, *, scope: str = "", error: str = "", service: str = SERVICE) -> str:
    """The value of `WWW-Authenticate` on /v2 (RFC 6750, section 3): where to get a token, and for what.

    `scope` and `error` are those of an `AuthenticationRequired`; empty ones are left out.
    """
    parts = [f'realm="{realm}"', f'service="{service}"']
    if scope:
        parts.append(f'scope="{scope}"')
    if error:
        parts.append(f'error="{error}"')
    return "Bearer " + ",".join(parts)
