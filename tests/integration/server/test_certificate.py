# SPDX-License-Identifier: Apache-2.0
"""What is offered to the processes when the certificate's files change, and what is kept of it in memory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from longshore.config import Settings
from longshore.server.certificate import Certificate, CertificateWatch, load_certificate
from tests.acceptance.certificates import Pair, make_pair


class Watched:
    """Files that are watched, and how often there was something new."""

    def __init__(self, folder: Path) -> None:
        self.chain, self.key = folder / "chain.pem", folder / "key.pem"
        self.first, self.second, self.third = (make_pair(folder, name) for name in ("first", "second", "third"))
        self.put(self.first)
        settings = Settings.model_validate({"tls_cert": self.chain, "tls_key": self.key})
        certificate = load_certificate(settings)
        assert certificate is not None
        self.served = certificate
        self.wakes = 0
        self.watch = CertificateWatch(settings, certificate, self._wake)

    def _wake(self) -> None:
        self.wakes += 1

    def put(self, pair: Pair) -> None:
        shutil.copy(pair.chain, self.chain)
        shutil.copy(pair.key, self.key)

    def take(self) -> Certificate:
        certificate = self.watch.take()
        assert certificate is not None
        return certificate


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def _kept() -> int:
    """How many certificates this process has in memory."""
    links = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return sum("longshore-tls-cert" in link.name for link in links)


def test_a_pair_is_offered_once(watched: Watched) -> None:
    """Whoever asks while processes are exchanged, or before they are, doesn't have them exchanged twice."""
    watched.put(watched.second)
    for _ in range(3):
        watched.watch.look(asked=True)
    certificate = watched.take()
    for _ in range(3):
        watched.watch.look(asked=True)
    assert (watched.wakes, watched.watch.take()) == (1, None)
    watched.watch.is_served(certificate)
    watched.watch.look(asked=True)
    assert (watched.wakes, watched.watch.take()) == (1, None)


def test_what_could_not_be_served_is_offered_again(watched: Watched) -> None:
    """At once to whoever asks."""
    watched.put(watched.second)
    watched.watch.look(asked=True)
    certificate = watched.take()
    watched.watch.was_not_served(certificate, "the test says so")
    certificate.close()
    watched.watch.look()
    assert watched.watch.take() is None
    watched.watch.look(asked=True)
    assert watched.take().digest == certificate.digest


def test_something_newer_is_offered_while_a_pair_is_exchanged(watched: Watched) -> None:
    """And stays on offer when the older one is served."""
    watched.put(watched.second)
    watched.watch.look(asked=True)
    second = watched.take()
    watched.put(watched.third)
    watched.watch.look(asked=True)
    watched.watch.is_served(second)
    watched.watch.look(asked=True)
    third = watched.take()
    assert third.digest not in {second.digest, watched.served.digest}
    assert watched.wakes == 2


def test_what_nobody_took_is_not_kept(watched: Watched) -> None:
    """A pair that a newer one replaces leaves nothing in memory."""
    before = _kept()
    for pair in (watched.second, watched.third, watched.second, watched.third):
        watched.put(pair)
        watched.watch.look(asked=True)
    assert _kept() == before + 1
    watched.take().close()
    assert _kept() == before
