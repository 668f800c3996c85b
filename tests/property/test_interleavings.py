# SPDX-License-Identifier: Apache-2.0
"""The metadata protocol in random interleavings over several processes that are killed at random."""

from __future__ import annotations

import os
import random

import pytest

from tests.databases import Databases
from tests.property.registry import Configuration
from tests.property.running import memory_folder, place_database, processes, run_supervisor


def _seconds(config: pytest.Config) -> float:
    """LONGSHORE_FUZZ_SECONDS; otherwise a minute when these tests were asked for, ten seconds among all others."""
    given = os.environ.get("LONGSHORE_FUZZ_SECONDS")
    if given is not None:
        return float(given)
    return 60.0 if "fuzz" in (config.option.markexpr or "") else 10.0


@pytest.mark.fuzz
@pytest.mark.timeout(0)
@pytest.mark.parametrize("parts", [False, True], ids=["folder", "parts"])
def test_random_interleavings_keep_every_promise(
    databases: Databases, parts: bool, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is killed whenever, every invariant and promise holds, and nothing is left when all is deleted."""
    seed = int(os.environ.get("LONGSHORE_FUZZ_SEED") or random.SystemRandom().randrange(1_000_000))
    with memory_folder() as folder:
        configuration = Configuration(
            folder=folder,
            database=place_database(databases, folder),
            seed=seed,
            seconds=_seconds(request.config),
            processes=processes(),
            parts=parts,
        )
        summary = run_supervisor(configuration)
    errors, violations = summary.pop("errors"), summary.pop("violations")
    facts = " ".join(f"{name}={value}" for name, value in summary.items())
    with capsys.disabled():
        print(f"\n{databases.dialect.value} {'parts' if parts else 'folder'} {facts}")  # noqa: T201 - the summary
    assert not violations, f"seed {seed}:\n" + "\n".join(violations[:20])
    assert not errors, f"seed {seed}:\n" + "\n".join(error.replace("\\n", "\n") for error in errors[:5])
    assert summary["pushes"] > 0
    assert summary["audits"] > 0
