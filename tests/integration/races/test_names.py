# SPDX-License-Identifier: Apache-2.0
"""Every race that the design names has a test of that name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

_INTEGRATION = Path(__file__).parents[1]
_NAMES = Path(__file__).with_name("names.txt").read_text().split()


def _tests() -> list[str]:
    """The names of all test functions below tests/integration."""
    trees = [ast.parse(path.read_text()) for path in sorted(_INTEGRATION.rglob("test_*.py"))]
    return [
        node.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


@pytest.mark.parametrize("race", _NAMES)
def test_every_race_has_its_test(race: str) -> None:
    """A race of `docs/why/metadata.md` without a test of its name is a race that nobody has looked at."""
    prefix = "test_" + race.lower().replace("-", "_")
    found = [name for name in _tests() if name == prefix or name.startswith(f"{prefix}_")]
    assert found, f"no test is called {prefix}"


def test_the_list_of_races_is_the_designs() -> None:
    """The list is whole: as long as the design's, each name once."""
    assert len(_NAMES) == len(set(_NAMES)) == 31
