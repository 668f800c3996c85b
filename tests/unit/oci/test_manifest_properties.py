# SPDX-License-Identifier: Apache-2.0
"""Properties of the manifest parser over generated, mutated and random payloads.

The fuzz run is as long as LONGSHORE_FUZZ_SECONDS says. It starts from a seed that a failure names; LONGSHORE_FUZZ_SEED
repeats it.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.oci import mediatypes
from longshore.oci.descriptor import Descriptor
from longshore.oci.digest import Algorithm, Digest
from longshore.oci.errors import ManifestInvalid
from longshore.oci.manifest import Manifest, parse_manifest

FUZZ_SECONDS = float(os.environ.get("LONGSHORE_FUZZ_SECONDS", "3"))
FUZZ_SEED = int(os.environ.get("LONGSHORE_FUZZ_SEED", time.time_ns()))
SLOWEST_SECONDS = 2.0
MOST_SAMPLES = 200
MARK = "no text of 20 characters or less is this one"

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
ANNOTATIONS = st.dictionaries(TEXT, TEXT, max_size=3)
MEDIA_TYPES = st.sampled_from(
    [
        mediatypes.OCI_MANIFEST,
        mediatypes.OCI_INDEX,
        mediatypes.OCI_CONFIG,
        mediatypes.OCI_EMPTY,
        mediatypes.DOCKER_FOREIGN_LAYER,
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.buildkit.cacheconfig.v0",
        "Some/Thing; else",
    ]
)
SMALL_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63) + 1, 2**63 - 1), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=8,
)
ANY_JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from(["", "sha256:x", "a/b"])
    ),
    lambda inner: st.one_of(
        st.lists(inner),
        st.dictionaries(
            st.one_of(
                st.text(),
                st.sampled_from(
                    ["schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "digest", "size"]
                ),
            ),
            inner,
        ),
    ),
)


@st.composite
def descriptors(draw: st.DrawFn) -> dict[str, Any]:
    content = draw(st.binary(max_size=3))
    document: dict[str, Any] = {
        "mediaType": draw(MEDIA_TYPES),
        "digest": str(Digest.of(content, draw(st.sampled_from(Algorithm)))),
        "size": len(content),
    }
    optional: dict[str, st.SearchStrategy[Any]] = {
        "urls": st.lists(TEXT, max_size=2),
        "annotations": ANNOTATIONS,
        "platform": st.dictionaries(TEXT, SMALL_JSON, max_size=2),
        "artifactType": st.just("x/y"),
    }
    return document | draw(st.fixed_dictionaries({}, optional=optional))


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    is_index = draw(st.booleans())
    kinds = mediatypes.INDEXES if is_index else mediatypes.IMAGE_MANIFESTS
    listed = draw(st.lists(descriptors(), max_size=5))
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": draw(st.sampled_from(sorted(kinds)))}
    document |= {"manifests": listed} if is_index else {"config": draw(descriptors()), "layers": listed}
    optional: dict[str, st.SearchStrategy[Any]] = {
        "subject": descriptors(),
        "annotations": ANNOTATIONS,
        "artifactType": st.sampled_from(["", "x/y"]),
        "org.example.unknown": SMALL_JSON,
    }
    return document | draw(st.fixed_dictionaries({}, optional=optional))


def check(manifest: Manifest) -> None:
    needed = {blob.digest for blob in manifest.blobs}
    optional = {blob.digest for blob in manifest.optional_blobs}
    children = {child.digest for child in manifest.children}
    assert len(needed) == len(manifest.blobs)
    assert len(optional) == len(manifest.optional_blobs)
    assert len(children) == len(manifest.children)
    assert not needed & optional
    if manifest.is_index:
        assert manifest.config is None
        assert not manifest.layers
        assert needed | children == {entry.digest for entry in manifest.entries}
    else:
        assert manifest.config is not None
        assert not manifest.entries
        assert needed | optional == {manifest.config.digest, *(layer.digest for layer in manifest.layers)}


def answer(payload: bytes, content_type: str | None) -> Manifest | None:
    """The manifest, or None where it was refused. Anything but a refusal of ours breaks the test that asks."""
    try:
        manifest = parse_manifest(payload, content_type)
    except ManifestInvalid as refusal:
        message = refusal.message
    else:
        check(manifest)
        manifest.media_type.encode()
        json.dumps(dict(manifest.annotations), ensure_ascii=False).encode()
        return manifest
    assert message.isprintable()
    assert len(message) < 3000
    return None


def as_document(descriptor: Descriptor) -> dict[str, object]:
    found: dict[str, object] = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
        "urls": list(descriptor.urls),
        "annotations": dict(descriptor.annotations),
        "platform": descriptor.platform,
        "artifactType": descriptor.artifact_type,
    }
    return {name: value for name, value in found.items() if value not in (None, [], {})}


def without_empty(document: Mapping[str, Any]) -> dict[str, object]:
    return {name: value for name, value in document.items() if value not in (None, [], {})}


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every member and item of the document: what holds it, and its key there."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            found += [(value, key), *places(value[key])]
    return found


@given(manifests(), st.booleans())
def test_a_valid_manifest_reads_back(document: dict[str, Any], announced: bool) -> None:
    """Whatever a valid manifest says is what the parsed one says."""
    payload = json.dumps(document).encode()
    manifest = answer(payload, document["mediaType"] if announced else None)
    assert manifest is not None
    assert manifest.media_type == document["mediaType"]
    assert manifest.size == len(payload)
    assert manifest.annotations == document.get("annotations", {})
    listed = [*manifest.layers, *manifest.entries]
    expected = document.get("layers", []) + document.get("manifests", [])
    assert [as_document(one) for one in listed] == [without_empty(one) for one in expected]
    assert (manifest.subject is not None) == ("subject" in document)


@given(manifests(), st.data())
def test_a_mutated_member_is_taken_or_refused(document: dict[str, Any], data: st.DataObject) -> None:
    """A valid manifest with anything in place of a member, or a member less, is taken or refused with a message."""
    holder, key = data.draw(st.sampled_from(places(document)))
    if data.draw(st.booleans()):
        del holder[key]
    else:
        holder[key] = data.draw(ANY_JSON)
    answer(
        json.dumps(document).encode("utf-8", "surrogatepass"),
        data.draw(st.sampled_from([None, mediatypes.OCI_MANIFEST])),
    )


@given(manifests(), st.data())
def test_a_duplicated_member_is_refused(document: dict[str, Any], data: st.DataObject) -> None:
    """A key that stands twice in any object is refused, whether the values are the same or not."""
    holders: list[tuple[Any, Any]] = [({"": document}, ""), *((at, key) for at, key in places(document) if at[key])]
    holder, key = data.draw(st.sampled_from([(at, key) for at, key in holders if isinstance(at[key], dict)]))
    twice, holder[key] = holder[key], MARK
    name = data.draw(st.sampled_from(sorted(twice)))
    value = data.draw(st.sampled_from([0, twice[name]]))
    doubled = f"{{{json.dumps(name)}: {json.dumps(value)}, {json.dumps(twice)[1:]}"
    text = doubled if twice is document else json.dumps(document).replace(json.dumps(MARK), doubled)
    with pytest.raises(ManifestInvalid, match="twice in one object"):
        parse_manifest(text.encode(), None)


@given(ANY_JSON, st.one_of(st.none(), MEDIA_TYPES, st.text()))
def test_any_json_is_taken_or_refused(document: Any, content_type: str | None) -> None:
    """No JSON and no Content-Type raise anything but the error for manifests."""
    answer(json.dumps(document).encode("utf-8", "surrogatepass"), content_type)


@given(st.binary(max_size=2000), st.sampled_from([None, mediatypes.OCI_MANIFEST, mediatypes.DOCKER_MANIFEST_LIST]))
def test_any_bytes_are_taken_or_refused(payload: bytes, content_type: str | None) -> None:
    """No bytes raise anything but the error for manifests."""
    answer(payload, content_type)


@given(st.text(alphabet='[]{}",:\\u0d8 \n1e-', max_size=300))
@settings(max_examples=300)
def test_any_punctuation_is_taken_or_refused(text: str) -> None:
    """What bounds the work before parsing never disagrees with the parser in a way that raises."""
    answer(f'{{"schemaVersion": 2, "x": {text}'.encode(), mediatypes.OCI_INDEX)


@given(
    st.lists(st.sampled_from([b"[", b'{"a":', b'{"\\"":', b'["[[",', b'["\\\\",', b" \n["]), max_size=200),
    st.booleans(),
)
def test_depth_is_what_the_parser_sees(openings: list[bytes], closed: bool) -> None:
    """Nesting is refused from 65 levels on, whatever strings between the levels hold."""
    closing = b"".join(b"}" if opening.startswith(b"{") else b"]" for opening in reversed(openings)) if closed else b""
    payload = b'{"x":' + b"".join(openings) + b"0" + closing + b"}"
    with pytest.raises(ManifestInvalid) as refusal:
        parse_manifest(payload, mediatypes.OCI_INDEX)
    assert ("deep" in refusal.value.message) == (len(openings) >= 64)


LARGE = 4 * 1024 * 1024


@pytest.mark.parametrize(
    ("start", "piece", "end"),
    [
        (b"", b"[", b""),
        (b"", b'{"a":', b""),
        (b"", b'"', b""),
        (b'"', b"\\", b""),
        (b'{"a":[', b"[],", b"0]}"),
        (b'{"a":[', b"{},", b"0]}"),
        (b'{"a":[', b'"",', b"0]}"),
        (b'{"a":[', b'"a" , ', b"0]}"),
        (b'{"a":[', b"0,", b"0]}"),
        (b'{"a":"', b'\\"', b'"}'),
        (b'{"a":"', b"\\ud83d", b'"}'),
        (b'{"a":"', b"\\ud83d\\ude00", b'"}'),
        (b'{"a":', b"1", b"}"),
        (b'{"a":0.', b"1", b"}"),
        (b"{", b" ", b"}"),
    ],
)
def test_the_largest_hostile_payload_costs_little(start: bytes, piece: bytes, end: bytes) -> None:
    """No payload of 4 MiB keeps the processor for long."""
    payload = start + piece * ((LARGE - len(start) - len(end)) // len(piece)) + end
    begun = time.process_time()
    assert answer(payload, mediatypes.OCI_MANIFEST) is None
    assert time.process_time() - begun < SLOWEST_SECONDS


SEEDS = [
    {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "artifactType": "x/y",
        "config": {"mediaType": mediatypes.OCI_EMPTY, "digest": str(Digest.of(b"{}")), "size": 2, "data": "e30="},
        "layers": [
            {"mediaType": "a/b", "digest": str(Digest.of(b"x")), "size": 1, "urls": ["u"], "annotations": {"k": "v"}}
        ],
        "subject": {"mediaType": mediatypes.OCI_INDEX, "digest": str(Digest.of(b"s", Algorithm.SHA512)), "size": 1},
        "annotations": {"\u00e9": '\\ "[{'},
    },
    {
        "schemaVersion": 2,
        "mediaType": mediatypes.DOCKER_MANIFEST_LIST,
        "manifests": [
            {
                "mediaType": mediatypes.DOCKER_MANIFEST,
                "digest": str(Digest.of(b"m")),
                "size": 1,
                "platform": {"os": "linux"},
            },
            {"mediaType": "application/vnd.buildkit.cacheconfig.v0", "digest": str(Digest.of(b"c")), "size": 1},
        ],
    },
]
FRAGMENTS = [
    *(bytes([byte]) for byte in b'[]{}",:\\/u0e+-.tfn \n'),
    *(b'""', b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-0", b"9223372036854775807", b"9223372036854775808"),
    *(
        b"\\u0000",
        b"\\ud800",
        b"\\udfff",
        b"\\ud83d\\ude00",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\x00",
        b"\xe2\x80\xa8",
    ),
    *(
        b'"digest":',
        b'"size":',
        b'"layers":[',
        b'"manifests":[',
        b'"config":{',
        b'"Config":',
        b'"data":"',
        b"sha256:",
        b"==",
    ),
    *(b"[" * 70, b'{"a":' * 70, b"9" * 5000, b"a" * 5000, b"{}," * 1000),
]


def mutate(chance: random.Random, payload: bytes) -> bytes:
    at, to = sorted((chance.randrange(len(payload) + 1), chance.randrange(len(payload) + 1)))
    piece = payload[at:to][:200]
    place = chance.randrange(len(payload) + 1)
    changes: list[Callable[[], bytes]] = [
        lambda: payload[:place] + chance.choice(FRAGMENTS) + payload[place:],
        lambda: payload[:place] + chance.choice(FRAGMENTS) + payload[place + 1 :],
        lambda: payload[:place] + payload[place + chance.randrange(1, 9) :],
        lambda: payload[:place] + piece + payload[place:],
        lambda: payload[:at] + payload[at + len(piece) :],
        lambda: payload[:place] + chance.randbytes(chance.randrange(1, 5)) + payload[place + 1 :],
    ]
    return chance.choice(changes)()


@pytest.mark.fuzz
def test_fuzz_the_manifest_parser() -> None:
    """However a manifest is mangled, it is taken whole or refused with a message, and quickly."""
    chance = random.Random(FUZZ_SEED)
    until = time.monotonic() + FUZZ_SECONDS
    corpus = [json.dumps(seed, ensure_ascii=ascii_only).encode() for seed in SEEDS for ascii_only in (True, False)]
    content_types = [None, mediatypes.OCI_MANIFEST, mediatypes.DOCKER_MANIFEST_LIST, "application/x+json", "\x00"]
    runs = taken = 0
    while time.monotonic() < until:
        payload = chance.choice(corpus)
        for _ in range(chance.randrange(1, 6)):
            payload = mutate(chance, payload)
        content_type = chance.choice(content_types)
        begun = time.process_time()
        try:
            found = answer(payload, content_type)
        except Exception as error:
            raise AssertionError(f"LONGSHORE_FUZZ_SEED={FUZZ_SEED}: {payload!r} as {content_type}") from error
        assert time.process_time() - begun < SLOWEST_SECONDS, f"LONGSHORE_FUZZ_SEED={FUZZ_SEED}: {payload[:200]!r}"
        runs += 1
        if found is not None:
            taken += 1
            # What is still a manifest is worth mangling further.
            if len(corpus) < MOST_SAMPLES:
                corpus.append(payload)
            else:
                corpus[chance.randrange(2 * len(SEEDS), MOST_SAMPLES)] = payload
    print(f"{runs} payloads, {taken} of them taken, seed {FUZZ_SEED}")  # noqa: T201 - `make fuzz` shows it
    assert taken > 0
    assert taken < runs
