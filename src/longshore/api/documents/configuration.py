# SPDX-License-Identifier: Apache-2.0
"""The documents of the tag `configure`. A test compares their members with `longshore.system.items`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from longshore.api.serialising import Integer, Read, Shown
from longshore.system.service import ShownItem


class StringConfigItem(Shown, frozen=True, kw_only=True):
    """An item that is a text."""

    value: str
    editable: bool


class IntegerConfigItem(Shown, frozen=True, kw_only=True):
    """An item that is a number."""

    value: int
    editable: bool


class BoolConfigItem(Shown, frozen=True, kw_only=True):
    """An item that is true or false."""

    value: bool
    editable: bool


class Configurations(Read, frozen=True, kw_only=True):
    """The items that are to be changed; those that are absent or null stay."""

    auth_mode: str | None = None
    primary_auth_mode: bool | None = None
    ldap_base_dn: str | None = None
    ldap_filter: str | None = None
    ldap_group_base_dn: str | None = None
    ldap_group_admin_dn: str | None = None
    ldap_group_attribute_name: str | None = None
    ldap_group_search_filter: str | None = None
    ldap_group_search_scope: Integer | None = None
    ldap_group_attach_parallel: bool | None = None
    ldap_scope: Integer | None = None
    ldap_search_dn: str | None = None
    ldap_search_password: str | None = None
    ldap_timeout: Integer | None = None
    ldap_uid: str | None = None
    ldap_url: str | None = None
    ldap_verify_cert: bool | None = None
    ldap_group_membership_attribute: str | None = None
    project_creation_restriction: str | None = None
    read_only: bool | None = None
    self_registration: bool | None = None
    token_expiration: Integer | None = None
    uaa_client_id: str | None = None
    uaa_client_secret: str | None = None
    uaa_endpoint: str | None = None
    uaa_verify_cert: bool | None = None
    http_authproxy_endpoint: str | None = None
    http_authproxy_tokenreview_endpoint: str | None = None
    http_authproxy_admin_groups: str | None = None
    http_authproxy_admin_usernames: str | None = None
    http_authproxy_verify_cert: bool | None = None
    http_authproxy_skip_search: bool | None = None
    http_authproxy_server_certificate: str | None = None
    oidc_name: str | None = None
    oidc_endpoint: str | None = None
    oidc_client_id: str | None = None
    oidc_client_secret: str | None = None
    oidc_groups_claim: str | None = None
    oidc_admin_group: str | None = None
    oidc_group_filter: str | None = None
    oidc_scope: str | None = None
    oidc_user_claim: str | None = None
    oidc_verify_cert: bool | None = None
    oidc_auto_onboard: bool | None = None
    oidc_extra_redirect_parms: str | None = None
    oidc_logout: bool | None = None
    robot_token_duration: Integer | None = None
    robot_name_prefix: str | None = None
    notification_enable: bool | None = None
    quota_per_project_enable: bool | None = None
    storage_per_project: Integer | None = None
    audit_log_forward_endpoint: str | None = None
    skip_audit_log_database: bool | None = None
    session_timeout: Integer | None = None
    scanner_skip_update_pulltime: bool | None = None
    banner_message: str | None = None
    disabled_audit_log_event_types: str | None = None


class ScanAllPolicy(Shown, frozen=True, kw_only=True):
    """When everything is scanned: never, before this release has scanners. It has an API of its own and isn't set here."""

    type: str


class ConfigurationsResponse(Shown, frozen=True, kw_only=True):
    """Every item but the secrets."""

    auth_mode: StringConfigItem
    primary_auth_mode: BoolConfigItem
    ldap_base_dn: StringConfigItem
    ldap_filter: StringConfigItem
    ldap_group_base_dn: StringConfigItem
    ldap_group_admin_dn: StringConfigItem
    ldap_group_attribute_name: StringConfigItem
    ldap_group_search_filter: StringConfigItem
    ldap_group_search_scope: IntegerConfigItem
    ldap_group_attach_parallel: BoolConfigItem
    ldap_scope: IntegerConfigItem
    ldap_search_dn: StringConfigItem
    ldap_timeout: IntegerConfigItem
    ldap_uid: StringConfigItem
    ldap_url: StringConfigItem
    ldap_verify_cert: BoolConfigItem
    ldap_group_membership_attribute: StringConfigItem
    project_creation_restriction: StringConfigItem
    read_only: BoolConfigItem
    self_registration: BoolConfigItem
    token_expiration: IntegerConfigItem
    uaa_client_id: StringConfigItem
    uaa_endpoint: StringConfigItem
    uaa_verify_cert: BoolConfigItem
    http_authproxy_endpoint: StringConfigItem
    http_authproxy_tokenreview_endpoint: StringConfigItem
    http_authproxy_admin_groups: StringConfigItem
    http_authproxy_admin_usernames: StringConfigItem
    http_authproxy_verify_cert: BoolConfigItem
    http_authproxy_skip_search: BoolConfigItem
    http_authproxy_server_certificate: StringConfigItem
    oidc_name: StringConfigItem
    oidc_endpoint: StringConfigItem
    oidc_client_id: StringConfigItem
    oidc_groups_claim: StringConfigItem
    oidc_admin_group: StringConfigItem
    oidc_group_filter: StringConfigItem
    oidc_scope: StringConfigItem
    oidc_user_claim: StringConfigItem
    oidc_verify_cert: BoolConfigItem
    oidc_auto_onboard: BoolConfigItem
    oidc_extra_redirect_parms: StringConfigItem
    oidc_logout: BoolConfigItem
    robot_token_duration: IntegerConfigItem
    robot_name_prefix: StringConfigItem
    notification_enable: BoolConfigItem
    quota_per_project_enable: BoolConfigItem
    storage_per_project: IntegerConfigItem
    audit_log_forward_endpoint: StringConfigItem
    skip_audit_log_database: BoolConfigItem
    scanner_skip_update_pulltime: BoolConfigItem
    scan_all_policy: ScanAllPolicy
    session_timeout: IntegerConfigItem
    banner_message: StringConfigItem
    disabled_audit_log_event_types: StringConfigItem


def shown_configurations(items: Mapping[str, ShownItem]) -> ConfigurationsResponse:
    """The configuration as the API shows it."""
    members: dict[str, Any] = {name: _shown(item) for name, item in items.items()}
    return ConfigurationsResponse(**members, scan_all_policy=ScanAllPolicy(type="none"))


def _shown(item: ShownItem) -> StringConfigItem | IntegerConfigItem | BoolConfigItem:
    match item.value:
        case bool():
            return BoolConfigItem(value=item.value, editable=item.editable)
        case int():
            return IntegerConfigItem(value=item.value, editable=item.editable)
        case _:
            return StringConfigItem(value=item.value, editable=item.editable)
