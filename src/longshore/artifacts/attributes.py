# SPDX-License-Identifier: Apache-2.0
"""What the config of an artifact tells, as Harbor shows it in `extra_attrs`: pure functions over its bytes.

Lists carry these attributes with every row, so what is larger than a list should carry is left out, the largest first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from longshore.registry.facts import IMAGE, WASM

LARGEST: Final = 64 * 1024
"""Bytes of JSON that an artifact's attributes may have."""

_OF_IMAGE: Final = ("architecture", "author", "config", "created", "os", "os.version", "variant")
_AUTHORS: Final = ("maintainer", "org.opencontainers.image.authors")


def attributes_of(kind: str, config: bytes) -> str:
    """A JSON object of the attributes of an artifact of this type; empty where the config is no JSON object."""
    try:
        document = msgspec.json.decode(config)
        if not isinstance(document, dict):
            return "{}"
        return _bounded(_of_image(document) if kind in {IMAGE, WASM} else document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "{}"


def _of_image(config: Mapping[str, Any]) -> dict[str, Any]:
    attributes = {name: config[name] for name in _OF_IMAGE if config.get(name) is not None}
    if not attributes.get("author"):
        author = _author(config)
        if author is not None:
            attributes["author"] = author
    return attributes


def _author(config: Mapping[str, Any]) -> str | None:
    running = config.get("config")
    labels = running.get("Labels") if isinstance(running, dict) else None
    if not isinstance(labels, dict):
        return None
    return next((labels[name] for name in _AUTHORS if isinstance(labels.get(name), str) and labels[name]), None)


def _bounded(attributes: Mapping[str, Any]) -> str:
    text = msgspec.json.encode(attributes)
    if len(text) <= LARGEST:
        return text.decode()
    sizes = {name: len(msgspec.json.encode(value)) for name, value in attributes.items()}
    # An image keeps its ports, volumes and command when it is the labels that are large.
    inner = attributes.get("config")
    if isinstance(inner, dict) and sizes["config"] == max(sizes.values()) and len(inner) > 1:
        largest = max(inner, key=lambda name: len(msgspec.json.encode(inner[name])))
        return _bounded({**attributes, "config": {name: inner[name] for name in inner if name != largest}})
    largest = max(sizes, key=lambda name: sizes[name])
    return _bounded({name: attributes[name] for name in attributes if name != largest})
