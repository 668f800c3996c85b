# SPDX-License-Identifier: Apache-2.0
"""What the random clients push: a small fixed world, so that many of them want the same things at the same time."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from longshore.oci import mediatypes
from longshore.oci.digest import Algorithm, Digest

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_BLOBS = 160
_RECIPES = 300
_POPULAR = 25


@dataclass(frozen=True, slots=True)
class ProjectKind:
    """A project of the world and its rules; `untagged_ttl` is in microseconds."""

    name: str
    sparse: str = "none"
    untagged_ttl: int | None = None
    quota_bytes: int | None = None


PROJECTS = (
    ProjectKind("plain"),
    ProjectKind("tidy", untagged_ttl=200_000),
    ProjectKind("sparse", sparse="any", untagged_ttl=300_000),
    ProjectKind("partial", sparse="children"),
    ProjectKind("narrow", quota_bytes=12_000),
)
PATHS = ("app", "lib/deep")
TAGS = ("v1", "v2", "latest")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A manifest that clients push: what it refers to, and the bytes themselves."""

    number: int
    digest: Digest
    media_type: str
    payload: bytes
    blobs: tuple[Digest, ...]
    children: tuple[int, ...]
    subject: Digest | None


def _payload(number: int) -> bytes:
    return f"blob {number} ".encode() * (20 + number % 50)


def _make_blobs() -> dict[Digest, bytes]:
    blobs: dict[Digest, bytes] = {}
    for number in range(_BLOBS):
        payload = _payload(number)
        blobs[Digest.of(payload)] = payload
        if number % 6 == 0:
            # The same bytes under another algorithm are another blob.
            blobs[Digest.of(payload, Algorithm.SHA512)] = payload
    return blobs


BLOBS = _make_blobs()
DIGESTS = tuple(BLOBS)


def _descriptor(media_type: str, digest: Digest, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(digest), "size": size}


def _make_recipe(number: int, earlier: list[Recipe]) -> Recipe:
    choice = random.Random(number)
    document: dict[str, Any] = {"schemaVersion": 2, "annotations": {"recipe": str(number)}}
    subject: Digest | None = None
    if earlier and choice.random() < 0.25:
        about = choice.choice(earlier)
        subject = about.digest
        document["subject"] = _descriptor(about.media_type, about.digest, len(about.payload))
    blobs: tuple[Digest, ...] = ()
    children: tuple[int, ...] = ()
    if len(earlier) > 3 and choice.random() < 0.3:
        media_type = mediatypes.OCI_INDEX
        members = choice.sample(earlier, choice.randint(1, 3))
        children = tuple(member.number for member in members)
        entries = [_descriptor(member.media_type, member.digest, len(member.payload)) for member in members]
        if choice.random() < 0.2:
            # As BuildKit's cache does: an entry that is no manifest is a blob.
            blobs = (choice.choice(DIGESTS),)
            entries.append(_descriptor(LAYER, blobs[0], len(BLOBS[blobs[0]])))
        document["manifests"] = entries
    else:
        media_type = mediatypes.OCI_MANIFEST
        # Some blobs are in everything, as base layers are.
        often = choice.sample(DIGESTS[:_POPULAR], 1) if choice.random() < 0.5 else []
        blobs = tuple(dict.fromkeys([*often, *choice.sample(DIGESTS, choice.randint(1, 2))]))
        described = [_descriptor(LAYER, blob, len(BLOBS[blob])) for blob in blobs]
        document["config"] = {**described[0], "mediaType": mediatypes.OCI_CONFIG}
        document["layers"] = described[1:]
    document["mediaType"] = media_type
    payload = json.dumps(document, sort_keys=True).encode()
    return Recipe(number, Digest.of(payload), media_type, payload, blobs, children, subject)


def _make_recipes() -> tuple[Recipe, ...]:
    recipes: list[Recipe] = []
    for number in range(_RECIPES):
        recipes.append(_make_recipe(number, recipes))
    return tuple(recipes)


RECIPES = _make_recipes()
BY_DIGEST = {str(recipe.digest): recipe for recipe in RECIPES}
