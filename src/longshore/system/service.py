# SPDX-License-Identifier: Apache-2.0
"""Showing and changing the configuration."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from longshore.database.connection import Connection, Database, Transaction
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.oci.errors import Internal
from longshore.system.configuration import Configurations, require_consistent, require_served
from longshore.system.errors import ConfigurationFixed, ItemInvalid
from longshore.system.items import ITEMS, Item, Value, parse_items
from longshore.system.sealing import Sealing

# One change at a time: some items are checked against others.
_LOCK = Statement("SELECT id FROM instance WHERE id = 1 FOR NO KEY UPDATE")
_ALL = Statement("SELECT name, value FROM configuration")
_SET = Statement(
    "INSERT INTO configuration (name, value, updated_at) VALUES (:name, :value, {now})"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
)
PURPOSE: Final = "configuration"
"""What the secrets of the configuration are sealed as."""


@dataclass(frozen=True, slots=True)
class ShownItem:
    """An item as administrators see it."""

    value: Value
    editable: bool


class ConfigurationService:
    """Shows the configuration to administrators and changes it for them.

    Args:
        database: Where it is.
        configurations: What everybody else reads it by.
        sealing: Encrypts the items that are secrets.
        has_people: Tells whether there is anybody besides the first administrator: how people log in stays then.
    """

    def __init__(
        self,
        database: Database,
        configurations: Configurations,
        sealing: Sealing,
        *,
        has_people: Callable[[], Awaitable[bool]],
    ) -> None:
        self._database = database
        self._configurations = configurations
        self._sealing = sealing
        self._has_people = has_people

    async def shown(self) -> dict[str, ShownItem]:
        """Every item that the API shows, by name: secrets and what only the operator sets are left out.

        Raises:
            ServiceUnavailable: the database is away.
        """
        known = self._configurations
        values = {**known.defaults, **await self._database.read(_stored), **(known.overwritten or {})}
        fixed = known.overwritten is not None
        people = await self._has_people()
        return {
            name: ShownItem(values[name], not fixed and not (name == "auth_mode" and people))
            for name, item in ITEMS.items()
            if not item.secret and not item.hidden
        }

    async def secret(self, name: str) -> str:
        """The value of an item that is a secret; empty when it isn't set.

        Raises:
            Internal: it was encrypted with another secret key.
            ServiceUnavailable: the database is away.
        """
        fixed = (self._configurations.overwritten or {}).get(name)
        if fixed is not None:
            return str(fixed)
        return self._opened(ITEMS[name], await self._database.read(_stored))

    async def update(self, given: Mapping[str, object], *, actor: str, source: str) -> None:
        """Sets the items that are given; what isn't an item, or only the operator's to set, is left alone.

        Args:
            given: Values by the names of items.
            actor: Who does it, for the event.
            source: The address it comes from, for the event.

        Raises:
            ConfigurationFixed: the operator has fixed the configuration.
            ItemInvalid: an item can't have its value; nothing is changed.
        """
        if self._configurations.overwritten is not None:
            raise ConfigurationFixed(
                "current config is init by env variable: CONFIG_OVERWRITE_JSON, it cannot be updated"
            )
        wanted = parse_items({name: value for name, value in given.items() if name in ITEMS and not ITEMS[name].hidden})
        if (
            wanted.get("auth_mode", ITEMS["auth_mode"].default) != ITEMS["auth_mode"].default
            and await self._has_people()
        ):
            raise ItemInvalid(
                "the auth mode cannot be modified as new users have been inserted into database. Besides, this release serves"
                " db_auth only."
            )
        require_served(wanted)
        await self._database.write(lambda transaction: self._change(transaction, wanted, actor, source))
        self._configurations.forget()

    async def keep_fixed(self) -> None:
        """Stores what the operator has fixed, so that transactions which look at an item find it; then nobody changes it.

        Raises:
            ServiceUnavailable: the database is away.
        """
        fixed = dict(self._configurations.overwritten or {})
        if fixed:
            await self._database.write(lambda transaction: self._change(transaction, fixed, "longshore", ""))
            self._configurations.forget()

    async def _change(self, transaction: Transaction, wanted: Mapping[str, Value], actor: str, source: str) -> None:
        await transaction.one(_LOCK)
        stored = await _stored(transaction)
        changed = {name: value for name, value in wanted.items() if value != self._present(name, stored)}
        require_consistent({**stored, **changed}, changed)
        for name, value in sorted(changed.items()):
            kept = self._sealing.seal(str(value), name) if ITEMS[name].secret else value
            await transaction.execute(_SET, name=name, value=json.dumps(kept))
        if changed:
            payload = {"changed": sorted(changed), "actor": actor, "source": source}
            await append(transaction, kind=EventKind.CONFIGURATION_UPDATED, project_id=None, payload=payload)

    def _present(self, name: str, stored: Mapping[str, Value]) -> Value | None:
        item = ITEMS[name]
        if not item.secret:
            return stored.get(name, self._configurations.defaults[name])
        try:
            return self._opened(item, stored)
        except Internal:
            # Sealed with a key that is gone: whatever is given is new.
            return None

    def _opened(self, item: Item, stored: Mapping[str, Value]) -> str:
        sealed = stored.get(item.name)
        return "" if sealed is None else self._sealing.open(str(sealed), item.name)


async def _stored(connection: Connection) -> dict[str, Value]:
    return {row[0]: json.loads(row[1]) for row in await connection.all(_ALL)}
