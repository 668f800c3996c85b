# SPDX-License-Identifier: Apache-2.0
"""The reference says everything that the code says of itself, and nothing else."""

from __future__ import annotations

import re

import pytest

from docs import generate
from longshore.config import PREFIX, SECRETS, Settings
from longshore.events.models import EventKind
from longshore.oci.errors import ERRORS
from longshore.registry.reclaim import Reclaim
from longshore.tables import metadata

REFERENCE = generate.DOCS / "reference"


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text(encoding="utf-8")


def test_generated_parts_are_up_to_date() -> None:
    """Every generated part is what `docs/generate.py` writes now."""
    stale = [str(path.relative_to(generate.ROOT)) for path, _ in generate.outdated()]
    assert not stale, f"run `.venv/bin/python docs/generate.py`: {stale}"


def test_every_generated_part_stands_on_a_page() -> None:
    """Nothing that the generator knows is left out of the pages."""
    named = {found for path in generate.DOCS.rglob("*.md") for _, found, _ in generate.BLOCK.findall(path.read_text())}
    assert named == generate.PARTS.keys()


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_is_documented(name: str) -> None:
    """A setting has a line with its variable, and with its file variant if it is a secret."""
    variable = f"`{PREFIX}{name.upper()}`"
    assert f"| {variable}" in page("settings"), name
    if name in SECRETS:
        assert f"{PREFIX}{name.upper()}_FILE" in page("settings"), name
    assert Settings.model_fields[name].description, f"{name} has no description"


def test_prose_on_settings_names_existing_ones() -> None:
    """Every variable that any page mentions is a setting."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {f"{PREFIX}CONFIG"}
    known |= {f"{PREFIX}{name.upper()}_FILE" for name in SECRETS}
    # Of the tests and of the script that makes the environment.
    known |= {"LONGSHORE_FUZZ_SECONDS", "LONGSHORE_PYTHON"}
    pages = [generate.ROOT / "README.md", *generate.DOCS.rglob("*.md")]
    unknown = {name for path in pages for name in re.findall(r"\bLONGSHORE_[A-Z_]+[A-Z]\b", path.read_text())} - known
    assert not unknown


@pytest.mark.parametrize(
    ("name", "command"), list(generate.commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_is_documented(name: str, command: object) -> None:
    """A command has a section with each of its options, and says of each what it does."""
    section = page("cli").partition(f"## `{name}`\n")[2].partition("\n## ")[0]
    assert section, f"{name} is missing"
    for parameter in command.params:  # type: ignore[attr-defined] # typer keeps its own kinds of commands to itself
        if parameter.name == "help":
            continue
        for option in parameter.opts if parameter.param_type_name == "option" else [parameter.name.upper()]:
            assert f"`{option}`" in section, f"{name} {option}"
        assert parameter.help, f"{name} {parameter.name} has no help"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_is_documented(error: type) -> None:
    """An error of the tree has a line with its status and code."""
    assert f"| {error.status} | `{error.code}` |" in page("errors")  # type: ignore[attr-defined] # every one of ERRORS has both


@pytest.mark.parametrize("kind", list(EventKind))
def test_every_event_is_documented(kind: EventKind) -> None:
    """A kind of event has its line; one that is written has its payload described."""
    text = page("events")
    assert f"| `{kind.value}` |" in text
    if f"| `{kind.value}` | yes |" in text:
        payloads = text.partition("| Kind | Payload |")[2]
        assert f"`{kind.value}`" in payloads, f"{kind.value} is written and its payload isn't described"


def test_every_metric_is_documented() -> None:
    """Every metric that the source names has its line."""
    text = page("metrics")
    found = {
        name
        for path in generate.SOURCE.rglob("*.py")
        for name in re.findall(
            r'"(longshore_(?:http|reclaim|database|storage|events?|process)_[a-z_]+)"', path.read_text()
        )
    }
    assert found
    assert not {name for name in found if f"`{name}`" not in text and f"`{name}_total`" not in text}


def test_every_step_of_reclaim_is_explained() -> None:
    """The steps that people can pause are named where metrics and deletion are explained."""
    source = "".join(path.read_text() for path in (generate.SOURCE / "registry").glob("*.py"))
    steps = re.findall(r'^    name = "([a-z_]+)"$', source, re.MULTILINE)
    assert len(steps) >= 8, Reclaim.__doc__
    why = (generate.DOCS / "why" / "metadata.md").read_text()
    for step in steps:
        assert f"`{step}`" in page("metrics"), step
        assert f"`{step}`" in why, step


def test_every_table_is_documented() -> None:
    """The schema page has every table."""
    for table in metadata.sorted_tables:
        assert f"### `{table.name}`" in page("database")
