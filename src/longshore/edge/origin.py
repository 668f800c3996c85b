# SPDX-License-Identifier: Apache-2.0
"""Where a request comes from and which address the client used, seen through trusted proxies only.

`Forwarded` (RFC 7239) and `X-Forwarded-*` say what anybody likes; they are believed only from addresses that
LONGSHORE_TRUSTED_PROXIES names, hop by hop from the right.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_HOST = re.compile(r"[A-Za-z0-9.\-_]+(?::\d{1,5})?|\[[0-9a-fA-F:.]+\](?::\d{1,5})?")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Origin:
    """The address that the client used, and the client's own."""

    scheme: str
    host: str
    source: str


class TrustedProxies:
    """The proxies that are believed, and the external URL where it is set."""

    def __init__(self, networks: Sequence[Network], external_url: str | None) -> None:
        self._networks = tuple(networks)
        self._external: tuple[str, str] | None = None
        if external_url is not None:
            scheme, _, host = external_url.partition("://")
            self._external = scheme, host.rstrip("/")

    def origin(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> Origin:
        """The origin of a request; header names are in lower case."""
        client = scope.get("client")
        peer = client[0] if client else ""
        scheme = scope.get("scheme", "http")
        host = headers.get(b"host", b"").decode("latin-1")
        source = peer
        if self._networks and self._trusts(peer):
            source = self._source(peer, headers)
            scheme = _first(headers, b"x-forwarded-proto") or _forwarded(headers, "proto") or scheme
            host = _first(headers, b"x-forwarded-host") or _forwarded(headers, "host") or host
            if scheme not in {"http", "https"}:
                scheme = "http"
        if self._external is not None:
            scheme, host = self._external
        elif not _HOST.fullmatch(host):
            host = _server(scope)
        return Origin(scheme, host, source)

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def _source(self, peer: str, headers: Mapping[bytes, bytes]) -> str:
        """The rightmost hop that isn't a trusted proxy: everything left of it may be invented."""
        forwarded = headers.get(b"x-forwarded-for")
        if forwarded is not None:
            hops = [hop.strip() for hop in forwarded.decode("latin-1").split(",")]
        else:
            hops = [
                match.strip('"').removeprefix("[").partition("]")[0]
                for match in re.findall(r"(?i)\bfor=([^;,\s]+)", headers.get(b"forwarded", b"").decode("latin-1"))
            ]
        source = peer
        for hop in reversed(hops):
            try:
                source = str(ipaddress.ip_address(hop))
            except ValueError:
                break
            if not self._trusts(source):
                break
        return source


def _first(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return value.decode("latin-1").partition(",")[0].strip() if value else None


def _forwarded(headers: Mapping[bytes, bytes], member: str) -> str | None:
    text = headers.get(b"forwarded", b"").decode("latin-1")
    match = re.search(rf'(?i)\b{member}="?([^";,\s]+)', text)
    return match[1] if match else None


def _server(scope: Mapping[str, Any]) -> str:
    server = scope.get("server")
    if not server:
        return "localhost"
    host = f"[{server[0]}]" if ":" in server[0] else server[0]
    return f"{host}:{server[1]}" if server[1] else host
