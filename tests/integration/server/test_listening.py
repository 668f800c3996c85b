# SPDX-License-Identifier: Apache-2.0
"""Who gets the port: one server, also when two start together."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from longshore.config import Settings, SettingsError
from longshore.server.listening import Listeners, claim_port
from tests.acceptance.server import free_port


def _settings(host: str, port: int) -> Settings:
    return Settings.model_validate({"host": host, "port": port})


def test_two_servers_that_start_together_do_not_share_a_port() -> None:
    """The second is refused before the first one listens, while it listens, and not afterwards."""
    settings = _settings("127.0.0.1", free_port())
    with claim_port(settings):
        with pytest.raises(SettingsError, match="LONGSHORE_PORT"):
            claim_port(settings)
        listeners = Listeners(settings.host, settings.port, 2, stall_seconds=5)
    with closing(listeners), pytest.raises(SettingsError, match="LONGSHORE_PORT"):
        claim_port(settings)
    claim_port(settings).close()


def test_a_name_and_its_address_are_one() -> None:
    """`localhost` is 127.0.0.1; another address of the same port is another server's."""
    port = free_port()
    with claim_port(_settings("127.0.0.1", port)):
        with pytest.raises(SettingsError, match="LONGSHORE_PORT"):
            claim_port(_settings("localhost", port))
        claim_port(_settings("127.0.0.2", port)).close()


def test_what_others_listen_on_is_refused() -> None:
    """A program of any kind, on this address or on all."""
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))  # noqa: S104 - nobody is listened to
        other.listen()
        with pytest.raises(SettingsError, match="in use"):
            claim_port(_settings("127.0.0.1", other.getsockname()[1]))
