# SPDX-License-Identifier: Apache-2.0
"""What the registry refuses; each is a leaf of the tree in `longshore.oci.errors`."""

from __future__ import annotations

from collections.abc import Sequence

from longshore.oci.errors import Denied, PreconditionFailed
from longshore.registry.models import Reclaimable


class QuotaExceeded(Denied):
    """The project would hold more than its quota allows.

    Attributes:
        project_id: The project.
        added: What it should have held besides, in bytes.
        used: What it holds, in bytes.
        limit: The most it may hold, in bytes.
    """

    def __init__(
        self,
        *,
        project_id: int,
        added: int,
        used: int,
        limit: int,
        trash: int = 0,
        reclaimable: Sequence[Reclaimable] = (),
    ) -> None:
        names = ", ".join(f"{each.path}@{each.digest} ({_human(each.size)})" for each in reclaimable)
        largest = f": the largest artifacts without a tag are {names}" if names else ""
        besides = f" What was deleted doesn't count: {_human(trash)} of it can still be restored." if trash > 0 else ""
        super().__init__(
            f"adding {_human(added)} of storage resource, which when updated to current usage of {_human(used)} will"
            f" exceed the configured upper limit of {_human(limit)}. Delete what is no longer needed{largest}."
            f" Or ask an administrator for a higher quota of the project.{besides}",
            detail={
                "added": added,
                "used": used,
                "limit": limit,
                "trash": trash,
                "reclaimable": [{"artifact": f"{each.path}@{each.digest}", "size": each.size} for each in reclaimable],
            },
        )
        self.project_id = project_id
        self.added = added
        self.used = used
        self.limit = limit


class Held(PreconditionFailed):
    """Something that is alive still needs what was to be deleted."""


class PartOfIndex(Held):
    """A live index contains the manifest that was to be deleted."""

    code = "VIOLATE_FOREIGN_KEY_CONSTRAINT"


def _human(size: int) -> str:
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
