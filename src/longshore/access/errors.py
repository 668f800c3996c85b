# SPDX-License-Identifier: Apache-2.0
"""What `access` refuses; each is a leaf of the tree in `longshore.oci.errors`."""

from __future__ import annotations

from longshore.oci.errors import Unauthorized


class AuthenticationRequired(Unauthorized):
    """The caller needs a token, another one, or to log in. The edge answers with a challenge.

    Attributes:
        scope: What to ask the token service for, such as `repository:library/nginx:pull`; empty when nothing in particular.
        reason: The `error` of the challenge (RFC 6750, section 3.1): empty when the caller sent no token,
            `insufficient_scope` when its token doesn't reach, `invalid_token` when it is no longer (or never was) good.
    """

    def __init__(self, message: str, *, scope: str = "", reason: str = "", detail: object = None) -> None:
        super().__init__(message, detail=detail)
        self.scope = scope
        self.reason = reason


class WrongCredentials(Unauthorized):
    """The name is unknown, or the password or secret is wrong: which of them isn't told.

    Attributes:
        repeated: The very same credentials were found wrong before.
    """

    def __init__(self, *, repeated: bool = False) -> None:
        super().__init__("The name or the password is wrong. Check both, or ask an administrator.")
        self.repeated = repeated
