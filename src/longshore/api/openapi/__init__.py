# SPDX-License-Identifier: Apache-2.0
"""Our own description of the API (OpenAPI 3.1): made from the code, checked in, and served with a page to browse it."""

from __future__ import annotations
