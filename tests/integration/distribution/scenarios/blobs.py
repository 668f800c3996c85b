# SPDX-License-Identifier: Apache-2.0
"""Blobs: reading them whole and in parts, mounting, deleting, and what damage looks like."""

from __future__ import annotations

import asyncio

from longshore.access.models import REPOSITORY_PULL
from longshore.oci.digest import Algorithm, Digest
from longshore.projects.models import Role
from tests.integration.distribution.asgi import Client, Exchange
from tests.integration.distribution.world import Scenario, World, descriptor, encode, image

REPOSITORY = "demo/app"
BLOBS = f"/v2/{REPOSITORY}/blobs"
UNKNOWN = Digest.of(b"nobody has these bytes")


async def _pusher(world: World) -> Client:
    await world.project("demo")
    return await world.robot("ci", "demo")


async def headers_of_a_blob(world: World) -> None:
    """HEAD and GET answer the same headers: type, length, digest as it was pushed, entity tag, ranges."""
    client = await _pusher(world)
    for algorithm in Algorithm:
        payload = world.fresh(70_000)
        digest = await world.blob(client, REPOSITORY, payload, algorithm)
        head = (await client.head(f"{BLOBS}/{digest}")).expect(200)
        get = (await client.get(f"{BLOBS}/{digest}")).expect(200)
        assert get.body == payload
        for answer in (head, get):
            assert answer["content-length"] == "70000"
            assert answer["content-type"] == "application/octet-stream"
            assert answer["docker-content-digest"] == str(digest)
            assert answer["etag"] == f'"{digest}"'
            assert answer["accept-ranges"] == "bytes"
    (await client.get(f"{BLOBS}/{UNKNOWN}")).expect(404, "BLOB_UNKNOWN")
    (await client.head(f"{BLOBS}/{UNKNOWN}")).expect(404)
    (await client.get(f"/v2/demo/never/blobs/{UNKNOWN}")).expect(404, "BLOB_UNKNOWN")


async def ranges_of_a_blob(world: World) -> None:
    """A range is 206 with Content-Range, one that can't be had 416 with the size, what is no range the whole."""
    client = await _pusher(world)
    for size in (2048, 300_000):
        payload = world.fresh(size)
        target = f"{BLOBS}/{await world.blob(client, REPOSITORY, payload)}"
        for header, start, end in (
            ("bytes=500-1499", 500, 1499),
            ("bytes=500-", 500, size - 1),
            ("bytes=-500", size - 500, size - 1),
            (f"bytes=2000-{size + 5000}", 2000, size - 1),
            (f"bytes=-{size + 1}", 0, size - 1),
            ("bytes=0-0", 0, 0),
            (f"bytes=1-{size - 2}", 1, size - 2),
        ):
            answer = (await client.get(target, {"range": header})).expect(206)
            assert answer["content-range"] == f"bytes {start}-{end}/{size}"
            assert answer["content-length"] == str(end - start + 1)
            assert answer.body == payload[start : end + 1]
        for header in (f"bytes={size}-{size + 10}", "bytes=500-0", "bytes=-0", f"bytes={'9' * 40}-"):
            answer = (await client.get(target, {"range": header})).expect(416, "RANGE_INVALID")
            assert answer["content-range"] == f"bytes */{size}"
        for header in ("bytes=0-1,5-6", "lines=1-2", "bytes=a-b", "bytes=-", ""):
            assert (await client.get(target, {"range": header})).expect(200).body == payload


async def conditions_on_a_blob(world: World) -> None:
    """If-None-Match with the entity tag is 304 without a body; If-Range with another one brings the whole."""
    client = await _pusher(world)
    payload = world.fresh()
    digest = await world.blob(client, REPOSITORY, payload)
    target = f"{BLOBS}/{digest}"
    for value in (f'"{digest}"', f'W/"{digest}"', str(digest), "*", f'"other", "{digest}"'):
        answer = (await client.get(target, {"if-none-match": value})).expect(304)
        assert (answer.body, answer["etag"]) == (b"", f'"{digest}"')
    for value in ('"other"', ""):
        (await client.get(target, {"if-none-match": value})).expect(200)
    part = {"range": "bytes=0-9"}
    (await client.get(target, {**part, "if-range": f'"{digest}"'})).expect(206)
    assert (await client.get(target, {**part, "if-range": '"other"'})).expect(200).body == payload


async def large_blob_to_a_client_that_leaves(world: World) -> None:
    """A client that leaves in the middle of a large blob frees the file at once."""
    client = await _pusher(world)
    digest = await world.blob(client, REPOSITORY, world.fresh(1_000_000))
    taken = asyncio.Event()

    async def take(_piece: bytes) -> None:
        taken.set()
        await asyncio.Event().wait()

    exchange = Exchange(take=take)
    task = asyncio.create_task(world.edge(client.scope("GET", f"{BLOBS}/{digest}"), exchange.receive, exchange.send))
    await taken.wait()
    exchange.vanish()
    async with asyncio.timeout(5):
        results = await asyncio.gather(task, return_exceptions=True)
    assert type(results[0]).__name__ == "ClientGone"
    assert not exchange.complete


async def damaged_blob(world: World) -> None:
    """A blob whose bytes are cut short is an error, never a short or an endless answer; a push heals a known damage."""
    client = await _pusher(world)
    payload = world.fresh(200_000)
    digest = await world.blob(client, REPOSITORY, payload)
    for cut in (199_999, 1, 0):
        await world.damage(digest, payload[:cut])
        async with asyncio.timeout(5):
            (await client.get(f"{BLOBS}/{digest}")).expect(503, "UNAVAILABLE")
            (await client.get(f"{BLOBS}/{digest}", {"range": "bytes=0-9"})).expect(503, "UNAVAILABLE")
    await world.damage(digest, None)
    (await client.get(f"{BLOBS}/{digest}")).expect(503, "UNAVAILABLE")
    await world.sql("UPDATE blobs SET damaged = :yes", yes=True)
    named = (await client.get(f"{BLOBS}/{digest}")).expect(503, "UNAVAILABLE")
    assert str(digest) in named.message
    assert named["retry-after"]
    # For who asks before a push it doesn't exist, so that the push brings it again.
    (await client.head(f"{BLOBS}/{digest}")).expect(404)
    manifest = encode(image(payload))
    refused = await world.push(client, REPOSITORY, manifest, image(payload)["mediaType"], "latest")
    refused.expect(404, "MANIFEST_BLOB_UNKNOWN")
    await world.blob(client, REPOSITORY, payload)
    (await client.head(f"{BLOBS}/{digest}")).expect(200)
    assert (await client.get(f"{BLOBS}/{digest}")).expect(200).body == payload


async def small_blob_from_memory(world: World) -> None:
    """A small blob is read from the store once; what the database says of it is asked each time and always wins."""
    client = await _pusher(world)
    await world.project("other")
    stranger = await world.robot("stranger", "other")
    payload = world.fresh()
    target = f"{BLOBS}/{await world.blob(client, REPOSITORY, payload)}"
    before = world.store.opened
    for _ in range(3):
        assert (await client.get(target)).expect(200).body == payload
    part = (await client.get(target, {"range": "bytes=2-5"})).expect(206)
    assert (part.body, part["content-range"]) == (payload[2:6], f"bytes 2-5/{len(payload)}")
    assert world.store.opened == before + 1
    # Held in memory is not visible: not to a stranger, not in another repository, not when its promise is over.
    (await world.anonymous.get(target)).expect(401)
    (await stranger.get(target)).expect(403, "DENIED")
    (await client.get(target.replace(REPOSITORY, "demo/else"))).expect(404, "BLOB_UNKNOWN")
    await world.sql("UPDATE repository_blobs SET lease_until = 1")
    (await client.get(target)).expect(404, "BLOB_UNKNOWN")
    await world.blob(client, REPOSITORY, payload)
    (await client.get(target)).expect(200)
    # Damaged is damaged; whoever heals the blob brings another object.
    await world.sql("UPDATE blobs SET damaged = :yes", yes=True)
    (await client.get(target)).expect(503, "UNAVAILABLE")
    await world.blob(client, REPOSITORY, payload)
    assert (await client.get(target)).expect(200).body == payload
    assert world.store.opened == before + 2
    (await (await world.user("admin", sysadmin=True)).delete(target)).expect(202)
    (await client.get(target)).expect(404, "BLOB_UNKNOWN")


async def part_of_a_blob_is_no_whole(world: World) -> None:
    """What was read of a range isn't taken for the whole blob, and large blobs are read anew each time."""
    client = await _pusher(world)
    payload = world.fresh(1000)
    target = f"{BLOBS}/{await world.blob(client, REPOSITORY, payload)}"
    assert (await client.get(target, {"range": "bytes=0-9"})).expect(206).body == payload[:10]
    assert (await client.get(target)).expect(200).body == payload
    large = world.fresh(70_000)
    target = f"{BLOBS}/{await world.blob(client, REPOSITORY, large)}"
    before = world.store.opened
    for _ in range(2):
        assert (await client.get(target)).expect(200).body == large
        assert (await client.get(target, {"range": "bytes=0-9"})).expect(206).body == large[:10]
    assert world.store.opened == before + 4


async def blob_deleted(world: World) -> None:
    """A deleted blob is gone for every reader at once, on every process; deleting it again is 404; pushing heals."""
    await world.project("demo")
    client = await world.member("maintainer", "demo", Role.MAINTAINER)
    other = client.on(await world.process())
    payload = world.fresh()
    digest = await world.blob(client, REPOSITORY, payload)
    (await other.head(f"{BLOBS}/{digest}")).expect(200)
    (await client.delete(f"{BLOBS}/{digest}")).expect(202)
    (await other.head(f"{BLOBS}/{digest}")).expect(404)
    (await other.get(f"{BLOBS}/{digest}")).expect(404, "BLOB_UNKNOWN")
    (await other.delete(f"{BLOBS}/{digest}")).expect(404, "BLOB_UNKNOWN")
    assert await world.value("SELECT used_bytes FROM project_usage") == 0
    mount = await client.post(f"/v2/demo/else/blobs/uploads/?mount={digest}&from={REPOSITORY}")
    mount.expect(202)
    await world.blob(client, REPOSITORY, payload)
    (await other.head(f"{BLOBS}/{digest}")).expect(200)


async def blob_needed_by_a_manifest(world: World) -> None:
    """A blob that a live manifest needs can't be deleted: 405, naming the manifest; afterwards it can."""
    await world.project("demo")
    client = await world.member("maintainer", "demo", Role.MAINTAINER)
    layer = world.fresh()
    digest = await world.blob(client, REPOSITORY, layer)
    manifest = await world.manifest(client, REPOSITORY, image(layer, [layer]), "latest")
    refused = (await client.delete(f"{BLOBS}/{digest}")).expect(405, "UNSUPPORTED")
    assert str(manifest) in refused.message
    assert refused.get("allow") is not None
    (await client.get(f"{BLOBS}/{digest}")).expect(200)
    (await client.delete(f"/v2/{REPOSITORY}/manifests/latest")).expect(202)
    (await client.delete(f"{BLOBS}/{digest}")).expect(405, "UNSUPPORTED")
    (await client.delete(f"/v2/{REPOSITORY}/manifests/{manifest}")).expect(202)
    (await client.delete(f"{BLOBS}/{digest}")).expect(202)
    (await client.head(f"{BLOBS}/{digest}")).expect(404)


async def mount_from_a_repository(world: World) -> None:
    """A blob is mounted from where the caller may read it, be it another project: 201 without a byte sent."""
    for project in ("demo", "other"):
        await world.project(project)
    both = await world.member("both", "demo", Role.DEVELOPER)
    source = await world.robot("ci", "other")
    payload = world.fresh()
    for algorithm in Algorithm:
        digest = await world.blob(source, "other/base", payload, algorithm)
        target = f"{BLOBS}/uploads/?mount={digest}&from=other/base"
        answer = (await both.post(target)).expect(202)
        assert answer["location"].startswith(f"{BLOBS}/uploads/")
        (await both.put(f"{answer['location']}?digest={digest}", payload)).expect(201)
        assert answer["docker-upload-uuid"]
    await world.sql(
        "INSERT INTO project_members (project_id, user_id, role, created_at) VALUES (:project, :user, 'limited_guest', 1)",
        project=await world.project_id("other"),
        user=await world.user_id("both"),
    )
    await world.sql("UPDATE projects SET access_version = access_version + 1")
    world.wait(3)
    # What a token names doesn't matter for the source, what its bearer may do does.
    token = await world.token(both, "repository:demo/else:pull,push")
    created = world.store.created
    for client in (both, token):
        fresh = await world.blob(source, "other/base", world.fresh())
        answer = await client.post(f"/v2/demo/else/blobs/uploads/?mount={fresh}&from=other/base")
        answer.expect(201)
        assert answer["location"] == f"/v2/demo/else/blobs/{fresh}"
        assert answer["docker-content-digest"] == str(fresh)
        (await client.get(f"/v2/demo/else/blobs/{fresh}")).expect(200)
    assert world.store.created == created + 2, "only the two pushes to the source"


async def mount_that_cannot_be(world: World) -> None:
    """An unknown blob, an unknown or unreadable repository, and a name that is none: the same 202 with an upload."""
    for project in ("demo", "secret"):
        await world.project(project)
    client = await world.robot("ci", "demo")
    owner = await world.robot("ci", "secret")
    payload = world.fresh()
    digest = await world.blob(owner, "secret/app", payload)
    await world.blob(client, "demo/source", world.fresh())
    for origin in ("secret/app", "secret/never", "nowhere/app", "demo/source", "demo/never", "Not%20A%20Name", ""):
        answer = (await client.post(f"{BLOBS}/uploads/?mount={digest}&from={origin}")).expect(202)
        assert answer["range"] == "0-0"
        (await client.delete(answer["location"])).expect(204)
    answer = (await client.post(f"{BLOBS}/uploads/?mount={digest}")).expect(202)
    (await client.put(f"{answer['location']}?digest={digest}", payload)).expect(201)
    (await client.post(f"{BLOBS}/uploads/?mount=sha256:short&from=demo/source")).expect(400, "DIGEST_INVALID")


async def mount_without_from(world: World) -> None:
    """Without `from` a blob is found in the same project and in public ones, never in private ones of others."""
    await world.project("demo")
    await world.project("open", public=True)
    await world.project("secret")
    owners = {name: await world.robot("ci", name) for name in ("demo", "open", "secret")}
    digests = {name: await world.blob(owner, f"{name}/base", world.fresh()) for name, owner in owners.items()}
    for name, status in (("demo", 201), ("open", 201), ("secret", 202)):
        (await owners["demo"].post(f"{BLOBS}/uploads/?mount={digests[name]}")).expect(status)
    # A robot of the system reads what it was given, public or not.
    reader = await world.robot("reader", "secret", [REPOSITORY_PULL], system=True)
    (await reader.get(f"/v2/secret/base/blobs/{digests['secret']}")).expect(200)


async def mount_beyond_the_quota(world: World) -> None:
    """A mount counts like a push: where there is no room it is 403 and mounts nothing."""
    await world.project("demo", quota_bytes=150)
    await world.project("open", public=True)
    client = await world.robot("ci", "demo")
    owner = await world.robot("ci", "open")
    first, second = [await world.blob(owner, "open/base", world.fresh(100)) for _ in range(2)]
    (await client.post(f"{BLOBS}/uploads/?mount={first}&from=open/base")).expect(201)
    (await client.post(f"{BLOBS}/uploads/?mount={second}&from=open/base")).expect(403, "DENIED")
    (await client.head(f"{BLOBS}/{second}")).expect(404)
    # Once in the project, another repository of it costs nothing.
    (await client.post(f"/v2/demo/else/blobs/uploads/?mount={first}")).expect(201)


async def head_promise_kept(world: World) -> None:
    """A HEAD that says yes shortly before the lease ends extends it, so that the manifest can follow."""
    client = await _pusher(world)
    layer = world.fresh()
    digest = await world.blob(client, REPOSITORY, layer)
    expiring = "UPDATE repository_blobs SET lease_until = lease_until - :elapsed"
    await world.sql(expiring, elapsed=world.periods.grace - 60_000_000)
    before = await world.value("SELECT lease_until FROM repository_blobs")
    (await client.head(f"{BLOBS}/{digest}")).expect(200)
    assert await world.value("SELECT lease_until FROM repository_blobs") >= before + world.periods.grace // 2
    await world.sql("UPDATE repository_blobs SET lease_until = 1")
    (await client.head(f"{BLOBS}/{digest}")).expect(404)
    refused = await world.push(client, REPOSITORY, encode(image(layer)), image(layer)["mediaType"], "latest")
    refused.expect(404, "MANIFEST_BLOB_UNKNOWN")
    assert refused.json()["errors"][0]["detail"] == [{"digest": descriptor(layer)["digest"]}]
    await world.blob(client, REPOSITORY, layer)
    await world.manifest(client, REPOSITORY, image(layer), "latest")


SCENARIOS: tuple[Scenario, ...] = (
    headers_of_a_blob,
    ranges_of_a_blob,
    conditions_on_a_blob,
    large_blob_to_a_client_that_leaves,
    damaged_blob,
    small_blob_from_memory,
    part_of_a_blob_is_no_whole,
    blob_deleted,
    blob_needed_by_a_manifest,
    mount_from_a_repository,
    mount_that_cannot_be,
    mount_without_from,
    mount_beyond_the_quota,
    head_promise_kept,
)
