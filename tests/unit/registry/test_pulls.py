# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

from longshore.database.connection import Dialect
from longshore.database.errors import ForeignKeyViolation
from longshore.database.statement import Statement
from longshore.registry.pulls import PullCounter
from longshore.system.configuration import Configuration


class Purging:
    """A database in which the manifest 2 is being purged: whoever counts it is refused by the foreign key."""

    dialect = Dialect.POSTGRESQL

    def __init__(self) -> None:
        self.counted: dict[int, int] = {}

    async def write(self, function: Any) -> Any:
        noted: dict[int, int] = {}

        class Noting:
            async def execute(self, _statement: Statement, **parameters: Any) -> int:
                if parameters["id"] == 2:
                    raise ForeignKeyViolation("manifest_pulls")
                noted[parameters["id"]] = parameters["count"]
                return 1

            async def all(self, _statement: Statement, **_parameters: Any) -> list[Any]:
                return []

        result = await function(Noting())
        self.counted |= noted
        return result


class Unchanged:
    """A configuration that nobody has changed."""

    async def current(self) -> Configuration:
        return Configuration()


async def test_a_manifest_that_is_being_purged_costs_the_others_no_pull() -> None:
    """Pulls are counted in batches; one manifest that goes meanwhile must neither stop the counter nor the batch."""
    database = Purging()
    counter = PullCounter(database, Unchanged())  # type: ignore[arg-type]  # writing is all that the counter does
    for manifest_id in (1, 2, 3, 3):
        counter.add(manifest_id, None)
    await counter.flush()
    assert database.counted == {1: 1, 3: 2}
    counter.add(1, "latest")
    await counter.flush()
    assert database.counted == {1: 1, 3: 2}
