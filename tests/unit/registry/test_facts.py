# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest

from longshore.oci import mediatypes
from longshore.oci.digest import Digest
from longshore.oci.manifest import Manifest, parse_manifest
from longshore.oci.names import TagName
from longshore.registry.facts import Accessory, artifact_type, facts_of

BLOB = Digest.of(b"blob")
SUBJECT = Digest.of(b"subject")


def manifest_of(config: str, *layers: dict[str, Any], **members: Any) -> Manifest:
    """An image manifest with a config of this type."""
    document = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "config": {"mediaType": config, "digest": str(BLOB), "size": 10},
        "layers": [{"mediaType": "a/b", "digest": str(BLOB), "size": 10, **layer} for layer in layers],
        **members,
    }
    return parse_manifest(json.dumps(document).encode(), None)


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [
        ("application/vnd.oci.image.config.v1+json", "IMAGE"),
        ("application/vnd.docker.container.image.v1+json", "IMAGE"),
        ("application/vnd.oci.image.index.v1+json", "IMAGE"),
        ("application/vnd.cncf.helm.config.v1+json", "CHART"),
        ("application/vnd.cnab.manifest.v1", "CNAB"),
        ("application/vnd.wasm.config.v0+json", "WASM"),
        ("application/vnd.cncf.model.config.v1+json", "CNAI"),
        ("application/vnd.goharbor.harbor.sbom.v1", "SBOM"),
        ("application/vnd.acme.rocket.config.v1+json", "ROCKET"),
        ("application/vnd.acme.space.rocket.config.v1.2+json", "UNKNOWN"),
        ("application/vnd.acme.rocket.v1+json", "UNKNOWN"),
        ("application/vnd.oci.empty.v1+json", "UNKNOWN"),
        ("", "UNKNOWN"),
    ],
)
def test_the_type_follows_the_media_type(media_type: str, kind: str) -> None:
    """The known ones by name, others by the rule for one's own types."""
    assert artifact_type(media_type) == kind


@pytest.mark.parametrize(
    ("config", "members", "accessory"),
    [
        ("application/vnd.cncf.notary.signature", {}, Accessory.NOTATION),
        (mediatypes.OCI_EMPTY, {"artifactType": "application/vnd.cncf.notary.signature"}, Accessory.NOTATION),
        (mediatypes.OCI_CONFIG, {"artifactType": "application/vnd.dev.cosign.artifact.sig.v1+json"}, Accessory.COSIGN),
        (mediatypes.OCI_EMPTY, {"artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json"}, Accessory.COSIGN),
        ("application/vnd.goharbor.harbor.sbom.v1", {}, Accessory.SBOM),
        (mediatypes.OCI_EMPTY, {"artifactType": "application/spdx+json"}, Accessory.SUBJECT),
    ],
)
def test_whatever_has_a_subject_is_an_accessory(config: str, members: dict[str, Any], accessory: Accessory) -> None:
    """Of the kind that its types say, and in general of the last one."""
    subject = {"mediaType": mediatypes.OCI_MANIFEST, "digest": str(SUBJECT), "size": 2}
    facts = facts_of(manifest_of(config, subject=subject, **members))
    assert (facts.accessory, facts.subject) == (accessory, SUBJECT)


def test_the_tag_scheme_of_cosign_needs_a_layer_of_its_type() -> None:
    """An image that merely has such a tag stays an image."""
    tag = TagName.parse(f"{str(SUBJECT).replace(':', '-')}.sig")
    signature = manifest_of(mediatypes.OCI_CONFIG, {"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json"})
    assert facts_of(signature, [tag]).accessory is Accessory.COSIGN
    assert facts_of(signature, [tag]).subject == SUBJECT
    assert facts_of(signature, [TagName.parse("v1")]).accessory is None
    assert facts_of(manifest_of(mediatypes.OCI_CONFIG, {}), [tag]).accessory is None


def test_an_accelerated_image_belongs_to_its_source() -> None:
    """Nydus names the source in an annotation; one that is no digest names nothing."""
    annotation = "io.goharbor.artifact.v1alpha1.acceleration.source.digest"
    facts = facts_of(manifest_of(mediatypes.OCI_CONFIG, {}, annotations={annotation: str(SUBJECT)}))
    assert (facts.accessory, facts.subject) == (Accessory.NYDUS, SUBJECT)
    assert facts_of(manifest_of(mediatypes.OCI_CONFIG, {}, annotations={annotation: "x"})).accessory is None


def test_size_icon_and_additions_stand_in_the_manifest() -> None:
    """The size is that of manifest, config and all layers as listed; the icon the layer that says so."""
    manifest = manifest_of(
        "application/vnd.cncf.helm.config.v1+json", {}, {"annotations": {"io.goharbor.artifact.v1alpha1.icon": ""}}
    )
    facts = facts_of(manifest)
    assert facts.size == manifest.size + 30
    assert facts.icon == BLOB
    assert facts.additions == ("values.yaml", "readme.md", "dependencies")
    assert not facts.complete


def test_an_index_is_an_image_without_additions() -> None:
    """Nothing is left to be read of it, unless it is a bundle."""
    document = {"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": []}
    facts = facts_of(parse_manifest(json.dumps(document).encode(), None))
    assert (facts.type, facts.additions, facts.complete) == ("IMAGE", (), True)
    document["annotations"] = {"org.opencontainers.artifactType": "application/vnd.cnab.manifest.v1"}
    facts = facts_of(parse_manifest(json.dumps(document).encode(), None))
    assert (facts.type, facts.config_media_type, facts.complete) == ("CNAB", "application/vnd.cnab.manifest.v1", False)
