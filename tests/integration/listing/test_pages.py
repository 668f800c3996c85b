# SPDX-License-Identifier: Apache-2.0
"""A page is the slice of the whole sorted list, however it is come to."""

from __future__ import annotations

import random
from collections.abc import Sequence
from operator import itemgetter

import pytest

from longshore.database.connection import Connection, Database
from longshore.database.statement import Statement
from longshore.listing.models import EVERYTHING, Exact, Fuzzy, Order, Place, Range, Wanted
from longshore.listing.statements import List
from longshore.oci.errors import BadRequest
from tests.integration.api.counting import CountingDatabase
from tests.integration.listing.things import FIELDS, Thing, add, fill, page, remove

SORTABLE = ("id", "name", "size", "public", "made")


def _things(count: int, choice: random.Random) -> list[Thing]:
    """Things with many equal sizes and times, in two parents."""
    numbers = choice.sample(range(1, 10 * count + 1), count)
    return [
        (
            number,
            choice.choice((1, 1, 1, 2)),
            f"n{choice.randrange(10**9)}",
            choice.randrange(5),
            choice.random() < 0.5,
            7,
        )
        for number in numbers
    ]


def _sorted(things: Sequence[Thing], order: Sequence[Order]) -> list[int]:
    """The numbers of the things of parent 1 in an order; what it leaves open goes by number, as its last key goes."""
    found = sorted((each for each in things if each[1] == 1), key=lambda each: each[0])
    if order[-1].descending:
        found.reverse()
    for key in reversed(order):
        # Python keeps equal ones in their order, also when it sorts backwards.
        found.sort(key=itemgetter(FIELDS[key.key]), reverse=key.descending)
    return [each[0] for each in found]


@pytest.mark.parametrize("seed", range(3))
async def test_any_page_of_any_order_is_a_slice(database: Database, seed: int) -> None:
    """Random pages of random orders, forwards, backwards and by jumps, with bookmarks of the pages before."""
    choice = random.Random(seed)
    things = _things(120, choice)
    await fill(database, things)
    for _ in range(25):
        order = tuple(
            Order(key, descending=choice.random() < 0.5) for key in choice.sample(SORTABLE, choice.randint(1, 3))
        )
        expected = _sorted(things, order)
        size = choice.choice((1, 3, 7, 10, 100))
        pages = list(range(len(expected) // size + 2))
        walk = [*pages[:5], *reversed(pages[-5:]), *(choice.choice(pages) for _ in range(5))]
        for number in walk:
            found, total = await page(database, number * size, size, Wanted(order=order))
            assert total == len(expected)
            assert found == expected[number * size : number * size + size], (order, number, size)


async def test_filters_have_pages_too(database: Database) -> None:
    """Conditions hold for the pages and for the total; unknown keys and keys that don't sort are ignored."""
    things = [(number, 1, f"Name{number:03}", number % 4, number % 2 == 0, number) for number in range(1, 101)]
    await fill(database, things)
    wanted = Wanted({"size": Exact("3"), "nothing": Exact("x")}, (Order("secret"), Order("id", descending=True)))
    expected = [number for number in range(100, 0, -1) if number % 4 == 3]
    for offset in range(0, 30, 10):
        assert await page(database, offset, 10, wanted) == (expected[offset : offset + 10], 25)
    assert await page(database, 0, 10, Wanted({"name": Fuzzy("AME00")})) == (list(range(1, 10)), 9)
    assert await page(database, 0, 3, Wanted({"id": Range("10", "20")})) == ([10, 11, 12], 11)
    with pytest.raises(BadRequest, match="size"):
        await page(database, 0, 10, Wanted({"size": Exact("x")}))


async def test_a_walk_skips_nothing_twice(database: Database) -> None:
    """The page behind one that was just read begins where that ended: nothing is counted to."""
    counting = CountingDatabase(database)
    await fill(database, [(number, 1, f"n{number:05}", 0, True, 0) for number in range(1, 301)])
    for number in range(20):
        found, _ = await page(counting, number * 10, 10)
        assert found == list(range(number * 10 + 1, number * 10 + 11))
    pages = [statement.sqlite for statement in counting.statements if "WITH page" in statement.sqlite]
    assert [">" in text for text in pages] == [False, *[True] * 19]


async def test_what_is_read_in_one_go_misses_nothing(database: Database) -> None:
    """A whole list that is read in parts shows each thing that stays exactly once, whatever comes and goes meanwhile."""
    choice = random.Random(1)
    staying = [(number * 10, 1, f"n{number * 10:05}", number % 3, True, 0) for number in range(1, 201)]
    await fill(database, staying)
    for order in ((Order("name"),), (Order("size", descending=True), Order("name"))):
        place, seen = Place(), list[int]()
        while found := (await page(database, place, 20, Wanted(order=order)))[0]:
            seen += found
            place = Place(place + len(found), place)
            number = choice.randrange(1, 2000) * 10 + choice.randrange(1, 10)
            await add(database, (number, 1, f"n{number:05}", 1, True, 0))
            if choice.random() < 0.5:
                await remove(database, number)
        assert len(seen) == len(set(seen))
        assert not {each[0] for each in staying} - set(seen)
        for number in seen:
            if number % 10:
                await remove(database, number)


async def test_lists_that_cannot_continue_count(database: Database) -> None:
    """Rows that are grouped have no keys to begin behind: their pages are right all the same."""
    await fill(database, [(number, 1, f"n{number:05}", number % 2, True, 0) for number in range(1, 31)])
    grouped = List(
        source="things t",
        scope="t.parent = :parent",
        key="t.id",
        columns={},
        order="",
        rows="SELECT t.id, count(*) FROM page JOIN things t ON t.id = page.id GROUP BY t.id",
    )
    assert not grouped.continues
    place = Place()
    for offset in (0, 10, 20):
        expected = list(range(offset + 1, offset + 11))
        assert await page(database, offset, 10, things=grouped) == (expected, 30)
        assert await page(database, place, 10, things=grouped) == (expected, 30)
        place = Place(place + 10, place)


async def test_non_ascii_letters(database: Database) -> None:
    """A fuzzy filter finds ASCII letters in either case; other letters as they are written, on both databases."""
    await fill(database, [(1, 1, "Grün", 0, True, 0), (2, 1, "GRÜN", 0, True, 0), (3, 1, "100%_x", 0, True, 0)])
    assert await page(database, 0, 10, Wanted({"name": Fuzzy("grün")})) == ([1], 1)
    assert await page(database, 0, 10, Wanted({"name": Fuzzy("gr")})) == ([2, 1], 2)
    assert await page(database, 0, 10, Wanted({"name": Fuzzy("GRÜ")})) == ([2], 1)
    assert await page(database, 0, 10, Wanted({"name": Fuzzy("%_")})) == ([3], 1)
    assert await page(database, 0, 10, Wanted({"name": Fuzzy("!")})) == ([], 0)


async def test_totals(database: Database) -> None:
    """The number of things alone; a maintained one is taken for true."""
    await fill(database, [(number, 1, f"n{number:05}", number % 2, True, 0) for number in range(1, 31)])
    told = List(
        source="things t",
        scope="t.parent = :parent",
        key="t.id",
        columns={},
        order="",
        rows="SELECT t.id FROM page JOIN things t ON t.id = page.id",
        total="SELECT 12 + 0 * :parent",
    )

    async def read(connection: Connection) -> int:
        return await told.total(connection, EVERYTHING, parent=1)

    assert await database.read(read) == 12
    assert await page(database, 0, 10, things=told) == (list(range(1, 11)), 12)
    assert await database.read(lambda connection: connection.value(Statement("SELECT count(*) FROM things"))) == 30
