# SPDX-License-Identifier: Apache-2.0
"""How long things wait, in microseconds (`docs/why/metadata.md`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

SECOND = 1_000_000


def microseconds(duration: timedelta) -> int:
    """A duration as the database counts it."""
    return int(duration / timedelta(microseconds=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """The waiting times of the metadata protocol, in microseconds.

    Attributes:
        grace: how long a blob waits for its manifest; a HEAD that says yes promises half of it.
        window: how long deleted things can be restored, unless the project says otherwise.
        delay: from unreferenced to bytes gone.
        upload_expiry: how long an idle upload waits for its next byte.
        request_timeout: the longest a request may hold on to a key.
        owner_lease: how long a request owns an upload without news of progress.
        done_expiry: how long a finished upload answers a repeated PUT.
        trash_limit: how many bytes of a project can be restored; beyond that the oldest deletions wait no longer. None: any.
    """

    grace: int = 24 * 3600 * SECOND
    window: int = 7 * 24 * 3600 * SECOND
    delay: int = 24 * 3600 * SECOND
    upload_expiry: int = 24 * 3600 * SECOND
    request_timeout: int = 3600 * SECOND
    owner_lease: int = 30 * SECOND
    done_expiry: int = 600 * SECOND
    trash_limit: int | None = None
