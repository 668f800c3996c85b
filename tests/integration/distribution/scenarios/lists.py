# SPDX-License-Identifier: Apache-2.0
"""Lists in pages, referrers, counting of pulls, and what stays invisible."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from unittest.mock import patch

from longshore.distribution import lists
from longshore.oci import mediatypes
from longshore.oci.digest import Digest
from longshore.projects.models import Role
from longshore.registry import referrers as referrer_pages
from tests.integration.distribution.asgi import Answer, Client
from tests.integration.distribution.world import Scenario, World, encode, image, index

REPOSITORY = "demo/app"
TAGS = f"/v2/{REPOSITORY}/tags/list"
INVISIBLE = Digest.of(b"invisible")


async def _developer(world: World) -> Client:
    await world.project("demo")
    return await world.member("maintainer", "demo", Role.MAINTAINER)


async def _pages(client: Client, target: str, member: str) -> list[list[Any]]:
    """What the pages list, following Link to the end."""
    pages = []
    following: str | None = target
    while following is not None:
        answer = (await client.get(following)).expect(200)
        pages.append(answer.json()[member])
        following = _next(answer)
        assert len(pages) < 50
    return pages


def _next(answer: Answer) -> str | None:
    link = answer.get("link")
    if link is None:
        return None
    match = re.fullmatch(r'<(/[^>]*)>; rel="next"', link)
    assert match is not None
    return match[1]


async def tags_in_pages(world: World) -> None:
    """Tags come in the order of their bytes, in pages of `n`, after `last` whether it exists or not."""
    client = await _developer(world)
    (await client.get(TAGS)).expect(404, "NAME_UNKNOWN")
    names = ["1", "1-0", "1.0", "9", "A", "Z", "_", "a", "a-b", "a.b", "ab", "z"]
    layer = world.fresh()
    await world.blob(client, REPOSITORY, layer)
    digest = Digest.of(encode(image(layer)))
    query = "&".join(f"tag={name}" for name in reversed(names))
    target = f"/v2/{REPOSITORY}/manifests/{digest}?{query}"
    (await client.put(target, encode(image(layer)))).expect(201)
    assert names == sorted(names)
    whole = (await client.get(TAGS)).expect(200)
    assert whole.json() == {"name": REPOSITORY, "tags": names}
    assert whole["content-type"].startswith("application/json")
    for size in (1, 5, 11, 12, 13, 1000):
        pages = await _pages(client, f"{TAGS}?n={size}", "tags")
        assert [len(page) for page in pages] == [size] * (12 // size) + ([12 % size] if 12 % size else [])
        assert [name for page in pages for name in page] == names
    for last in ("", "1", "1-", "B", "a", "a-b", "z", "zz", "a%20b", "%C3%A9"):
        rest = (await client.get(f"{TAGS}?last={last}")).expect(200).json()["tags"]
        plain = last.replace("%20", " ").replace("%C3%A9", "\u00e9")
        assert rest == [name for name in names if name.encode() > plain.encode()]
    nothing = (await client.get(f"{TAGS}?n=0")).expect(200)
    assert (nothing.json()["tags"], nothing.get("link")) == ([], None)
    for wrong in ("-1", "x", "1e3", "%C2%B2", "9" * 30, "1.0"):
        (await client.get(f"{TAGS}?n={wrong}")).expect(400, "PAGINATION_NUMBER_INVALID")
    (await client.get(f"{TAGS}?n=999999999999")).expect(200)


async def tags_while_others_write(world: World) -> None:
    """Following the pages while tags come and go ends, and shows every tag that was there all the time."""
    client = await _developer(world)
    layer = world.fresh()
    await world.blob(client, REPOSITORY, layer)
    payload = encode(image(layer))
    stable = [f"s{number:02}" for number in range(20)]
    query = "&".join(f"tag={name}" for name in stable)
    manifest = f"/v2/{REPOSITORY}/manifests/{Digest.of(payload)}"
    (await client.put(f"{manifest}?{query}", payload)).expect(201)
    stop = asyncio.Event()

    async def write(edge: Client) -> int:
        written = 0
        while not stop.is_set():
            name = f"s{written % 20:02}-{written}"
            (await edge.put(f"/v2/{REPOSITORY}/manifests/{name}", payload)).expect(201)
            (await edge.delete(f"/v2/{REPOSITORY}/manifests/{name}")).expect(202)
            written += 1
        return written

    writer = asyncio.create_task(write(client.on(await world.process())))
    for size in (1, 3, 7):
        pages = await _pages(client, f"{TAGS}?n={size}", "tags")
        seen = [name for page in pages for name in page]
        assert set(seen) >= set(stable)
        assert seen == sorted(set(seen))
        await asyncio.sleep(0.01)
    stop.set()
    assert await writer > 0


async def catalog_in_pages(world: World) -> None:
    """The catalog lists what the caller may pull from, in pages, once a repository has a manifest."""
    for project, public in (("alpha", False), ("beta", True), ("beta-x", False), ("gamma", False)):
        await world.project(project, public=public)
    admin = await world.admin()
    names = ["alpha/a", "alpha/a/b", "beta-x/c", "beta/a", "beta/a-b", "gamma/z"]
    for name in names:
        await world.image(admin, name, "latest")
    await world.blob(admin, "alpha/only-a-blob", world.fresh())
    # Projects sort by their own names first, so that a page begins where the last one ended.
    ordered = ["alpha/a", "alpha/a/b", "beta/a", "beta/a-b", "beta-x/c", "gamma/z"]
    for size in (1, 2, 4, 6, 7):
        pages = await _pages(admin, f"/v2/_catalog?n={size}", "repositories")
        assert [name for page in pages for name in page] == ordered
        assert all(len(page) == size for page in pages[:-1])
    assert (await admin.get("/v2/_catalog?n=0")).expect(200).json() == {"repositories": []}
    assert (await admin.get("/v2/_catalog?last=beta")).json()["repositories"] == ordered[2:]
    (await admin.get("/v2/_catalog?n=many")).expect(400, "PAGINATION_NUMBER_INVALID")
    guest = await world.member("guest", "gamma", Role.LIMITED_GUEST)
    robot = await world.robot("ci", "alpha")
    outsider = await world.user("outsider")
    for client, shown in ((guest, "beta gamma"), (robot, "alpha beta"), (outsider, "beta")):
        expected = [name for name in ordered if name.partition("/")[0] in shown.split()]
        assert (await client.get("/v2/_catalog")).expect(200).json()["repositories"] == expected
        token = await world.token(client, "registry:catalog:*")
        assert (await token.get("/v2/_catalog")).expect(200).json()["repositories"] == expected
        other = await world.token(client, "repository:beta/a:pull")
        challenge = (await other.get("/v2/_catalog")).expect(401, "UNAUTHORIZED")["www-authenticate"]
        assert 'scope="registry:catalog:*"' in challenge
    challenge = (await world.anonymous.get("/v2/_catalog")).expect(401, "UNAUTHORIZED")["www-authenticate"]
    assert 'scope="registry:catalog:*"' in challenge


async def referrers_of_a_subject(world: World) -> None:
    """A manifest with a subject is answered OCI-Subject and listed with type, size and annotations, by kind too."""
    client = await _developer(world)
    subject = Digest.of(b"not pushed yet")
    target = f"/v2/{REPOSITORY}/referrers/{subject}"
    for repository in ("demo/never", REPOSITORY):
        nothing = (await client.get(f"/v2/{repository}/referrers/{subject}")).expect(200)
        assert nothing["content-type"] == mediatypes.OCI_INDEX
        assert nothing.json() == {"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": []}
        assert not nothing.all("oci-filters-applied")
    layer = world.fresh()
    await world.blob(client, REPOSITORY, layer)
    named: dict[str, Any] = {"subject": {"mediaType": mediatypes.OCI_MANIFEST, "digest": str(subject), "size": 14}}
    documents = [
        image(layer, artifactType="application/vnd.example.sbom", annotations={"a": "\u00e9", "b": ""}, **named),
        image(layer, annotations={"org.example": "1"}, **named),
        index([], artifactType="application/vnd.example.sbom", **named),
        index([], annotations={"x": "y"}, **named),
    ]
    expected = []
    for document in documents:
        payload = encode(document)
        for reference in (str(Digest.of(payload)), "tagged"):
            answer = await world.push(client, REPOSITORY, payload, document["mediaType"], reference)
            assert answer.expect(201)["oci-subject"] == str(subject)
        entry = {"mediaType": document["mediaType"], "digest": str(Digest.of(payload)), "size": len(payload)}
        kind = document.get("artifactType") or (document.get("config") or {}).get("mediaType")
        entry |= {"artifactType": kind} if kind else {}
        expected.append(entry | ({"annotations": document["annotations"]} if "annotations" in document else {}))
    assert (await client.get(target)).expect(200).json()["manifests"] == expected
    for kind in ("application/vnd.example.sbom", mediatypes.OCI_CONFIG, "none/such"):
        query = kind.replace("+", "%2B")
        filtered = (await client.get(f"{target}?artifactType={query}")).expect(200)
        assert filtered["oci-filters-applied"] == "artifactType"
        assert filtered.json()["manifests"] == [entry for entry in expected if entry.get("artifactType") == kind]
    head = (await client.head(target)).expect(200)
    assert head["content-type"] == mediatypes.OCI_INDEX
    (await client.delete(f"/v2/{REPOSITORY}/manifests/{expected[0]['digest']}")).expect(202)
    assert (await client.get(target)).json()["manifests"] == expected[1:]
    (await client.get(f"/v2/{REPOSITORY}/referrers/latest")).expect(400, "DIGEST_INVALID")


async def referrers_in_pages(world: World) -> None:
    """Referrers come in pages by number and by size, to the end while others are pushed, the filter kept in the Link."""
    client = await _developer(world)
    layer = world.fresh()
    await world.blob(client, REPOSITORY, layer)
    subject = {"mediaType": mediatypes.OCI_MANIFEST, "digest": str(INVISIBLE), "size": 14}
    digests = []
    for number in range(9):
        note = {"number": str(number), "long": "x" * (3_200_000 if number in {3, 4} else 10)}
        document = image(layer, subject=subject, artifactType=f"application/x.{number % 2}", annotations=note)
        digests.append(str(await world.manifest(client, REPOSITORY, document)))
    target = f"/v2/{REPOSITORY}/referrers/{INVISIBLE}"
    for limit, most_bytes in ((1000, referrer_pages.PAGE_BYTES), (2, referrer_pages.PAGE_BYTES), (1000, 1), (1, 1)):
        with patch.object(lists, "REFERRERS", limit), patch.object(referrer_pages, "PAGE_BYTES", most_bytes):
            pages = await _pages(client, target, "manifests")
            assert [entry["digest"] for page in pages for entry in page] == digests
            assert all(len(page) <= limit for page in pages)
            assert all(len(page) <= 1 or len(str(page)) < most_bytes + 500_000 for page in pages)
            odd = await _pages(client, f"{target}?artifactType=application/x.1", "manifests")
            assert [entry["digest"] for page in odd for entry in page] == digests[1::2]
    for wrong in ("x", "-1", "%C2%B2", "9" * 30):
        (await client.get(f"{target}?after={wrong}")).expect(400, "PAGINATION_NUMBER_INVALID")


async def pulls_are_counted(world: World) -> None:
    """A GET of a manifest counts for its digest, its tag and its parents; a HEAD and a blob don't."""
    client = await _developer(world)
    robot = await world.robot("ci", "demo")
    child = await world.image(client, REPOSITORY, "child")
    parent = await world.manifest(client, REPOSITORY, index({child: 1}), "parent")
    manifests = f"/v2/{REPOSITORY}/manifests"
    for _ in range(3):
        (await client.get(f"{manifests}/child")).expect(200)
    (await robot.get(f"{manifests}/{child}")).expect(200)
    (await robot.get(f"{manifests}/parent")).expect(200)
    (await client.head(f"{manifests}/child")).expect(200)
    (await client.get(f"{manifests}/nothing")).expect(404)
    await world.edge.services.pulls.flush()
    await world.edge.services.pulls.flush()
    counts = await world.rows(
        "SELECT m.digest, p.pull_count FROM manifest_pulls p JOIN manifests m ON m.id = p.manifest_id"
        " WHERE p.pulled_at > 0"
    )
    assert {row[0]: row[1] for row in counts} == {str(child): 4, str(parent): 5}
    tags = await world.rows("SELECT name, pull_count FROM tags WHERE pulled_at IS NOT NULL")
    assert {row[0]: row[1] for row in tags} == {"child": 3, "parent": 1}
    # A pull of what is gone by the time of writing is forgotten, and the others are not.
    doomed = await world.manifest(client, REPOSITORY, index([]), "doomed")
    (await client.get(f"{manifests}/doomed")).expect(200)
    (await client.get(f"{manifests}/child")).expect(200)
    await world.sql("DELETE FROM tags WHERE name = 'doomed'")
    await world.sql(
        "UPDATE project_usage SET used_bytes = used_bytes - :n, stored_bytes = stored_bytes - :n,"
        " artifact_count = artifact_count - 1",
        n=await _size(world, doomed),
    )
    await world.sql("UPDATE repositories SET artifact_count = artifact_count - 1")
    await world.sql("DELETE FROM manifests WHERE digest = :digest", digest=str(doomed))
    await world.edge.services.pulls.flush()
    assert await world.value("SELECT pull_count FROM tags WHERE name = 'child'") == 4


async def _size(world: World, digest: Digest) -> int:
    return int(await world.value("SELECT size FROM manifests WHERE digest = :digest", digest=str(digest)))


async def unknown_and_invisible_are_one(world: World) -> None:
    """A project that doesn't exist and one that the caller can't see answer the same bytes to every request."""
    await world.project("secret")
    owner = await world.robot("ci", "secret")
    await world.image(owner, "secret/app", "latest")
    outsider = await world.user("outsider")
    callers = [
        world.anonymous,
        outsider,
        await world.token(outsider, "repository:secret/app:pull,push,delete", "repository:absent/app:pull,push,delete"),
        await world.token(world.anonymous, "repository:secret/app:pull", "repository:absent/app:pull"),
    ]
    latest = await owner.get("/v2/secret/app/manifests/latest")
    existing = latest["docker-content-digest"]
    for client in callers:
        for method, tail in (
            *(
                (method, f"manifests/{name}")
                for method in ("GET", "HEAD", "PUT", "DELETE")
                for name in ("latest", existing)
            ),
            *((method, f"blobs/{latest.json()['config']['digest']}") for method in ("GET", "HEAD", "DELETE")),
            ("POST", "blobs/uploads/"),
            ("POST", f"blobs/uploads/?mount={INVISIBLE}&from=secret/app"),
            ("POST", f"blobs/uploads/?digest={INVISIBLE}"),
            *((method, f"blobs/uploads/{'0' * 32}?digest={INVISIBLE}") for method in ("GET", "PATCH", "PUT", "DELETE")),
            ("GET", "tags/list"),
            ("GET", f"referrers/{INVISIBLE}"),
        ):
            # The names are of one length, so that lengths are compared too.
            answers = []
            for name in ("secret/app", "secret/not", "absent/app"):
                target = f"/v2/{name}/{tail.replace('secret/app', name)}"
                answer = await client.request(method, target, {"x-request-id": "the-same"}, b"")
                assert answer.status in {401, 403}
                told = str((answer.status, answer.headers, answer.body))
                answers.append(told.replace(name, "NAME").replace(name.partition("/")[0], "PROJECT"))
            assert answers[0] == answers[1] == answers[2]


async def methods_that_do_not_exist(world: World) -> None:
    """Another method is 405 with the ones that work in Allow; another path is 404."""
    client = await _developer(world)
    digest = await world.image(client, REPOSITORY, "latest")
    base = f"/v2/{REPOSITORY}"
    for target, allowed in (
        ("/v2/", "GET, HEAD"),
        ("/v2/_catalog", "GET, HEAD"),
        (f"{base}/tags/list", "GET, HEAD"),
        (f"{base}/referrers/{digest}", "GET, HEAD"),
        (f"{base}/manifests/latest", "GET, HEAD, PUT, DELETE"),
        (f"{base}/blobs/{digest}", "GET, HEAD, DELETE"),
        (f"{base}/blobs/uploads/", "POST"),
        (f"{base}/blobs/uploads/{'0' * 32}", "GET, PATCH, PUT, DELETE"),
    ):
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
            if method not in allowed.split(", "):
                answer = (await client.request(method, target)).expect(405, None if method == "HEAD" else "UNSUPPORTED")
                assert answer["allow"] == allowed
    for target in (
        f"{base}/tags/list/",
        f"{base}/tags",
        f"{base}/tags/other",
        f"{base}/else/x",
        "/v2/x",
        "/v2//",
        f"{base}/",
    ):
        (await client.get(target)).expect(404, "NOT_FOUND")
    token = await client.request("DELETE", "/service/token")
    assert (token.status, token["allow"]) == (405, "GET, HEAD, POST")


SCENARIOS: tuple[Scenario, ...] = (
    tags_in_pages,
    tags_while_others_write,
    catalog_in_pages,
    referrers_of_a_subject,
    referrers_in_pages,
    pulls_are_counted,
    unknown_and_invisible_are_one,
    methods_that_do_not_exist,
)
