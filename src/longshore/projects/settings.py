# SPDX-License-Identifier: Apache-2.0
"""The string settings of projects that Harbor calls metadata: which there are, and what they may be."""

from __future__ import annotations

import re
from typing import Final

from longshore.oci.errors import BadRequest

PUBLIC: Final = "public"
RETENTION: Final = "retention_id"
_BOOLEANS: Final = frozenset(
    {
        PUBLIC,
        "enable_content_trust",
        "enable_content_trust_cosign",
        "prevent_vul",
        "auto_scan",
        "auto_sbom_generation",
        "reuse_sys_cve_allowlist",
        "proxy_cache_local_on_not_found",
        "proxy_referrer_api",
    }
)
_NUMBERS: Final = frozenset({"proxy_speed_kb", "max_upstream_conn"})
_NUMBER: Final = re.compile(r"-1|[0-9]{1,9}")
_SEVERITIES: Final = ("none", "low", "medium", "high", "critical")
_FILTER_KINDS: Final = ("doublestar", "regex")
_LONGEST_PATTERN: Final = 255
_TRUE: Final = frozenset({"1", "t", "true"})
_FALSE: Final = frozenset({"0", "f", "false"})


def parse_setting(name: str, value: str) -> str:
    """The value as it is stored: booleans `true` or `false`, a severity in lower case.

    Raises:
        BadRequest: there is no such setting, or it can't have this value.
    """
    if name in _BOOLEANS:
        return "true" if parse_boolean(name, value) else "false"
    if name == "severity":
        return _one_of(name, value.lower(), _SEVERITIES)
    if name == "proxy_cache_filter_kind":
        return _one_of(name, value, _FILTER_KINDS)
    if name in _NUMBERS:
        if _NUMBER.fullmatch(value) is None:
            raise BadRequest(f"The setting {name} is a number, or -1 for no limit, not {value[:40]!a}.")
        return value
    if name == "proxy_cache_filter_pattern":
        if len(value) > _LONGEST_PATTERN:
            raise BadRequest(f"The pattern has {len(value)} characters: {_LONGEST_PATTERN} are the most.")
        return value
    if name == RETENTION:
        raise BadRequest(f"invalid key: {name}. It is set by the retention policy of the project.")
    raise BadRequest(f"invalid key: {name[:100]}. There is no such setting of a project.")


def parse_boolean(name: str, value: str) -> bool:
    """What a setting that is true or false says.

    Raises:
        BadRequest: it says neither.
    """
    lowered = value.lower()
    if lowered not in _TRUE | _FALSE:
        raise BadRequest(f"The setting {name} is true or false, not {value[:40]!a}.")
    return lowered in _TRUE


def _one_of(name: str, value: str, values: tuple[str, ...]) -> str:
    if value not in values:
        raise BadRequest(f"The setting {name} is one of {', '.join(values)}, not {value[:40]!a}.")
    return value
