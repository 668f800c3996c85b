# SPDX-License-Identifier: Apache-2.0
"""Groups of users, as LDAP, an authenticating proxy or OIDC tell them."""

from __future__ import annotations
