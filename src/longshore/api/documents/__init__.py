# SPDX-License-Identifier: Apache-2.0
"""The documents that the API takes and answers, named as the contract names them; one file per tag."""

from __future__ import annotations
