# SPDX-License-Identifier: Apache-2.0
"""What the pages point to is there: links, commands, make targets, files."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from docs import generate
from longshore.config import load_settings
from tests.unit.docs.pages import ROOT, anchors, blocks, inline_code, links, pages, shell_lines

COMMANDS: dict[str, Any] = dict(generate.commands())
GROUPS = {" ".join(name.split()[:length]) for name in COMMANDS for length in range(1, len(name.split()))}
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
# Which words may stand before a command on its line.
BEFORE = re.compile(r"^(?:(?:\w+=\S*|sudo|exec|env)\s+)*(?:\S*/)?longshore\s+(.*)$")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", pages(), ids=ids)
def test_links_resolve(page: Path) -> None:
    """Every relative link leads to a file, and to a heading in it if it names one."""
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{target} is missing"
        if anchor:
            assert anchor in anchors(found), f"{target}: no such heading; there are {sorted(anchors(found))}"


@pytest.mark.parametrize("page", pages(), ids=ids)
def test_commands_exist(page: Path) -> None:
    """Every `longshore …` that a page shows is a command with these options, every `make …` a target."""
    for line in [*shell_lines(page), *inline_code(page)]:
        for part in re.split(r"\s*(?:\||&&|;)\s*", line):
            found = BEFORE.match(part)
            if found is not None:
                check_longshore(found[1])
            if target := re.match(r"^(?:\w+=\S*\s+)*make ([a-z]+)", part):
                assert target[1] in TARGETS, f"make {target[1]}"


def check_longshore(arguments: str) -> None:
    """Raises AssertionError unless the arguments are a command's, or a group's as prose names it."""
    try:
        words = shlex.split(arguments)
    except ValueError:
        words = arguments.split()
    words = words[: words.index("…")] if "…" in words else words
    name = "longshore"
    while words and (f"{name} {words[0]}" in COMMANDS or f"{name} {words[0]}" in GROUPS):
        name = f"{name} {words.pop(0)}"
    options = [word.partition("=")[0] for word in words if word.startswith("-")]
    if name not in COMMANDS:
        assert not [word for word in words if not word.startswith("-")], f"longshore {arguments}: no such command"
        assert set(options) <= {"--help"}, f"longshore {arguments}"
        return
    known = {option for parameter in COMMANDS[name].params for option in [*parameter.opts, *parameter.secondary_opts]}
    unknown = set(options) - known - {"--help"}
    assert not unknown, f"{name} has no {unknown}"


def test_a_wrong_command_is_noticed() -> None:
    """The check above fails for a command and an option that don't exist."""
    with pytest.raises(AssertionError):
        check_longshore("admin project destroy demo")
    with pytest.raises(AssertionError):
        check_longshore("serve --fast")


def test_source_refers_to_existing_pages() -> None:
    """Every page that the source and the tools name is there."""
    files = [*generate.SOURCE.rglob("*.py"), ROOT / "Makefile", ROOT / "pyproject.toml"]
    named = {name for path in files for name in re.findall(r"docs/[\w/-]+\.(?:md|py)", path.read_text())}
    assert named
    assert not {name for name in named if not (ROOT / name).exists()}


@pytest.mark.parametrize("page", pages(), ids=ids)
def test_what_is_printed_follows_what_is_run(page: Path) -> None:
    """A block of output belongs to a block that is run."""
    marks = [block.mark for block in blocks(page) if block.mark]
    assert marks[:1] != ["prints"]
    assert ("prints", "prints") not in list(pairwise(marks))


def test_every_page_is_reached() -> None:
    """Every page of docs/ is linked from its table of contents."""
    contents = ROOT / "docs" / "README.md"
    listed = {(contents.parent / target.partition("#")[0]).resolve() for target in links(contents)}
    missing = {path for path in (ROOT / "docs").rglob("*.md") if path != contents} - listed
    assert not missing


def test_no_host_of_a_package_registry_is_named() -> None:
    """The documentation sends nobody to somebody else's registry."""
    hosts = re.compile(r"\b(?:docker\.io|quay\.io|ghcr\.io|gcr\.io|registry\.k8s\.io|pypi\.org|npmjs\.(?:com|org))\b")
    for page in pages():
        assert hosts.search(page.read_text()) is None, page


def test_the_example_of_a_configuration_file_is_right(tmp_path: Path) -> None:
    """The TOML file that the page on settings shows is accepted as it stands."""
    shown = next(
        block.text for block in blocks(ROOT / "docs" / "reference" / "settings.md") if block.language == "toml"
    )
    (tmp_path / "longshore.toml").write_text(shown)
    settings = load_settings(tmp_path / "longshore.toml", {})
    assert settings.port == 8443
    assert settings.external_url == "https://registry.example.com"
