# SPDX-License-Identifier: Apache-2.0
"""The one description of all tables: every feature's `tables` module adds to this metadata."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Text, text
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives out row ids only for INTEGER; PostgreSQL wants all 64 bits.
Identifier: TypeEngine[int] = BigInteger().with_variant(Integer, "sqlite")
# Names and digests compare byte by byte in both databases (SQLite does so by itself).
Name: TypeEngine[str] = Text().with_variant(Text(collation="C"), "postgresql")
Microseconds = BigInteger
Payload = LargeBinary


def identifier() -> Column[Any]:
    """A surrogate key that is never given out twice."""
    return Column("id", Identifier, primary_key=True, autoincrement=True)


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index over the rows that match `where` only, in both databases."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))
