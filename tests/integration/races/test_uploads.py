# SPDX-License-Identifier: Apache-2.0
"""Races of requests for one upload: with one that was thought dead, and with one that asks again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from longshore.oci.digest import Digest
from longshore.oci.errors import BlobUnknown, BlobUploadUnknown
from longshore.registry import reception
from longshore.registry.expiry import Expire
from longshore.registry.sweep import Sweep
from longshore.registry.uploads import Uploads
from longshore.storage.port import ObjectKey, ObjectMissing
from tests.builders import World

_HALF = b"the first half, "
_REST = b"and the rest of it"
_WHOLE = _HALF + _REST
_LAPSE = "UPDATE upload_sessions SET owner_until = 1 WHERE owner IS NOT NULL"


async def _body(*pieces: bytes, then: Callable[[], Awaitable[object]] | None = None) -> AsyncIterator[bytes]:
    """A body; before its last piece, `then` happens."""
    for number, piece in enumerate(pieces, start=1):
        if then is not None and number == len(pieces):
            await then()
        yield piece


async def _stored_keys(world: World) -> set[str]:
    return {str(entry.key) async for entry in world.store.listing()}


async def _start(world: World) -> tuple[int, str]:
    """An upload with its first half, and its project."""
    project_id = await world.project()
    upload = await world.uploads.start(project_id, "app")
    await world.uploads.receive(project_id, "app", upload.id, _body(_HALF))
    return project_id, upload.id


async def test_takeover_meets_zombie(world: World) -> None:
    """An owner that wakes up after a takeover is refused, and nothing it wrote is in the blob."""
    project_id, upload_id = await _start(world)
    other = Uploads(world.database, world.store, world.blobs, world.periods)

    async def take_over() -> None:
        await world.sql(_LAPSE)
        upload = await other.receive(project_id, "app", upload_id, _body(_REST[:5]))
        assert upload.received == len(_HALF) + 5

    with pytest.raises(BlobUploadUnknown):
        await world.uploads.receive(project_id, "app", upload_id, _body(b"junk ", b"junk", then=take_over))
    assert (await world.uploads.status(project_id, "app", upload_id)).received == len(_HALF) + 5
    await world.uploads.finish(project_id, "app", upload_id, Digest.of(_WHOLE), _body(_REST[5:]))
    assert await world.bytes_of(Digest.of(_WHOLE)) == _WHOLE


async def test_zombie_commits_after_takeover(world: World) -> None:
    """Two requests finish one upload with different bytes, the second after the first lapsed: only the second's is a blob."""
    project_id, upload_id = await _start(world)
    other = Uploads(world.database, world.store, world.blobs, world.periods)
    late = _HALF + b"something else"

    async def take_over() -> None:
        await world.sql(_LAPSE)
        await other.finish(project_id, "app", upload_id, Digest.of(_WHOLE), _body(_REST))

    body = _body(b"something ", b"else", then=take_over)
    with pytest.raises(BlobUploadUnknown):
        await world.uploads.finish(project_id, "app", upload_id, Digest.of(late), body)
    assert await world.bytes_of(Digest.of(_WHOLE)) == _WHOLE
    assert await world.bytes_of(Digest.of(late)) is None
    assert await world.value("SELECT count(*) FROM blobs") == 1


async def test_zombie_commits_after_takeover_with_the_same_bytes(world: World) -> None:
    """A request that wakes up when another has finished its upload doesn't take the blob's key into the trash."""
    project_id, upload_id = await _start(world)
    other = Uploads(world.database, world.store, world.blobs, world.periods)
    digest = Digest.of(_WHOLE)

    async def take_over() -> None:
        await world.sql(_LAPSE)
        await other.finish(project_id, "app", upload_id, digest, _body(_REST))

    with pytest.raises(BlobUploadUnknown):
        await world.uploads.finish(project_id, "app", upload_id, digest, _body(_REST[:3], _REST[3:], then=take_over))
    assert await world.value("SELECT count(*) FROM blobs b JOIN trash t ON t.key = b.key") == 0
    assert await world.bytes_of(digest) == _WHOLE


async def test_late_part_of_a_zombie(world: World) -> None:
    """A request that makes its object only after its upload expired and its key was swept leaves nothing for ever."""
    project_id = await world.project()
    upload = await world.uploads.start(project_id, "app")
    key = ObjectKey(await world.value("SELECT key FROM upload_keys"))
    sweep = Sweep(world.database, world.store, world.periods)
    await world.sql("UPDATE upload_sessions SET expires_at = 1")
    await Expire(world.database, world.periods).run(10)
    await world.sql("UPDATE trash SET purge_after = 1")
    await sweep.run(10)
    # It had looked at the session before; it writes now.
    writer = await world.store.create(key)
    await writer.append([b"late"], Digest.of(b"").algorithm.hasher())
    await writer.sync()
    await writer.close()
    assert await _stored_keys(world) == {str(key)}
    assert await world.value("SELECT count(*) FROM trash") == 1
    await world.sql("UPDATE trash SET purge_after = 1")
    await sweep.run(10)
    assert await _stored_keys(world) == set()
    assert await world.value("SELECT count(*) FROM trash") == 0
    with pytest.raises(BlobUploadUnknown):
        await world.uploads.status(project_id, "app", upload.id)


async def test_late_part_of_a_zombie_goes_to_the_key_it_knew(folder_world: World) -> None:
    """What a request still writes after it was overtaken lands in a file that nobody reads, and that goes."""
    world = folder_world
    project_id, upload_id = await _start(world)
    old = ObjectKey(await world.value("SELECT key FROM upload_keys"))
    zombie = await world.store.resume(old, len(_HALF))
    await world.sql("UPDATE upload_sessions SET state = 'receiving', owner = 'zombie', owner_until = 1")
    await world.uploads.finish(project_id, "app", upload_id, Digest.of(_WHOLE), _body(_REST))
    await zombie.append([b"late part"], Digest.of(b"").algorithm.hasher())
    await zombie.sync()
    await zombie.close()
    assert await world.bytes_of(Digest.of(_WHOLE)) == _WHOLE
    assert await world.value("SELECT count(*) FROM trash WHERE key = :key", key=str(old)) == 1
    for _ in range(2):
        await world.sql("UPDATE trash SET purge_after = 1")
        await Sweep(world.database, world.store, world.periods).run(10)
    assert str(old) not in await _stored_keys(world)


async def test_retry_of_a_completed_put(world: World) -> None:
    """A PUT whose answer was lost is answered again, while the blob is there and only for the same digest."""
    project_id, upload_id = await _start(world)
    digest = Digest.of(_WHOLE)
    await world.uploads.finish(project_id, "app", upload_id, digest, _body(_REST))
    for rest in (_REST, b""):
        await world.uploads.finish(project_id, "app", upload_id, digest, _body(rest))
    with pytest.raises(BlobUploadUnknown):
        await world.uploads.finish(project_id, "app", upload_id, Digest.of(_HALF), _body(b""))
    assert await world.value("SELECT count(*) FROM trash t JOIN blobs b ON b.key = t.key") == 0
    assert await world.bytes_of(digest) == _WHOLE
    await world.blobs.delete(project_id, "app", digest)
    with pytest.raises(BlobUnknown):
        await world.uploads.finish(project_id, "app", upload_id, digest, _body(b""))


async def test_retry_of_a_completed_put_that_comes_early(world: World) -> None:
    """A second PUT waits while the first is at work, and then both are answered by one blob."""
    project_id, upload_id = await _start(world)
    digest = Digest.of(_WHOLE)
    retries: list[asyncio.Task[None]] = []
    other = replace(world).uploads

    async def ask_again() -> None:
        retries.append(asyncio.create_task(other.finish(project_id, "app", upload_id, digest, _body(_REST))))
        await asyncio.wait(retries, timeout=0.2)
        assert not retries[0].done()

    await world.uploads.finish(project_id, "app", upload_id, digest, _body(_REST[:3], _REST[3:], then=ask_again))
    await retries[0]
    assert await world.bytes_of(digest) == _WHOLE
    assert await world.value("SELECT count(*) FROM blobs") == 1


async def test_a_takeover_of_lost_bytes_ends(world: World) -> None:
    """An object that is shorter than its upload, as after a disk that lied, is refused rather than read for ever."""
    project_id, upload_id = await _start(world)
    await world.behind.put(await world.value("SELECT key FROM upload_keys"), _HALF[:3])
    await world.sql("UPDATE upload_sessions SET state = 'receiving', owner = 'zombie', owner_until = 1")
    async with asyncio.timeout(5):
        with pytest.raises(ObjectMissing, match="has 3 bytes where the upload had"):
            await world.uploads.receive(project_id, "app", upload_id, _body(_REST))


async def test_a_lease_from_before_the_clock_was_put_back_is_over(world: World) -> None:
    """An owner that lasts for longer than any lease is one that died before the clock was put back: nobody waits for it."""
    project_id, upload_id = await _start(world)
    await world.sql(
        "UPDATE upload_sessions SET state = 'receiving', owner = 'zombie', owner_until = expires_at + 360000000000"
    )
    async with asyncio.timeout(5):
        await world.uploads.finish(project_id, "app", upload_id, Digest.of(_WHOLE), _body(_REST))
    assert await world.bytes_of(Digest.of(_WHOLE)) == _WHOLE


async def test_a_slow_stream_keeps_its_upload(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that arrive renew the owner's lease, however few they are."""
    monkeypatch.setattr(reception, "_RECORD_SECONDS", 0.0)
    project_id = await world.project()
    upload = await world.uploads.start(project_id, "app")
    recorded: list[int] = []

    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(3):
            await world.sql(_LAPSE)
            yield b"x"
            recorded.append(await world.value("SELECT bytes FROM upload_sessions WHERE owner_until > 1"))

    await world.uploads.receive(project_id, "app", upload.id, slowly())
    # A store of parts has nothing durable yet; its owner stays its owner all the same.
    assert recorded == ([1, 2, 3] if world.store.appends else [0, 0, 0])
