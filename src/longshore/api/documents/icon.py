# SPDX-License-Identifier: Apache-2.0
"""Icons, as the contract shows them."""

from __future__ import annotations

import msgspec

from longshore.api.serialising import Shown


class Icon(Shown, frozen=True, kw_only=True):
    """A picture in Base64."""

    content_type: str = msgspec.field(default="", name="content-type")
    content: str = ""
