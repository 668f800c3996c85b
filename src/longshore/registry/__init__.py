# SPDX-License-Identifier: Apache-2.0
"""The heart: repositories, manifests and their graph, tags, blobs, uploads, trash and reclaim."""

from __future__ import annotations
