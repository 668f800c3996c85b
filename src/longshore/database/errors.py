# SPDX-License-Identifier: Apache-2.0
"""What a constraint says when it refuses. These are for domain code to catch outside of the transaction."""

from __future__ import annotations


class ConstraintViolation(Exception):  # noqa: N818 - named for what happened, like the rest of the tree
    """A constraint of the schema refused a change; the transaction was rolled back."""


class UniqueViolation(ConstraintViolation):
    """The row is there already."""


class ForeignKeyViolation(ConstraintViolation):
    """A row that is referred to is missing, or a row that goes is still referred to."""


class CheckViolation(ConstraintViolation):
    """A value is outside of what the column may hold."""
