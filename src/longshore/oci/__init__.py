# SPDX-License-Identifier: Apache-2.0
"""Sans-I/O values of the OCI specifications; imports nothing of ours."""

from __future__ import annotations
