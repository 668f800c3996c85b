# SPDX-License-Identifier: Apache-2.0
"""Lists: what may be asked of them, as values, and the SQL that answers. One language for every list of the product."""

from __future__ import annotations
