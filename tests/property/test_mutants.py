# SPDX-License-Identifier: Apache-2.0
"""The checker notices what it has to notice. Run with `-m mutation`; LONGSHORE_MUTATION_SECONDS is the patience for each."""

from __future__ import annotations

import os

import pytest

from tests.databases import Databases
from tests.property.mutants import MUTANTS
from tests.property.registry import Configuration
from tests.property.running import memory_folder, place_database, processes, run_supervisor


@pytest.mark.mutation
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_broken_rule_is_noticed(databases: Databases, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A product that breaks this rule of the design doesn't get through a random run."""
    mutant = MUTANTS[name]
    if databases.dialect not in mutant.dialects:
        pytest.skip("SQLite has one writer, so this lock doesn't matter there")
    with memory_folder() as folder:
        configuration = Configuration(
            folder=folder,
            database=place_database(databases, folder),
            seed=1,
            seconds=float(os.environ.get("LONGSHORE_MUTATION_SECONDS", "90")),
            processes=processes(),
            mutant=name,
        )
        summary = run_supervisor(configuration)
    found = summary["violations"]
    with capsys.disabled():
        facts = f"after {summary['seconds']:.0f} s, {summary['pushes']} pushes, {summary['kills']} kills"
        print(f"\n{databases.dialect.value} {name} ({mutant.rule}) {facts}: {found[:1]}")  # noqa: T201 - the table
    assert found
