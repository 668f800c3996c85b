# SPDX-License-Identifier: Apache-2.0
"""Our description of the API against Harbor's contract, operation by operation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from longshore.api.app import CONTROLLERS
from longshore.api.contract import OURS, canonical
from longshore.api.openapi.document import describe
from longshore.api.operations import OPERATIONS
from longshore.api.serialising import Shown

CONTRACT: dict[str, Any] = json.loads(Path(__file__).with_name("contract.json").read_text())
DEFINITIONS: dict[str, dict[str, Any]] = CONTRACT["definitions"]
# As JSON has it: a default of an empty tuple is an empty list.
DESCRIBED = json.loads(json.dumps(describe(CONTROLLERS, "0")))
SCHEMAS: dict[str, Any] = DESCRIBED["components"]["schemas"]
SERVED: dict[str, tuple[str, str, dict[str, Any]]] = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in DESCRIBED["paths"].items()
    for method, operation in methods.items()
}
IN_CONTRACT = sorted(SERVED.keys() & CONTRACT["requests"].keys())

# Every operation may be sent it, and the edge reads it.
EVERYWHERE = {"X-Request-Id"}
# Parameters of the contract that are ignored, and why.
IGNORED_PARAMETERS: dict[tuple[str, str], str] = {
    ("getArtifact", "page"): "one artifact has no pages",
    ("getArtifact", "page_size"): "one artifact has no pages",
    ("getArtifact", "with_signature"): "signatures are accessories",
    **{
        (name, parameter): "there are no scanners yet"
        for name in ("getArtifact", "getVulnerabilitiesAddition", "listArtifacts", "listArtifactsOfProject")
        for parameter in ("X-Accept-Vulnerabilities", "with_scan_overview", "with_sbom_overview")
    },
}
# Members of documents that are never shown, or that this release has nothing to say by, and why.
LATER: dict[tuple[str, str], str] = {
    ("ProjectSummary", "registry"): "no project caches another registry yet",
    ("ConfigurationsResponse", "uaa_client_secret"): "it is a secret",
    ("Robot", "secret"): "it is shown when it is made and when it is refreshed, never again",
    ("AdditionLink", "absolute"): "no client is told of an absolute address, as in Harbor",
    ("Artifact", "sbom_overview"): "there are no scanners yet",
    ("Artifact", "scan_overview"): "there are no scanners yet",
    ("UserResp", "oidc_user_meta"): "there is no OIDC yet",
    ("GeneralInfo", "authproxy_settings"): "there is no authentication by proxy yet",
}

# Operations that never answer with a document, and why.
NEVER: dict[str, str] = {
    "getInternalconfig": "nobody may read it over HTTP",
    "getScannerOfProject": "404 until there are scanners",
}


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _members(schema: dict[str, Any]) -> set[str]:
    """The members of the document that a schema names, or a list of it."""
    if "$ref" in schema:
        return set(SCHEMAS[_name(schema["$ref"])].get("properties", {}))
    return _members(schema["items"]) if schema.get("type") == "array" else set()


def _content(described: dict[str, Any]) -> dict[str, Any]:
    (media,) = described["content"].values()
    schema: dict[str, Any] = media["schema"]
    return schema


def _definition(kind: Any) -> str | None:
    """The definition that a type of the contract names, itself or as a list."""
    named = kind[0] if isinstance(kind, list) else kind
    return named if named in DEFINITIONS else None


@pytest.mark.parametrize("name", IN_CONTRACT)
def test_parameters(name: str) -> None:
    """A served operation looks at every parameter and header that the contract gives it."""
    _, _, operation = SERVED[name]
    facts = CONTRACT["requests"][name]
    known = {(each["in"], each["name"].lower()) for each in operation.get("parameters", ())}
    for place in ("query", "header", "path"):
        for parameter in facts.get(place, ()):
            if parameter not in EVERYWHERE and (name, parameter) not in IGNORED_PARAMETERS:
                assert (place, parameter.lower()) in known, f"{name} doesn't look at {parameter} ({place})"


@pytest.mark.parametrize("name", IN_CONTRACT)
def test_bodies(name: str) -> None:
    """A served operation takes a body exactly when the contract has one."""
    _, _, operation = SERVED[name]
    kind = CONTRACT["requests"][name].get("body")
    assert (kind is None) == ("requestBody" not in operation), (
        f"{name} and the contract differ in whether there is a body"
    )


@pytest.mark.parametrize("name", IN_CONTRACT)
def test_answers(name: str) -> None:
    """A served operation answers with the contract's status and with every member of its document."""
    method, _, operation = SERVED[name]
    expected = {status: kind for status, kind in CONTRACT["operations"][name].items() if status.startswith("2")}
    (status,) = (status for status in operation["responses"] if status.startswith("2"))
    assert status in expected, f"{name} answers {status}, the contract has {sorted(expected)}"
    kind = expected[status]
    if kind is None or method == "HEAD" or name in NEVER:
        assert "content" not in operation["responses"][status]
        return
    assert "content" in operation["responses"][status], f"{name} answers no document, the contract has {kind}"
    definition = _definition(kind)
    if definition is not None:
        missing = set(DEFINITIONS[definition]) - _members(_content(operation["responses"][status]))
        assert {member for member in missing if (definition, member) not in LATER} == set(), f"{name}: {definition}"


def _shown(base: type[Any] = Shown) -> Iterator[str]:
    for each in base.__subclasses__():
        yield each.__name__
        yield from _shown(each)


@pytest.mark.parametrize("name", sorted({*_shown()} & SCHEMAS.keys() & DEFINITIONS.keys()))
def test_documents_are_complete(name: str) -> None:
    """A document that is shown has every member of its definition, also within another one; what is left for later says so."""
    missing = set(DEFINITIONS[name]) - set(SCHEMAS[name].get("properties", {}))
    assert {member for member in missing if (name, member) not in LATER} == set()


def test_nothing_is_left_for_later_that_is_there() -> None:
    """The lists of what is missing get shorter as it comes."""
    for name, member in LATER:
        if name in SCHEMAS:
            assert member not in SCHEMAS[name].get("properties", {}), f"{name}.{member} is there: take it out of LATER"


def test_every_operation_has_a_place() -> None:
    """An operation is the contract's or one of ours, at its path and with its method."""
    table = {name: (method, canonical(f"/api/v2.0{path}")) for method, path, name in OPERATIONS}
    table |= {name: (method, path) for method, path, name in OURS}
    for name, (method, path, operation) in SERVED.items():
        assert (method, path) == table[name]
        assert operation["summary"].endswith(".")


def test_the_document_is_the_one_that_is_served() -> None:
    """What was checked in is what the code says (`docs/generate.py` writes it)."""
    served = json.loads(files("longshore.api.openapi").joinpath("openapi.json").read_bytes())
    described = json.loads(json.dumps(DESCRIBED))
    assert served["paths"] == described["paths"]
    assert served["components"] == described["components"]


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "$ref":
                yield each
            else:
                yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def test_references_lead_somewhere() -> None:
    """Every reference within the document is to something in it."""
    for reference in set(_references(DESCRIBED)):
        found: Any = DESCRIBED
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def test_the_page_needs_nobody_else() -> None:
    """The page names no address but the document's."""
    page = files("longshore.api.openapi").joinpath("page.html").read_text()
    assert re.findall(r"(?:src|href)=\"([^\"]*)\"", page) == ["openapi.json"]
    assert "://" not in page
