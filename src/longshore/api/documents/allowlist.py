# SPDX-License-Identifier: Apache-2.0
"""Allowlists of vulnerabilities, as the contract shows and takes them."""

from __future__ import annotations

import msgspec

from longshore.api.serialising import NEVER, Integer, Read, Shown, Time, moment
from longshore.projects.allowlists import Allowlist, StoredAllowlist


class CVEAllowlistItem(Shown, frozen=True, kw_only=True):
    """One vulnerability that is accepted."""

    cve_id: str = ""


class CVEAllowlist(Shown, frozen=True, kw_only=True):
    """The vulnerabilities that are accepted in a project, or in the system."""

    id: int = 0
    project_id: int = 0
    expires_at: int | msgspec.UnsetType = msgspec.UNSET
    items: tuple[CVEAllowlistItem, ...] | None
    creation_time: Time
    update_time: Time


class CVEAllowlistItemReq(Read, frozen=True, kw_only=True):
    """One vulnerability as it is sent."""

    cve_id: str | None = None


class CVEAllowlistReq(Read, frozen=True, kw_only=True):
    """An allowlist as it is sent: it replaces the old one."""

    project_id: Integer | None = None
    expires_at: Integer | None = None
    items: tuple[CVEAllowlistItemReq | None, ...] | None = None

    def allowlist(self) -> Allowlist:
        """The allowlist to store.

        Raises:
            BadRequest: an identifier is blank or there twice, or the time is out of range.
        """
        sent = [item.cve_id or "" if item is not None else "" for item in self.items or ()]
        return Allowlist.parse(sent, self.expires_at)


def shown_allowlist(project_id: int, stored: StoredAllowlist | None) -> CVEAllowlist:
    """The allowlist of a project, or the system's (0), as the contract shows it; None is one that nobody has set."""
    if stored is None:
        return CVEAllowlist(project_id=project_id, items=(), creation_time=NEVER, update_time=NEVER)
    expires_at = stored.allowlist.expires_at
    return CVEAllowlist(
        id=stored.id,
        project_id=project_id,
        expires_at=msgspec.UNSET if expires_at is None else expires_at,
        items=tuple(CVEAllowlistItem(cve_id=item) for item in stored.allowlist.items),
        creation_time=moment(stored.created_at),
        update_time=moment(stored.updated_at),
    )
