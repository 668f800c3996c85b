# SPDX-License-Identifier: Apache-2.0
"""The audit log and how far its readers of events have come."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text

from longshore.database.schema import Identifier, Microseconds, Name, identifier, metadata

# Rows outlive what they tell of, so nothing is referred to; a partition by time can be made of it without a change of keys.
audit_log = Table(
    "audit_log",
    metadata,
    identifier(),
    Column("project_id", Identifier, comment="NULL: of the whole registry"),
    Column("at", Microseconds, nullable=False),
    Column("operation", Text, nullable=False),
    Column("resource_type", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("username", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("success", Boolean, nullable=False),
    Column("source", Text, nullable=False, comment="the client's address; empty where it isn't known"),
    Index("ix_audit_log_listing", "at", "id"),
    Index("ix_audit_log_project", "project_id", "at", "id"),
    sqlite_autoincrement=True,
)

audit_cursors = Table(
    "audit_cursors",
    metadata,
    Column("name", Name, primary_key=True, comment="log: what audit_log has; forward: what the syslog server has"),
    Column("seq", BigInteger, nullable=False, comment="of the last event that was read"),
    Column("holder", Text, nullable=False, comment="who forwards at present"),
    Column("held_until", Microseconds, nullable=False),
)
