# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: N818 - an error is named for what went wrong, as in the specification's table; all are seen to be errors
"""Everything that Longshore may answer instead of success.

The domain raises, only the edges render: `distribution` as the OCI error envelope, `api` as Harbor's. Both read `code`,
`status`, `message` and `detail` from the exception and nothing else, so an error means the same wherever it is raised.

    LongshoreError                                          code                     status
    ├── BadRequest                                          BAD_REQUEST                 400
    │   ├── BlobUploadInvalid                               BLOB_UPLOAD_INVALID         400
    │   ├── DigestInvalid                                   DIGEST_INVALID              400
    │   ├── ManifestInvalid                                 MANIFEST_INVALID            400
    │   ├── NameInvalid                                     NAME_INVALID                400
    │   ├── PaginationInvalid                               PAGINATION_NUMBER_INVALID   400
    │   ├── SizeInvalid                                     SIZE_INVALID                400
    │   └── TagInvalid                                      TAG_INVALID                 400
    ├── Unauthorized                                        UNAUTHORIZED                401
    ├── Denied                                              DENIED                      403
    ├── NotFound                                            NOT_FOUND                   404
    │   ├── BlobUnknown                                     BLOB_UNKNOWN                404
    │   ├── BlobUploadUnknown                               BLOB_UPLOAD_UNKNOWN         404
    │   ├── ManifestBlobUnknown                             MANIFEST_BLOB_UNKNOWN       404
    │   ├── ManifestUnknown                                 MANIFEST_UNKNOWN            404
    │   └── NameUnknown                                     NAME_UNKNOWN                404
    ├── Unsupported                                         UNSUPPORTED                 405
    ├── Conflict                                            CONFLICT                    409
    ├── PreconditionFailed                                  PRECONDITION                412
    ├── PayloadTooLarge                                     SIZE_INVALID                413
    ├── RangeInvalid                                        RANGE_INVALID               416
    ├── Unprocessable                                       UNPROCESSABLE_ENTITY        422
    ├── TooManyRequests                                     TOOMANYREQUESTS             429
    ├── Internal                                            UNKNOWN                     500
    ├── ServiceUnavailable                                  UNAVAILABLE                 503
    └── StorageFull                                         UNAVAILABLE                 507

Codes are those of the distribution specification 1.1, section "Error Codes"; where it has none (tag, range, pagination,
unavailable, unknown) the code that Docker's registry answers, and Harbor's where only its API can meet the error.
"""

from __future__ import annotations

from typing import ClassVar


class LongshoreError(Exception):
    """What every error of ours is.

    Args:
        message: What is wrong and what a person can do about it. It is shown to clients: never a secret in it.
        detail: More of the same for programs: anything that JSON can say, or None.
    """

    code: ClassVar[str] = "UNKNOWN"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, detail: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class BadRequest(LongshoreError):
    """The request can't be understood as it stands."""

    code = "BAD_REQUEST"
    status = 400


class BlobUploadInvalid(BadRequest):
    """A step of a blob upload contradicts the upload or the protocol."""

    code = "BLOB_UPLOAD_INVALID"


class DigestInvalid(BadRequest):
    """A digest is malformed, of an unknown algorithm, or not that of the content sent with it."""

    code = "DIGEST_INVALID"


class ManifestInvalid(BadRequest):
    """A manifest, or the media type it was sent with, is malformed."""

    code = "MANIFEST_INVALID"


class NameInvalid(BadRequest):
    """A name of a project or repository breaks the grammar."""

    code = "NAME_INVALID"


class PaginationInvalid(BadRequest):
    """The number of results asked for is no number or out of bounds."""

    code = "PAGINATION_NUMBER_INVALID"


class SizeInvalid(BadRequest):
    """The length announced isn't the length of what was sent."""

    code = "SIZE_INVALID"


class TagInvalid(BadRequest):
    """A tag breaks the grammar."""

    code = "TAG_INVALID"


class Unauthorized(LongshoreError):
    """The caller has to log in, or its credentials or token are no longer good."""

    code = "UNAUTHORIZED"
    status = 401


class Denied(LongshoreError):
    """The caller is known and may not do this."""

    code = "DENIED"
    status = 403


class NotFound(LongshoreError):
    """What the request names doesn't exist, or the caller may not know that it does."""

    code = "NOT_FOUND"
    status = 404


class BlobUnknown(NotFound):
    """The repository has no such blob."""

    code = "BLOB_UNKNOWN"


class BlobUploadUnknown(NotFound):
    """The repository has no such upload, or it is over."""

    code = "BLOB_UPLOAD_UNKNOWN"


class ManifestBlobUnknown(NotFound):
    """A manifest references a blob or a manifest that its repository doesn't have."""

    code = "MANIFEST_BLOB_UNKNOWN"


class ManifestUnknown(NotFound):
    """The repository has no such manifest or tag."""

    code = "MANIFEST_UNKNOWN"


class NameUnknown(NotFound):
    """There is no such repository, or the caller may not know that there is."""

    code = "NAME_UNKNOWN"


class Unsupported(LongshoreError):
    """The operation isn't possible on this thing."""

    code = "UNSUPPORTED"
    status = 405


class Conflict(LongshoreError):
    """The request contradicts what already is."""

    code = "CONFLICT"
    status = 409


class PreconditionFailed(LongshoreError):
    """A condition on the state of things isn't met."""

    code = "PRECONDITION"
    status = 412


class PayloadTooLarge(LongshoreError):
    """The body is larger than what is accepted here."""

    code = "SIZE_INVALID"
    status = 413


class RangeInvalid(LongshoreError):
    """A range can't be satisfied, or a chunk doesn't start at the next byte of its upload.

    `size` is the length of the whole in bytes where a range of a GET asked for more than there is, so that the edge can
    answer `Content-Range: bytes */size` (RFC 9110, section 15.5.17); None elsewhere.
    """

    code = "RANGE_INVALID"
    status = 416

    def __init__(self, message: str, *, detail: object = None, size: int | None = None) -> None:
        super().__init__(message, detail=detail)
        self.size = size


class Unprocessable(LongshoreError):
    """The request is well-formed and its values aren't acceptable."""

    code = "UNPROCESSABLE_ENTITY"
    status = 422


class _Temporary(LongshoreError):
    """An error that goes away: `retry_after` tells after how many seconds another try makes sense."""

    def __init__(self, message: str, *, detail: object = None, retry_after: int = 5) -> None:
        super().__init__(message, detail=detail)
        self.retry_after = retry_after


class TooManyRequests(_Temporary):
    """The caller is throttled; `retry_after` is in seconds."""

    code = "TOOMANYREQUESTS"
    status = 429


class Internal(LongshoreError):
    """A fault of ours. The message says nothing about its cause; the log does."""

    code = "UNKNOWN"
    status = 500


class ServiceUnavailable(_Temporary):
    """Something Longshore needs is away for now; `retry_after` is in seconds."""

    code = "UNAVAILABLE"
    status = 503


class StorageFull(_Temporary):
    """The store has no room for what was sent; `retry_after` is in seconds."""

    code = "UNAVAILABLE"
    status = 507

    def __init__(self, message: str, *, detail: object = None, retry_after: int = 30) -> None:
        super().__init__(message, detail=detail, retry_after=retry_after)


def _descendants(base: type[LongshoreError]) -> list[type[LongshoreError]]:
    found: list[type[LongshoreError]] = []
    for child in base.__subclasses__():
        if not child.__name__.startswith("_"):
            found.append(child)
        found.extend(_descendants(child))
    return found


ERRORS: tuple[type[LongshoreError], ...] = tuple(
    sorted(_descendants(LongshoreError), key=lambda error: (error.status, error.code, error.__name__))
)
"""Every error of the tree above by status, then code; the documentation's table is made from it."""
