# SPDX-License-Identifier: Apache-2.0
"""Manifests: every kind of them, what they need, by which names they are found, and how they go."""

from __future__ import annotations

import asyncio
import base64
import json

from longshore.oci import mediatypes
from longshore.oci.digest import Algorithm, Digest
from longshore.projects.models import Role
from tests.integration.distribution.asgi import Client, pieces
from tests.integration.distribution.world import LAYER, Scenario, World, descriptor, encode, image, index

REPOSITORY = "demo/app"
MANIFESTS = f"/v2/{REPOSITORY}/manifests"
ABSENT = b"nobody pushed these bytes"


async def _developer(world: World, **settings: str) -> Client:
    await world.project("demo", **settings)  # type: ignore[arg-type] # only `sparse` is given
    return await world.member("maintainer", "demo", Role.MAINTAINER)


async def headers_of_a_manifest(world: World) -> None:
    """GET and HEAD by digest and tag answer the exact bytes with type, length, digest and entity tag."""
    client = await _developer(world)
    digest = await world.image(client, REPOSITORY, "v1")
    payload = (await client.get(f"{MANIFESTS}/{digest}")).expect(200).body
    assert Digest.of(payload) == digest
    accept = [("accept", mediatypes.OCI_INDEX), ("accept", mediatypes.OCI_MANIFEST)]
    for reference in ("v1", str(digest)):
        for headers in ([], accept, [("accept", "text/html")]):
            get = (await client.get(f"{MANIFESTS}/{reference}", headers)).expect(200)
            head = (await client.head(f"{MANIFESTS}/{reference}", headers)).expect(200)
            assert get.body == payload
            for answer in (get, head):
                assert answer["content-type"] == mediatypes.OCI_MANIFEST
                assert answer["content-length"] == str(len(payload))
                assert answer["docker-content-digest"] == str(digest)
                assert answer["etag"] == f'"{digest}"'
        for method in ("GET", "HEAD"):
            answer = await client.request(method, f"{MANIFESTS}/{reference}", {"if-none-match": f'"{digest}"'})
            assert (answer.expect(304).body, answer["docker-content-digest"]) == (b"", str(digest))
        (await client.get(f"{MANIFESTS}/{reference}", {"if-none-match": '"sha256:other"'})).expect(200)
    for reference in ("v2", str(Digest.of(ABSENT))):
        (await client.get(f"{MANIFESTS}/{reference}")).expect(404, "MANIFEST_UNKNOWN")
        (await client.head(f"{MANIFESTS}/{reference}")).expect(404)
        (await client.get(f"/v2/demo/never/manifests/{reference}")).expect(404, "MANIFEST_UNKNOWN")


async def answer_to_a_push(world: World) -> None:
    """PUT by tag and digest, with and without a length: 201, Location as a path by digest, the digest."""
    client = await _developer(world)
    layer = world.fresh()
    await world.blob(client, REPOSITORY, layer)
    payload = encode(image(layer, [layer]))
    digest = Digest.of(payload)
    for reference in ("v1", str(digest)):
        for body in (payload, pieces(payload[:50], payload[50:])):
            answer = await client.put(f"{MANIFESTS}/{reference}", body, {"content-type": mediatypes.OCI_MANIFEST})
            answer.expect(201)
            assert answer["location"] == f"{MANIFESTS}/{digest}"
            assert answer["docker-content-digest"] == str(digest)
            assert not answer.all("oci-subject")
            assert not answer.all("oci-tag")
    # Without a Content-Type the manifest's own mediaType counts.
    (await client.put(f"{MANIFESTS}/v2", payload)).expect(201)
    assert await world.value("SELECT count(*) FROM manifests") == 1


async def manifests_of_all_kinds(world: World) -> None:
    """Docker's and OCI's images and indexes, nested ones, artifacts and types of others are kept byte for byte."""
    client = await _developer(world)
    layer = world.fresh()
    empty = b"{}"
    for payload in (layer, empty):
        await world.blob(client, REPOSITORY, payload)
    config = descriptor(empty, mediatypes.OCI_EMPTY)
    foreign = {**descriptor(ABSENT, mediatypes.DOCKER_FOREIGN_LAYER), "urls": ["https://example.test/layer"]}
    withheld = descriptor(ABSENT, mediatypes.NON_DISTRIBUTABLE_PREFIX + "v1.tar+gzip")
    embedded = {**config, "data": base64.b64encode(empty).decode()}
    documents = [
        image(layer, [layer], mediatypes.DOCKER_MANIFEST),
        image(layer, [layer, layer]),
        image(layer, [], unknown={"any": ["thing"]}),
        image(empty, layers=[], artifactType="application/vnd.example+type"),
        {**image(empty), "config": config, "layers": [config], "artifactType": "application/vnd.example"},
        {**image(layer), "layers": [foreign, withheld]},
        {**image(empty), "config": embedded, "layers": [embedded], "artifactType": "text/plain"},
        {**image(layer), "mediaType": "application/vnd.example.thing.v1+json"},
        index([]),
        index([], mediatypes.DOCKER_MANIFEST_LIST),
    ]
    sizes: dict[Digest, int] = {}
    for document in documents:
        digest = await world.manifest(client, REPOSITORY, document)
        sizes[digest] = len(encode(document))
        answer = (await client.get(f"{MANIFESTS}/{digest}")).expect(200)
        assert answer.body == encode(document)
        assert answer["content-type"] == document["mediaType"]
    flat = index(sizes)
    digest = await world.manifest(client, REPOSITORY, flat, "flat")
    nested = index({digest: len(encode(flat))}, artifactType="application/vnd.example")
    await world.manifest(client, REPOSITORY, nested, "nested")
    listed = index(sizes, mediatypes.DOCKER_MANIFEST_LIST)
    await world.manifest(client, REPOSITORY, listed, "list")
    assert (await client.get(f"{MANIFESTS}/nested")).json() == nested


async def buildkit_cache(world: World) -> None:
    """An index that lists blobs, one of them twice, needs these blobs and holds them."""
    client = await _developer(world)
    layers = [world.fresh() for _ in range(3)]
    entries = [descriptor(layer) for layer in (*layers, layers[0])]
    entries.append(descriptor(layers[0], "application/vnd.buildkit.cacheconfig.v0"))
    document = index(entries)
    payload = encode(document)
    missing = await world.push(client, REPOSITORY, payload, mediatypes.OCI_INDEX, "cache")
    missing.expect(404, "MANIFEST_BLOB_UNKNOWN")
    for layer in layers:
        await world.blob(client, REPOSITORY, layer)
    await world.manifest(client, REPOSITORY, document, "cache")
    assert await world.value("SELECT count(*) FROM manifest_blobs") == 3
    assert await world.value("SELECT count(*) FROM repository_blobs WHERE lease_until IS NOT NULL") == 0
    (await client.delete(f"/v2/{REPOSITORY}/blobs/{Digest.of(layers[0])}")).expect(405)


async def refused_manifests(world: World) -> None:
    """Schema 1, withdrawn types, both shapes at once, wrong sizes and types that contradict each other: 400."""
    client = await _developer(world)
    layer = world.fresh()
    await world.blob(client, REPOSITORY, layer)
    good = image(layer, [layer])
    before = await world.footprint()
    for document, content_type, words in (
        ({"schemaVersion": 1, "name": "x"}, mediatypes.DOCKER_SCHEMA1, "schema 1"),
        ({"schemaVersion": 1, "name": "x"}, mediatypes.DOCKER_SCHEMA1_SIGNED, "schema 1"),
        ({**good, "schemaVersion": 1}, mediatypes.OCI_MANIFEST, "schema 1"),
        ({**good, "mediaType": mediatypes.OCI_ARTIFACT_MANIFEST}, mediatypes.OCI_ARTIFACT_MANIFEST, "withdrawn"),
        ({**good, "manifests": []}, mediatypes.OCI_MANIFEST, "manifests"),
        (good, mediatypes.OCI_INDEX, "Content-Type"),
        (good, "application/json", "Content-Type"),
        (good, "no type at all", "no media type"),
        ({**good, "config": {**good["config"], "size": 5}, "layers": []}, mediatypes.OCI_MANIFEST, "5 bytes"),
        ({"schemaVersion": 2}, mediatypes.OCI_MANIFEST, "config"),
        ({**good, "config": {**good["config"], "digest": "sha256:x"}}, mediatypes.OCI_MANIFEST, "digest"),
    ):
        answer = await world.push(client, REPOSITORY, encode(document), content_type, "latest")
        answer.expect(400, "MANIFEST_INVALID")
        assert words in answer.message
    for payload in (b"", b"{", b"[]", b"null", b'{"a":1,"a":2}', b"[" * 100_000, b'{"a":' * 200, b"\xff\xfe", b"1e999"):
        answer = await world.push(client, REPOSITORY, payload, mediatypes.OCI_MANIFEST, "latest")
        answer.expect(400, "MANIFEST_INVALID")
    wrong = f"{MANIFESTS}/{Digest.of(b'else')}"
    (await client.put(wrong, encode(good), {"content-type": mediatypes.OCI_MANIFEST})).expect(400, "DIGEST_INVALID")
    bad = await client.put(f"{MANIFESTS}/sha256:baddigeststring", encode(good))
    bad.expect(400, "DIGEST_INVALID")
    (await client.put(f"{MANIFESTS}/not a tag", encode(good))).expect(400, "TAG_INVALID")
    assert await world.footprint() == before


async def largest_manifest(world: World) -> None:
    """4 MiB are taken, one byte more is 413, also when the length isn't announced."""
    client = await _developer(world)
    layer = world.fresh()
    await world.blob(client, REPOSITORY, layer)
    limit = 4 * 1024 * 1024
    document = image(layer, annotations={f"org.example.{number}": "x" * 10_000 for number in range(390)})
    plain = encode({**document, "padding": ""})
    payload = encode({**document, "padding": "x" * (limit - len(plain))})
    assert len(payload) == limit
    (await world.push(client, REPOSITORY, payload, mediatypes.OCI_MANIFEST, "large")).expect(201)
    assert (await client.get(f"{MANIFESTS}/large")).expect(200).body == payload
    for body in (payload + b" ", pieces(payload, b" ")):
        answer = await client.put(f"{MANIFESTS}/larger", body, {"content-type": mediatypes.OCI_MANIFEST})
        answer.expect(413, "SIZE_INVALID")
    (await client.get(f"{MANIFESTS}/larger")).expect(404, "MANIFEST_UNKNOWN")


async def missing_parts(world: World) -> None:
    """In an ordinary project a manifest needs all its blobs and children; the answer names what is missing."""
    client = await _developer(world)
    layer = world.fresh()
    await world.blob(client, REPOSITORY, layer)
    await world.blob(client, "demo/elsewhere", ABSENT)
    for document, digest in (
        (image(layer, [ABSENT]), Digest.of(ABSENT)),
        (image(ABSENT), Digest.of(ABSENT)),
        (index({Digest.of(b"child"): 5}), Digest.of(b"child")),
    ):
        answer = await world.push(client, REPOSITORY, encode(document), document["mediaType"], "latest")
        answer.expect(404, "MANIFEST_BLOB_UNKNOWN")
        assert answer.json()["errors"][0]["detail"] == [{"digest": str(digest)}]
    (await client.get(f"{MANIFESTS}/latest")).expect(404, "MANIFEST_UNKNOWN")


async def sparse_children(world: World) -> None:
    """Where children may be missing an index is taken before them and knows them when they come; blobs are needed."""
    client = await _developer(world, sparse="children")
    layer = world.fresh()
    await world.blob(client, REPOSITORY, layer)
    child = image(layer)
    document = index({Digest.of(encode(child)): len(encode(child))})
    await world.manifest(client, REPOSITORY, document, "latest")
    answer = await world.push(client, REPOSITORY, encode(image(ABSENT)), mediatypes.OCI_MANIFEST, "broken")
    answer.expect(404, "MANIFEST_BLOB_UNKNOWN")
    assert await world.value("SELECT child_id FROM manifest_children") is None
    digest = await world.manifest(client, REPOSITORY, child)
    assert await world.value("SELECT child_id FROM manifest_children") is not None
    # A child of a live index stays.
    assert (await client.delete(f"{MANIFESTS}/{digest}")).status in {405, 409, 412}


async def sparse_any(world: World) -> None:
    """Where anything may be missing, a blob that comes later is held by the manifest that waited for it."""
    client = await _developer(world, sparse="any")
    digest = await world.manifest(client, REPOSITORY, image(ABSENT, [ABSENT]), "latest")
    await world.manifest(client, REPOSITORY, index({Digest.of(b"child"): 5, digest: 5}), "index")
    blob = f"/v2/{REPOSITORY}/blobs/{Digest.of(ABSENT)}"
    (await client.get(blob)).expect(404, "BLOB_UNKNOWN")
    await world.blob(client, REPOSITORY, ABSENT)
    await world.sql("UPDATE repository_blobs SET lease_until = 1")
    (await client.get(blob)).expect(200)
    (await client.head(blob)).expect(200)
    await world.manifest(client, REPOSITORY, image(ABSENT, [ABSENT]), "again")
    assert await world.value("SELECT count(*) FROM manifest_wants") == 0
    assert await world.value("SELECT count(*) FROM repository_blobs WHERE lease_until IS NULL") == 1


async def tags_by_parameter(world: World) -> None:
    """A push by digest sets every ?tag= and names each in OCI-Tag; bad ones are refused before anything is stored."""
    client = await _developer(world)
    layer = world.fresh()
    await world.blob(client, REPOSITORY, layer)
    payload = encode(image(layer))
    for algorithm in Algorithm:
        digest = Digest.of(payload, algorithm)
        target = f"{MANIFESTS}/{digest}?tag=a.{algorithm.value}&tag=b_1&tag=b_1"
        answer = await client.put(target, payload, {"content-type": mediatypes.OCI_MANIFEST})
        answer.expect(201)
        assert answer.all("oci-tag") == [f"a.{algorithm.value}", "b_1"]
        # The tag answers the digest that the manifest was pushed by.
        for method in ("GET", "HEAD"):
            found = (await client.request(method, f"{MANIFESTS}/b_1")).expect(200)
            assert found["docker-content-digest"] == str(digest)
    before = await world.footprint()
    for query, code in (("tag=not+good", "TAG_INVALID"), ("tag=", "TAG_INVALID"), ("&tag=x" * 101, "BAD_REQUEST")):
        (await client.put(f"{MANIFESTS}/{digest}?{query}", payload)).expect(400, code)
    (await client.put(f"{MANIFESTS}/latest?tag=other", payload)).expect(400, "BAD_REQUEST")
    assert await world.footprint() == before


async def sha512_all_the_way(world: World) -> None:
    """An index, its image and its blobs by sha512 can be pushed, read and deleted by it."""
    client = await _developer(world)
    layer = world.fresh()
    await world.blob(client, REPOSITORY, layer, Algorithm.SHA512)
    part = descriptor(layer, LAYER, Algorithm.SHA512)
    document = {**image(layer), "config": {**part, "mediaType": mediatypes.OCI_CONFIG}, "layers": [part]}
    child = Digest.of(encode(document), Algorithm.SHA512)
    parent_document = index({child: len(encode(document))})
    parent = Digest.of(encode(parent_document), Algorithm.SHA512)
    for digest, pushed in ((child, document), (parent, parent_document)):
        answer = await world.push(client, REPOSITORY, encode(pushed), pushed["mediaType"], str(digest))
        assert answer.expect(201)["docker-content-digest"] == str(digest)
        assert (await client.get(f"{MANIFESTS}/{digest}")).expect(200)["docker-content-digest"] == str(digest)
    (await client.get(f"{MANIFESTS}/{Digest.of(encode(document))}")).expect(404)
    # The child has no name of its own, so it goes with its parent.
    (await client.delete(f"{MANIFESTS}/{parent}")).expect(202)
    for digest in (parent, child):
        (await client.head(f"{MANIFESTS}/{digest}")).expect(404)
    (await client.delete(f"/v2/{REPOSITORY}/blobs/{part['digest']}")).expect(202)


async def deleted_by_tag_and_by_digest(world: World) -> None:
    """DELETE by tag takes only the name away, by digest the manifest with all its names, for everybody at once."""
    client = await _developer(world)
    other = client.on(await world.process())
    digest = await world.image(client, REPOSITORY, "one")
    payload = (await client.get(f"{MANIFESTS}/one")).body
    (await world.push(client, REPOSITORY, payload, mediatypes.OCI_MANIFEST, "two")).expect(201)
    (await other.get(f"{MANIFESTS}/one")).expect(200)
    (await client.delete(f"{MANIFESTS}/one")).expect(202)
    (await other.get(f"{MANIFESTS}/one")).expect(404, "MANIFEST_UNKNOWN")
    (await client.delete(f"{MANIFESTS}/one")).expect(404, "MANIFEST_UNKNOWN")
    (await other.get(f"{MANIFESTS}/{digest}")).expect(200)
    (await client.delete(f"{MANIFESTS}/{digest}")).expect(202)
    for reference in (str(digest), "two"):
        (await other.get(f"{MANIFESTS}/{reference}")).expect(404, "MANIFEST_UNKNOWN")
        (await other.delete(f"{MANIFESTS}/{reference}")).expect(404, "MANIFEST_UNKNOWN")
    assert (await client.get(f"/v2/{REPOSITORY}/tags/list")).expect(200).json()["tags"] == []
    assert await world.value("SELECT used_bytes FROM project_usage") == 0
    # Pushing it again brings it back, with its blobs.
    (await world.push(client, REPOSITORY, payload, mediatypes.OCI_MANIFEST, "two")).expect(201)
    (await other.get(f"{MANIFESTS}/two")).expect(200)
    for layer in json.loads(payload)["layers"]:
        (await other.get(f"/v2/{REPOSITORY}/blobs/{layer['digest']}")).expect(200)


async def two_pushes_of_one_digest(world: World) -> None:
    """The same manifest pushed by many at once, through several processes, succeeds for everyone and is one."""
    client = await _developer(world)
    edges = [world.edge, await world.process()]
    layer = world.fresh()
    await world.blob(client, REPOSITORY, layer)
    payload = encode(image(layer, [layer]))
    digest = Digest.of(payload)
    answers = await asyncio.gather(
        *(
            world.push(client.on(edges[number % 2]), REPOSITORY, payload, mediatypes.OCI_MANIFEST, reference)
            for number, reference in enumerate([str(digest), "same", "same", *(f"t{number}" for number in range(7))])
        )
    )
    for answer in answers:
        assert answer.expect(201)["docker-content-digest"] == str(digest)
    assert await world.value("SELECT count(*) FROM manifests") == 1
    assert await world.value("SELECT used_bytes FROM project_usage") == len(payload) + len(layer)


async def two_pushes_of_one_tag(world: World) -> None:
    """Different manifests pushed to one tag at once all succeed; the tag names one of them, the journal all moves."""
    client = await _developer(world)
    edges = [world.edge, await world.process()]
    layer = world.fresh()
    await world.blob(client, REPOSITORY, layer)
    payloads = [encode(image(layer, annotations={"number": str(number)})) for number in range(10)]
    answers = await asyncio.gather(
        *(
            world.push(client.on(edges[number % 2]), REPOSITORY, payload, mediatypes.OCI_MANIFEST, "latest")
            for number, payload in enumerate(payloads)
        )
    )
    for answer in answers:
        answer.expect(201)
    assert (await client.get(f"{MANIFESTS}/latest")).expect(200).body in payloads
    rows = await world.rows("SELECT action, digest FROM tag_journal ORDER BY id")
    assert [row[0] for row in rows] == ["created", *["moved"] * 9]
    assert {row[1] for row in rows} == {str(Digest.of(payload)) for payload in payloads}
    head = await client.head(f"{MANIFESTS}/latest")
    assert head["docker-content-digest"] == rows[-1][1]


async def quota_filled_by_two(world: World) -> None:
    """Of two pushes for which there is room for one, one succeeds and the other is 403; nothing exceeds the quota."""
    await world.project("demo", quota_bytes=250_000)
    client = await world.robot("ci", "demo")
    edges = [world.edge, await world.process()]
    blobs = [world.fresh(200_000) for _ in range(2)]
    uploads = f"/v2/{REPOSITORY}/blobs/uploads/"
    answers = await asyncio.gather(
        *(
            client.on(edge).post(f"{uploads}?digest={Digest.of(payload)}", pieces(payload))
            for edge, payload in zip(edges, blobs, strict=True)
        )
    )
    assert sorted(answer.status for answer in answers) == [201, 403]
    refused = next(answer for answer in answers if answer.status == 403)
    assert refused.code == "DENIED"
    assert "quota" in refused.message
    assert await world.value("SELECT used_bytes FROM project_usage") == 200_000
    # What is announced too large is refused before a byte arrives, what turns out too large when it has arrived.
    too_large = world.fresh(60_000)
    before = world.store.created
    (await client.post(f"{uploads}?digest={Digest.of(too_large)}", too_large)).expect(403, "DENIED")
    assert world.store.created == before
    location = (await client.post(uploads)).expect(202)["location"]
    (await client.patch(location, too_large)).expect(403, "DENIED")
    (await client.get(location)).expect(404, "BLOB_UPLOAD_UNKNOWN")
    kept = next(payload for payload, answer in zip(blobs, answers, strict=True) if answer.status == 201)
    big = encode(image(kept, annotations={"big": "x" * 60_000}))
    (await world.push(client, REPOSITORY, big, mediatypes.OCI_MANIFEST, "big")).expect(403, "DENIED")
    await world.manifest(client, REPOSITORY, image(kept), "small")


SCENARIOS: tuple[Scenario, ...] = (
    headers_of_a_manifest,
    answer_to_a_push,
    manifests_of_all_kinds,
    buildkit_cache,
    refused_manifests,
    largest_manifest,
    missing_parts,
    sparse_children,
    sparse_any,
    tags_by_parameter,
    sha512_all_the_way,
    deleted_by_tag_and_by_digest,
    two_pushes_of_one_digest,
    two_pushes_of_one_tag,
    quota_filled_by_two,
)
