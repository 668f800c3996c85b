# SPDX-License-Identifier: Apache-2.0
"""The certificate that the server shows: read, tried and kept in memory, and exchanged when its files change."""

from __future__ import annotations

import hashlib
import os
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from longshore.config import Settings, SettingsError

_log = structlog.get_logger("longshore.server")

_NAMES = "LONGSHORE_TLS_CERT, LONGSHORE_TLS_KEY"
_POLL_SECONDS = 2.0
_AGAIN_SECONDS = 60.0
# How a certificate names the one curve of OpenSSL's usual ones that the server's TLS library doesn't know.
_P521 = bytes.fromhex("06052b81040023")


class Certificate:
    """A certificate chain and its key that were tried, as two files that exist in memory only.

    What was tried is what is served: also by a process that is started later, when the files have become something else.

    Attributes:
        digest: Tells one pair of files from another.
        expiry: When the certificate expires, in seconds since 1970.
    """

    def __init__(self, chain: bytes, key: bytes) -> None:
        """Tries the pair.

        Raises:
            ValueError: no client would accept it; the message says why.
        """
        self.digest = _digest(chain, key)
        self._chain, self._key = _keep("longshore-tls-cert", chain), _keep("longshore-tls-key", key)
        try:
            self.expiry = _expiry(self.chain_path, self.key_path, chain)
        except BaseException:
            self.close()
            raise

    @property
    def chain_path(self) -> str:
        """Where this process and those it forks find the chain."""
        return f"/proc/self/fd/{self._chain}"

    @property
    def key_path(self) -> str:
        """Where this process and those it forks find the key."""
        return f"/proc/self/fd/{self._key}"

    def close(self) -> None:
        """Forgets the pair in this process."""
        os.close(self._chain)
        os.close(self._key)


def load_certificate(settings: Settings) -> Certificate | None:
    """The certificate that the settings name; None when they name none.

    Raises:
        SettingsError: it can't be read, doesn't belong to its key, has expired, or isn't valid yet.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return _load(settings.tls_cert, settings.tls_key)


class CertificateWatch:
    """Looks at the files every two seconds and offers a new certificate that can be served, each once.

    It compares content, not times: Kubernetes exchanges a symbolic link, and others keep the time of the original. The two
    files don't change at the same moment, so what doesn't fit together is refused only when it has stayed so.
    """

    def __init__(self, settings: Settings, served: Certificate, wake: Callable[[], None]) -> None:
        """Calls `wake`, on the thread that watches, when there is something to `take`."""
        if settings.tls_cert is None or settings.tls_key is None:
            raise AssertionError
        self._chain, self._key = settings.tls_cert, settings.tls_key
        self._wake = wake
        self._lock = threading.Lock()
        self._offered: Certificate | None = None
        # What was offered and has neither been served nor failed to be.
        self._pending = ""
        self._served, self._expiry = served.digest, served.expiry
        self._seen = served.digest
        self._refused = ""
        self._wait_until = 0.0
        self._asked = threading.Event()

    def start(self) -> None:
        """Watches on a thread of its own until the process ends."""
        threading.Thread(target=self._run, name="certificate-watch", daemon=True).start()

    def ask(self) -> None:
        """Somebody wants to know now; the answer is in the log."""
        self._asked.set()

    def take(self) -> Certificate | None:
        """What was offered last, if nobody has taken it: `is_served` or `was_not_served` must follow."""
        with self._lock:
            certificate, self._offered = self._offered, None
        return certificate

    def is_served(self, certificate: Certificate) -> None:
        """The processes serve it now."""
        self._served, self._expiry = certificate.digest, certificate.expiry
        self._wait_until = 0.0
        self._settle(certificate)
        _log.info("certificate exchanged", expires=_date(certificate.expiry))

    def was_not_served(self, certificate: Certificate, reason: str) -> None:
        """The processes could not be exchanged; it is tried again in a minute."""
        self._wait_until = time.monotonic() + _AGAIN_SECONDS
        self._settle(certificate)
        _log.error("certificate not exchanged", setting=_NAMES, reason=reason, kept_expires=_date(self._expiry))

    def _run(self) -> None:
        while True:
            asked = self._asked.wait(_POLL_SECONDS)
            self._asked.clear()
            self.look(asked=asked)

    def look(self, *, asked: bool = False) -> None:
        """Looks once: hands over what is new and good, and says in the log what is new and can't be served."""
        try:
            digest = _digest(self._chain.read_bytes(), self._key.read_bytes())
        except OSError:
            digest = ""
        settled = asked or digest == self._seen
        self._seen = digest
        # In this order: what is pending is served before it ceases to be pending.
        if digest and digest == self._pending:
            if asked:
                _log.info("certificate is being exchanged")
            return
        if digest == self._served:
            self._refused = ""
            if asked:
                _log.info("certificate unchanged", expires=_date(self._expiry))
            return
        if not asked and time.monotonic() < self._wait_until:
            return
        try:
            certificate = _load(self._chain, self._key)
        except SettingsError as error:
            if settled:
                self._refuse(f"{digest}: {error}", str(error), again=asked)
            return
        self._refused = ""
        self._wait_until = time.monotonic() + _AGAIN_SECONDS
        self._offer(certificate)

    def _offer(self, certificate: Certificate) -> None:
        with self._lock:
            replaced, self._offered = self._offered, certificate
            self._pending = certificate.digest
        if replaced is not None:
            replaced.close()
        self._wake()

    def _settle(self, certificate: Certificate) -> None:
        """Unless something newer was offered meanwhile, nothing is pending any more."""
        with self._lock:
            if self._pending == certificate.digest:
                self._pending = ""

    def _refuse(self, mark: str, reason: str, *, again: bool) -> None:
        if again or mark != self._refused:
            _log.error("certificate refused, the old one is kept", reason=reason, kept_expires=_date(self._expiry))
        self._refused = mark


def _load(chain: Path, key: Path) -> Certificate:
    contents = []
    for name, path in (("LONGSHORE_TLS_CERT", chain), ("LONGSHORE_TLS_KEY", key)):
        try:
            contents.append(path.read_bytes())
        except OSError as error:
            raise SettingsError(f"{name}: the file {path} can't be read ({error.strerror})") from error
    try:
        return Certificate(*contents)
    except ValueError as error:
        raise SettingsError(
            f"{_NAMES}: {chain} and {key} must be a PEM certificate chain that is valid now and its private key without a"
            f" password ({error})"
        ) from error


def _expiry(chain_path: str, key_path: str, chain: bytes) -> float:
    """Shakes hands in memory with a client that trusts this certificate and no other; returns when it expires.

    Raises:
        ValueError: the handshake failed; the message says why.
    """
    try:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # An empty password, so that OpenSSL doesn't ask for one at the terminal.
        server.load_cert_chain(chain_path, key_path, password="")
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        client.load_verify_locations(cadata=_first(chain))
        found = _shake_hands(server, client)
        if _P521 in ssl.PEM_cert_to_DER_cert(_first(chain)):
            raise ValueError("keys on the curve P-521 aren't supported: use P-256, P-384, Ed25519 or RSA")
    except ssl.SSLCertVerificationError as error:
        raise ValueError(error.verify_message) from None
    except ssl.SSLError as error:
        raise ValueError(_words(error)) from None
    return float(ssl.cert_time_to_seconds(str(found["notAfter"])))


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, object]:
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking, answering = client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)
    waiting = [asking, answering]
    while waiting:
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                continue
    return dict(asking.getpeercert() or {})


def _first(chain: bytes) -> str:
    """The server's own certificate, which is the first of the chain."""
    end = b"-----END CERTIFICATE-----"
    return (chain.partition(end)[0] + end).decode("ascii", "replace")


def _words(error: ssl.SSLError) -> str:
    """What OpenSSL found, in words: KEY_VALUES_MISMATCH is `key values mismatch`. Where it has no reason it found no PEM."""
    return (
        error.reason.replace("_", " ").lower() if error.reason else "one of them isn't PEM, or the key has a password"
    )


def _keep(name: str, content: bytes) -> int:
    descriptor = os.memfd_create(name)
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(content)
    return descriptor


def _digest(chain: bytes, key: bytes) -> str:
    return hashlib.sha256(hashlib.sha256(chain).digest() + hashlib.sha256(key).digest()).hexdigest()


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
