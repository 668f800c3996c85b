# SPDX-License-Identifier: Apache-2.0
"""Strange requests: every part of one malformed in every way that we could think of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from hypothesis import strategies as st

from longshore.oci import mediatypes
from longshore.oci.digest import Digest

NOTHING = Digest.of(b"nobody pushed these bytes")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

# Percent-encoded or as they are, characters that mean something somewhere.
_ODD = st.sampled_from(list("/:@?#%&=+.,;~\\\"'<>{}|^` \t\r\n\x00\x7f\u00e9\u2028\U0001f40b$*()[]!-_aA0"))
odd_texts = st.text(_ODD | st.characters(exclude_categories=["Cs"]), max_size=40)
long_texts = st.builds(lambda text, times: text * times, st.sampled_from("a /.-\u00e9%"), st.integers(200, 5000))

NAMES = [
    "demo/app",
    "demo",
    "",
    "Demo/app",
    "demo/App",
    "demo/app/",
    "/demo/app",
    "demo//app",
    "demo/../app",
    "demo/./app",
    "demo/-app",
    "demo/app_",
    "demo/a..b",
    "demo/a___b",
    "demo/blobs/uploads",
    "demo/app/manifests",
    "nowhere/app",
    "demo/\u00e4pp",
    "demo/app\x00",
    "demo/app\n",
    "d" * 255 + "/app",
    "demo/" + "a/" * 200 + "a",
]
names = st.one_of(
    st.sampled_from(NAMES),
    odd_texts,
    long_texts,
)
hexadecimal = st.text("0123456789abcdef", max_size=130)
DIGESTS = [
    str(NOTHING),
    "sha256:",
    ":",
    "sha256",
    f"SHA256:{NOTHING.hex}",
    f"sha256:{NOTHING.hex.upper()}",
    f"sha256:{NOTHING.hex[:-1]}",
    f"sha256:{NOTHING.hex}0",
    f"sha512:{NOTHING.hex}",
    f"md5:{NOTHING.hex[:32]}",
    f"sha256+b64:{NOTHING.hex}",
    f"sha256:{NOTHING.hex}\n",
    f" sha256:{NOTHING.hex}",
    f"sha256:{'g' * 64}",
    "sha256:" + "\u0661" * 64,
    "sha256:../../../etc/passwd",
]
digests = st.one_of(
    st.sampled_from(DIGESTS),
    st.builds(
        lambda algorithm, text: f"{algorithm}:{text}", st.sampled_from(["sha256", "sha512", "sha384"]), hexadecimal
    ),
    odd_texts,
    long_texts,
)
TAGS = ["latest", ".latest", "-latest", "la test", "t" * 128, "t" * 129, "", "\u00e9", "a:b", "a@b"]
references = st.one_of(
    digests,
    st.sampled_from(TAGS),
)
NUMBERS = ["0", "-1", "1.5", "1e3", "", " 1", "\u00b2", "\u0663", "NaN", "0x10", "9" * 18, "9" * 5000, "\x00"]
numbers = st.one_of(
    st.sampled_from(NUMBERS),
    st.integers(-(2**70), 2**70).map(str),
    odd_texts,
)
ranges = st.one_of(
    st.builds(
        lambda unit, first, last: f"{unit}{first}-{last}",
        st.sampled_from(["bytes=", "bytes ", "", "x="]),
        numbers,
        numbers,
    ),
    st.sampled_from(["bytes=0-0,2-3", "bytes=", "-", "0-9/*", "bytes 0-9/10", "9-0", "bytes */5"]),
    odd_texts,
)
MEDIA_TYPES = [
    mediatypes.OCI_MANIFEST,
    mediatypes.OCI_INDEX,
    mediatypes.DOCKER_MANIFEST,
    mediatypes.DOCKER_MANIFEST_LIST,
    mediatypes.DOCKER_SCHEMA1,
    mediatypes.OCI_ARTIFACT_MANIFEST,
    "application/json",
    "text/plain; charset=utf-8",
    "/",
    "a/b/c",
    ";",
]
media_types = st.one_of(
    st.sampled_from(MEDIA_TYPES),
    odd_texts,
)
documents = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"",
            b"{}",
            b"null",
            b"[" * 5000,
            b'{"a":' * 5000,
            b'{"schemaVersion":2,"schemaVersion":2}',
            b'{"schemaVersion":' + b"9" * 5000 + b"}",
            b'{"schemaVersion":1e9999}',
            b'{"schemaVersion":NaN}',
            b'{"a":"\\ud800"}',
            b'{"a":"\\u0000"}',
            b'{"schemaVersion":2,"config":{},"layers":[]}',
            b'{"schemaVersion":2,"manifests":[{}]}',
            b"\xef\xbb\xbf{}",
            b'{"schemaVersion":2,"manifests":[{"mediaType":"a/b","size":-1,"digest":"sha256:x"}]}',
        ]
    ),
)


def _percent(text: str, raw: bool) -> str:
    """The text as it can stand in a request target: what can't is percent-encoded, or all of it."""
    return quote(text, safe="/:@+,;=!$'()*~._-%" if raw else "")


segments = st.builds(_percent, odd_texts | references, st.booleans())
sessions = st.sampled_from(["0" * 32, "0" * 31, "0" * 33, "\u0660" * 32, "..", "", "%00", "a" * 5000])


@dataclass(frozen=True, slots=True)
class Strange:
    """A request, ready to be sent."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


tails = st.one_of(
    st.builds(lambda reference: f"manifests/{quote(reference)}", references),
    st.builds(lambda digest: f"blobs/{quote(digest)}", digests),
    st.builds(lambda digest: f"referrers/{quote(digest)}", digests),
    st.builds(lambda session: f"blobs/uploads/{quote(session, safe='%')}", sessions),
    st.sampled_from(
        ["blobs/uploads/", "blobs/uploads", "tags/list", "tags/", "manifests/", "blobs/", "referrers", "", "/"]
    ),
    segments,
)
paths = st.one_of(
    st.builds(lambda name, tail: f"/v2/{quote(name)}/{tail}", names, tails),
    st.builds(lambda tail: f"/v2/demo/app/{tail}", tails),
    st.builds(lambda segment: f"/v2/{segment}", segments),
    st.sampled_from(["/v2/_catalog", "/v2/_catalog/", "/v2//", "/v2/", "/service/token"]),
)
parameters = st.one_of(
    st.tuples(st.just("digest"), digests),
    st.tuples(st.just("mount"), digests),
    st.tuples(st.just("from"), names),
    st.tuples(st.just("tag"), references),
    st.tuples(st.sampled_from(["n", "after"]), numbers),
    st.tuples(st.sampled_from(["last", "artifactType", "state", "service", "account"]), odd_texts),
    st.tuples(st.just("scope"), st.builds(lambda name, actions: f"repository:{name}:{actions}", names, odd_texts)),
    st.tuples(odd_texts, odd_texts),
)
queries = st.one_of(
    st.lists(parameters, max_size=4).map(
        lambda pairs: "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
    ),
    st.sampled_from(
        ["&" * 300, "%", "%zz", "=", "a", "tag=x&" * 300, "digest", "n=%FF%FE", "last=%00", "artifactType=%00"]
    ),
)


def header_value(text: str) -> str:
    """What a server lets pass in a header: bytes, but no line ends and no U+0000."""
    return text.encode("utf-8", "replace").decode("latin-1").translate({0: None, 10: None, 13: None})


headers = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["range", "content-range", "if-range"]), ranges),
        st.tuples(st.just("content-length"), numbers),
        st.tuples(st.sampled_from(["content-type", "accept"]), media_types),
        st.tuples(st.just("if-none-match"), digests),
        st.tuples(
            st.sampled_from(["host", "x-forwarded-for", "forwarded", "x-request-id", "cookie"]), odd_texts | long_texts
        ),
    ).map(lambda pair: (pair[0], header_value(pair[1]))),
    max_size=3,
)
credentials = st.one_of(
    st.builds(
        lambda scheme, text: f"{scheme} {text}",
        st.sampled_from(["Basic", "Bearer", "basic", "Digest", ""]),
        odd_texts | long_texts,
    ),
    st.sampled_from(
        ["Basic Og==", "Basic gIA6gA==", "Basic AAAA", "Basic", "Bearer", "Bearer a.b.c", "Basic YQBiOmM="]
    ),
).map(header_value)
requests = st.builds(
    lambda method, path, query, lines, body: Strange(method, f"{path}?{query}" if query else path, tuple(lines), body),
    st.sampled_from([*METHODS, "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "X" * 300]),
    paths,
    queries,
    headers,
    documents,
)


TEXTS = [
    "",
    "\x00",
    "a\x00b",
    "\n",
    "\u00e9",
    "\U0001f40b",
    "a" * 10_000,
    "'; DROP TABLE blobs; --",
    "%",
    "../..",
    "\u202e",
]
_UPLOADS = "/v2/demo/app/blobs/uploads/"
# Route, parameter (or header, if it begins with a capital letter), and what is wrong with it.
_PARTS = [
    ("GET /v2/demo/app/tags/list", "n", NUMBERS),
    ("GET /v2/demo/app/tags/list", "last", TEXTS + NAMES),
    ("GET /v2/_catalog", "n", NUMBERS),
    ("GET /v2/_catalog", "last", TEXTS + NAMES),
    (f"GET /v2/demo/app/referrers/{NOTHING}", "after", NUMBERS),
    (f"GET /v2/demo/app/referrers/{NOTHING}", "artifactType", TEXTS + MEDIA_TYPES),
    ("GET /v2/demo/app/manifests/latest", "If-None-Match", TEXTS + DIGESTS),
    ("GET /v2/demo/app/manifests/latest", "Accept", TEXTS + MEDIA_TYPES),
    ("GET /v2/demo/app/manifests/latest", "Host", TEXTS + NAMES),
    ("PUT /v2/demo/app/manifests/latest", "Content-Type", TEXTS + MEDIA_TYPES),
    (f"PUT /v2/demo/app/manifests/{NOTHING}", "tag", TEXTS + TAGS),
    (f"POST {_UPLOADS}", "digest", TEXTS + DIGESTS),
    (f"POST {_UPLOADS}", "mount", TEXTS + DIGESTS),
    (f"POST {_UPLOADS}?mount={NOTHING}", "from", TEXTS + NAMES),
    (f"POST {_UPLOADS}?digest={NOTHING}", "Content-Length", NUMBERS),
    (f"PATCH {_UPLOADS}{'0' * 32}", "Content-Range", TEXTS + NUMBERS),
    (f"PUT {_UPLOADS}{'0' * 32}", "digest", TEXTS + DIGESTS),
    ("GET /service/token", "scope", TEXTS + NAMES),
    ("GET /service/token", "service", TEXTS),
    ("GET /service/token", "Authorization", TEXTS),
]


def one_wrong_part() -> Iterator[Strange]:
    """Requests that are right but for one parameter or header, with everything in it that can be wrong."""
    for route, name, values in _PARTS:
        method, _, target = route.partition(" ")
        for value in values:
            if name[0].isupper():
                yield Strange(
                    method, target, ((name.lower(), header_value(value)),), b"" if method == "GET" else b"bytes"
                )
            else:
                yield Strange(method, f"{target}{'&' if '?' in target else '?'}{name}={quote(value)}", (), b"")
    for name in NAMES:
        for tail in ("manifests/latest", f"blobs/{NOTHING}", "tags/list", f"referrers/{NOTHING}"):
            yield Strange("GET", f"/v2/{quote(name)}/{tail}", (), b"")
        yield Strange("POST", f"/v2/{quote(name)}/blobs/uploads/?digest={NOTHING}", (), b"bytes")
    for reference in TEXTS + TAGS + DIGESTS:
        for method, kind in (("GET", "manifests"), ("DELETE", "manifests"), ("HEAD", "blobs"), ("GET", "referrers")):
            yield Strange(method, f"/v2/demo/app/{kind}/{quote(reference, safe='')}", (), b"")
        yield Strange("PATCH", f"{_UPLOADS}{quote(reference)}", (), b"bytes")
