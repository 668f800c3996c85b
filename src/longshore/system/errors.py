# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with the configuration."""

from __future__ import annotations

from longshore.oci.errors import BadRequest, Denied


class ItemInvalid(BadRequest):
    """A configuration item can't have the value it was given."""


class ConfigurationFixed(Denied):
    """The operator has fixed the configuration, so nobody changes it over the API."""


class ReadOnly(Denied):
    """The registry is in read-only mode: an administrator has switched all changes off."""
