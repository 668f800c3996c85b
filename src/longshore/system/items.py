# SPDX-License-Identifier: Apache-2.0
"""Harbor's configuration items: their names, defaults and which values each may have.

All of them are kept and shown. Those whose feature exists are members of `longshore.system.configuration.Configuration` too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from longshore.system.errors import ItemInvalid

Value = str | int | bool

LONGEST_TEXT: Final = 65_536
"""The longest text of an item in characters: a chain of certificates has room."""

_LARGEST: Final = 2**63 - 1
_LONGEST_DURATION: Final = 9_999_999_999
_LARGEST_QUOTA: Final = 1024 * 1024**4
_LONGEST_PREFIX: Final = 64
_AUTH_MODES: Final = ("db_auth", "ldap_auth", "uaa_auth", "http_auth", "oidc_auth")
_PREFIX: Final = re.compile(r"[A-Za-z0-9._$@#+/~-]+", re.ASCII)
_EVENT_TYPES: Final = re.compile(r"[a-z_]+(?:,[a-z_]+)*", re.ASCII)

Check = Callable[[Any], str]
"""Says what a value has to be that isn't acceptable; the empty text when it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One configuration item.

    Attributes:
        name: Its name in Harbor's API.
        default: Its value until somebody sets it; its type is that of all its values.
        secret: Whether it is never shown, and encrypted where it is kept.
        hidden: Whether only the operator can set it, and the API neither shows nor takes it.
        check: What its values have to be besides their type.
    """

    name: str
    default: Value
    secret: bool = False
    hidden: bool = False
    check: Check | None = None

    def parse(self, value: object) -> Value:
        """The value if the item may have it.

        Raises:
            ItemInvalid: it may not; the message names the item and what its values are, and never the value of a secret.
        """
        kind = type(self.default)
        # A flag is an integer for Python, and not for anybody else.
        if not isinstance(value, str | int) or type(value) is not kind:
            raise ItemInvalid(f"{self.name} has to be {_KINDS[kind]}.")
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            raise ItemInvalid(f"{self.name} has {len(value)} characters: {LONGEST_TEXT} are the most.")
        if isinstance(value, str) and "\0" in value:
            raise ItemInvalid(f"{self.name} has the character U+0000. Take it out.")
        reason = "" if self.check is None else self.check(value)
        if reason:
            raise ItemInvalid(f"{self.name} has to be {reason}.")
        return value


_KINDS: Final[Mapping[type, str]] = {str: "a text", int: "an integer", bool: "true or false"}


def _one_of(*values: Value) -> Check:
    reason = ", ".join(str(value) for value in values[:-1]) + f" or {values[-1]}"
    return lambda value: "" if value in values else reason


def _between(low: int, high: int) -> Check:
    return lambda value: "" if low <= value <= high else f"from {low} to {high}"


def _filled(value: str) -> str:
    return "" if value.strip() else "a text that isn't empty"


def _quota(value: int) -> str:
    return "" if value == -1 or 0 < value <= _LARGEST_QUOTA else f"-1 (no limit), or from 1 to {_LARGEST_QUOTA} bytes"


def _prefix(value: str) -> str:
    if _PREFIX.fullmatch(value) and len(value) <= _LONGEST_PREFIX:
        return ""
    return f"from 1 to {_LONGEST_PREFIX} letters, digits and characters of . _ $ @ # + / ~ -"


def _texts_by_name(value: str) -> str:
    try:
        parsed = json.loads(value or "{}")
    except (ValueError, RecursionError):
        parsed = None
    if isinstance(parsed, dict) and all(isinstance(text, str) for text in parsed.values()):
        return ""
    return 'a JSON object whose members are texts, such as {"prompt": "login"}'


def _event_types(value: str) -> str:
    return (
        "" if not value or _EVENT_TYPES.fullmatch(value) else "event types such as pull_artifact, separated by commas"
    )


def _endpoint(value: str) -> str:
    return "" if not value or parse_endpoint(value) is not None else "host:port, tcp://host:port or udp://host:port"


def parse_endpoint(value: str) -> tuple[str, str, int] | None:
    """The protocol (`tcp` unless the value says `udp`), host and port of a syslog server; None when it is malformed."""
    try:
        parts = urlsplit(value if "://" in value else f"tcp://{value}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    rest = parts.path or parts.query or parts.fragment or parts.username or parts.password
    if parts.scheme not in {"tcp", "udp"} or not host or not port or rest or any(sign.isspace() for sign in value):
        return None
    return parts.scheme, host, port


def _text(name: str, default: str = "", check: Check | None = None) -> Item:
    return Item(name=name, default=default, check=check)


def _secret(name: str) -> Item:
    return Item(name=name, default="", secret=True)


def _flag(name: str, *, default: bool = False, hidden: bool = False) -> Item:
    return Item(name=name, default=default, hidden=hidden)


def _number(name: str, default: int, check: Check) -> Item:
    return Item(name=name, default=default, check=check)


_DURATION: Final = _between(1, _LONGEST_DURATION)
_SCOPE: Final = _one_of(0, 1, 2)

ITEMS: Final[Mapping[str, Item]] = {
    item.name: item
    for item in (
        _text("auth_mode", "db_auth", _one_of(*_AUTH_MODES)),
        _flag("primary_auth_mode"),
        _text("ldap_base_dn", check=_filled),
        _text("ldap_filter"),
        _text("ldap_group_base_dn"),
        _text("ldap_group_admin_dn"),
        _text("ldap_group_attribute_name"),
        _text("ldap_group_search_filter"),
        _number("ldap_group_search_scope", 2, _SCOPE),
        _flag("ldap_group_attach_parallel"),
        _number("ldap_scope", 2, _SCOPE),
        _text("ldap_search_dn"),
        _secret("ldap_search_password"),
        _number("ldap_timeout", 5, _between(0, _LARGEST)),
        _text("ldap_uid", "cn", _filled),
        _text("ldap_url", check=_filled),
        _flag("ldap_verify_cert", default=True),
        _text("ldap_group_membership_attribute", "memberof"),
        _text("project_creation_restriction", "everyone", _one_of("everyone", "adminonly")),
        _flag("read_only"),
        _flag("self_registration"),
        _number("token_expiration", 30, _DURATION),
        _text("uaa_client_id"),
        _secret("uaa_client_secret"),
        _text("uaa_endpoint"),
        _flag("uaa_verify_cert"),
        _text("http_authproxy_endpoint"),
        _text("http_authproxy_tokenreview_endpoint"),
        _text("http_authproxy_admin_groups"),
        _text("http_authproxy_admin_usernames"),
        _flag("http_authproxy_verify_cert", default=True),
        _flag("http_authproxy_skip_search"),
        _text("http_authproxy_server_certificate"),
        _text("oidc_name"),
        _text("oidc_endpoint"),
        _text("oidc_client_id"),
        _secret("oidc_client_secret"),
        _text("oidc_groups_claim"),
        _text("oidc_admin_group"),
        _text("oidc_group_filter"),
        _text("oidc_scope"),
        _text("oidc_user_claim"),
        _flag("oidc_verify_cert", default=True),
        _flag("oidc_auto_onboard"),
        _text("oidc_extra_redirect_parms", "{}", _texts_by_name),
        _flag("oidc_logout"),
        _number("robot_token_duration", 30, _DURATION),
        _text("robot_name_prefix", "robot$", _prefix),
        _flag("notification_enable", default=True),
        _flag("quota_per_project_enable", default=True),
        _number("storage_per_project", -1, _quota),
        _text("audit_log_forward_endpoint", check=_endpoint),
        _flag("skip_audit_log_database"),
        _number("session_timeout", 60, _DURATION),
        _flag("scanner_skip_update_pulltime"),
        _text("banner_message"),
        _text("disabled_audit_log_event_types", check=_event_types),
        _flag("pull_time_update_disable", hidden=True),
        _flag("pull_count_update_disable", hidden=True),
        _flag("pull_audit_log_disable", hidden=True),
    )
}
"""Every item by its name, in the order of the contract."""


def parse_items(given: Mapping[str, object]) -> dict[str, Value]:
    """The items among what is given, each checked; what isn't an item is left out.

    Raises:
        ItemInvalid: one has a value that it can't have.
    """
    return {name: ITEMS[name].parse(value) for name, value in given.items() if name in ITEMS}
