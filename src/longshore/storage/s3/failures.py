# SPDX-License-Identifier: Apache-2.0
"""What goes wrong between us and an S3 server, and what to do about it.

The messages travel to clients of the registry: they name no host, no bucket and no secret, and repeat no words of the
system or of the server. Those are for the log, and for the error that ends a start.
"""

from __future__ import annotations

import errno
import re
import ssl

import aiohttp
import structlog

from longshore.storage.parts.client import UploadMissing
from longshore.storage.port import ObjectMissing, StoreUnavailable
from longshore.storage.refusals import StoreRefused
from longshore.storage.s3.answers import ErrorAnswer
from longshore.storage.s3.credentials import Credentials

_log = structlog.get_logger("longshore.storage")

_SHOWN = 300
_REFUSALS = {
    "NoSuchBucket": "its bucket doesn't exist: make it, or correct the name in LONGSHORE_STORAGE_URL",
    "InvalidBucketName": "it doesn't take the bucket's name: correct it in LONGSHORE_STORAGE_URL",
    "AccessDenied": "it denies the access: give the key the rights that docs/how-to/object-storage.md lists",
    "AllAccessDisabled": "it denies all access to the bucket: look at the account",
    "AccountProblem": "there is a problem with the account: ask the provider",
    "InvalidAccessKeyId": "it doesn't know the access key: correct the credentials",
    "SignatureDoesNotMatch": "the secret key doesn't belong to the access key: correct the credentials (in a URL, / is "
    "written %2F and % is %25); a proxy that changes Host or the path breaks signatures too",
    "ExpiredToken": "the session token has expired: give credentials that are renewed, or a role",
    "InvalidToken": "it doesn't know the session token: correct the credentials",
    "TokenRefreshRequired": "the session token has expired: give credentials that are renewed, or a role",
    "RequestTimeTooSkewed": "its clock and this machine's differ too much: set the clocks (NTP)",
    "RequestExpired": "its clock and this machine's differ too much: set the clocks (NTP)",
    "PermanentRedirect": "the bucket is in another region or behind another address: correct region= or endpoint=",
    "TemporaryRedirect": "the bucket is in another region or behind another address: correct region= or endpoint=",
    "AuthorizationHeaderMalformed": "the bucket is in another region: correct region=",
    "IllegalLocationConstraintException": "the bucket is in another region: correct region=",
    "IncorrectEndpoint": "the bucket is in another region: correct region= or endpoint=",
    "KeyTooLongError": "it doesn't take keys this long: shorten the prefix in LONGSHORE_STORAGE_URL",
    "KMS.DisabledException": "the bucket's encryption key is disabled: enable it",
    "QuotaExceeded": "its quota is used up: enlarge it, or delete images",
    "XMinioStorageFull": "its disks are full: enlarge them, or delete images",
}
_CONNECTING = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EHOSTUNREACH: "no route to it",
    errno.ENETUNREACH: "no route to it",
}
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]{1,63}", re.ASCII)
_RETRIED = frozenset(
    {
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "InternalError",
        "ServiceUnavailable",
        "RequestTimeout",
        "RequestTimeTooSlow",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "OperationAborted",
        "ConditionalRequestConflict",
        "XAmzContentSHA256Mismatch",
        "BadDigest",
        "IncompleteBody",
        "XMinioServerNotInitialized",
    }
)
_RENEWED = frozenset(
    {"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
)
UNSUPPORTED = frozenset({"NotImplemented", "MethodNotAllowed", "UnsupportedOperation"})


class S3Error(Exception):
    """An answer that isn't what was hoped for.

    Attributes:
        refused: The credentials that the server wants others instead of.
    """

    def __init__(self, status: int, answer: ErrorAnswer, *, region: str = "", request: str = "") -> None:
        super().__init__(status, answer)
        self.status = status
        self.answer = answer
        self.region = region or answer.region
        self.request = request
        self.refused: Credentials | None = None

    @property
    def code(self) -> str:
        """The server's name for it; made from the status where there is none, as in answers to HEAD."""
        if self.answer.code:
            return self.answer.code
        return {301: "PermanentRedirect", 307: "TemporaryRedirect", 403: "AccessDenied", 503: "SlowDown"}.get(
            self.status, ""
        )

    @property
    def passes(self) -> bool:
        """Whether another try makes sense."""
        return self.code in _RETRIED or self.status in {429, 500, 502, 503, 504}

    @property
    def is_undone(self) -> bool:
        """Whether the server surely did nothing of what it was asked."""
        # A proxy between us also says 503, without a code, about what it has passed on.
        return self.status < 500 or (self.status == 503 and self.answer.code in _RETRIED)

    @property
    def asks_for_other_credentials(self) -> bool:
        """Whether newer credentials could help."""
        return self.code in _RENEWED

    def __str__(self) -> str:
        """What the server answered, shortened, without anything that was sent."""
        said = " ".join(self.answer.message.split())
        parts = [str(self.status), self.answer.code, said if said.isprintable() else ""]
        text = " ".join(part for part in parts if part)[:_SHOWN]
        if self.region:
            text += f" (the bucket is in {self.region})"
        return f"{text}, request {self.request}" if self.request else text


class BrokenConnectionError(Exception):
    """A connection that couldn't be made, broke, or brought nothing for too long.

    Attributes:
        refused: Trying again doesn't help.
        is_undone: Whether the server surely did nothing of what it was asked, because nothing was sent.
        detail: What the system said, with hosts and addresses.
    """

    def __init__(self, reason: str, *, refused: bool = False, unsent: bool = False, detail: str = "") -> None:
        super().__init__(reason)
        self.refused = refused
        self.detail = detail
        self.is_undone = refused or unsent

    @property
    def passes(self) -> bool:
        """Whether another try makes sense."""
        return not self.refused


class NoTurnError(BrokenConnectionError):
    """Nothing was sent, because more is asked of the server than it gets done."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"it is too slow for what is asked of it ({reason}): look at its load", unsent=True)


def broken(error: Exception, *, seconds: float) -> BrokenConnectionError:
    """Tell what a failure of the transport means."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        cause = error.certificate_error if isinstance(error, aiohttp.ClientConnectorCertificateError) else error
        return BrokenConnectionError(
            "its certificate can't be verified: give its authority's in ca=, and the name that the certificate is for in "
            "endpoint=",
            refused=True,
            detail=getattr(cause, "verify_message", "") or str(cause),
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return BrokenConnectionError(
            "its host name can't be found: look at endpoint= and at the name service", unsent=True
        )
    if isinstance(error, aiohttp.ClientSSLError):
        return BrokenConnectionError(
            "it doesn't speak TLS as expected: is it http:// where endpoint= says https://?", refused=True
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return BrokenConnectionError(
            f"it can't be connected to ({_CONNECTING.get(error.os_error.errno or 0, 'no answer')}): is it running?",
            unsent=True,
            detail=error.strerror or "",
        )
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return BrokenConnectionError(
            "it can't be connected to (no answer): is it running, and does a firewall let us?", unsent=True
        )
    if isinstance(error, TimeoutError):
        return BrokenConnectionError(f"nothing moved for {seconds:.0f} seconds: look at its load and the network")
    return BrokenConnectionError("the connection broke: look at its log and the network")


def explain(error: S3Error | BrokenConnectionError, deed: str) -> StoreUnavailable | ObjectMissing:
    """Turn what went wrong into the registry's error; ``deed`` completes "The object store could not …"."""
    if isinstance(error, BrokenConnectionError):
        kind = StoreRefused if error.refused else StoreUnavailable
        return kind(
            f"The object store could not {deed}: {error}{'' if str(error).endswith('?') else '.'} The operator finds more in "
            "the server's log.",
            for_operator=f"It said: {error.detail}." if error.detail else "",
        )
    if error.code == "NoSuchUpload":
        return UploadMissing(f"The object store could not {deed}: it knows no such upload. Start the upload again.")
    if error.code == "NoSuchKey":
        return ObjectMissing(
            f"The object store could not {deed}: there is no such object. If this lasts, run `longshore verify`."
        )
    if (remedy := _REFUSALS.get(error.code)) is not None:
        return StoreRefused(f"The object store could not {deed}: {remedy}.")
    if error.passes:
        return StoreUnavailable(
            f"The object store could not {deed}: it is overloaded or has a fault of its own ({error.status} "
            f"{_named(error.code)}). Try again later; the operator finds more in the server's log."
        )
    if error.code in {"InvalidPart", "InvalidPartOrder", "EntityTooSmall", "EntityTooLarge"}:
        return StoreUnavailable(
            f"The object store could not {deed}: it doesn't accept the parts ({error.code}). Start the upload again; if this "
            "lasts, set part_size= in LONGSHORE_STORAGE_URL."
        )
    kind = StoreRefused if error.status < 500 else StoreUnavailable
    return kind(
        f"The object store could not {deed}: it answered {error.status} {_named(error.code)}. Is it an S3 server? "
        "The operator finds more in the server's log."
    )


def logged(error: S3Error | BrokenConnectionError, deed: str) -> StoreUnavailable | ObjectMissing:
    """Explain an error, and tell the operator what the server said; a client isn't told that."""
    explained = explain(error, deed)
    if isinstance(explained, StoreUnavailable) and not isinstance(explained, UploadMissing):
        detail = error.detail if isinstance(error, BrokenConnectionError) else ""
        _log.warning("the object store failed", deed=deed, answer=f"{error}; {detail}" if detail else str(error))
    return explained


def _named(code: str) -> str:
    """A code as clients may see it: a name, not whatever else a server sends."""
    return code if _CODE.fullmatch(code) else "without a code"
