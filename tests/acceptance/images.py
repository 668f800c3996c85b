# SPDX-License-Identifier: Apache-2.0
"""Images made on the spot: OCI layouts with random content, so that no two tests ever push the same blob."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"

MEBIBYTE = 1024 * 1024
ARCHITECTURES = ("amd64", "arm64", "s390x")


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What an OCI document says of a blob."""

    media_type: str
    digest: str
    size: int
    diff_id: str = ""  # of a layer: the digest of its content before compression

    def document(self) -> dict[str, object]:
        """The descriptor as it stands in a manifest."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An OCI layout on disk with one image or index in it."""

    folder: Path
    root: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def digest(self) -> str:
        """The digest of the manifest or index that the layout holds."""
        return self.root.digest

    def blob(self, digest: str) -> Path:
        """The file of one of the layout's blobs."""
        return blob_path(self.folder, digest)


def blob_path(folder: Path, digest: str) -> Path:
    """Where an OCI layout keeps a blob."""
    algorithm, _, encoded = digest.partition(":")
    return folder / "blobs" / algorithm / encoded


def random_pieces(size: int) -> Iterator[bytes]:
    """Random bytes, ``size`` in all: fresh ones for each mebibyte's start, so that no compression helps."""
    seed = os.urandom(16)
    block = random.Random(seed).randbytes(MEBIBYTE)
    for number, start in enumerate(range(0, size, MEBIBYTE)):
        head = hashlib.sha256(seed + number.to_bytes(8, "big")).digest()
        yield (head + block[len(head) :])[: size - start]


def random_file(path: Path, size: int) -> str:
    """Writes a file of random bytes and gives the SHA-256 of it as a digest."""
    summed = hashlib.sha256()
    with path.open("wb") as file:
        for piece in random_pieces(size):
            file.write(piece)
            summed.update(piece)
    return f"sha256:{summed.hexdigest()}"


def file_digest(path: Path) -> str:
    """The SHA-256 of a file as a digest."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def random_tar(size: int, name: str = "content") -> Iterator[bytes]:
    """A tar with one file of random bytes, piece by piece."""
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o644
    yield entry.tobuf(tarfile.PAX_FORMAT)
    yield from random_pieces(size)
    yield bytes(-size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)


def add_blob(folder: Path, content: bytes, media_type: str) -> Descriptor:
    """Puts bytes into a layout."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    path = blob_path(folder, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Descriptor(media_type=media_type, digest=digest, size=len(content))


def add_document(folder: Path, document: dict[str, object], media_type: str) -> Descriptor:
    """Puts a JSON document into a layout."""
    return add_blob(folder, json.dumps(document).encode(), media_type)


def add_layer(folder: Path, size: int) -> Descriptor:
    """Puts a layer with one random file of ``size`` bytes into a layout, streaming.

    The layer is gzip, as every client expects, but of stored blocks: random bytes don't get smaller.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    unnamed = blobs / "unnamed"
    content = hashlib.sha256()
    with gzip.GzipFile(unnamed, "wb", compresslevel=0, mtime=0) as file:
        for piece in random_tar(size):
            file.write(piece)
            content.update(piece)
    digest = file_digest(unnamed)
    final = unnamed.rename(blob_path(folder, digest))
    return Descriptor(
        media_type=LAYER, digest=digest, size=final.stat().st_size, diff_id=f"sha256:{content.hexdigest()}"
    )


def add_image(folder: Path, layers: Sequence[Descriptor], architecture: str) -> Descriptor:
    """Puts the configuration and manifest of an image into a layout."""
    config = add_document(
        folder,
        {
            "created": "2026-01-01T00:00:00Z",
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/content"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [
                {"created": "2026-01-01T00:00:00Z", "created_by": f"ADD layer-{number} /"}
                for number, _ in enumerate(layers)
            ],
        },
        CONFIG,
    )
    manifest: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.document(),
        "layers": [layer.document() for layer in layers],
    }
    return add_document(folder, manifest, MANIFEST)


def finish(folder: Path, root: Descriptor, layers: Sequence[Descriptor]) -> Image:
    """Writes what makes a folder an OCI layout."""
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [root.document()]}
    (folder / "index.json").write_text(json.dumps(index))
    return Image(folder=folder, root=root, layers=tuple(layers))


def make_image(folder: Path, *sizes: int) -> Image:
    """An image of one platform with a layer for each size, in bytes of the one file in it."""
    layers = [add_layer(folder, size) for size in sizes]
    return finish(folder, add_image(folder, layers, ARCHITECTURES[0]), layers)


def make_index(folder: Path, size: int = 50_000) -> Image:
    """An image of three platforms, each with a layer of its own and one that they share."""
    shared = add_layer(folder, size)
    layers = [shared]
    manifests: list[dict[str, object]] = []
    for architecture in ARCHITECTURES:
        own = add_layer(folder, size)
        layers.append(own)
        platform = {"os": "linux", "architecture": architecture}
        manifests.append({**add_image(folder, [shared, own], architecture).document(), "platform": platform})
    root = add_document(folder, {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}, INDEX)
    return finish(folder, root, layers)


def make_build_cache(folder: Path) -> Image:
    """A cache as BuildKit exports it: an index that lists blobs, layers and a configuration, instead of manifests."""
    layers = [add_layer(folder, 30_000), add_layer(folder, 1)]
    records = [{"layer": number, "digest": layer.digest} for number, layer in enumerate(layers)]
    config = add_document(folder, {"layers": records, "records": records}, CACHE_CONFIG)
    entries: list[dict[str, object]] = [entry.document() for entry in (*layers, config)]
    root = add_document(folder, {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, INDEX)
    return finish(folder, root, [*layers, config])


def make_chart(folder: Path, name: str, version: str) -> Path:
    """The source of a small Helm chart with a template and a value."""
    chart = folder / name
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(f"apiVersion: v2\nname: {name}\nversion: {version}\ndescription: A test\n")
    (chart / "values.yaml").write_text(f"greeting: {random.randbytes(8).hex()}\n")
    (chart / "templates" / "map.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n"
        "data:\n  greeting: {{ .Values.greeting }}\n"
    )
    return chart


def tar_of(files: dict[str, bytes]) -> bytes:
    """A tar with the given files, in memory."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return written.getvalue()
