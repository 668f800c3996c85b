# SPDX-License-Identifier: Apache-2.0
"""The files of a model, by what the annotations of its layers say; nothing is unpacked for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from longshore.oci.descriptor import Descriptor

_PATH: Final = "org.cncf.model.filepath"
_METADATA: Final = "org.cncf.model.file.metadata+json"
_DEEPEST: Final = 32


class Listed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file or a folder; `size` in bytes is that of the file."""

    name: str
    type: str
    size: int | None = None
    children: tuple[Listed, ...] | None = None


class _Metadata(msgspec.Struct):
    size: int = 0


def path_of(layer: Descriptor) -> str:
    """The path of a layer's file within the model; empty when it doesn't say."""
    return layer.annotations.get(_PATH, "").removeprefix("./")


def file_tree(layers: Iterable[Descriptor]) -> tuple[Listed, ...]:
    """The files of these layers as a tree, folders first, each in the order of names."""
    root: dict[str, Any] = {}
    for layer in layers:
        parts = [part for part in path_of(layer).split("/") if part not in {"", ".", ".."}][-_DEEPEST:]
        if not parts:
            continue
        folder = root
        for part in parts[:-1]:
            below = folder.get(part)
            if not isinstance(below, dict):
                below = folder[part] = {}
            folder = below
        if not isinstance(folder.get(parts[-1]), dict):
            folder[parts[-1]] = _size(layer)
    return _listed(root)


def _size(layer: Descriptor) -> int:
    """Of the file itself, where the layer tells; packed it has another."""
    try:
        size = msgspec.json.decode(layer.annotations.get(_METADATA, ""), type=_Metadata).size
    except msgspec.DecodeError:
        return layer.size
    return size or layer.size


def _listed(folder: dict[str, Any]) -> tuple[Listed, ...]:
    folders = [
        Listed(name, "directory", children=_listed(content))
        for name, content in sorted(folder.items())
        if isinstance(content, dict)
    ]
    files = [Listed(name, "file", size=size) for name, size in sorted(folder.items()) if not isinstance(size, dict)]
    return (*folders, *files)
