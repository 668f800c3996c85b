# SPDX-License-Identifier: Apache-2.0
"""The instance: which database this is and which key it was made with; and what administrators have set."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Integer, Table, Text

from longshore.database.schema import Microseconds, Name, metadata

instance = Table(
    "instance",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("uuid", Text, nullable=False),
    Column("key_check", Text, nullable=False, comment="tells whether LONGSHORE_SECRET_KEY is the one of this database"),
    Column("created_at", Microseconds, nullable=False),
    CheckConstraint("id = 1", name="single"),
)

configuration = Table(
    "configuration",
    metadata,
    Column("name", Name, primary_key=True),
    Column("value", Text, nullable=False, comment="JSON"),
    Column("updated_at", Microseconds, nullable=False),
    comment="What administrators have set; items that aren't here have their default",
)
