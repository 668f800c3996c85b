# SPDX-License-Identifier: Apache-2.0
"""Assembles the OpenAPI 3.1 document of everything that is served below /api."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from litestar import Controller

from longshore.api.errors import CODES
from longshore.api.openapi.reading import Reading, read_handler

_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
_TAG: Final = re.compile(r"[Tt]ag `(\w+)`")
_SCHEMAS: Final = "#/components/schemas/"
_HEADERS: Final = {
    "x-is-resource-name": (
        "boolean",
        "Whether the project in the path is meant by its name, also if that is a number.",
    ),
    "x-resource-name-in-location": ("boolean", "Whether `Location` has the name instead of the number."),
}
_TOLD: Final = {
    "X-Total-Count": ("integer", "How many items there are on all pages."),
    "Link": ("string", 'The pages before (`rel="prev"`) and behind (`rel="next"`), as paths.'),
    "Location": ("string", "The path of what was made."),
    "ETag": ("string", "What `If-None-Match` and `If-Match` take."),
    "X-Request-Id": ("string", "Tells this request apart in the log."),
}
_CHANGES: Final = frozenset({"PUT", "PATCH", "DELETE"})


class ErrorEntry(msgspec.Struct, omit_defaults=True):
    """What is wrong, and what to do about it."""

    code: str
    message: str
    detail: Any = None


class Errors(msgspec.Struct):
    """The answer to whatever didn't succeed."""

    errors: list[ErrorEntry]
    request_id: str


def describe(controllers: Iterable[type[Controller]], version: str) -> dict[str, Any]:
    """The document."""
    found = sorted(_operations(controllers), key=lambda each: (each[0], each[1]))
    types = [kind for _, _, _, reading, _ in found for kind in (reading.body, reading.content) if _is_document(kind)]
    schemas = _Schemas([*types, Errors])
    paths: dict[str, Any] = {}
    for path, method, handler, reading, tag in found:
        paths.setdefault(path, {})[method.lower()] = _operation(path, method, handler, reading, tag, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Longshore",
            "version": version,
            "description": "Harbor's API v2.0 as this release serves it, and what is ours.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"basic": []}],
        "tags": [{"name": tag} for tag in sorted({tag for *_, tag in found})],
        "paths": paths,
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            "headers": {name: {"schema": {"type": kind}, "description": text} for name, (kind, text) in _TOLD.items()},
            "responses": {"Error": _error(schemas)},
            "schemas": schemas.components,
        },
    }


def _operations(controllers: Iterable[type[Controller]]) -> Iterator[tuple[str, str, Any, Reading, str]]:
    for controller in controllers:
        given = vars(controller).get("path")
        base = given if isinstance(given, str) else ""
        module = inspect.getmodule(controller)
        named = _TAG.search((module.__doc__ if module is not None else "") or "")
        tag = named[1] if named else controller.__module__.rpartition(".")[2]
        for handler in vars(controller).values():
            for part in getattr(handler, "paths", ()):
                path = _PARAMETER.sub(r"{\1}", f"{base}{part}").rstrip("/")
                for method in sorted(handler.http_methods):
                    yield path, str(method), handler, read_handler(handler), tag


class _Schemas:
    """The schemas of all documents, by their names."""

    def __init__(self, types: Iterable[Any]) -> None:
        unique = list({repr(kind): kind for kind in types}.values())
        made, components = msgspec.json.schema_components(unique, ref_template=f"{_SCHEMAS}{{name}}")
        self._made = dict(zip(map(repr, unique), made, strict=True))
        self.components = dict(sorted(components.items()))

    def of(self, kind: Any) -> dict[str, Any]:
        return self._made[repr(kind)]


def _is_document(kind: Any) -> bool:
    return kind is not None and kind not in {str, bytes}


def _operation(path: str, method: str, handler: Any, reading: Reading, tag: str, schemas: _Schemas) -> dict[str, Any]:
    function = getattr(handler.fn, "value", handler.fn)
    summary, _, description = (inspect.getdoc(function) or "").partition("\n")
    made: dict[str, Any] = {"operationId": handler.operation_id, "tags": [tag], "summary": summary}
    if description.strip():
        made["description"] = description.strip()
    parameters = list(_parameters(path, method, reading))
    if parameters:
        made["parameters"] = parameters
    if reading.body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": schemas.of(reading.body)}}}
    made["responses"] = _responses(path, method, reading, schemas)
    return made


def _parameters(path: str, method: str, reading: Reading) -> Iterator[dict[str, Any]]:
    for name in _PARAMETER.findall(path):
        schema: dict[str, Any] = {"type": "integer"} if name in reading.integers else {"type": "string", "minLength": 1}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    for name, (text, schema) in sorted(reading.query.items()):
        yield {"name": name, "in": "query", **({"description": text} if text else {}), "schema": schema}
    for header in sorted(reading.headers - {"authorization", "cookie"}):
        kind, text = _HEADERS.get(header, ("string", ""))
        shown = "-".join(word.capitalize() for word in header.split("-"))
        yield {"name": shown, "in": "header", **({"description": text} if text else {}), "schema": {"type": kind}}
    condition = {"GET": "If-None-Match"} | dict.fromkeys(_CHANGES, "If-Match")
    if method in condition:
        yield {"name": condition[method], "in": "header", "schema": {"type": "string"}, "description": "An ETag."}


def _responses(path: str, method: str, reading: Reading, schemas: _Schemas) -> dict[str, Any]:
    told = ["X-Request-Id"]
    told += ["X-Total-Count", "Link"] if reading.listed else []
    told += ["Location"] if reading.created else []
    told += ["ETag"] if method == "GET" else []
    success: dict[str, Any] = {
        "description": "Done." if reading.content is None else "What was asked for.",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in told},
    }
    if reading.content is not None and method != "HEAD":
        written = {"type": "object" if reading.media_type == "application/json" else "string"}
        schema = schemas.of(reading.content) if _is_document(reading.content) else written
        success["content"] = {reading.media_type: {"schema": schema}}
    responses: dict[str, Any] = {str(reading.status): success}
    if method == "GET":
        responses["304"] = {"description": "It is still what `If-None-Match` says."}
    # A HEAD has no envelope to say why.
    refused = {"description": "It was refused."} if method == "HEAD" else {"$ref": "#/components/responses/Error"}
    responses |= dict.fromkeys((*map(str, _refusals(path, method, reading)), "default"), refused)
    return responses


def _refusals(path: str, method: str, reading: Reading) -> Iterator[int]:
    """What an operation may refuse with, by what it takes."""
    yield from (400, 401, 403)
    if "{" in path or reading.body is not None or method == "HEAD":
        yield 404
    if method in {"POST", "PUT"}:
        yield 409
    if method != "GET":
        yield 412
    if reading.body is not None:
        yield 413
    yield from (422, 429, 503)


def _error(schemas: _Schemas) -> dict[str, Any]:
    codes = ", ".join(f"{status} `{code}`" for status, code in sorted(CODES.items()))
    return {
        "description": f"What is wrong and what to do about it. Codes: {codes}.",
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
        "content": {"application/json": {"schema": schemas.of(Errors)}},
    }
