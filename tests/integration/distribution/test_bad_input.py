# SPDX-License-Identifier: Apache-2.0
"""Whatever a request is made of, it is answered by the specification, never with a 500, and leaves nothing behind."""

from __future__ import annotations

import os
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longshore.oci import mediatypes
from longshore.oci.digest import Digest
from tests.integration.distribution import strange
from tests.integration.distribution.asgi import Answer, Client
from tests.integration.distribution.strange import NOTHING, Strange, one_wrong_part
from tests.integration.distribution.world import World, encode, image

EXAMPLES = int(os.environ.get("LONGSHORE_FUZZ_EXAMPLES", "120"))
QUICK = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="LONGSHORE_FUZZ_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

# Status by code, as in the specification and in the tree of `longshore.oci.errors`; nothing in here is the registry's fault.
STATUS = {
    "BAD_REQUEST": {400},
    "BLOB_UNKNOWN": {404},
    "BLOB_UPLOAD_INVALID": {400},
    "BLOB_UPLOAD_UNKNOWN": {404},
    "DENIED": {403},
    "DIGEST_INVALID": {400},
    "MANIFEST_BLOB_UNKNOWN": {404},
    "MANIFEST_INVALID": {400},
    "MANIFEST_UNKNOWN": {404},
    "NAME_INVALID": {400},
    "NAME_UNKNOWN": {404},
    "NOT_FOUND": {404},
    "PAGINATION_NUMBER_INVALID": {400},
    "RANGE_INVALID": {416},
    "SIZE_INVALID": {400, 413},
    "TAG_INVALID": {400},
    "TOOMANYREQUESTS": {429},
    "UNAUTHORIZED": {401},
    "UNSUPPORTED": {405},
}
# A push that fails may have made the repository's row, with the event that tells it, and an
# object that waits in the trash: these go by themselves. That no file is left that nothing owns is looked at in the end.
GOES_BY_ITSELF = {"repositories", "events", "trash"}


def check(request: Strange, answer: Answer) -> None:
    """The answer is one that the specification knows, with everything that belongs to it."""
    assert answer.status < 500, answer
    assert answer.all("x-request-id"), answer
    for name, value in answer.headers:
        assert name.isascii()
        assert "\r" not in value
        assert "\n" not in value
    if answer.status < 400:
        return
    if answer.status == 401:
        assert answer["www-authenticate"].startswith(("Bearer realm=", "Basic realm="))
    if answer.status == 405 and request.target.startswith("/v2"):
        assert request.method not in answer["allow"].split(", ")
    assert answer["content-type"] == "application/json; charset=utf-8"
    if request.method == "HEAD":
        return
    assert answer.status in STATUS[answer.code], answer
    assert answer.message.isprintable(), answer.message
    assert len(answer.message) < 3000


async def send(world: World, client: Client, request: Strange) -> Answer:
    """Sends the request; a refusal leaves nothing behind."""
    before = await world.rows_left()
    answer = await client.request(request.method, request.target, request.headers, request.body)
    check(request, answer)
    if answer.status >= 400:
        after = await world.rows_left()
        lasting = {name for name in before if before[name] != after[name]}
        allowed = GOES_BY_ITSELF if request.method in {"POST", "PUT", "PATCH"} else set()
        assert lasting <= allowed, (answer, lasting)
    return answer


@given(request=strange.requests)
@QUICK
async def test_strange_requests(world: World, request: Strange) -> None:
    """A request of strange parts by somebody who may do everything is answered below 500, in the envelope, and undone."""
    await send(world, await _everything(world), request)


@given(request=strange.requests, credentials=strange.credentials)
@QUICK
async def test_strange_credentials(world: World, request: Strange, credentials: str) -> None:
    """The same from somebody whose credentials are strange, or who has none: never let in, never a 500."""
    client = Client(world.edge, (("authorization", credentials),) if credentials else ())
    answer = await send(world, client, request)
    if credentials and request.target.startswith("/v2/"):
        assert answer.status in {400, 401, 404, 405, 429}


@given(
    form=st.lists(
        st.tuples(
            st.sampled_from(["grant_type", "username", "password", "service", "scope", "refresh_token", "access_type"])
            | strange.odd_texts,
            st.sampled_from(["password", "refresh_token", "harbor-registry", "a.b.c"]) | strange.odd_texts,
        ),
        max_size=6,
    ),
    raw=st.none() | st.binary(max_size=60),
    content_type=st.sampled_from(
        ["application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=x", ""]
    ),
)
@QUICK
async def test_strange_token_requests(
    world: World, form: list[tuple[str, str]], raw: bytes | None, content_type: str
) -> None:
    """The token service answers strange forms below 500 too, and never with a token."""
    body = "&".join(f"{quote(name)}={quote(value)}" for name, value in form).encode() if raw is None else raw
    request = Strange("POST", "/service/token", (("content-type", content_type),), body)
    assert (await send(world, world.anonymous, request)).status >= 400


@st.composite
def chunks(draw: st.DrawFn) -> list[Strange]:
    """Requests to an upload, most of them wrong; the target is still to be completed."""
    steps = []
    for _ in range(draw(st.integers(1, 6))):
        body = draw(st.binary(max_size=20))
        value = draw(st.none() | strange.ranges | st.sampled_from(["0-0", "0-4", "5-9", f"0-{len(body) - 1}"]))
        lines = () if value is None else (("content-range", strange.header_value(value)),)
        method = draw(st.sampled_from(["PATCH", "PATCH", "PUT", "GET", "POST"]))
        digest = draw(strange.digests) if method == "PUT" else ""
        steps.append(Strange(method, f"?digest={quote(digest)}" if digest else "", lines, body))
    return steps


@given(steps=chunks())
@QUICK
async def test_strange_chunks(world: World, steps: list[Strange]) -> None:
    """Whatever is sent to an upload, it has exactly the bytes that were acknowledged, or is over after a wrong digest."""
    client = await _everything(world)
    location = (await client.post("/v2/demo/app/blobs/uploads/")).expect(202)["location"]
    content = b""
    for step in steps:
        answer = await client.request(step.method, location + step.target, step.headers, step.body)
        check(step, answer)
        if answer.status == 202:
            content += step.body
        status = await client.get(location)
        if status.status == 404:
            assert step.method == "PUT"
            assert answer.code == "DIGEST_INVALID"
            return
        assert status.expect(204)["range"] == f"0-{max(len(content) - 1, 0)}"
    digest = Digest.of(content)
    (await client.put(f"{location}?digest={digest}")).expect(201)
    assert (await client.get(f"/v2/demo/app/blobs/{digest}")).expect(200).body == content


async def _everything(world: World) -> Client:
    if not await world.value("SELECT count(*) FROM users WHERE username = 'everything'"):
        await world.project("demo")
        client = await world.user("everything", sysadmin=True)
        await world.image(client, "demo/app", "latest")
        return client
    return world.anonymous.basic("everything", "Secret-1234")


GOOD = "/v2/demo/app"
UPLOADS = f"{GOOD}/blobs/uploads/"


async def test_one_wrong_part(world: World) -> None:
    """Each part of an otherwise right request, wrong in each way we know, is answered and undone."""
    client = await _everything(world)
    for request in one_wrong_part():
        answer = await send(world, client, request)
        if answer.status == 202 and "uploads" in request.target:
            (await client.delete(answer["location"])).expect(204)


# Method, target, headers; status and code.
WRONG: list[tuple[str, str, dict[str, str], int, str]] = [
    ("GET", "/v2/Demo/app/tags/list", {}, 400, "NAME_INVALID"),
    ("GET", "/v2/demo/tags/list", {}, 400, "NAME_INVALID"),
    ("PUT", "/v2/demo/a%00b/manifests/latest", {}, 400, "NAME_INVALID"),
    ("GET", f"/v2/{'a/' * 128}b/tags/list", {}, 400, "NAME_INVALID"),
    ("GET", f"{GOOD}/manifests/.hidden", {}, 400, "TAG_INVALID"),
    ("GET", f"{GOOD}/manifests/{'t' * 129}", {}, 400, "TAG_INVALID"),
    ("GET", f"{GOOD}/manifests/", {}, 400, "TAG_INVALID"),
    ("GET", f"{GOOD}/manifests/sha256:0", {}, 400, "DIGEST_INVALID"),
    ("PUT", f"{GOOD}/manifests/md5:{'0' * 32}", {}, 400, "DIGEST_INVALID"),
    ("GET", f"{GOOD}/blobs/latest", {}, 400, "DIGEST_INVALID"),
    ("GET", f"{GOOD}/blobs/sha256:{'G' * 64}", {}, 400, "DIGEST_INVALID"),
    ("DELETE", f"{GOOD}/blobs/sha256:{'0' * 63}", {}, 400, "DIGEST_INVALID"),
    ("GET", f"{GOOD}/referrers/latest", {}, 400, "DIGEST_INVALID"),
    ("POST", f"{UPLOADS}?digest=sha256:0", {}, 400, "DIGEST_INVALID"),
    ("POST", f"{UPLOADS}?mount=nothing&from=demo/app", {}, 400, "DIGEST_INVALID"),
    ("POST", f"{UPLOADS}?digest={NOTHING}", {}, 400, "DIGEST_INVALID"),
    ("PUT", f"{UPLOADS}{'0' * 32}?digest={NOTHING}", {}, 404, "BLOB_UPLOAD_UNKNOWN"),
    ("PUT", f"{UPLOADS}{'0' * 32}", {}, 400, "DIGEST_INVALID"),
    ("PATCH", f"{UPLOADS}nothing", {}, 404, "BLOB_UPLOAD_UNKNOWN"),
    ("PATCH", f"{UPLOADS}{'0' * 32}", {"content-range": "a-b"}, 400, "BLOB_UPLOAD_INVALID"),
    ("PATCH", f"{UPLOADS}{'0' * 32}", {"content-range": "9-0"}, 416, "RANGE_INVALID"),
    ("PATCH", f"{UPLOADS}{'0' * 32}", {"content-range": f"0-{'9' * 50}"}, 416, "RANGE_INVALID"),
    ("PATCH", f"{UPLOADS}{'0' * 32}", {"content-range": "0-4", "content-length": "9"}, 400, "SIZE_INVALID"),
    ("GET", f"{GOOD}/tags/list?n=-1", {}, 400, "PAGINATION_NUMBER_INVALID"),
    ("GET", f"{GOOD}/tags/list?last=%00", {}, 400, "BAD_REQUEST"),
    ("GET", f"{GOOD}/referrers/{NOTHING}?artifactType=%00", {}, 400, "BAD_REQUEST"),
    ("GET", "/v2/_catalog?last=%00&n=5", {}, 400, "BAD_REQUEST"),
    ("GET", f"{GOOD}/tags/list?{'x&' * 300}", {}, 400, "BAD_REQUEST"),
    ("GET", "/v2/demo/never/tags/list", {}, 404, "NAME_UNKNOWN"),
    ("GET", "/v2/never/app/tags/list", {}, 404, "NAME_UNKNOWN"),
    ("GET", f"{GOOD}/manifests/never", {}, 404, "MANIFEST_UNKNOWN"),
    ("GET", f"{GOOD}/blobs/{NOTHING}", {}, 404, "BLOB_UNKNOWN"),
    ("GET", f"{GOOD}/unknown/thing", {}, 404, "NOT_FOUND"),
    ("GET", "/service/token?service=another", {}, 400, "BAD_REQUEST"),
    ("GET", "/service/token?" + "scope=a:b:c&" * 101, {}, 400, "BAD_REQUEST"),
    ("POST", "/service/token", {"content-type": "application/json"}, 400, "BAD_REQUEST"),
]


async def test_each_wrong_part_has_its_code(world: World) -> None:
    """Every malformed, unknown or impossible part of a request gets the code of the specification."""
    client = await _everything(world)
    for method, target, headers, status, code in WRONG:
        answer = await send(world, client, Strange(method, target, tuple(headers.items()), b""))
        assert (answer.status, answer.code) == (status, code), f"{method} {target} {headers}: {answer}"


async def test_messages_say_what_to_do(world: World) -> None:
    """A message names what is wrong and can be shown in a terminal, whatever the client sent."""
    client = await _everything(world)
    hostile = quote("\x1b[31m\r\nSet-Cookie: a=b\u202e")
    for target in (
        f"/v2/demo/{hostile}/tags/list",
        f"{GOOD}/manifests/{hostile}",
        f"{GOOD}/blobs/{hostile}",
        f"/v2/{hostile}",
    ):
        answer = await client.get(target)
        assert answer.status in {400, 404}
        assert answer.message.isprintable()
        assert answer.message.isascii()


async def test_the_same_manifest_after_all_that(world: World) -> None:
    """A registry that has refused everything still takes what is right."""
    client = await _everything(world)
    for payload in (b"{", b"", encode(image(b"missing"))):
        await client.put(f"{GOOD}/manifests/latest", payload, {"content-type": mediatypes.OCI_MANIFEST})
    digest = await world.image(client, "demo/app", "latest")
    assert (await client.head(f"{GOOD}/manifests/latest")).expect(200)["docker-content-digest"] == str(digest)
