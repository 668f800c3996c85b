# SPDX-License-Identifier: Apache-2.0
"""Uploads: in one request, in two, in chunks; interrupted, continued, repeated, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from longshore.oci.digest import Algorithm, Digest
from longshore.registry.periods import Periods
from tests.integration.distribution.asgi import Answer, Client, NoAnswerError, pieces
from tests.integration.distribution.world import HOUR, Scenario, World

REPOSITORY = "demo/app"
UPLOADS = f"/v2/{REPOSITORY}/blobs/uploads/"


async def _pusher(world: World) -> Client:
    await world.project("demo")
    return await world.robot("ci", "demo")


async def _begin(client: Client) -> str:
    answer = (await client.post(UPLOADS)).expect(202)
    location = answer["location"]
    assert location == f"{UPLOADS}{answer['docker-upload-uuid']}"
    assert answer["range"] == "0-0"
    return location


async def _has(client: Client, digest: Digest, payload: bytes) -> None:
    answer = (await client.get(f"/v2/{REPOSITORY}/blobs/{digest}")).expect(200)
    assert answer.body == payload
    assert answer["docker-content-digest"] == str(digest)


def _created(answer: Answer, digest: Digest) -> None:
    answer.expect(201)
    assert answer["location"] == f"/v2/{REPOSITORY}/blobs/{digest}"
    assert answer["docker-content-digest"] == str(digest)


async def monolithic_in_one_post(world: World) -> None:
    """A POST with digest and body is the whole upload, in both algorithms, also with a body that streams."""
    client = await _pusher(world)
    for algorithm in Algorithm:
        payload = world.fresh(200_000)
        digest = Digest.of(payload, algorithm)
        _created(await client.post(f"{UPLOADS}?digest={digest}", payload), digest)
        await _has(client, digest, payload)
        streamed = world.fresh(200_000)
        digest = Digest.of(streamed, algorithm)
        _created(await client.post(f"{UPLOADS}?digest={digest}", pieces(streamed[:7], streamed[7:])), digest)
        await _has(client, digest, streamed)
    assert await world.value("SELECT count(*) FROM upload_sessions WHERE state <> 'done'") == 0


async def monolithic_in_post_and_put(world: World) -> None:
    """A POST begins, and one PUT brings everything; the digest of either algorithm is announced only there."""
    client = await _pusher(world)
    for algorithm in Algorithm:
        payload = world.fresh(3_000_000)
        digest = Digest.of(payload, algorithm)
        location = await _begin(client)
        opened = world.store.opened
        _created(await client.put(f"{location}?digest={digest}", payload), digest)
        assert world.store.opened == opened, "one stream needs no second read"
        await _has(client, digest, payload)


async def the_empty_blob(world: World) -> None:
    """A blob of no bytes is a blob: by POST, by PUT, and after an empty PATCH."""
    client = await _pusher(world)
    for algorithm in Algorithm:
        digest = Digest.of(b"", algorithm)
        location = await _begin(client)
        _created(await client.put(f"{location}?digest={digest}", b""), digest)
        location = await _begin(client)
        (await client.patch(location, b"")).expect(202)
        _created(await client.put(f"{location}?digest={digest}", b""), digest)
        head = (await client.head(f"/v2/{REPOSITORY}/blobs/{digest}")).expect(200)
        assert head["content-length"] == "0"
        await _has(client, digest, b"")
    _created(await client.post(f"{UPLOADS}?digest={digest}", b""), digest)


async def chunks_with_content_range(world: World) -> None:
    """Chunks in order with Content-Range, each answered with the range that is there, the last one in the PUT."""
    client = await _pusher(world)
    payload = world.fresh(2500)
    digest = Digest.of(payload)
    location = await _begin(client)
    for start, end in ((0, 1023), (1024, 2047)):
        answer = await client.patch(location, payload[start : end + 1], {"content-range": f"{start}-{end}"})
        assert answer.expect(202)["range"] == f"0-{end}"
        assert answer["location"] == location
        assert answer["docker-upload-uuid"] == location.rpartition("/")[2]
        status = (await client.get(location)).expect(204)
        assert (status["range"], status["location"]) == (f"0-{end}", location)
    last = await client.put(f"{location}?digest={digest}", payload[2048:], {"content-range": "2048-2499"})
    _created(last, digest)
    await _has(client, digest, payload)


async def chunks_without_content_range(world: World) -> None:
    """A PATCH without Content-Range, of any size and none at all, appends what it brings; the PUT may be empty."""
    client = await _pusher(world)
    chunks = [b"", world.fresh(10), b"", world.fresh(1_500_000), world.fresh(1)]
    digest = Digest.of(b"".join(chunks))
    location = await _begin(client)
    for chunk in chunks:
        (await client.patch(location, pieces(chunk) if len(chunk) % 2 else chunk)).expect(202)
    opened, resumed = world.store.opened, world.store.resumed
    _created(await client.put(f"{location}?digest={digest}"), digest)
    assert world.store.opened == opened, "the final PUT reads nothing again"
    if world.store.appends:
        assert world.store.resumed == resumed, "the final PUT doesn't touch the store"
    await _has(client, digest, b"".join(chunks))


async def chunk_out_of_order(world: World) -> None:
    """A chunk ahead of or behind the next byte is 416, in PATCH and PUT, and the upload goes on where it was."""
    client = await _pusher(world)
    payload = world.fresh(3000)
    digest = Digest.of(payload)
    location = await _begin(client)
    ahead = await client.patch(location, payload[1000:2000], {"content-range": "1000-1999"})
    ahead.expect(416, "RANGE_INVALID")
    assert (await client.get(location)).expect(204)["range"] == "0-0"
    (await client.patch(location, payload[:1000], {"content-range": "0-999"})).expect(202)
    for start, end in ((0, 999), (2000, 2999), (999, 1998)):
        header = {"content-range": f"{start}-{end}"}
        (await client.patch(location, payload[start : end + 1], header)).expect(416, "RANGE_INVALID")
        late = await client.put(f"{location}?digest={digest}", payload[start : end + 1], header)
        late.expect(416, "RANGE_INVALID")
        # The client asks on the very URL that it used.
        status = (await client.get(f"{location}?digest={digest}")).expect(204)
        assert status["range"] == "0-999"
    (await client.patch(location, payload[1000:], {"content-range": "bytes 1000-2999/3000"})).expect(202)
    _created(await client.put(f"{location}?digest={digest}"), digest)


async def chunk_of_another_length(world: World) -> None:
    """A chunk shorter or longer than its Content-Range is refused, and the upload stays as it was."""
    client = await _pusher(world)
    payload = world.fresh(3_000_000)
    digest = Digest.of(payload)
    location = await _begin(client)
    (await client.patch(location, payload[:100], {"content-range": "0-99"})).expect(202)
    announced = await client.patch(location, payload[100:150], {"content-range": "100-199"})
    announced.expect(400, "SIZE_INVALID")
    for body in (pieces(payload[100:150]), pieces(payload[100:900]), pieces(payload[100:2_000_000], b"more")):
        wrong = await client.patch(location, body, {"content-range": "100-199"})
        wrong.expect(400, "SIZE_INVALID")
        wrong = await client.put(f"{location}?digest={digest}", pieces(b"1"), {"content-range": "100-199"})
        wrong.expect(400, "SIZE_INVALID")
        assert (await client.get(location)).expect(204)["range"] == "0-99"
    (await client.patch(location, payload[100:2_000_000])).expect(202)
    _created(await client.put(f"{location}?digest={digest}", payload[2_000_000:]), digest)
    await _has(client, digest, payload)


async def sha512_announced_at_the_put(world: World) -> None:
    """Chunks whose sha512 is named only at the end are read once more and become the blob of that digest."""
    client = await _pusher(world)
    payload = world.fresh(5000)
    digest = Digest.of(payload, Algorithm.SHA512)
    location = await _begin(client)
    (await client.patch(location, payload[:3000])).expect(202)
    opened = world.store.opened
    _created(await client.put(f"{location}?digest={digest}", payload[3000:]), digest)
    assert world.store.opened == opened + 1
    await _has(client, digest, payload)
    (await client.head(f"/v2/{REPOSITORY}/blobs/{Digest.of(payload)}")).expect(404)


async def continued_by_another_process(world: World) -> None:
    """Chunks may meet another process each, and so may the PUT: it reads the bytes once only if it must."""
    client = await _pusher(world)
    others = [await world.process(), await world.process()]
    payload = world.fresh(30_000)
    digest = Digest.of(payload)
    location = await _begin(client)
    (await client.on(others[0]).patch(location, payload[:10_000])).expect(202)
    opened = world.store.opened
    (await client.on(others[0]).patch(location, payload[10_000:])).expect(202)
    assert (await client.get(location))["range"] == "0-29999"
    _created(await client.on(others[1]).put(f"{location}?digest={digest}"), digest)
    assert world.store.opened == opened, "the digest of what is durable is in the row"
    location = await _begin(client)
    payload = payload[::-1]
    digest = Digest.of(payload)
    for number, edge in enumerate((world.edge, *others)):
        chunk = payload[number * 10_000 : (number + 1) * 10_000]
        (await client.on(edge).patch(location, chunk, {"content-range": f"{number}0000-{number}9999"})).expect(202)
    _created(await client.put(f"{location}?digest={digest}"), digest)
    assert world.store.opened == opened + 1
    await _has(client, digest, payload)


async def retry_of_a_completed_PUT(world: World) -> None:  # noqa: N802 - its name in the design
    """A PUT repeated after its answer was lost is 201 on any process, with another digest 404."""
    client = await _pusher(world)
    payload = world.fresh()
    digest = Digest.of(payload)
    location = await _begin(client)
    (await client.patch(location, payload)).expect(202)
    for edge in (world.edge, await world.process()):
        _created(await client.on(edge).put(f"{location}?digest={digest}"), digest)
        _created(await client.on(edge).put(f"{location}?digest={digest}", payload), digest)
        header = {"content-range": "0-99"}
        _created(await client.on(edge).put(f"{location}?digest={digest}", payload, header), digest)
    other = await client.put(f"{location}?digest={Digest.of(b'other')}")
    other.expect(404, "BLOB_UPLOAD_UNKNOWN")
    (await client.patch(location, b"more")).expect(404, "BLOB_UPLOAD_UNKNOWN")
    (await client.get(location)).expect(404, "BLOB_UPLOAD_UNKNOWN")
    (await client.delete(location)).expect(404, "BLOB_UPLOAD_UNKNOWN")
    await _has(client, digest, payload)


async def cancelled_upload(world: World) -> None:
    """DELETE ends an upload: 204, and from then on it is unknown to every method; its bytes wait in the trash."""
    client = await _pusher(world)
    for sent in (b"", b"some bytes"):
        location = await _begin(client)
        if sent:
            (await client.patch(location, sent)).expect(202)
        (await client.delete(location)).expect(204)
        for answer in (
            await client.get(location),
            await client.patch(location, b"more"),
            await client.put(f"{location}?digest={Digest.of(sent)}"),
            await client.delete(location),
        ):
            answer.expect(404, "BLOB_UPLOAD_UNKNOWN")
    assert await world.value("SELECT count(*) FROM upload_sessions") == 0
    assert await world.value("SELECT count(*) FROM trash") == 2


async def cancelled_while_sending(world: World) -> None:
    """DELETE doesn't wait for a request that is still sending to the upload: that one fails."""
    client = await _pusher(world)
    location = await _begin(client)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        begun.set()
        await go_on.wait()
        yield b"second"

    sending = asyncio.create_task(client.patch(location, body()))
    await begun.wait()
    async with asyncio.timeout(5):
        (await client.on(await world.process()).delete(location)).expect(204)
    go_on.set()
    (await sending).expect(404, "BLOB_UPLOAD_UNKNOWN")
    assert await world.value("SELECT count(*) FROM upload_keys") == 0


async def client_vanishes_and_resumes(world: World) -> None:
    """What arrived of a PATCH whose client vanished is kept; the client asks how much, on any process, and goes on."""
    client = await _pusher(world)
    payload = world.fresh(2_100_000)
    digest = Digest.of(payload)
    location = await _begin(client)
    for sent in (0, 700_000, 1_400_000):
        with_range = {"content-range": f"{sent}-{len(payload) - 1}"} if sent else {}
        try:
            await client.patch(location, pieces(payload[sent : sent + 600_000], vanish=True), with_range)
        except NoAnswerError:
            arrived = int((await client.get(location)).expect(204)["range"].partition("-")[2]) + 1
            assert arrived == sent + 600_000
            (await client.patch(location, payload[arrived : sent + 700_000])).expect(202)
            continue
        raise AssertionError("there was nobody to answer")
    opened = world.store.opened
    _created(await client.put(f"{location}?digest={digest}"), digest)
    assert world.store.opened == opened
    await _has(client, digest, payload)


async def client_vanishes_during_the_put(world: World) -> None:
    """A PUT whose client vanished in the middle leaves the upload open for another PATCH and PUT, at once."""
    client = await _pusher(world)
    payload = world.fresh(5000)
    digest = Digest.of(payload)
    location = await _begin(client)
    for sent in (b"", payload[:1000]):
        if sent:
            (await client.patch(location, sent[300:])).expect(202)
        try:
            await client.put(f"{location}?digest={digest}", pieces(payload[len(sent) : len(sent) + 300], vanish=True))
        except NoAnswerError:
            assert (await client.get(location)).expect(204)["range"] == f"0-{len(sent) + 299}"
        else:
            raise AssertionError("there was nobody to answer")
    async with asyncio.timeout(5):
        (await client.patch(location, payload[1300:])).expect(202)
        # Everything is there and its digest is known, and again there is nobody to take the answer.
        with_nothing = client.put(f"{location}?digest={digest}", pieces(vanish=True))
        assert isinstance((await asyncio.gather(with_nothing, return_exceptions=True))[0], NoAnswerError)
        opened = world.store.opened
        _created(await client.put(f"{location}?digest={digest}"), digest)
        assert world.store.opened == opened
    await _has(client, digest, payload)


async def client_vanishes_during_the_one_post(world: World) -> None:
    """Nobody can go on with a POST that broke off, since nobody learned its address: it leaves no session."""
    client = await _pusher(world)
    digest = Digest.of(b"x" * 1000)
    broken = client.post(f"{UPLOADS}?digest={digest}", pieces(b"x" * 500, vanish=True))
    assert isinstance((await asyncio.gather(broken, return_exceptions=True))[0], NoAnswerError)
    assert await world.value("SELECT count(*) FROM upload_sessions") == 0
    (await client.head(f"/v2/{REPOSITORY}/blobs/{digest}")).expect(404)


async def taken_over_after_a_crash(world: World) -> None:
    """An upload whose owner fell silent goes on elsewhere on a copy, and the owner's late bytes do no harm."""
    client = await _pusher(world)
    silent = await world.process(periods=Periods(grace=HOUR, window=HOUR, delay=HOUR, owner_lease=0))
    payload = world.fresh(10_000)
    digest = Digest.of(payload)
    location = await _begin(client)
    (await client.patch(location, payload[:1000])).expect(202)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield payload[1000:3000]
        begun.set()
        await go_on.wait()
        yield b"late bytes of a zombie"

    zombie = asyncio.create_task(client.on(silent).patch(location, body()))
    await begun.wait()
    before = await world.value("SELECT key FROM upload_keys")
    (await client.patch(location, payload[1000:], {"content-range": "1000-9999"})).expect(202)
    assert await world.value("SELECT key FROM upload_keys") != before
    go_on.set()
    (await zombie).expect(404, "BLOB_UPLOAD_UNKNOWN")
    _created(await client.put(f"{location}?digest={digest}"), digest)
    await _has(client, digest, payload)
    assert before in {row[0] for row in await world.rows("SELECT key FROM trash")}


async def zombie_commits_after_takeover(world: World) -> None:
    """The PUT of an owner that fell silent and was taken over ends with 404; the one that took over decides."""
    client = await _pusher(world)
    silent = await world.process(periods=Periods(grace=HOUR, window=HOUR, delay=HOUR, owner_lease=0))
    payload = world.fresh(3000)
    location = await _begin(client)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield payload[:1000]
        begun.set()
        await go_on.wait()
        yield payload[1000:]

    target = f"{location}?digest={Digest.of(payload)}"
    zombie = asyncio.create_task(client.on(silent).put(target, body()))
    await begun.wait()
    (await client.patch(location, payload)).expect(202)
    go_on.set()
    (await zombie).expect(404, "BLOB_UPLOAD_UNKNOWN")
    _created(await client.put(target), Digest.of(payload))


async def wrong_digest(world: World) -> None:
    """Bytes of another digest are 400 however they came, and nothing of them can be seen or continued."""
    client = await _pusher(world)
    payload = world.fresh(5000)
    for algorithm in Algorithm:
        wrong = Digest.of(b"something else", algorithm)
        (await client.post(f"{UPLOADS}?digest={wrong}", payload)).expect(400, "DIGEST_INVALID")
        for chunks in ([], [payload], [payload[:2000], payload[2000:]]):
            location = await _begin(client)
            for chunk in chunks:
                (await client.patch(location, chunk)).expect(202)
            answer = await client.put(f"{location}?digest={wrong}", b"" if chunks else payload)
            answer.expect(400, "DIGEST_INVALID")
            (await client.get(location)).expect(404, "BLOB_UPLOAD_UNKNOWN")
        (await client.head(f"/v2/{REPOSITORY}/blobs/{wrong}")).expect(404)
    # More than the digest covers: the upload was complete, the PUT brought one byte too many.
    location = await _begin(client)
    (await client.patch(location, payload)).expect(202)
    (await client.put(f"{location}?digest={Digest.of(payload)}", b"!")).expect(400, "DIGEST_INVALID")
    assert await world.value("SELECT count(*) FROM upload_sessions") == 0
    assert await world.value("SELECT count(*) FROM blobs") == 0


async def two_pushes_of_one_digest(world: World) -> None:
    """The same blob pushed by many at once, through several processes, succeeds for everyone and is one blob."""
    client = await _pusher(world)
    edges = [world.edge, await world.process()]
    payload = world.fresh(100_000)
    digest = Digest.of(payload)
    answers = await asyncio.gather(
        *(client.on(edges[number % 2]).post(f"{UPLOADS}?digest={digest}", payload) for number in range(10))
    )
    for answer in answers:
        _created(answer, digest)
    assert await world.value("SELECT count(*) FROM blobs") == 1
    assert await world.value("SELECT used_bytes FROM project_usage") == 100_000
    await _has(client, digest, payload)


async def two_requests_of_one_upload(world: World) -> None:
    """A second request on an upload waits for the first one, and finds what that one left."""
    client = await _pusher(world)
    location = await _begin(client)
    payload = world.fresh(4000)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield payload[:1000]
        begun.set()
        await go_on.wait()
        yield payload[1000:2000]

    first = asyncio.create_task(client.patch(location, body()))
    await begun.wait()
    second = asyncio.create_task(client.patch(location, payload[2000:], {"content-range": "2000-3999"}))
    third = asyncio.create_task(client.patch(location, payload[:1], {"content-range": "0-0"}))
    await asyncio.sleep(0.15)
    go_on.set()
    assert (await first).expect(202)["range"] == "0-1999"
    assert (await second).expect(202)["range"] == "0-3999"
    (await third).expect(416, "RANGE_INVALID")
    _created(await client.put(f"{location}?digest={Digest.of(payload)}"), Digest.of(payload))


async def unknown_uploads(world: World) -> None:
    """An upload that was never begun, or belongs to another repository or project, is unknown to every method."""
    client = await _pusher(world)
    await world.project("other")
    stranger = await world.robot("ci", "other")
    location = await _begin(client)
    session = location.rpartition("/")[2]
    for target in (
        f"{UPLOADS}{'0' * 32}",
        f"{UPLOADS}nonsense",
        f"/v2/demo/elsewhere/blobs/uploads/{session}",
        f"{UPLOADS}{session[:-1]}",
    ):
        for method in ("GET", "PATCH", "DELETE", "PUT"):
            answer = await client.request(method, f"{target}?digest={Digest.of(b'')}")
            answer.expect(404, "BLOB_UPLOAD_UNKNOWN")
    theirs = await stranger.patch(f"/v2/other/app/blobs/uploads/{session}", b"mine now")
    theirs.expect(404, "BLOB_UPLOAD_UNKNOWN")
    assert (await client.get(location)).expect(204)["range"] == "0-0"


async def expired_upload(world: World) -> None:
    """An upload that was idle for too long is unknown, whoever asks."""
    client = await _pusher(world)
    location = await _begin(client)
    (await client.patch(location, b"bytes")).expect(202)
    await world.sql("UPDATE upload_sessions SET expires_at = 1")
    (await client.get(location)).expect(404, "BLOB_UPLOAD_UNKNOWN")
    (await client.put(f"{location}?digest={Digest.of(b'bytes')}")).expect(404, "BLOB_UPLOAD_UNKNOWN")


async def post_with_a_body_but_no_digest(world: World) -> None:
    """A POST that brings bytes must say what they are."""
    client = await _pusher(world)
    (await client.post(UPLOADS, b"bytes")).expect(400, "SIZE_INVALID")
    (await client.put(await _begin(client), b"bytes")).expect(400, "DIGEST_INVALID")


SCENARIOS: tuple[Scenario, ...] = (
    monolithic_in_one_post,
    monolithic_in_post_and_put,
    the_empty_blob,
    chunks_with_content_range,
    chunks_without_content_range,
    chunk_out_of_order,
    chunk_of_another_length,
    sha512_announced_at_the_put,
    continued_by_another_process,
    retry_of_a_completed_PUT,
    cancelled_upload,
    cancelled_while_sending,
    client_vanishes_and_resumes,
    client_vanishes_during_the_put,
    client_vanishes_during_the_one_post,
    taken_over_after_a_crash,
    zombie_commits_after_takeover,
    wrong_digest,
    two_pushes_of_one_digest,
    two_requests_of_one_upload,
    unknown_uploads,
    expired_upload,
    post_with_a_body_but_no_digest,
)
