# SPDX-License-Identifier: Apache-2.0
"""What administrators set while the registry runs: Harbor's configuration items, with Longshore's defaults.

Other features ask `Configurations.current()`, which is at most two seconds old, and never look at the table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from time import monotonic
from typing import Any, Final

from longshore.database.connection import Connection, Database
from longshore.database.memory import Remembered
from longshore.database.statement import Statement

_ALL = Statement("SELECT name, value FROM configuration")
_FRESH_SECONDS: Final = 2.0
_STALE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The items whose feature exists; durations in the units of Harbor's items, sizes in bytes, -1 for no limit.

    Attributes:
        project_creation_restriction: Who makes projects: `everyone` or `adminonly`.
        self_registration: Whether strangers may make themselves an account in the portal.
        read_only: Whether every change is refused.
        token_expiration: How long a token of the registry is good, in minutes.
        session_timeout: How long a session lasts without a request, in minutes.
        robot_token_duration: How long a robot is good that doesn't say so, in days.
        robot_name_prefix: What the shown names of robots begin with.
        quota_per_project_enable: Whether limits of projects are enforced.
        storage_per_project: The limit of projects that are made without one, in bytes; -1 for none.
        pull_time_update_disable: Whether pulls leave pull times alone.
        pull_count_update_disable: Whether pulls aren't counted.
        pull_audit_log_disable: Whether pulls aren't told in the audit log.
        skip_audit_log_database: Whether the audit log is only forwarded.
        audit_log_forward_endpoint: `host:port` of the syslog server that the audit log is forwarded to; empty for none.
        disabled_audit_log_event_types: Event types that the audit log leaves out, separated by commas.
        scanner_skip_update_pulltime: Whether pulls of scanners leave pull times alone.
        notification_enable: Whether webhooks are sent.
        banner_message: What the portal shows on top, as JSON.
        auth_mode: Where people's passwords are checked.
        primary_auth_mode: Whether the login page offers that first.
    """

    project_creation_restriction: str = "everyone"
    self_registration: bool = False
    read_only: bool = False
    token_expiration: int = 30
    session_timeout: int = 60
    robot_token_duration: int = 30
    robot_name_prefix: str = "robot$"
    quota_per_project_enable: bool = True
    storage_per_project: int = -1
    pull_time_update_disable: bool = False
    pull_count_update_disable: bool = False
    pull_audit_log_disable: bool = False
    skip_audit_log_database: bool = False
    audit_log_forward_endpoint: str = ""
    disabled_audit_log_event_types: str = ""
    scanner_skip_update_pulltime: bool = False
    notification_enable: bool = True
    banner_message: str = ""
    auth_mode: str = "db_auth"
    primary_auth_mode: bool = False


_NAMES: Final = frozenset(field.name for field in fields(Configuration))


class Configurations:
    """The configuration of the registry.

    Args:
        database: Where it is.
        overwritten: Items that the operator has fixed by `LONGSHORE_CONFIG_OVERWRITE_JSON`: nobody changes these.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        database: Database,
        overwritten: Mapping[str, Any] | None = None,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._database = database
        self._overwritten = dict(overwritten or {})
        self._memory: Remembered[str, Configuration] = Remembered(
            self._load, fresh_seconds=_FRESH_SECONDS, stale_seconds=_STALE_SECONDS, limit=1, clock=clock
        )

    async def current(self) -> Configuration:
        """What holds now; at most two seconds old.

        Raises:
            ServiceUnavailable: the database is away, and no copy is young enough.
        """
        return await self._memory.get("") or Configuration()

    def forget(self) -> None:
        """The next question reads the database: something was just changed here."""
        self._memory.forget()

    async def _load(self, _key: str) -> Configuration:
        async def read(connection: Connection) -> dict[str, Any]:
            return {row[0]: json.loads(row[1]) for row in await connection.all(_ALL)}

        stored = await self._database.read(read)
        known = {name: value for name, value in {**stored, **self._overwritten}.items() if name in _NAMES}
        return replace(Configuration(), **known)
