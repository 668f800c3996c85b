# SPDX-License-Identifier: Apache-2.0
"""What the registry refuses; each is a leaf of the tree in `longshore.oci.errors`."""

from __future__ import annotations

from longshore.oci.errors import Denied, PreconditionFailed


class QuotaExceeded(Denied):
    """The project would hold more than its quota allows."""

    def __init__(self, *, added: int, used: int, limit: int | None) -> None:
        super().__init__(
            f"adding {_human(added)} of storage resource, which when updated to current usage of {_human(used)} will"
            f" exceed the configured upper limit of {_human(limit or 0)}. Delete what is no longer needed, or ask an"
            " administrator for a higher quota of the project.",
            detail={"added": added, "used": used, "limit": limit},
        )


class Held(PreconditionFailed):
    """Something that is alive still needs what was to be deleted."""


def _human(size: int) -> str:
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
