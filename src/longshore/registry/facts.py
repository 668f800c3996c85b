# SPDX-License-Identifier: Apache-2.0
"""What a manifest by itself tells about the artifact it is: pure functions, without any blob.

What stands in the config (architecture, author, the fields of a chart) is added by `longshore.artifacts`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from longshore.oci import mediatypes
from longshore.oci.digest import Digest
from longshore.oci.errors import DigestInvalid
from longshore.oci.manifest import Manifest
from longshore.oci.names import TagName
from longshore.registry.cosign import signature_subject

IMAGE: Final = "IMAGE"
CHART: Final = "CHART"
CNAB: Final = "CNAB"
WASM: Final = "WASM"
MODEL: Final = "CNAI"
SBOM: Final = "SBOM"
UNKNOWN: Final = "UNKNOWN"

CNAB_MANIFEST: Final = "application/vnd.cnab.manifest.v1"
HARBOR_SBOM: Final = "application/vnd.goharbor.harbor.sbom.v1"
ICON: Final = "io.goharbor.artifact.v1alpha1.icon"

_WASM_CONFIG: Final = "application/vnd.wasm.config.v1+json"
_TYPES: Final = {
    mediatypes.OCI_CONFIG: IMAGE,
    mediatypes.DOCKER_CONFIG: IMAGE,
    mediatypes.OCI_INDEX: IMAGE,
    mediatypes.DOCKER_MANIFEST_LIST: IMAGE,
    "application/vnd.cncf.helm.config.v1+json": CHART,
    CNAB_MANIFEST: CNAB,
    _WASM_CONFIG: WASM,
    "application/vnd.wasm.config.v0+json": WASM,
    "application/vnd.cncf.model.config.v1+json": MODEL,
    HARBOR_SBOM: SBOM,
}
_OWN_TYPE: Final = re.compile(r"application/vnd\.[^.]*\.(.*)\.config\.[^.]*\+json")
_EMPTY_OBJECT: Final = len("{}")
_SIMPLE_SIGNING: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
_SOURCE: Final = "io.goharbor.artifact.v1alpha1.acceleration.source.digest"
_NYDUS_SOURCE: Final = "containerd.io/snapshot/nydus-source-digest"


class Accessory(StrEnum):
    """The kinds of artifacts that belong to another one. Clients of Harbor refuse any other."""

    COSIGN = "signature.cosign"
    NOTATION = "signature.notation"
    NYDUS = "accelerator.nydus"
    SBOM = "sbom.harbor"
    SUBJECT = "subject.accessory"


_ACCESSORIES: Final = {
    "application/vnd.cncf.notary.signature": Accessory.NOTATION,
    "application/vnd.dev.cosign.artifact.sig.v1+json": Accessory.COSIGN,
    "application/vnd.dev.sigstore.bundle.v0.3+json": Accessory.COSIGN,
    HARBOR_SBOM: Accessory.SBOM,
}
_ADDITIONS: Final[dict[str, tuple[str, ...]]] = {
    IMAGE: ("build_history",),
    WASM: ("build_history",),
    CHART: ("values.yaml", "readme.md", "dependencies"),
    MODEL: ("readme.md", "license", "files"),
    SBOM: ("sbom",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What lists show of an artifact.

    Attributes:
        type: `IMAGE`, `CHART` and so on.
        config_media_type: what Harbor calls the artifact's media type: its config's, an index's own.
        size: bytes of the manifest, its config and its layers; those of an index's children are added where they are known.
        accessory: what kind of accessory it is, None if it is none.
        subject: what an accessory belongs to.
        icon: the blob with the artifact's own icon.
        additions: what it can be asked for besides.
        extra_attributes: a JSON object: what stands in the config, as Harbor shows it.
        complete: nothing is left to be read from blobs.
    """

    type: str
    config_media_type: str
    size: int
    accessory: Accessory | None
    subject: Digest | None
    icon: Digest | None
    additions: tuple[str, ...]
    extra_attributes: str = "{}"
    complete: bool = False


def facts_of(manifest: Manifest, tags: Iterable[TagName] = ()) -> Facts:
    """What the manifest tells, pushed with these tags. The result is complete when no config has anything to add."""
    media_type = _artifact_media_type(manifest)
    kind = artifact_type(media_type)
    accessory, subject = accessory_of(manifest, tags)
    own = manifest.size + (0 if manifest.config is None else manifest.config.size)
    return Facts(
        type=kind,
        config_media_type=media_type,
        size=own + sum(layer.size for layer in manifest.layers),
        accessory=accessory,
        subject=subject,
        icon=next((layer.digest for layer in manifest.layers if ICON in layer.annotations), None),
        additions=() if manifest.is_index else _ADDITIONS.get(kind, ()),
        complete=described_by_itself(manifest, kind),
    )


def described_by_itself(manifest: Manifest, kind: str) -> bool:
    """Whether no blob has anything to add to what the manifest tells."""
    if manifest.config is None:
        return kind != CNAB
    if kind == UNKNOWN or manifest.config.media_type == mediatypes.OCI_EMPTY or manifest.config.size <= _EMPTY_OBJECT:
        return True
    return not manifest.config.media_type.endswith("json")


def artifact_type(media_type: str) -> str:
    """The type that Harbor gives to artifacts of this media type (of a config, or of an index)."""
    known = _TYPES.get(media_type)
    if known is not None:
        return known
    own = _OWN_TYPE.fullmatch(media_type)
    return UNKNOWN if own is None or not own[1] else own[1].upper()


def accessory_of(manifest: Manifest, tags: Iterable[TagName]) -> tuple[Accessory | None, Digest | None]:
    """Which kind of accessory the manifest is and of what: by its subject, or by the tag scheme of cosign."""
    if manifest.subject is not None:
        types = (manifest.artifact_type, None if manifest.config is None else manifest.config.media_type)
        kinds = (_ACCESSORIES.get(media_type) for media_type in types if media_type is not None)
        return next((kind for kind in kinds if kind is not None), Accessory.SUBJECT), manifest.subject.digest
    source = _accelerated(manifest)
    if source is not None:
        return Accessory.NYDUS, source
    if any(layer.media_type == _SIMPLE_SIGNING for layer in manifest.layers):
        for tag in tags:
            subject = signature_subject(tag)
            if subject is not None:
                return Accessory.COSIGN, subject
    return None, None


def _artifact_media_type(manifest: Manifest) -> str:
    if manifest.config is None:
        return manifest.annotations.get("org.opencontainers.artifactType") or manifest.media_type
    if manifest.annotations.get("module.wasm.image/variant") == "compat":
        return _WASM_CONFIG
    if manifest.config.media_type == mediatypes.OCI_EMPTY:
        return manifest.artifact_type or manifest.config.media_type
    return manifest.config.media_type


def _accelerated(manifest: Manifest) -> Digest | None:
    """The image that this one is another form of, for Nydus."""
    named = manifest.annotations.get(_SOURCE)
    for layer in manifest.layers:
        named = named or layer.annotations.get(_NYDUS_SOURCE)
    try:
        return None if named is None else Digest.parse(named)
    except DigestInvalid:
        return None
