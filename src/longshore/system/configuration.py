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

from longshore.config import Settings, SettingsError
from longshore.database.connection import Connection, Database
from longshore.database.memory import Remembered
from longshore.database.statement import Statement
from longshore.system.errors import ItemInvalid, ReadOnly
from longshore.system.items import ITEMS, Value, parse_items

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
        overwritten: Items that the operator has fixed by `LONGSHORE_CONFIG_OVERWRITE_JSON`: nobody changes any then.
        defaults: Items whose default a setting of the operator gives, until somebody sets them.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        database: Database,
        overwritten: Mapping[str, Value] | None = None,
        *,
        defaults: Mapping[str, Value] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._database = database
        self._overwritten = dict(overwritten or {})
        self._defaults = {**{name: item.default for name, item in ITEMS.items()}, **(defaults or {})}
        self._memory: Remembered[str, Configuration] = Remembered(
            self._load, fresh_seconds=_FRESH_SECONDS, stale_seconds=_STALE_SECONDS, limit=1, clock=clock
        )

    async def current(self) -> Configuration:
        """What holds now; at most two seconds old.

        Raises:
            ServiceUnavailable: the database is away, and no copy is young enough.
        """
        return await self._memory.get("") or Configuration()

    async def require_writable(self) -> None:
        """Lets changes pass, unless the registry is in read-only mode.

        Raises:
            ReadOnly: it is.
            ServiceUnavailable: the database is away, and no copy is young enough.
        """
        if (await self.current()).read_only:
            raise ReadOnly("The system is in read only mode. Any modification is prohibited.")

    @property
    def overwritten(self) -> Mapping[str, Value] | None:
        """The items that the operator has fixed; None when administrators may change the configuration."""
        return self._overwritten or None

    @property
    def defaults(self) -> Mapping[str, Value]:
        """The value of every item that nobody has set."""
        return self._defaults

    def forget(self) -> None:
        """The next question reads the database: something was just changed here."""
        self._memory.forget()

    async def _load(self, _key: str) -> Configuration:
        async def read(connection: Connection) -> dict[str, Any]:
            return {row[0]: json.loads(row[1]) for row in await connection.all(_ALL)}

        stored = await self._database.read(read)
        known = {
            name: value for name, value in {**self._defaults, **stored, **self._overwritten}.items() if name in _NAMES
        }
        return replace(Configuration(), **known)


def configurations_of(settings: Settings, database: Database) -> Configurations:
    """The configuration of a process: what settings say of it, over what is stored.

    Raises:
        SettingsError: the operator has fixed an item at a value that it can't have.
    """
    defaults: dict[str, Value] = {"token_expiration": token_minutes(settings)}
    return Configurations(database, overwritten_items(settings), defaults=defaults)


def token_minutes(settings: Settings) -> int:
    """How long a token of the registry is good until somebody sets the item, in minutes, rounded up."""
    return max(1, -(-int(settings.token_expiry.total_seconds()) // 60))


def overwritten_items(settings: Settings) -> dict[str, Value]:
    """The items that the operator has fixed; empty when none are, and members that are no items are left out.

    Raises:
        SettingsError: one can't have that value, or is an `auth_mode` that isn't there yet.
    """
    if settings.config_overwrite_json is None:
        return {}
    given: dict[str, object] = json.loads(settings.config_overwrite_json.get_secret_value())
    try:
        items = parse_items(given)
        require_served(items)
        require_consistent(items, items)
    except ItemInvalid as error:
        raise SettingsError(f"LONGSHORE_CONFIG_OVERWRITE_JSON: {error.message}") from None
    return items


def require_served(items: Mapping[str, Value]) -> None:
    """Refuses a way to log in that this release doesn't have.

    Raises:
        ItemInvalid: `auth_mode` is one.
    """
    wanted = items.get("auth_mode", "db_auth")
    if wanted != ITEMS["auth_mode"].default:
        raise ItemInvalid(f"auth_mode {wanted} isn't served by this release. Leave it at db_auth.")


def require_consistent(values: Mapping[str, Value], changed: Mapping[str, Value]) -> None:
    """Refuses changes that contradict the values of other items.

    Raises:
        ItemInvalid: the audit log would be nowhere.
    """
    concerned = {"skip_audit_log_database", "audit_log_forward_endpoint"} & changed.keys()
    if concerned and values.get("skip_audit_log_database") and not values.get("audit_log_forward_endpoint"):
        raise ItemInvalid(
            "skip_audit_log_database needs an audit_log_forward_endpoint: the audit log would be nowhere."
            " Set the endpoint, or let the database have it."
        )
