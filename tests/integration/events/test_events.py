# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from longshore.database.connection import Database, Transaction
from longshore.events.models import EventKind
from longshore.events.sequencer import Sequencer
from longshore.events.service import Events, append


async def _write(database: Database, number: int) -> None:
    async def run(transaction: Transaction) -> None:
        await append(transaction, kind=EventKind.TAG_DELETED, project_id=None, payload={"number": number})

    await database.write(run)


async def test_events_are_read_in_the_order_of_their_numbers(database: Database) -> None:
    """Numbers have no gaps, and a reader that remembers the last one gets each event once."""
    events, sequencer = Events(database), Sequencer(database)
    for number in range(3):
        await _write(database, number)
    assert await events.read(0, 10) == []
    assert await sequencer.run_once() == 3
    await _write(database, 3)
    assert await sequencer.run_once() == 1
    assert await sequencer.run_once() == 0
    first = await events.read(0, 2)
    rest = await events.read(first[-1].seq, 10)
    assert [event.seq for event in first + rest] == [1, 2, 3, 4]
    assert [event.payload["number"] for event in first + rest] == [0, 1, 2, 3]
    assert await events.last_seq() == 4
