# SPDX-License-Identifier: Apache-2.0
"""Alembic's entry: runs the migrations on the connection that `longshore.database.migrate` hands over."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=context.config.attributes.get("metadata"), transaction_per_migration=True
)
with context.begin_transaction():
    context.run_migrations()
