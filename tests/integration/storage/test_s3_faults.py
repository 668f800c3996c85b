# SPDX-License-Identifier: Apache-2.0
"""Bad days of networks and of S3 servers: what passes is waited for, what doesn't is told, nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import shutil
import time
import tracemalloc
from typing import Any

import pytest
from structlog.testing import capture_logs

from longshore.oci.digest import Algorithm
from longshore.storage.conformance import content, entries, expect_error, write
from longshore.storage.port import BlobWriter, ObjectKey, ObjectMissing, OpenedStore, StoreUnavailable
from longshore.storage.refusals import StoreRefused
from longshore.storage.s3.store import S3Store
from longshore.storage.session import MemoryJournal, MemorySession
from tests.faultystore import Fault, said
from tests.objectstore import ObjectStore
from tests.s3place import Place

_MEBIBYTE = 1024 * 1024
_PAYLOAD = bytes(range(256)) * 4096 * 12


async def _sealed(store: OpenedStore, session: MemorySession) -> tuple[BlobWriter, MemoryJournal]:
    """A large object that only waits for its end."""
    journal = session.claim()
    writer = await store.create(session.key, journal)
    await writer.append([_PAYLOAD], Algorithm.SHA256.hasher())
    await journal.advance(await writer.seal())
    return writer, journal


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (500, "InternalError"), (429, "")])
async def test_a_server_that_asks_for_patience_gets_it(place: Place, status: int, code: str) -> None:
    """Refused for the moment, a request is sent again, a little later each time."""
    place.network.fail(Fault("PUT", times=2, answer=(status, said(code) if code else b"", {})))
    key = ObjectKey.fresh()
    await write(place.store, key, b"patience")
    assert place.network.count("PUT") == 3
    assert await content(place.straight, key) == b"patience"


async def test_a_server_that_never_recovers_is_given_up(place: Place) -> None:
    """Retries end at a deadline, with an error that says what the matter is."""
    place.network.fail(Fault("PUT", times=1000, answer=(503, said("SlowDown"), {})))
    started = time.monotonic()
    error = await expect_error(StoreUnavailable, write(place.store, ObjectKey.fresh(), b"x"))
    assert "overloaded" in error.message
    assert 0.5 < time.monotonic() - started < 10
    assert 3 < place.network.count("PUT") < 30


@pytest.mark.parametrize("dropped", [True, False])
async def test_an_answer_that_is_lost_does_no_harm(place: Place, dropped: bool) -> None:
    """A PUT that was carried out, and one that was not, are repeated when the connection breaks or hangs."""
    place.network.fail(Fault("PUT", dropped=True) if dropped else Fault("PUT", hang=True))
    key = ObjectKey.fresh()
    await write(place.store, key, b"again")
    assert place.network.count("PUT") == 2
    assert await content(place.straight, key) == b"again"


async def test_a_server_that_hangs_is_noticed(place: Place) -> None:
    """Without any progress a request ends after the timeout and its repetitions, and says so."""
    place.network.fail(Fault("HEAD", times=1000, hang=True))
    started = time.monotonic()
    error = await expect_error(StoreUnavailable, _size(place.store))
    assert "nothing moved" in error.message
    assert 1 <= time.monotonic() - started < 10


async def _size(store: OpenedStore) -> None:
    await store.size(ObjectKey.fresh())


@pytest.mark.parametrize("stalls", [True, False])
async def test_a_download_goes_on_where_it_broke(place: Place, stalls: bool) -> None:
    """A connection that is cut or stalls in the middle of a body is replaced by a request for the rest."""
    session = MemorySession()
    writer, _ = await _sealed(place.straight, session)
    await writer.finish()
    await writer.close()
    for at in (0, 70_000, 5 * _MEBIBYTE):
        place.network.fail(
            Fault(
                "GET", contains=str(session.key), stall_after=at if stalls else None, cut_after=None if stalls else at
            )
        )
        place.network.arrived.clear()
        reader = await place.store.open(session.key, 0, len(_PAYLOAD))
        offset = 0
        while offset < reader.size:
            piece = await reader.read(offset, 100_000)
            assert piece == _PAYLOAD[offset : offset + 100_000]
            offset += len(piece)
        reader.close()
        assert place.network.count("GET") == 2


async def test_a_download_that_always_breaks_ends(place: Place) -> None:
    """A body that never comes further is an error after a few attempts, never a short read."""
    key = ObjectKey.fresh()
    await write(place.straight, key, b"x" * _MEBIBYTE)
    place.network.fail(Fault("GET", contains=str(key), times=1000, cut_after=10))
    reader = await place.store.open(key)
    await expect_error(StoreUnavailable, reader.read(0, _MEBIBYTE))
    reader.close()
    assert place.network.count("GET", str(key)) < 10


async def test_an_object_that_vanishes_in_the_middle_is_missing(place: Place) -> None:
    """When the rest can't be had because somebody deleted the object, the reader says so."""
    key = ObjectKey.fresh()
    await write(place.straight, key, b"x" * _MEBIBYTE)
    place.network.fail(Fault("GET", contains=str(key), cut_after=1000))
    reader = await place.store.open(key)
    await place.straight.delete([key])
    await expect_error(ObjectMissing, reader.read(0, _MEBIBYTE))
    reader.close()


async def test_a_stalled_client_costs_under_a_megabyte(place: Place) -> None:
    """What is read ahead of a client that takes nothing is bounded."""
    session = MemorySession()
    writer, _ = await _sealed(place.straight, session)
    await writer.finish()
    await writer.close()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        reader = await place.straight.open(session.key, 0, len(_PAYLOAD))
        await reader.read(0, 1000)
        await asyncio.sleep(0.3)
        after, _ = tracemalloc.get_traced_memory()
        reader.close()
    finally:
        tracemalloc.stop()
    assert after - before < _MEBIBYTE


async def test_an_error_inside_a_success_is_seen(place: Place) -> None:
    """A completion that begins with 200 and ends with an error is repeated, and what lasts is told."""
    for code, kind in (("InternalError", None), ("AccessDenied", StoreUnavailable)):
        session = MemorySession()
        writer, _ = await _sealed(place.store, session)
        place.network.fail(Fault("POST", contains="uploadId", answer=(200, b" \n" * 5 + said(code), {})))
        if kind is None:
            await writer.finish()
            assert await content(place.straight, session.key) == _PAYLOAD
        else:
            await expect_error(kind, writer.finish())
            assert await place.straight.size(session.key) is None
        await writer.close()
        await session.discard(place.straight)


async def test_a_completion_whose_answer_is_lost_is_not_repeated_in_effect(place: Place) -> None:
    """The server completed and the answer is lost: the upload is gone, the object is there, and that is success."""
    session = MemorySession()
    writer, _ = await _sealed(place.store, session)
    place.network.fail(Fault("POST", contains="uploadId", dropped=True))
    await writer.finish()
    await writer.close()
    assert await content(place.straight, session.key) == _PAYLOAD


@pytest.mark.parametrize(
    "fault",
    [
        {"dropped": True},
        {"hang": True},
        {"change_answer": lambda _: (500, said("InternalError"))},
        {"change_answer": lambda _: (503, b"<html>Try later</html>")},
    ],
)
async def test_an_upload_in_parts_is_begun_once_under_a_key(place: Place, fault: dict[str, Any]) -> None:
    """When it isn't known whether one was begun, another one is under another key, and the former is unfinished."""
    place.network.fail(Fault("POST", contains="uploads", **fault))
    session = MemorySession()
    stale = session.key
    writer, _ = await _sealed(place.store, session)
    await writer.finish()
    await writer.close()
    assert [place.network.count("POST", f"{key}?uploads") for key in (stale, session.key)] == [1, 1]
    assert isinstance(place.straight, S3Store)
    left = [path async for path in place.straight.unfinished()]
    assert left == ([] if "hang" in fault else [str(stale)])
    assert session.trash == {stale: True}
    await session.sweep(place.store)
    assert [path async for path in place.straight.unfinished()] == []
    assert await content(place.straight, session.key) == _PAYLOAD


async def test_a_beginning_that_surely_failed_is_repeated(place: Place) -> None:
    """What the server refused for the moment, without doing it, is asked for again under the same key."""
    place.network.fail(Fault("POST", contains="uploads", answer=(503, said("SlowDown"), {})))
    session = MemorySession()
    key = session.key
    writer, _ = await _sealed(place.store, session)
    await writer.finish()
    await writer.close()
    assert (place.network.count("POST", "uploads"), session.key, session.trash) == (2, key, {})


async def test_a_part_that_changed_on_its_way_is_refused_and_sent_again(place: Place) -> None:
    """Each request is signed with the hash of its content, so the server notices a flipped bit."""
    place.network.fail(Fault("PUT", contains="partNumber=1", change_body=lambda body: b"\xff" + body[1:]))
    session = MemorySession()
    writer, _ = await _sealed(place.store, session)
    await writer.finish()
    await writer.close()
    assert place.network.count("PUT", "partNumber=1&") == 2
    assert await content(place.straight, session.key) == _PAYLOAD


@pytest.mark.parametrize("tag", [b"", b"0123456789abcdef0123456789abcdef"])
async def test_a_tag_that_is_not_the_parts_makes_no_object(place: Place, tag: bytes) -> None:
    """A tag that is missing, or another one than the server keeps, ends the upload instead of making a wrong object."""

    def change(head: bytes) -> bytes:
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"etag:")]
        return b"\r\n".join([lines[0], *([b'ETag: "' + tag + b'"'] if tag else []), *lines[1:]])

    place.network.fail(Fault("PUT", contains="partNumber=2", change_head=change))
    session = MemorySession()
    await expect_error(StoreUnavailable, _seal_and_finish(place.store, session))
    assert await place.straight.size(session.key) is None


async def _seal_and_finish(store: OpenedStore, session: MemorySession) -> None:
    journal = session.claim()
    writer = await store.create(session.key, journal)
    try:
        await writer.append([_PAYLOAD], Algorithm.SHA256.hasher())
        await journal.advance(await writer.seal())
        await writer.finish()
    finally:
        await writer.close()


async def test_parts_that_come_in_late_are_aborted_too(place: Place) -> None:
    """A part that was on its way survives an abort; so it is looked for, and the upload aborted again."""
    session = MemorySession()
    writer, _ = await _sealed(place.store, session)
    await writer.close()
    late = b"<ListPartsResult><Part><PartNumber>7</PartNumber></Part></ListPartsResult>"
    place.network.fail(Fault("GET", contains="max-parts", answer=(200, late, {})))
    await session.discard(place.store)
    assert place.network.count("DELETE", "uploadId") == 2
    assert place.network.count("GET", "max-parts") == 1


async def test_a_server_without_conditions_is_marked_all_the_same(place: Place) -> None:
    """Where a PUT can't be made conditional, the mark is looked for, written, and read again."""
    place.network.fail(Fault("PUT", contains="meta/instance", answer=(501, said("NotImplemented"), {})))
    await place.store.write_instance("database-1")
    assert await place.straight.read_instance() == "database-1"


async def test_the_operator_is_told_what_the_server_said(place: Place) -> None:
    """A client learns what to do, the log also the server's own words and the number of the request."""
    answer = (403, said("AccessDenied", "Nobody may."), {"x-amz-request-id": "R1"})
    place.network.fail(Fault("PUT", answer=answer))
    with capture_logs() as logs:
        error = await expect_error(StoreUnavailable, write(place.store, ObjectKey.fresh(), b"x"))
    assert "Nobody may" not in error.message
    assert [(line["event"], line["answer"]) for line in logs] == [
        ("the object store failed", "403 AccessDenied Nobody may., request R1")
    ]


async def test_a_client_that_leaves_is_no_failure_of_the_store(place: Place) -> None:
    """A reader that is closed while it waits ends at once, and the log says nothing of the store."""
    key = ObjectKey.fresh()
    await write(place.straight, key, b"x" * _MEBIBYTE)
    place.network.fail(Fault("GET", contains=str(key), stall_after=1000))
    reader = await place.store.open(key)
    with capture_logs() as logs:
        waiting = asyncio.ensure_future(reader.read(0, _MEBIBYTE))
        await asyncio.sleep(0.1)
        reader.close()
        await expect_error(StoreUnavailable, waiting)
    assert logs == []


@pytest.mark.parametrize("header", [b"content-length", b"content-range"])
@pytest.mark.parametrize("start", [0, 5])
async def test_an_answer_about_another_range_is_not_believed(place: Place, header: bytes, start: int) -> None:
    """A cache that answers something else, or doesn't say how much, is an error instead of wrong bytes."""
    key = ObjectKey.fresh()
    await write(place.straight, key, b"0123456789" * 100)

    def without(head: bytes) -> bytes:
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(header)]
        return b"\r\n".join(lines).replace(b" 206 ", b" 200 ")

    place.network.fail(Fault("GET", contains=str(key), change_head=without))
    if start or header == b"content-length":
        await expect_error(StoreUnavailable, place.store.open(key, start, 990))
    else:
        reader = await place.store.open(key, 0, 1000)
        assert await reader.read(0, 1000) == b"0123456789" * 100
        reader.close()


async def test_a_bucket_that_is_gone_lacks_no_object(place: Place, object_store: ObjectStore) -> None:
    """Nothing is known of an object while its bucket is away, although the server answers 404 as for one that is missing."""
    key = ObjectKey.fresh()
    assert await place.store.size(key) is None
    bucket = place.network.arrived[-1].target.split("/")[1].partition("?")[0]
    folder = object_store.folder / bucket
    shutil.move(folder, object_store.folder / f"away-{bucket}")
    try:
        error = await expect_error(StoreRefused, place.store.size(key))
        assert "bucket doesn't exist" in error.message
    finally:
        shutil.move(object_store.folder / f"away-{bucket}", folder)
    place.network.fail(Fault("HEAD", answer=(404, b"", {})))
    place.network.fail(Fault("GET", contains="list-type", answer=(404, b"<html>Not here</html>", {})))
    await expect_error(StoreUnavailable, place.store.size(key))


async def test_pages_that_never_end_are_an_error(place: Place) -> None:
    """A listing that is cut off, or begins again where it was, is told instead of ending early or never."""
    for method, contains, name, tokens in (
        ("GET", "list-type", b"ListBucketResult", b"<NextContinuationToken>again</NextContinuationToken>"),
        ("GET", "uploads", b"ListMultipartUploadsResult", b"<NextKeyMarker>again</NextKeyMarker>"),
    ):
        for inner in (b"", tokens):
            body = b"<%s><IsTruncated>true</IsTruncated>%s</%s>" % (name, inner, name)
            fault = Fault(method, contains=contains, times=10, answer=(200, body, {}))
            place.network.fail(fault)
            deed = entries(place.store) if "list" in contains else place.store.delete([_KEY], unfinished=[_KEY])
            error = await expect_error(StoreUnavailable, deed)
            assert "no answer of an S3 server" in error.message
            assert fault.times == (8 if inner else 9)
            fault.times = 0


_KEY = ObjectKey.fresh()
