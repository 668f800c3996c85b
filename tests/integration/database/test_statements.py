# SPDX-License-Identifier: Apache-2.0
"""Every statement of the product, as PostgreSQL understands it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import asyncpg
import pytest

import longshore
from longshore.database.connection import Dialect
from longshore.database.statement import Statement
from tests.databases import Databases


def statements() -> Iterator[tuple[str, Statement]]:
    """Those that modules hold, under their names."""
    for module in pkgutil.walk_packages(longshore.__path__, "longshore."):
        if ".migrations" in module.name or module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, Statement):
                yield f"{module.name}.{name}", value


# Yes, no, or not asked.
SMALL = {"public"}


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
async def test_no_number_is_read_as_a_small_one(databases: Databases) -> None:
    """A parameter beside a literal would be of 32 bits: 2 GiB more, or a time in microseconds, would not fit into it."""
    assert databases.dialect is Dialect.POSTGRESQL
    server = await asyncpg.connect(databases.url)
    found = dict(statements())
    narrow = {}
    try:
        for name, statement in found.items():
            types = (await server.prepare(statement.postgresql)).get_parameters()
            for parameter, kind in zip(statement._names, types, strict=True):
                if kind.name in {"int2", "int4"} and parameter not in SMALL:
                    narrow[f"{name} {parameter}"] = kind.name
    finally:
        await server.close()
    assert len(found) > 150
    assert narrow == {}
