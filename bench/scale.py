# SPDX-License-Identifier: Apache-2.0
"""The scale set: what a large registry holds, computed from numbers, so that whoever asks for a part of it knows the answer.

Its artifacts are made of the blobs of the small images, which were pushed: each is a manifest of its own with two of them.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from bench.asking import MANIFEST
from bench.load import zipf
from bench.servers import PROJECT
from bench.sizes import Size

_ARTIFACTS = 10
_TAGS = 5
_CROWD = 1000
_BLOB_BYTES = 1024
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
# Spreads what is asked for often over all repositories; no number of artifacts is a multiple of it.
_PRIME = 7919


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One manifest of the scale set."""

    repository: str
    tags: tuple[str, ...]
    payload: bytes
    digest: str
    annotations: str
    blobs: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale set of a size.

    Attributes:
        size: How much there is.
        blobs: The digests of configuration and layer of each small image.
    """

    size: Size
    blobs: tuple[tuple[str, str], ...]

    @property
    def count(self) -> int:
        """How many artifacts there are, apart from those of the repositories with many tags and with one."""
        return self.size.scale_repositories * _ARTIFACTS

    def artifact(self, number: int) -> Artifact:
        """One of the artifacts, by its number below `count`."""
        tags = tuple(f"v{number % _ARTIFACTS}.{tag}" for tag in range(_TAGS))
        return self._made(number, f"{PROJECT}/scale/app{number // _ARTIFACTS:05}", tags)

    def crowd(self) -> Iterator[Artifact]:
        """Those of the one repository that has many tags."""
        manifests = min(_CROWD, self.size.many_tags)
        each = self.size.many_tags // manifests
        for number in range(manifests):
            tags = tuple(f"build-{number * each + tag}" for tag in range(each))
            yield self._made(self.count + number, f"{PROJECT}/scale-many", tags)

    def lonely(self) -> Artifact:
        """The one of the repository that has one tag."""
        return self._made(self.count + _CROWD, f"{PROJECT}/scale-one", ("latest",))

    def everything(self) -> Iterator[Artifact]:
        """All of them, those of a repository one after the other."""
        yield from (self.artifact(number) for number in range(self.count))
        yield from self.crowd()
        yield self.lonely()

    def hot(self) -> list[Artifact]:
        """What a hot list asks for: few artifacts often, most seldom."""
        return [_remembered(self, rank * _PRIME % self.count) for rank in zipf(self.count, self.size.hot)]

    def cold(self) -> list[Artifact]:
        """What a cold list asks for: every artifact of a part of the repositories once, in no order."""
        numbers = list(range(min(self.size.cold, self.count)))
        random.Random(2).shuffle(numbers)
        return [_remembered(self, number) for number in numbers]

    def crowded(self) -> list[tuple[Artifact, str]]:
        """Some of the many tags of one repository, in no order."""
        return _some(tuple(self.crowd()), self.size.crowded)

    def _made(self, number: int, repository: str, tags: tuple[str, ...]) -> Artifact:
        config, layer = self.blobs[number % len(self.blobs)][0], self.blobs[number * 7 % len(self.blobs)][1]
        annotations = {"org.opencontainers.image.version": str(number)}
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": _CONFIG, "digest": config, "size": _BLOB_BYTES},
            "layers": [{"mediaType": _LAYER, "digest": layer, "size": _BLOB_BYTES}],
            "annotations": annotations,
        }
        payload = json.dumps(manifest, separators=(",", ":")).encode()
        digest = f"sha256:{hashlib.sha256(payload).hexdigest()}"
        return Artifact(
            repository=repository,
            tags=tags,
            payload=payload,
            digest=digest,
            annotations=json.dumps(annotations, separators=(",", ":")),
            blobs=(config, layer),
        )


@lru_cache(maxsize=200_000)
def _remembered(scale: Scale, number: int) -> Artifact:
    return scale.artifact(number)


def _some(artifacts: Sequence[Artifact], count: int) -> list[tuple[Artifact, str]]:
    source = random.Random(3)
    chosen = source.choices(artifacts, k=count)
    return [(artifact, source.choice(artifact.tags)) for artifact in chosen]
