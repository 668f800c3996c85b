# SPDX-License-Identifier: Apache-2.0
"""Deleting from an S3 server: in batches, singly where it must be, and as much as can be."""

from __future__ import annotations

import time

import pytest

from longshore.storage.conformance import write
from longshore.storage.port import NotDeleted, ObjectKey
from tests.faultystore import Fault, said
from tests.s3place import Place


async def test_deletes_go_in_batches_and_singly_where_they_must(place: Place) -> None:
    """A thousand keys are one request; a server that doesn't know it gets one request for each key from then on."""
    keys = [ObjectKey.fresh() for _ in range(1500)]
    for key in keys[:3]:
        await write(place.straight, key, b"x")
    await place.store.delete(keys)
    assert (place.network.count("POST", "delete"), place.network.count("DELETE")) == (2, 0)
    assert [await place.straight.size(key) for key in keys[:3]] == [None] * 3
    for key in keys[:3]:
        await write(place.straight, key, b"x")
    place.network.fail(Fault("POST", contains="delete", answer=(501, said("NotImplemented"), {})))
    await place.store.delete(keys[:3])
    await place.store.delete(keys[:3])
    assert (place.network.count("POST", "delete"), place.network.count("DELETE")) == (3, 6)
    assert [await place.straight.size(key) for key in keys[:3]] == [None] * 3


async def test_what_a_batch_could_not_delete_is_told(place: Place) -> None:
    """Errors inside a success: what passes is tried again, what doesn't is told of, and of nothing else."""
    keys = [ObjectKey.fresh() for _ in range(3)]
    for key in keys:
        await write(place.straight, key, b"x")
    place.network.fail(Fault("POST", contains="delete", answer=(200, _refused(keys[0], "InternalError"), {})))
    await place.store.delete(keys)
    assert await place.straight.size(keys[0]) is None
    place.network.fail(Fault("POST", contains="delete", answer=(200, _refused(keys[0], "AccessDenied"), {})))
    with pytest.raises(NotDeleted, match=r"1 of 3 objects.*denies the access") as caught:
        await place.store.delete(keys)
    assert caught.value.keys == {keys[0]}


async def test_of_a_batch_only_what_passes_is_tried_again(place: Place) -> None:
    """A key that is denied isn't asked for again with one that the server was too busy for."""
    keys = [ObjectKey.fresh() for _ in range(3)]
    both = _refused(keys[0], "AccessDenied", keys[1], "SlowDown")
    place.network.fail(Fault("POST", contains="delete", answer=(200, both, {})))
    with pytest.raises(NotDeleted) as caught:
        await place.store.delete(keys)
    assert caught.value.keys == {keys[0]}
    assert [each.body.count(b"<Key>") for each in place.network.arrived if each.method == "POST"] == [3, 1]


async def test_one_key_that_stays_keeps_no_other(place: Place) -> None:
    """One that is denied where each is deleted by itself, or whose parts stay, is told of, and all others are gone."""
    keys = [ObjectKey.fresh() for _ in range(20)]
    place.network.fail(Fault("POST", contains="delete", answer=(501, said("NotImplemented"), {})))
    for contains, method in (("uploads", "GET"), (str(keys[4]), "DELETE")):
        for key in keys:
            await write(place.straight, key, b"x")
        fault = Fault(method, contains=contains, answer=(403, said("AccessDenied"), {}))
        place.network.fail(fault)
        with pytest.raises(NotDeleted, match=r"1 of 20 objects.*denies the access") as caught:
            await place.store.delete(keys, unfinished=[keys[4]])
        assert fault.times == 0
        assert caught.value.keys == {keys[4]}
        left = [key for key in keys if await place.straight.size(key) is not None]
        assert set(left) <= {keys[4]}
    await place.straight.delete(keys)


async def test_a_store_that_is_away_is_not_asked_about_each_key(place: Place) -> None:
    """When nothing moves, a delete with many unfinished uploads ends with the first of them, and names them all."""
    place.network.fail(Fault("GET", contains="uploads", times=1000, hang=True))
    place.network.fail(Fault("POST", contains="delete", times=1000, hang=True))
    keys = [ObjectKey.fresh() for _ in range(100)]
    started = time.monotonic()
    with pytest.raises(NotDeleted, match=r"100 of 100 objects.*nothing moved") as caught:
        await place.store.delete(keys, unfinished=keys)
    assert caught.value.keys == set(keys)
    assert time.monotonic() - started < 10


def _refused(*told: ObjectKey | str) -> bytes:
    """What is answered to a batch: keys, each with the code of its error."""
    inner = (said(str(code), Key=str(key)).partition(b"?>")[2] for key, code in zip(told[::2], told[1::2], strict=True))
    return b"<DeleteResult>" + b"".join(inner) + b"</DeleteResult>"
