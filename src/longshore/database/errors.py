# SPDX-License-Identifier: Apache-2.0
"""What a constraint says when it refuses. These are for domain code to catch outside of the transaction."""

from __future__ import annotations

from longshore.oci.errors import ServiceUnavailable, Unprocessable


class ConstraintViolation(Exception):  # noqa: N818 - named for what happened, like the rest of the tree
    """A constraint of the schema refused a change; the transaction was rolled back."""


class DatabaseRefused(ServiceUnavailable):
    """The database server is there and will not let us in with these settings.

    Args:
        answer: What it said, for the operator: it may name the database and the user. ``str`` gives it, for log and terminal.
    """

    def __init__(self, answer: str) -> None:
        super().__init__(
            "The database refuses the registry. Its operator finds the reason in the server's log.", retry_after=2
        )
        self.answer = answer

    def __str__(self) -> str:
        """What the operator needs to know."""
        return f"PostgreSQL refuses ({self.answer}): look at LONGSHORE_DATABASE_URL."


class SearchTooSlow(Unprocessable):
    """A search passed over too many rows and was stopped."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The search took longer than {seconds:g} seconds and was stopped. Narrow the filter: by an exact value, by a"
            " range, or by a longer part of a name."
        )


class UniqueViolation(ConstraintViolation):
    """The row is there already."""


class ForeignKeyViolation(ConstraintViolation):
    """A row that is referred to is missing, or a row that goes is still referred to."""


class CheckViolation(ConstraintViolation):
    """A value is outside of what the column may hold."""
