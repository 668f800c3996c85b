# SPDX-License-Identifier: Apache-2.0
"""What an artifact can be asked for besides what lists show: its history, a chart's files, a model's.

Which additions an artifact has is stored when it is pushed. Their content is taken from its blobs when somebody asks.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from longshore.artifacts.archives import find_file
from longshore.artifacts.contents import Contents
from longshore.artifacts.describing import LARGEST_CONFIG
from longshore.artifacts.files import Listed, file_tree, path_of
from longshore.database.connection import Database
from longshore.database.statement import Statement
from longshore.oci.descriptor import Descriptor
from longshore.oci.errors import BadRequest, ManifestUnknown, NotFound
from longshore.oci.manifest import Manifest, parse_manifest
from longshore.registry.facts import CHART, HARBOR_SBOM, IMAGE, MODEL, SBOM, WASM, Accessory

_JSON: Final = "application/json; charset=utf-8"
_TEXT: Final = "text/plain; charset=utf-8"
_MARKDOWN: Final = "text/markdown; charset=utf-8"

_LARGEST_ARCHIVE: Final = 20 * 1024 * 1024
_SMALL: Final = 64 * 1024
_KEPT: Final = 64
_LARGEST_KEPT: Final = 256 * 1024
_AT_ONCE: Final = 2
_CHART_LAYERS: Final = frozenset(
    {
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
        "application/tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+gzip",
    }
)
_LICENSES: Final = frozenset({"license", "license.txt", "license.md"})

_ARTIFACT = Statement(
    "SELECT m.payload, m.media_type, a.type, m.repository_id, m.digest FROM artifacts a"
    " JOIN manifests m ON m.id = a.manifest_id WHERE a.manifest_id = :manifest_id"
)
_SBOM_OF = Statement(
    "SELECT a.manifest_id FROM artifacts a JOIN manifests m ON m.id = a.manifest_id"
    " WHERE a.repository_id = :repository_id AND a.subject_digest = :digest AND a.accessory_type IS NOT NULL"
    f" AND a.accessory_type = '{Accessory.SBOM}' AND m.deleted_at IS NULL ORDER BY a.manifest_id DESC LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Addition:
    """The content of an addition, and its media type as a Content-Type has it."""

    content: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class _Artifact:
    manifest_id: int
    manifest: Manifest
    kind: str
    repository_id: int
    digest: str


class Additions:
    """Reads additions. What was asked for last is kept: an addition of a digest never changes."""

    def __init__(self, database: Database, contents: Contents) -> None:
        self._database = database
        self._contents = contents
        self._kept: OrderedDict[tuple[int, str], Addition] = OrderedDict()
        self._unpacking = asyncio.Semaphore(_AT_ONCE)
        self._readers: Mapping[tuple[str, str], Callable[[_Artifact], Awaitable[Addition]]] = {
            (IMAGE, "build_history"): self._history,
            (WASM, "build_history"): self._history,
            (CHART, "values.yaml"): self._values,
            (CHART, "readme.md"): self._chart_readme,
            (CHART, "dependencies"): self._dependencies,
            (MODEL, "readme.md"): self._model_readme,
            (MODEL, "license"): self._license,
            (MODEL, "files"): self._files,
            (SBOM, "sbom"): self._sbom,
        }

    async def read(self, manifest_id: int, name: str) -> Addition:
        """The addition of that name of an artifact that the caller may see.

        Raises:
            ManifestUnknown: the artifact is gone.
            BadRequest: artifacts of its type don't have this addition.
            NotFound: this one doesn't have it.
            Unprocessable: it can't be read from the artifact, or is too large to be shown.
            ServiceUnavailable: its bytes can't be read at this moment.
        """
        kept = self._kept.get((manifest_id, name))
        if kept is not None:
            self._kept.move_to_end((manifest_id, name))
            return kept
        artifact = await self._artifact(manifest_id)
        if name == "sbom" and artifact.kind != SBOM:
            # Not kept: another one may be made at any time.
            return await self._sbom(await self._sbom_of(artifact))
        reader = self._readers.get((artifact.kind, name))
        if reader is None or artifact.manifest.is_index:
            raise BadRequest(f"addition {name} isn't supported for {artifact.kind}")
        addition = await reader(artifact)
        self._keep(manifest_id, name, addition)
        return addition

    def _keep(self, manifest_id: int, name: str, addition: Addition) -> None:
        if len(addition.content) <= _LARGEST_KEPT:
            self._kept[manifest_id, name] = addition
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)

    async def _artifact(self, manifest_id: int) -> _Artifact:
        row = await self._database.one(_ARTIFACT, manifest_id=manifest_id)
        if row is None:
            raise ManifestUnknown("The artifact is gone. Look at the repository's artifacts.")
        payload = bytes(row[0])
        if len(payload) <= _SMALL:
            manifest = parse_manifest(payload, row[1])
        else:
            manifest = await asyncio.to_thread(parse_manifest, payload, row[1])
        return _Artifact(manifest_id, manifest, row[2], row[3], row[4])

    async def _sbom_of(self, artifact: _Artifact) -> _Artifact:
        row = await self._database.one(_SBOM_OF, repository_id=artifact.repository_id, digest=artifact.digest)
        if row is None:
            raise NotFound("The artifact has no SBOM. Generate one, or push one that names it as its subject.")
        return await self._artifact(row[0])

    async def _config(self, artifact: _Artifact) -> dict[str, Any]:
        config = artifact.manifest.config
        if config is None:
            return {}
        content = await self._contents.of_manifest(artifact.manifest_id, config.digest, most=LARGEST_CONFIG)
        try:
            document = await asyncio.to_thread(msgspec.json.decode, content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}
        return document if isinstance(document, dict) else {}

    async def _history(self, artifact: _Artifact) -> Addition:
        history = (await self._config(artifact)).get("history")
        return Addition(msgspec.json.encode(history if isinstance(history, list) else []), _JSON)

    async def _dependencies(self, artifact: _Artifact) -> Addition:
        found = (await self._config(artifact)).get("dependencies")
        dependencies = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
        shown = [
            {name: str(entry.get(name) or "") for name in ("name", "version", "repository")} for entry in dependencies
        ]
        return Addition(msgspec.json.encode(shown), _JSON)

    async def _values(self, artifact: _Artifact) -> Addition:
        return Addition(await self._of_chart(artifact, "values.yaml"), _TEXT)

    async def _chart_readme(self, artifact: _Artifact) -> Addition:
        return Addition(await self._of_chart(artifact, "readme.md"), _MARKDOWN)

    async def _of_chart(self, artifact: _Artifact, name: str) -> bytes:
        layer = next((layer for layer in artifact.manifest.layers if layer.media_type in _CHART_LAYERS), None)
        if layer is None:
            raise _missing(name)

        def wanted(path: str) -> bool:
            # The chart's own file and not that of a dependency below it.
            return path.removeprefix("./").lower().split("/")[1:] == [name]

        return await self._unpack(artifact, layer, wanted, name, gzipped=True)

    async def _model_readme(self, artifact: _Artifact) -> Addition:
        return Addition(await self._of_model(artifact, "readme.md", frozenset({"readme.md"})), _MARKDOWN)

    async def _license(self, artifact: _Artifact) -> Addition:
        return Addition(await self._of_model(artifact, "license", _LICENSES), _TEXT)

    async def _of_model(self, artifact: _Artifact, name: str, names: frozenset[str]) -> bytes:
        layer = next((layer for layer in artifact.manifest.layers if path_of(layer).lower() in names), None)
        if layer is None:
            raise _missing(name)
        packed = layer.media_type.partition(".v1.")[2]
        if packed not in {"tar", "tar+gzip"}:
            return await self._contents.of_manifest(artifact.manifest_id, layer.digest, most=LARGEST_CONFIG)

        def wanted(path: str) -> bool:
            return path.rpartition("/")[2].lower() in names

        return await self._unpack(artifact, layer, wanted, name, gzipped=packed == "tar+gzip")

    async def _unpack(
        self, artifact: _Artifact, layer: Descriptor, wanted: Callable[[str], bool], name: str, *, gzipped: bool
    ) -> bytes:
        async with self._unpacking:
            archive = await self._contents.of_manifest(artifact.manifest_id, layer.digest, most=_LARGEST_ARCHIVE)
            content = await asyncio.to_thread(find_file, archive, wanted, gzipped=gzipped)
        if content is None:
            raise _missing(name)
        return content

    async def _files(self, artifact: _Artifact) -> Addition:
        tree: tuple[Listed, ...] = file_tree(artifact.manifest.layers)
        return Addition(msgspec.json.encode(tree), _JSON)

    async def _sbom(self, artifact: _Artifact) -> Addition:
        if not artifact.manifest.layers:
            raise _missing("sbom")
        layer = artifact.manifest.layers[0]
        content = await self._contents.of_manifest(artifact.manifest_id, layer.digest, most=_LARGEST_ARCHIVE)
        return Addition(content, HARBOR_SBOM)


def _missing(name: str) -> NotFound:
    return NotFound(f"The artifact has no {name}. Pull it to see what is in it.")
