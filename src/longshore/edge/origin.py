# SPDX-License-Identifier: Apache-2.0
"""Where a request came from and was sent to.

Whatever a proxy adds (`Forwarded`, RFC 7239, and the older `X-Forwarded-*`) is believed only from proxies that the
administrator named in LONGSHORE_TRUSTED_PROXIES.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final

_FORWARDED_PAIR: Final = re.compile(r'\s*([A-Za-z]+)\s*=\s*(?:"([^"\\]*)"|([^\s";,]+))\s*')
_FORWARDING: Final = {
    b"host": "host",
    b"forwarded": "forwarded",
    b"x-forwarded-for": "x-forwarded-for",
    b"x-forwarded-proto": "x-forwarded-proto",
    b"x-forwarded-host": "x-forwarded-host",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """How the client sees this server, and where it is itself: `scheme`, `host` (with port) and the `source` address."""

    scheme: str
    host: str
    source: str


class TrustedProxies:
    """The address ranges whose `Forwarded` and `X-Forwarded-*` headers are believed.

    Args:
        networks: The ranges.
        external_url: `scheme://host` that clients use, where it is configured: it wins over what requests say.
    """

    def __init__(self, networks: Sequence[IPv4Network | IPv6Network] = (), external_url: str | None = None) -> None:
        self._networks = tuple(networks)
        self._external = None if external_url is None else external_url.partition("://")[::2]

    def source(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> str:
        """The client's address only: without proxies of ours it is the connection's, and nothing has to be read."""
        if self._networks:
            return self.of(scope, headers).source
        client = scope.get("client")
        return client[0] if client else ""

    def of(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> Origin:
        """The origin of an ASGI request; header names are in lower case."""
        client = scope.get("client")
        named = {text: headers[name].decode("latin-1") for name, text in _FORWARDING.items() if name in headers}
        origin = self.origin(peer=client[0] if client else "", scheme=scope.get("scheme", "http"), headers=named)
        if self._external is None:
            return origin
        return Origin(self._external[0], self._external[1], origin.source)

    def trusts(self, address: str) -> bool:
        """Whether that address is a proxy of ours."""
        if not self._networks:
            return False
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network for network in self._networks)

    def origin(self, *, peer: str, scheme: str, headers: Mapping[str, str]) -> Origin:
        """Where a request came from and was sent to.

        Args:
            peer: The address of the connection.
            scheme: The scheme of the connection.
            headers: `host`, `forwarded` and the `x-forwarded-…` by lower-case name; several lines joined by commas.
        """
        connection = Origin(scheme, headers.get("host", ""), peer)
        if not self.trusts(peer):
            return connection
        # A proxy that speaks one of the two dialects passes on what a client says in the other one. They agree where proxies
        # speak both; where they don't, one of them is the client's invention, and neither is believed.
        told = [self._through(connection, hops) for hops in (_forwarded_hops(headers), _older_hops(headers)) if hops]
        if not told or any(origin.source != told[0].source for origin in told):
            return connection
        return told[0]

    def _through(self, connection: Origin, hops: list[_Hop]) -> Origin:
        """From the right, each proxy of ours vouches for the one before it; the first stranger is the client."""
        source, chosen = connection.source, hops[-1]
        for hop in reversed(hops):
            chosen = hop
            source = hop.source or source
            if not self.trusts(hop.source):
                break
        scheme = chosen.scheme if chosen.scheme in {"http", "https"} else connection.scheme
        return Origin(scheme, chosen.host or connection.host, source)


@dataclass(frozen=True, slots=True)
class _Hop:
    source: str
    scheme: str
    host: str


def _forwarded_hops(headers: Mapping[str, str]) -> list[_Hop]:
    """What each proxy said by `Forwarded` (RFC 7239), the nearest to the client first."""
    return [_forwarded(element) for element in headers.get("forwarded", "").split(",") if element.strip()]


def _older_hops(headers: Mapping[str, str]) -> list[_Hop]:
    """What each proxy said by `X-Forwarded-*`, the nearest to the client first."""
    sources = _listed(headers.get("x-forwarded-for", ""))
    schemes = _listed(headers.get("x-forwarded-proto", ""))
    hosts = _listed(headers.get("x-forwarded-host", ""))
    # Most proxies append the address and set the other two once, so these count from the left.
    count = max(len(sources), 1 if schemes or hosts else 0)
    return [
        _Hop(
            _address(sources[index]) if index < len(sources) else "",
            schemes[min(index, len(schemes) - 1)].lower() if schemes else "",
            hosts[min(index, len(hosts) - 1)] if hosts else "",
        )
        for index in range(count)
    ]


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _forwarded(element: str) -> _Hop:
    pairs = {}
    for part in element.split(";"):
        if match := _FORWARDED_PAIR.fullmatch(part):
            pairs[match[1].lower()] = match[2] if match[2] is not None else match[3]
    return _Hop(_address(pairs.get("for", "")), pairs.get("proto", "").lower(), pairs.get("host", ""))


def _address(text: str) -> str:
    """The address of a node, without brackets and port; what is hidden or no address is empty."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return ""
