# SPDX-License-Identifier: Apache-2.0
"""Edge: OCI Distribution under /v2 and the token service."""

from __future__ import annotations
