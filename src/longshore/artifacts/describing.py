# SPDX-License-Identifier: Apache-2.0
"""Describing artifacts: what their manifests tell, and what stands in their configs.

A push reads the config before its transaction begins, and doesn't wait long for it: what can't be read in time is read by a
background step (`longshore.artifacts.backlog`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Final

from longshore.artifacts.attributes import attributes_of
from longshore.artifacts.contents import Contents
from longshore.oci.descriptor import Descriptor
from longshore.oci.digest import Digest
from longshore.oci.errors import BlobUnknown, LongshoreError, ManifestUnknown, Unprocessable
from longshore.oci.manifest import Manifest, parse_manifest
from longshore.oci.names import TagName
from longshore.registry.facts import CNAB, Facts, facts_of
from longshore.registry.manifests import Manifests

LARGEST_CONFIG: Final = 4 * 1024 * 1024
_PATIENCE_SECONDS: Final = 2.0
_LARGE: Final = 64 * 1024
_BUNDLE: Final = "io.cnab.manifest.type"

ReadBlob = Callable[[Descriptor], Awaitable[bytes]]
ReadManifest = Callable[[Digest], Awaitable[Manifest]]


class Describer:
    """Describes manifests that are being pushed."""

    def __init__(
        self, contents: Contents, manifests: Manifests, *, patience_seconds: float = _PATIENCE_SECONDS
    ) -> None:
        self._contents = contents
        self._manifests = manifests
        self._patience = patience_seconds

    async def facts(self, project_id: int, path: str, manifest: Manifest, tags: Iterable[TagName]) -> Facts:
        """What lists will show; not complete when the config can't be read now, whatever the reason.

        A config that isn't there is the push's business, which says so.
        """
        facts = facts_of(manifest, tags)
        if facts.complete:
            return facts

        async def blob(descriptor: Descriptor) -> bytes:
            return await self._contents.in_repository(project_id, path, descriptor.digest, most=LARGEST_CONFIG)

        async def below(digest: Digest) -> Manifest:
            found = await self._manifests.find(project_id, path, digest)
            return parse_manifest(found.payload, found.media_type)

        try:
            async with asyncio.timeout(self._patience):
                return await describe(facts, manifest, blob, below)
        except (LongshoreError, TimeoutError):
            return facts


async def describe(facts: Facts, manifest: Manifest, blob: ReadBlob, below: ReadManifest) -> Facts:
    """The facts of a manifest with what its config tells. A config too large to be read tells nothing.

    Raises:
        BlobUnknown, ManifestUnknown: something that it refers to isn't there yet.
        ServiceUnavailable: it can't be read at this moment.
    """
    if facts.complete:
        return facts
    config = manifest.config if facts.type != CNAB or manifest.config is not None else await _bundle(manifest, below)
    if config is None:
        return replace(facts, complete=True)
    if config.data is not None:
        content = config.data
    else:
        try:
            content = await blob(config)
        except Unprocessable:
            return replace(facts, complete=True)
    attributes = (
        attributes_of(facts.type, content)
        if len(content) <= _LARGE
        else await asyncio.to_thread(attributes_of, facts.type, content)
    )
    return replace(facts, extra_attributes=attributes, complete=True)


async def _bundle(manifest: Manifest, below: ReadManifest) -> Descriptor | None:
    """The config of a CNAB bundle: that of the manifest which its index marks."""
    for entry in manifest.children:
        if entry.annotations.get(_BUNDLE) == "config":
            return (await below(entry.digest)).config
    return None


NOT_THERE: Final = (BlobUnknown, ManifestUnknown)
"""What `describe` raises where waiting a while may help, but not a moment."""
