# SPDX-License-Identifier: Apache-2.0
"""Quotas, as the contract shows and takes them."""

from __future__ import annotations

from typing import Final

import msgspec

from longshore.api.serialising import Integer, Read, Shown, Time, moment
from longshore.oci.errors import BadRequest
from longshore.quotas.models import NO_LIMIT, parse_limit
from longshore.quotas.models import Quota as StoredQuota

STORAGE: Final = "storage"
"""The only resource there is."""


class Quota(Shown, frozen=True, kw_only=True):
    """The quota of the project `ref` in bytes; -1 is no limit. `trash` is ours: what is stored besides and doesn't count."""

    id: int = 0
    ref: dict[str, int | str] | msgspec.UnsetType = msgspec.UNSET
    hard: dict[str, int]
    used: dict[str, int]
    trash: dict[str, int]
    creation_time: Time
    update_time: Time


class QuotaUpdateReq(Read, frozen=True, kw_only=True):
    """The limit that a quota shall have."""

    hard: dict[str, Integer] | None = None

    def limit(self) -> int | None:
        """The limit in bytes; None for none.

        Raises:
            BadRequest: it is missing, of another resource, or out of bounds.
        """
        hard = self.hard or {}
        others = sorted(hard.keys() - {STORAGE})
        if others:
            raise BadRequest(f"hard: {others[0][:100]!a} isn't a resource that has a limit, only {STORAGE} is.")
        if STORAGE not in hard:
            raise BadRequest(f'hard: the limit is missing. Write {{"hard": {{"{STORAGE}": 1073741824}}}}.')
        return parse_limit(hard[STORAGE])


def shown_quota(quota: StoredQuota) -> Quota:
    """A quota as the contract shows it."""
    return Quota(
        id=quota.id,
        ref={"id": quota.id, "name": quota.project, "owner_name": quota.owner_name},
        hard={STORAGE: NO_LIMIT if quota.limit is None else quota.limit},
        used={STORAGE: quota.used},
        trash={STORAGE: quota.trash},
        creation_time=moment(quota.created_at),
        update_time=moment(quota.updated_at),
    )
