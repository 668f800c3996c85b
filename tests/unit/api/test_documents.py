# SPDX-License-Identifier: Apache-2.0
"""Every document against the contract: members, and what of them is left out when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from longshore.api import app  # noqa: F401 - imports every document there is
from longshore.api.contract import OURS
from longshore.api.operations import OPERATIONS
from longshore.api.serialising import Read, Shown, read
from longshore.oci.errors import Unprocessable

CONTRACT: dict[str, Any] = json.loads(Path(__file__).with_name("contract.json").read_text())
DEFINITIONS: dict[str, dict[str, Any]] = CONTRACT["definitions"]

# Members that Harbor shows although its contract would leave them out (wire details 35).
ALWAYS_SHOWN = {
    ("GeneralInfo", name)
    for name in ("auth_mode", "primary_auth_mode", "self_registration", "banner_message", "oidc_provider_name")
}
# `hard` and `used` are maps, which a quota always has.
ALWAYS_SHOWN |= {("ProjectSummaryQuota", "hard"), ("ProjectSummaryQuota", "used")}
# Every item of the configuration is shown.
ALWAYS_SHOWN |= {("ConfigurationsResponse", name) for name in DEFINITIONS["ConfigurationsResponse"]}
ALWAYS_SHOWN |= {("Quota", "hard"), ("Quota", "used")}
# Members that the contract doesn't have (`docs/harbor-compatibility.md`).
OURS_SHOWN = {("Quota", "trash"), ("UserResp", "disabled")}
OURS_READ: dict[tuple[str, str], dict[str, Any]] = {("RobotSec", "grace_seconds"): {"type": "integer"}}
# Documents of operations that only we have.
OURS_ALONE = {
    *("AccessExplanation", "AccessQuestion", "AskedPrincipal", "Membership", "NamedPrincipal"),
    *("AccessToken", "AccessTokenCreated", "AccessTokenReq", "UserDisabledFlag"),
}
# What the request of a name that two definitions would have is called here.
READ_AS = {
    "AccessReq": "Access",
    "CVEAllowlistItemReq": "CVEAllowlistItem",
    "AddedLabel": "Label",
    "CVEAllowlistReq": "CVEAllowlist",
    "LabelReq": "Label",
    "ProjectMetadataReq": "ProjectMetadata",
    "RepositoryReq": "Repository",
    "RobotPermissionReq": "RobotPermission",
    "RobotSecReq": "RobotSec",
    "RobotUpdate": "Robot",
    "UserGroupReq": "UserGroup",
}


def _subclasses(base: type[Any]) -> Iterator[type[Any]]:
    for each in base.__subclasses__():
        yield each
        yield from _subclasses(each)


# Documents that the contract has no name for.
NAMELESS = frozenset({"APIVersion", "ScanAllPolicy"})
SHOWN = [each for each in _subclasses(Shown) if each.__name__ not in NAMELESS | OURS_ALONE]
READ = [each for each in _subclasses(Read) if each.__name__ not in OURS_ALONE]


def _rule(name: str, member: str) -> str:
    """What the contract says of a member without a value: `there`, `zero` (left out while zero) or `unset`."""
    facts = DEFINITIONS[name][member]
    if (name, member) in ALWAYS_SHOWN:
        return "there"
    if facts["type"] == "date-time":
        return "unset" if facts.get("nullable") else "there"
    if isinstance(facts["type"], list):
        return "zero" if facts.get("omitempty") else "there"
    if facts.get("nullable") or facts["type"] in DEFINITIONS:
        return "unset"
    return "there" if facts.get("omitempty") is False else "zero"


def _declared(field: msgspec.structs.FieldInfo) -> str:
    if field.default is msgspec.NODEFAULT:
        return "there"
    return "unset" if field.default is msgspec.UNSET else "zero"


@pytest.mark.parametrize("document", SHOWN, ids=lambda each: each.__name__)
def test_shown(document: type[Shown]) -> None:
    """A document has members of the contract only, and leaves each out exactly when the contract does."""
    name = document.__name__
    for field in msgspec.structs.fields(document):
        if (name, field.name) in OURS_SHOWN:
            continue
        assert field.encode_name in DEFINITIONS[name]
        assert (field.name, _declared(field)) == (field.name, _rule(name, field.encode_name))
        if _declared(field) == "zero":
            assert field.default in ("", 0, False, ())


@pytest.mark.parametrize("document", READ, ids=lambda each: each.__name__)
def test_read(document: type[Read]) -> None:
    """A body may lack any member or have it null, has members of the contract only, and ignores unknown ones."""
    name = READ_AS.get(document.__name__, document.__name__)
    fields = msgspec.structs.fields(document)
    assert {field.name for field in fields if (name, field.name) not in OURS_READ} <= DEFINITIONS[name].keys()
    nulls = json.dumps({**dict.fromkeys(field.name for field in fields), "unknown": {"x": [1]}}).encode()
    assert read(nulls, document) == read(b"{}", document)


@pytest.mark.parametrize("document", READ, ids=lambda each: each.__name__)
def test_wrong_types(document: type[Read]) -> None:
    """A member of another type is refused, and the message names it."""
    for field in msgspec.structs.fields(document):
        name = READ_AS.get(document.__name__, document.__name__)
        facts = DEFINITIONS[name].get(field.name) or OURS_READ[name, field.name]
        wrong = {"string": 7, "integer": "7", "boolean": "true"}.get(str(facts["type"]), "text")
        with pytest.raises(Unprocessable, match=rf"\$\.{field.name}"):
            read(json.dumps({field.name: wrong}).encode(), document)
        if facts["type"] == "integer":
            for number in (2**63, -(2**63) - 1, 10**400, 1.5):
                with pytest.raises(Unprocessable):
                    read(json.dumps({field.name: number}).encode(), document)
        if "longest" in facts:
            with pytest.raises(Unprocessable, match=rf"\$\.{field.name}"):
                read(json.dumps({field.name: "x" * (facts["longest"] + 1)}).encode(), document)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"  ",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{}{}",
        b"\xff",
        b'{"username": "\xff"}',
        b'{"username": "a\\u0000"}',
        b'{"x": "\\\\\\u0000"}',
        b'{"username": "\\ud800"}',
        b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_no_document(payload: bytes) -> None:
    """What isn't a JSON object, or has text that no database takes, is refused as unprocessable."""
    document = next(each for each in READ if each.__name__ == "UserCreationReq")
    with pytest.raises(Unprocessable):
        read(payload, document)


def test_backslash_before_u0000() -> None:
    """A backslash followed by the letters u0000 is ordinary text."""
    document = next(each for each in READ if each.__name__ == "UserCreationReq")
    assert read(b'{"username": "a\\\\u0000"}', document) == document(username="a\\u0000")


def test_operations_are_the_contract() -> None:
    """The table has all 203 operations of the contract, each method and path once, and the tests know their answers."""
    assert len(OPERATIONS) == 203
    assert len({(method, path) for method, path, _ in OPERATIONS}) == 203
    assert {name for _, _, name in OPERATIONS} == CONTRACT["operations"].keys()
    assert not {name for _, _, name in OURS} & CONTRACT["operations"].keys()
