# SPDX-License-Identifier: Apache-2.0
"""A database that has events already: the audit log begins with the first of them."""

from __future__ import annotations

from longshore.audit.service import Recorder
from longshore.database.connection import Connection, Database, Transaction
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.sequencer import Sequencer
from longshore.events.service import append
from longshore.system.configuration import Configurations

_MOST = 1203
_ORDER = Statement("SELECT resource FROM audit_log ORDER BY id")


async def test_history_is_told(database: Database) -> None:
    """What happened before anybody wrote an audit log is in it afterwards, in its order, in several steps."""

    async def write(transaction: Transaction) -> None:
        for number in range(_MOST):
            payload = {"username": f"user{number}", "actor": "admin"}
            await append(transaction, kind=EventKind.USER_CREATED, project_id=None, payload=payload)

    await database.write(write)
    while await Sequencer(database).run_once():
        pass
    recorder = Recorder(database, Configurations(database))
    steps = []
    while done := await recorder.run_once():
        steps.append(done)
    assert steps == [500, 500, 203]

    async def read(connection: Connection) -> list[str]:
        return [row[0] for row in await connection.all(_ORDER)]

    assert await database.read(read) == [f"user{number}" for number in range(_MOST)]
