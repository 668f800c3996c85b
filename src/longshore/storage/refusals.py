# SPDX-License-Identifier: Apache-2.0
"""What is raised for a store that can't be used as the settings say."""

from __future__ import annotations

from longshore.oci.errors import LongshoreError
from longshore.storage.port import StoreUnavailable


class InvalidStorageURL(LongshoreError):  # noqa: N818 - named for what went wrong, as in oci.errors
    """``LONGSHORE_STORAGE_URL`` names no place that this release can store to."""


class StoreRefused(StoreUnavailable):
    """The store is there and refuses: trying again doesn't help before a setting, a right or a clock was changed."""
