# SPDX-License-Identifier: Apache-2.0
"""What the servers hold: the same random images on all of them, pushed as clients push."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.asking import INDEX, MANIFEST, download, get, request
from bench.load import GateFailed, Loader
from bench.scale import Scale
from bench.servers import PROJECT, Server
from bench.sizes import Size

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_CONFIG_BYTES = 4096
_SEED = 100
GATE_SAMPLE = 10
"""How many artifacts of the scale set the gate looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One small image: a manifest under a tag, and its two blobs."""

    repository: str
    tag: str
    digest: str
    blobs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A blob of the layered image."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layered:
    """The image that W4 pulls: an index, a manifest, a configuration and seven layers."""

    repository: str
    tag: str
    digest: str
    manifest: str
    blobs: tuple[Piece, ...]

    @property
    def largest(self) -> Piece:
        """Its largest layer."""
        return max(self.blobs, key=lambda blob: blob.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What was pushed to a server: from the same seeds, so it is the same on each."""

    images: tuple[Image, ...]
    layered: Layered


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Everything that the servers hold, and what opens it: by server name, then by repository."""

    content: Content
    scale: Scale
    authorization: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def images(self) -> tuple[Image, ...]:
        """The small images."""
        return self.content.images

    @property
    def layered(self) -> Layered:
        """The image of several layers."""
        return self.content.layered

    def opens(self, server: Server, repository: str) -> str:
        """The Authorization header's value for a repository on a server; empty where none is needed."""
        return self.authorization.get(server.name, {}).get(repository, "")

    def repositories(self, *, scale: bool) -> list[str]:
        """Every repository that is asked for, but those that a workload makes; of the scale set all or what the gate asks."""
        names = [image.repository for image in self.images]
        hot, cold = self.scale.hot(), self.scale.cold()
        artifacts = [*(hot if scale else hot[:GATE_SAMPLE]), *(cold if scale else ()), self.scale.lonely()]
        names += [artifact.repository for artifact in [*artifacts, *(one for one, _ in self.scale.crowded())]]
        return list(dict.fromkeys([*names, self.layered.repository]))


def push_content(server: Server, loader: Loader, size: Size) -> Content:
    """Pushes the images to a server that runs."""
    names = [f"{PROJECT}/team{number % 10}/image{number}" for number in range(size.repositories)]
    opens = server.authorization([*names, _layered_repository()])
    output = loader.scratch / "pushed.jsonl"
    targets = targets_file(loader, opens, names)
    arguments = ["-repositories", str(targets), "-images", str(size.images), "-output", str(output)]
    loader.run(server, "images", *arguments)
    images = sorted(pushed_images(output), key=lambda image: int(image.tag[1:]))
    return Content(images=tuple(images), layered=_push_layered(server, loader, size, opens))


def targets_file(loader: Loader, opens: dict[str, str], names: Sequence[str]) -> Path:
    """The file that tells the pushing client where to push."""
    path = loader.scratch / "targets.json"
    path.write_text(
        json.dumps([{"repository": name, "authorization": opens.get(name, "")} for name in names]), encoding="ascii"
    )
    return path


def pushed_images(output: Path) -> list[Image]:
    """What the pushing client says was acknowledged."""
    found = []
    for line in output.read_text(encoding="ascii").splitlines():
        told = json.loads(line)
        found.append(
            Image(repository=told["repository"], tag=told["tag"], digest=told["digest"], blobs=tuple(told["blobs"]))
        )
    return found


def _layered_repository() -> str:
    return f"{PROJECT}/layered"


def _push_layered(server: Server, loader: Loader, size: Size, opens: dict[str, str]) -> Layered:
    repository = _layered_repository()
    authorization = opens.get(repository, "")
    blobs = []
    for number, length in enumerate([_CONFIG_BYTES, *size.layers]):
        arguments = ["-repository", repository, "-authorization", authorization, "-size", str(length)]
        told = loader.run(server, "blob", *arguments, "-seed", str(_SEED + number))
        blobs.append(Piece(digest=told["digests"][0], size=length))
    described = [
        {"mediaType": _LAYER if number else _CONFIG, "digest": blob.digest, "size": blob.size}
        for number, blob in enumerate(blobs)
    ]
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
    ).encode()
    digest = _put(server, repository, "", MANIFEST, manifest, authorization)
    platform = {"architecture": "amd64", "os": "linux"}
    child = {"mediaType": MANIFEST, "digest": digest, "size": len(manifest), "platform": platform}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}).encode()
    tag = "latest"
    return Layered(
        repository=repository,
        tag=tag,
        digest=_put(server, repository, tag, INDEX, index, authorization),
        manifest=digest,
        blobs=tuple(blobs),
    )


def _put(server: Server, repository: str, tag: str, media_type: str, payload: bytes, authorization: str) -> str:
    """Pushes a manifest, by digest without a tag; its digest."""
    digest = f"sha256:{hashlib.sha256(payload).hexdigest()}"
    headers = {"Content-Type": media_type} | ({"Authorization": authorization} if authorization else {})
    path = f"/v2/{repository}/manifests/{tag or digest}"
    status, body = request(server.port, "PUT", path, headers, payload)
    if status != http.client.CREATED:
        raise GateFailed(f"{server.name}: PUT {path}: {status} {body.decode(errors='replace')}")
    return digest


def checked(server: Server, path: str, authorization: str, digest: str) -> bytes:
    """What a server gives for a path.

    Raises:
        GateFailed: it isn't what the digest names.
    """
    status, body = get(server.port, path, authorization)
    found = f"sha256:{hashlib.sha256(body).hexdigest()}"
    if status != http.client.OK or found != digest:
        raise GateFailed(f"{server.name}: {path} answered {status} with {len(body)} bytes of {found}, not {digest}")
    return body


def check_large(server: Server, path: str, authorization: str, digest: str) -> None:
    """Compares what a server gives for a path with a digest, without keeping it.

    Raises:
        GateFailed: it isn't what the digest names.
    """
    hasher = hashlib.sha256()
    status = download(server.port, path, authorization, hasher.update)
    if status != http.client.OK or f"sha256:{hasher.hexdigest()}" != digest:
        raise GateFailed(f"{server.name}: {path} answered {status} with bytes of sha256:{hasher.hexdigest()}")


def check_images(server: Server, images: Sequence[Image], authorization: dict[str, str], *, most: int = 20) -> None:
    """Reads a sample of images, manifest and blobs, and compares their digests.

    Raises:
        GateFailed: something is missing or different.
    """
    for image in random.Random(len(images)).sample(images, min(most, len(images))):
        opens = authorization.get(image.repository, "")
        checked(server, f"/v2/{image.repository}/manifests/{image.tag}", opens, image.digest)
        for blob in image.blobs:
            checked(server, f"/v2/{image.repository}/blobs/{blob}", opens, blob)
