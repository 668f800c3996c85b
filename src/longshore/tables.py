# SPDX-License-Identifier: Apache-2.0
"""All tables of all features, for migrations and schema snapshots. The server itself never imports this."""

from __future__ import annotations

from longshore.access import tables as access
from longshore.audit import tables as audit
from longshore.database.schema import metadata
from longshore.events import tables as events
from longshore.groups import tables as groups
from longshore.identity import tables as identity
from longshore.labels import tables as labels
from longshore.listing import tables as listing
from longshore.projects import tables as projects
from longshore.registry import tables as registry
from longshore.robots import tables as robots
from longshore.system import tables as system

__all__ = [
    "access",
    "audit",
    "events",
    "groups",
    "identity",
    "labels",
    "listing",
    "metadata",
    "projects",
    "registry",
    "robots",
    "system",
]
