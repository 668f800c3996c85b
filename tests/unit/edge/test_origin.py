# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from ipaddress import ip_network

import pytest

from longshore.edge.origin import Origin, TrustedProxies

PROXY = "10.0.0.1"
PROXIES = TrustedProxies([ip_network("10.0.0.0/8")])
CONNECTION = Origin("http", "registry.example", PROXY)


def origin(peer: str = PROXY, **headers: str) -> Origin:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return PROXIES.origin(peer=peer, scheme="http", headers={"host": "registry.example", **named})


@pytest.mark.parametrize(
    "headers",
    [
        {"x_forwarded_for": "203.0.113.7", "x_forwarded_proto": "https"},
        {"x_forwarded_for": "198.51.100.1, 203.0.113.7, 10.0.0.2", "x_forwarded_proto": "https"},
        {"forwarded": "for=203.0.113.7;proto=https"},
        {"forwarded": "for=198.51.100.1, for=203.0.113.7;proto=https, for=10.0.0.2"},
        {"forwarded": "for=203.0.113.7;proto=https", "x_forwarded_for": "203.0.113.7"},
    ],
)
def test_a_proxy_of_ours_is_believed(headers: dict[str, str]) -> None:
    """The first address from the right that isn't ours is the client, whichever dialect the proxies speak."""
    assert origin(**headers) == Origin("https", "registry.example", "203.0.113.7")


@pytest.mark.parametrize("headers", [{"forwarded": "for=192.0.2.1"}, {"x_forwarded_for": "192.0.2.1"}])
def test_a_stranger_is_not_believed(headers: dict[str, str]) -> None:
    """What somebody says who is no proxy of ours changes nothing."""
    assert origin("203.0.113.7", **headers) == Origin("http", "registry.example", "203.0.113.7")


@pytest.mark.parametrize(
    "headers",
    [
        {"x_forwarded_for": "203.0.113.7", "forwarded": "for=192.0.2.1;host=evil.example;proto=https"},
        {"x_forwarded_for": "192.0.2.1", "x_forwarded_host": "evil.example", "forwarded": "for=203.0.113.7"},
        {"x_forwarded_proto": "https", "forwarded": "for=192.0.2.1"},
    ],
)
def test_a_client_cannot_speak_the_other_dialect(headers: dict[str, str]) -> None:
    """A header that the proxy passed on can't choose the address by which wrong logins are counted."""
    assert origin(**headers) == CONNECTION
