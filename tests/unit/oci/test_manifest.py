# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from longshore.oci import mediatypes
from longshore.oci.digest import Algorithm, Digest
from longshore.oci.errors import ManifestInvalid
from longshore.oci.manifest import Manifest, parse_manifest

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD_CACHE = "application/vnd.buildkit.cacheconfig.v0"


def descriptor(content: bytes = b"layer", media_type: str = LAYER, **members: object) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content), **members}


def image(**members: object) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "config": descriptor(b"{}", mediatypes.OCI_CONFIG),
        "layers": [descriptor(b"one"), descriptor(b"two")],
        **members,
    }


def index(*entries: dict[str, Any], **members: object) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": list(entries), **members}


def parse(document: object, content_type: str | None = None) -> Manifest:
    return parse_manifest(json.dumps(document).encode(), content_type)


def refused(document: object, content_type: str | None = None) -> str:
    with pytest.raises(ManifestInvalid) as refusal:
        parse(document, content_type)
    assert refusal.value.message.isprintable()
    return refusal.value.message


def digests(*contents: bytes) -> list[Digest]:
    return [Digest.of(content) for content in contents]


@pytest.mark.parametrize("media_type", [mediatypes.OCI_MANIFEST, mediatypes.DOCKER_MANIFEST])
def test_image(media_type: str) -> None:
    """An image of either kind needs its config and its layers."""
    payload = json.dumps(image(mediaType=media_type, annotations={"a": "b"})).encode()
    manifest = parse_manifest(payload, media_type)
    assert manifest.media_type == media_type
    assert manifest.artifact_type == mediatypes.OCI_CONFIG
    assert not manifest.is_index
    assert manifest.config is not None
    assert manifest.config.media_type == mediatypes.OCI_CONFIG
    assert [layer.digest for layer in manifest.layers] == digests(b"one", b"two")
    assert [blob.digest for blob in manifest.blobs] == digests(b"{}", b"one", b"two")
    assert (manifest.children, manifest.entries, manifest.optional_blobs, manifest.subject) == ((), (), (), None)
    assert manifest.annotations == {"a": "b"}
    assert manifest.size == len(payload)


@pytest.mark.parametrize("media_type", [mediatypes.OCI_INDEX, mediatypes.DOCKER_MANIFEST_LIST])
def test_index(media_type: str) -> None:
    """An index of either kind has children, images and further indexes, and needs no blob."""
    platform = {"architecture": "amd64", "os": "linux"}
    manifest = parse(
        index(
            descriptor(b"a", mediatypes.OCI_MANIFEST, platform=platform),
            descriptor(b"b", mediatypes.OCI_INDEX, artifactType="x/y", annotations={"k": "v"}),
            descriptor(b"a", mediatypes.OCI_MANIFEST, platform={"architecture": "arm64", "os": "linux"}),
            mediaType=media_type,
        ),
    )
    assert manifest.is_index
    assert (manifest.media_type, manifest.artifact_type) == (media_type, None)
    assert [child.digest for child in manifest.children] == digests(b"a", b"b")
    assert [entry.digest for entry in manifest.entries] == digests(b"a", b"b", b"a")
    assert manifest.entries[0].platform == platform
    assert manifest.entries[1].artifact_type == "x/y"
    assert manifest.entries[1].annotations == {"k": "v"}
    assert (manifest.blobs, manifest.optional_blobs, manifest.layers, manifest.config) == ((), (), (), None)


def test_empty_index() -> None:
    """An index may list nothing, also the way Go writes an empty list."""
    assert parse(index()).children == ()
    assert parse(index(manifests=None)).children == ()


def test_buildkit_cache() -> None:
    """Index entries that aren't manifests are blobs that must exist, each once."""
    manifest = parse(
        index(
            descriptor(b"layer"),
            descriptor(b"layer"),
            descriptor(b"image", mediatypes.DOCKER_MANIFEST),
            descriptor(b"cache", ZSTD_CACHE),
        )
    )
    assert [blob.digest for blob in manifest.blobs] == digests(b"layer", b"cache")
    assert [child.digest for child in manifest.children] == digests(b"image")


def test_schema1_entries_are_manifests() -> None:
    """An entry of an index that is a manifest we don't take isn't mistaken for a blob."""
    manifest = parse(
        index(descriptor(b"x", mediatypes.DOCKER_SCHEMA1), descriptor(b"y", mediatypes.OCI_ARTIFACT_MANIFEST))
    )
    assert [child.digest for child in manifest.children] == digests(b"x", b"y")
    assert manifest.blobs == ()


@pytest.mark.parametrize("layers", [{"layers": []}, {"layers": None}, {}])
def test_artifact_without_layers(layers: dict[str, object]) -> None:
    """An artifact may have no layers at all."""
    document = image(artifactType="application/vnd.example")
    del document["layers"]
    manifest = parse(document | layers)
    assert manifest.layers == ()
    assert manifest.artifact_type == "application/vnd.example"


def test_empty_descriptor_as_config_and_layer() -> None:
    """A blob that is config and layer at once is needed once."""
    empty = descriptor(b"{}", mediatypes.OCI_EMPTY, data="e30=")
    manifest = parse(image(config=empty, layers=[empty], artifactType="a/b"))
    assert [blob.digest for blob in manifest.blobs] == digests(b"{}")
    assert manifest.layers[0].data == b"{}"


def test_artifact_type_of_an_index_is_its_own() -> None:
    """An index is of the type that it says; an empty text says nothing."""
    assert parse(index(artifactType="a/b")).artifact_type == "a/b"
    assert parse(index(artifactType="")).artifact_type is None
    assert parse(image(artifactType="")).artifact_type == mediatypes.OCI_CONFIG


def test_subject() -> None:
    """Image manifests and indexes refer to a subject, which is no part of what they need."""
    subject = descriptor(b"subject", mediatypes.OCI_MANIFEST)
    for document in (image(subject=subject), index(subject=subject)):
        manifest = parse(document)
        assert manifest.subject is not None
        assert manifest.subject.digest == Digest.of(b"subject")
        assert Digest.of(b"subject") not in [one.digest for one in (*manifest.blobs, *manifest.children)]


@pytest.mark.parametrize(
    "members",
    [
        {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"},
        {"mediaType": mediatypes.DOCKER_FOREIGN_LAYER, "urls": ["https://example.com/layer"]},
        {"urls": ["https://example.com/layer"]},
    ],
)
def test_layers_that_may_be_missing(members: dict[str, object]) -> None:
    """Layers that a licence may forbid to push, or that say where else they are, are kept apart."""
    manifest = parse(image(layers=[descriptor(b"here"), descriptor(b"elsewhere") | members]))
    assert [blob.digest for blob in manifest.blobs] == digests(b"{}", b"here")
    assert [blob.digest for blob in manifest.optional_blobs] == digests(b"elsewhere")
    assert len(manifest.layers) == 2


def test_a_blob_that_must_exist_is_not_optional() -> None:
    """A digest listed as ordinary layer and as foreign one must exist; a config with urls must as well."""
    manifest = parse(image(layers=[descriptor(b"x", urls=["u"]), descriptor(b"x"), descriptor(b"{}", urls=["u"])]))
    assert [blob.digest for blob in manifest.blobs] == digests(b"{}", b"x")
    assert manifest.optional_blobs == ()
    config = descriptor(b"{}", mediatypes.OCI_CONFIG, urls=["u"])
    assert [blob.digest for blob in parse(image(config=config, layers=[])).blobs] == digests(b"{}")


def test_sha512() -> None:
    """Descriptors may name content by sha512, embedded data included."""
    digest = Digest.of(b"x", Algorithm.SHA512)
    layer = {"mediaType": LAYER, "digest": str(digest), "size": 1, "data": "eA=="}
    assert parse(image(layers=[layer])).layers[0].digest == digest


def test_unknown_members_are_ignored() -> None:
    """What the specification doesn't know is allowed everywhere."""
    extra = {"org.example": [1, 2.5, None, True, {"x": "\U0001f600"}]}
    document = image(config=descriptor(b"{}", mediatypes.OCI_CONFIG, **extra), **extra)
    assert len(parse(document).blobs) == 3


def test_null_members_count_as_absent() -> None:
    """Go writes an empty list or map as null."""
    manifest = parse(image(annotations=None, subject=None, artifactType=None, manifests=None))
    assert (dict(manifest.annotations), manifest.subject) == ({}, None)
    layer = descriptor(urls=None, annotations=None, data=None, platform=None, artifactType=None)
    assert parse(image(layers=[layer])).layers[0].urls == ()


def test_as_large_as_the_conformance_suite_sends() -> None:
    """A manifest of 3.9 MB of annotations, some of them full of quotes, backslashes and braces, is taken."""
    annotations = {f"key{number}": ('{"a\\": [[[\\\\"' * 1000)[:8000] for number in range(300)}
    assert parse(image(annotations=annotations)).annotations == annotations


class TestMediaType:
    def test_the_body_decides_without_content_type(self) -> None:
        """Without Content-Type the manifest's own mediaType counts."""
        assert parse(image()).media_type == mediatypes.OCI_MANIFEST

    @pytest.mark.parametrize("media_type", sorted(mediatypes.IMAGE_MANIFESTS))
    def test_the_content_type_decides_without_body(self, media_type: str) -> None:
        """Without mediaType the Content-Type counts, parameters and case aside."""
        document = image()
        del document["mediaType"]
        assert parse(document, f"{media_type.upper()}; charset=utf-8").media_type == media_type

    def test_one_of_them_is_needed(self) -> None:
        """A manifest that nothing gives a type is refused."""
        assert "no mediaType and came without Content-Type" in refused({"schemaVersion": 2, "manifests": []})

    def test_they_must_agree(self) -> None:
        """A manifest sent as something else than it says is refused."""
        assert refused(image(), mediatypes.DOCKER_MANIFEST).startswith("mediaType: is application/vnd.oci")
        assert "no media type" in refused(image(), "nonsense")
        assert "no media type" in refused(image(mediaType="nonsense"))

    def test_any_json_type_that_the_body_declares(self) -> None:
        """A manifest of a type unknown to us is taken by its shape when it declares that type itself."""
        own = "application/vnd.example.manifest.v3+json"
        assert not parse(image(mediaType=own), own).is_index
        assert parse(index(mediaType=own), own).is_index
        assert parse(index(mediaType=own), own).media_type == own

    @pytest.mark.parametrize("media_type", ["application/json", "text/foo+json", "application/octet-stream"])
    def test_other_types_are_refused(self, media_type: str) -> None:
        """What isn't application/…+json is no manifest, and neither is what doesn't say so itself."""
        assert "aren't supported" in refused(image(mediaType=media_type), media_type)
        document = image()
        del document["mediaType"]
        assert "aren't supported" in refused(document, "application/vnd.example.manifest.v3+json")

    def test_shapes_that_are_neither(self) -> None:
        """A type unknown to us without the shape of an image or an index is refused."""
        own = "application/vnd.example.manifest.v3+json"
        assert refused({"schemaVersion": 2, "mediaType": own}) == "config: is missing."

    @pytest.mark.parametrize("media_type", [mediatypes.DOCKER_SCHEMA1, mediatypes.DOCKER_SCHEMA1_SIGNED])
    def test_schema1_by_type(self, media_type: str) -> None:
        """Docker's schema 1 is refused with advice, whatever its body."""
        with pytest.raises(ManifestInvalid, match="newer client"):
            parse_manifest(b"signed nonsense", media_type)
        assert "newer client" in refused({"schemaVersion": 1, "mediaType": media_type})

    def test_schema1_by_version(self) -> None:
        """Docker's schema 1 is refused with advice, whatever it is sent as."""
        document = {"schemaVersion": 1, "fsLayers": [], "history": []}
        assert "newer client" in refused(document, mediatypes.DOCKER_MANIFEST)

    def test_artifact_manifest(self) -> None:
        """The withdrawn OCI artifact manifest is refused with advice."""
        document = {"mediaType": mediatypes.OCI_ARTIFACT_MANIFEST, "blobs": []}
        assert "withdrawn" in refused(document)
        assert "withdrawn" in refused(document, mediatypes.OCI_ARTIFACT_MANIFEST)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    (image(schemaVersion=3), "schemaVersion: must be 2, not 3."),
    (image(schemaVersion=None), "schemaVersion: is missing."),
    (image(schemaVersion="2"), "schemaVersion: must be an integer, not a string."),
    (image(schemaVersion=2.0), "schemaVersion: must be an integer, not the number 2.0."),
    (image(schemaVersion=True), "schemaVersion: must be an integer, not a boolean."),
    (image(config=None), "config: is missing."),
    (image(config=[]), "config: must be an object, not an array."),
    (image(layers={}), "layers: must be an array, not an object."),
    (image(layers=[None]), "layers[0]: must be an object, not null."),
    (image(layers=[descriptor(), "x"]), "layers[1]: must be an object, not a string."),
    (image(layers=[descriptor(digest=None)]), "layers[0].digest: is missing."),
    (image(layers=[descriptor(digest=5)]), "layers[0].digest: must be a string, not the number 5."),
    (image(layers=[descriptor(digest="sha256:x")]), "layers[0].digest: The digest 'sha256:x' has 1 digits"),
    (image(layers=[descriptor(size=-1)]), "layers[0].size: must be a number of bytes, not -1."),
    (image(layers=[descriptor(size=1.0)]), "layers[0].size: must be an integer, not the number 1.0."),
    (image(layers=[descriptor(size=True)]), "layers[0].size: must be an integer, not a boolean."),
    (image(layers=[descriptor(size="5")]), "layers[0].size: must be an integer, not a string."),
    (image(layers=[descriptor(mediaType=None)]), "layers[0].mediaType: is missing."),
    (image(layers=[descriptor(mediaType="")]), "layers[0].mediaType: must be a media type of 1 to 255"),
    (image(layers=[descriptor(mediaType="a" * 256)]), "layers[0].mediaType: must be a media type of 1 to 255"),
    (image(layers=[descriptor(mediaType="a\nb")]), "layers[0].mediaType: must be a media type of 1 to 255"),
    (image(layers=[descriptor(urls="x")]), "layers[0].urls: must be an array, not a string."),
    (image(layers=[descriptor(urls=["x", 1])]), "layers[0].urls[1]: must be a string, not the number 1."),
    (image(layers=[descriptor(annotations={"a": 1})]), "layers[0].annotations: the value of 'a' must be a string"),
    (image(layers=[descriptor(platform="linux")]), "layers[0].platform: must be an object, not a string."),
    (image(layers=[descriptor(artifactType=1)]), "layers[0].artifactType: must be a string, not the number 1."),
    (image(layers=[descriptor(data="!")]), "layers[0].data: isn't base64"),
    (image(layers=[descriptor(data="é")]), "layers[0].data: isn't base64"),
    (image(layers=[descriptor(b"x", data="")]), "layers[0].data: decodes to 0 bytes, but the descriptor's size is 1."),
    (image(layers=[descriptor(b"x", data="eQ==")]), "layers[0].data: decodes to content that hasn't the"),
    (image(layers=[descriptor(Digest="x")]), "layers[0]: has the member 'Digest': it is spelled digest."),
    (image(Layers=[]), "The manifest has the member 'Layers': it is spelled layers."),
    (image() | {"layer\u017f": []}, "The manifest has the member 'layer\\u017f': it is spelled layers."),
    (
        image(layers=[descriptor(b"x"), descriptor(b"x", size=2)]),
        f"The manifest lists {Digest.of(b'x')} with the sizes 1",
    ),
    (image(annotations=[]), "annotations: must be an object, not an array."),
    (image(annotations={"a": None}), "annotations: the value of 'a' must be a string, not null."),
    (image(artifactType=2), "artifactType: must be a string, not the number 2."),
    (image(subject="sha256:x"), "subject: must be an object, not a string."),
    (image(subject={}), "subject.mediaType: is missing."),
    (image(mediaType=1), "mediaType: must be a string, not the number 1."),
    (image(manifests=[]), "The manifest is an image manifest and has manifests, which only an index has."),
    (
        index(config={}, layers=[]),
        "The manifest is an index and has config and layers, which only image manifests have.",
    ),
    (index(manifests={}), "manifests: must be an array, not an object."),
    (index(descriptor(digest="md5:abc")), "manifests[0].digest: The digest 'md5:abc' is of an algorithm"),
    ({"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX}, "manifests: is missing: an index needs it"),
]


@pytest.mark.parametrize(("document", "says"), MISTAKES, ids=[says[:60] for _document, says in MISTAKES])
def test_mistakes_are_named_by_their_path(document: dict[str, Any], says: str) -> None:
    """Every malformed member is refused with its path and what it should be."""
    assert refused(document).startswith(says)


def test_too_many_descriptors() -> None:
    """A manifest lists at most 20,000 descriptors, the config included."""
    assert "20,000 descriptors are the most" in refused(image(layers=[{}] * 20_000))
    assert len(parse(image(layers=[descriptor()] * 19_999)).layers) == 19_999


class TestPayload:
    @pytest.mark.parametrize(
        ("payload", "says"),
        [
            (b"", "isn't JSON"),
            (b"{", "isn't JSON"),
            (b"{'a': 1}", "isn't JSON"),
            (b"{} {}", "isn't JSON"),
            (b'{"a": "\n"}', "isn't JSON"),
            (b'{"a": 01}', "isn't JSON"),
            (b"\xef\xbb\xbf{}", "isn't JSON"),
            (b'{"a": "\xff"}', "isn't UTF-8: byte 7"),
            ("{}".encode("utf-16"), "isn't UTF-8"),
            (b"[]", "must be a JSON object, not an array"),
            (b"null", "must be a JSON object, not null"),
            (b'"x"', "must be a JSON object, not a string"),
            (b'{"a": NaN}', "has NaN"),
            (b'{"a": -Infinity}', "has -Infinity"),
            (b'{"a": 1e999}', "too long or too large"),
            (b'{"a": 0.' + b"1" * 1_000_000 + b"}", "too long or too large"),
            (b'{"a": 9223372036854775808}', "fit into 64 bits"),
            (b'{"a": -' + b"9" * 1_000_000 + b"}", "fit into 64 bits"),
            (b'{"a": 1, "a": 1}', "has the key 'a' twice"),
            (b'{"a": [{"b": 1, "\\u0062": 2}]}', "has the key 'b' twice"),
            (b'{"a": "\\u0000"}', "U\\+0000"),
            (b'{"a": "\\ud800"}', "half of a surrogate pair"),
            (b'{"a": "\\ude00\\ud83d"}', "half of a surrogate pair"),
            (b'{"a": "\\\\\\udC00"}', "half of a surrogate pair"),
        ],
    )
    def test_what_is_no_json_object_is_refused(self, payload: bytes, says: str) -> None:
        """A payload that isn't JSON, or JSON that two parsers could read differently, is refused."""
        with pytest.raises(ManifestInvalid, match=says) as refusal:
            parse_manifest(payload, mediatypes.OCI_MANIFEST)
        assert len(refusal.value.message) < 500

    @pytest.mark.parametrize(
        "text", [b"\\\\u0000", b"\\\\ud800", b"\\ud83d\\ude00", b"\\\\\\\\ud800", b"\\\\\\ud83d\\ude00"]
    )
    def test_what_only_looks_like_an_escape_is_taken(self, text: bytes) -> None:
        """An escaped backslash is a backslash, and a whole surrogate pair is a character."""
        payload = json.dumps(image(annotations={"a": "?"})).encode().replace(b"?", text)
        assert parse_manifest(payload, None).annotations == {"a": json.loads(b'"' + text + b'"')}

    def test_depth(self) -> None:
        """Arrays and objects nest at most 64 deep; brackets in strings don't count."""

        def nested(depth: int) -> bytes:
            return (
                json.dumps(image(annotations={"a": "[" * 100})).encode()[:-1]
                + b',"x":'
                + b"[" * depth
                + b"]" * depth
                + b"}"
            )

        assert parse_manifest(nested(63), None).annotations == {"a": "[" * 100}
        with pytest.raises(ManifestInvalid, match="nests arrays and objects 65 deep"):
            parse_manifest(nested(64), None)

    @pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"":', b'"\\"[', b'\\"['])
    @pytest.mark.parametrize("count", [100, 100_000])
    def test_hostile_nesting(self, opening: bytes, count: int) -> None:
        """However deep a payload nests, it is refused and the parser's stack is never at risk."""
        with pytest.raises(ManifestInvalid):
            parse_manifest(opening * count, mediatypes.OCI_MANIFEST)

    def test_embedded_data_of_any_size(self) -> None:
        """Embedded data is limited by nothing but the payload."""
        content = b"x" * 1_000_000
        layer = descriptor(content, data=base64.b64encode(content).decode())
        assert parse(image(layers=[layer])).layers[0].data == content


def test_messages_say_where_in_the_detail() -> None:
    """Programs find the path of a mistake in the error's detail."""
    with pytest.raises(ManifestInvalid, match=re.escape("layers[1].size: ")) as refusal:
        parse(image(layers=[descriptor(), descriptor(size=-5)]))
    assert refusal.value.detail == {"path": "layers[1].size"}
