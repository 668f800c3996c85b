# SPDX-License-Identifier: Apache-2.0
"""The documents of the tag `configure`. A test compares their members with `longshore.system.items`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

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


class ConfigurationsResponse(Shown, frozen=True, kw_only=True):
    """Every item but the secrets."""

    auth_mode: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    primary_auth_mode: BoolConfigItem | msgspec.UnsetType = msgspec.UNSET
    ldap_base_dn: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    ldap_filter: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    ldap_group_base_dn: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    ldap_group_admin_dn: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    ldap_group_attribute_name: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    ldap_group_search_filter: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    ldap_group_search_scope: IntegerConfigItem | msgspec.UnsetType = msgspec.UNSET
    ldap_group_attach_parallel: BoolConfigItem | msgspec.UnsetType = msgspec.UNSET
    ldap_scope: IntegerConfigItem | msgspec.UnsetType = msgspec.UNSET
    ldap_search_dn: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    ldap_timeout: IntegerConfigItem | msgspec.UnsetType = msgspec.UNSET
    ldap_uid: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    ldap_url: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    ldap_verify_cert: BoolConfigItem | msgspec.UnsetType = msgspec.UNSET
    ldap_group_membership_attribute: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    project_creation_restriction: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    read_only: BoolConfigItem | msgspec.UnsetType = msgspec.UNSET
    self_registration: BoolConfigItem | msgspec.UnsetType = msgspec.UNSET
    token_expiration: IntegerConfigItem | msgspec.UnsetType = msgspec.UNSET
    uaa_client_id: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    uaa_endpoint: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    uaa_verify_cert: BoolConfigItem | msgspec.UnsetType = msgspec.UNSET
    http_authproxy_endpoint: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    http_authproxy_tokenreview_endpoint: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    http_authproxy_admin_groups: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    http_authproxy_admin_usernames: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    http_authproxy_verify_cert: BoolConfigItem | msgspec.UnsetType = msgspec.UNSET
    http_authproxy_skip_search: BoolConfigItem | msgspec.UnsetType = msgspec.UNSET
    http_authproxy_server_certificate: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    oidc_name: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    oidc_endpoint: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    oidc_client_id: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    oidc_groups_claim: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    oidc_admin_group: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    oidc_group_filter: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    oidc_scope: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    oidc_user_claim: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    oidc_verify_cert: BoolConfigItem | msgspec.UnsetType = msgspec.UNSET
    oidc_auto_onboard: BoolConfigItem | msgspec.UnsetType = msgspec.UNSET
    oidc_extra_redirect_parms: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    oidc_logout: BoolConfigItem | msgspec.UnsetType = msgspec.UNSET
    robot_token_duration: IntegerConfigItem | msgspec.UnsetType = msgspec.UNSET
    robot_name_prefix: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    notification_enable: BoolConfigItem | msgspec.UnsetType = msgspec.UNSET
    quota_per_project_enable: BoolConfigItem | msgspec.UnsetType = msgspec.UNSET
    storage_per_project: IntegerConfigItem | msgspec.UnsetType = msgspec.UNSET
    audit_log_forward_endpoint: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    skip_audit_log_database: BoolConfigItem | msgspec.UnsetType = msgspec.UNSET
    scanner_skip_update_pulltime: BoolConfigItem | msgspec.UnsetType = msgspec.UNSET
    session_timeout: IntegerConfigItem | msgspec.UnsetType = msgspec.UNSET
    banner_message: StringConfigItem | msgspec.UnsetType = msgspec.UNSET
    disabled_audit_log_event_types: StringConfigItem | msgspec.UnsetType = msgspec.UNSET


def shown_configurations(items: Mapping[str, ShownItem]) -> ConfigurationsResponse:
    """The configuration as the API shows it."""
    members: dict[str, Any] = {name: _shown(item) for name, item in items.items()}
    return ConfigurationsResponse(**members)


def _shown(item: ShownItem) -> StringConfigItem | IntegerConfigItem | BoolConfigItem:
    match item.value:
        case bool():
            return BoolConfigItem(value=item.value, editable=item.editable)
        case int():
            return IntegerConfigItem(value=item.value, editable=item.editable)
        case _:
            return StringConfigItem(value=item.value, editable=item.editable)
