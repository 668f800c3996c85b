# SPDX-License-Identifier: Apache-2.0
"""Links between pages of a list (RFC 8288; distribution specification 1.1, section "Listing Tags")."""

from __future__ import annotations

from urllib.parse import quote, urlencode


def next_link(path: str, **query: str | int | None) -> str:
    """The value of the Link header that names the next page: `path` with the query, relative to the host.

    Path and values are given plain and percent-encoded here; a value of None is left out.
    """
    pairs = [(name, value) for name, value in query.items() if value is not None]
    target = quote(path, safe="/:@", errors="replace")
    if pairs:
        target += "?" + urlencode(pairs, quote_via=quote, safe="", errors="replace")
    return f'<{target}>; rel="next"'
