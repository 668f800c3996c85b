# SPDX-License-Identifier: Apache-2.0
"""Configuration items: their values are checked, and the documents of the API have exactly these."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.api.documents import configuration as documents
from longshore.config import SettingsError, load_settings
from longshore.oci.errors import Internal
from longshore.system.configuration import Configuration, overwritten_items, token_minutes
from longshore.system.errors import ItemInvalid
from longshore.system.items import ITEMS, Item, parse_endpoint
from longshore.system.sealing import Sealing


def test_documents_have_the_items() -> None:
    """What the API takes and shows are the items, without those that are hidden, and without secrets in what it shows."""
    taken = [name for name, item in ITEMS.items() if not item.hidden]
    assert sorted(documents.Configurations.__struct_fields__) == sorted(taken)
    shown = [name for name in taken if not ITEMS[name].secret]
    assert sorted(documents.ConfigurationsResponse.__struct_fields__) == sorted(shown)
    assert len(ITEMS) == 60


def test_defaults_agree() -> None:
    """What features read has the defaults of the items."""
    configuration = Configuration()
    assert {field.name: getattr(configuration, field.name) for field in fields(Configuration)} == {
        field.name: ITEMS[field.name].default for field in fields(Configuration)
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auth_mode", "magic"),
        ("project_creation_restriction", "nobody"),
        ("ldap_scope", 3),
        ("ldap_group_search_scope", -1),
        ("ldap_timeout", -1),
        ("ldap_url", "  "),
        ("ldap_uid", ""),
        ("ldap_base_dn", ""),
        ("token_expiration", 0),
        ("robot_token_duration", 10_000_000_000),
        ("session_timeout", -5),
        ("storage_per_project", 0),
        ("storage_per_project", -2),
        ("storage_per_project", 1024**5 + 1),
        ("robot_name_prefix", ""),
        ("robot_name_prefix", "my robots:"),
        ("oidc_extra_redirect_parms", "[1]"),
        ("oidc_extra_redirect_parms", '{"a": 1}'),
        ("audit_log_forward_endpoint", "syslog"),
        ("audit_log_forward_endpoint", "http://syslog:514"),
        ("audit_log_forward_endpoint", "syslog:70000"),
        ("disabled_audit_log_event_types", "pull artifact"),
        ("read_only", "true"),
        ("token_expiration", True),
        ("banner_message", 1),
        ("banner_message", "x" * 65_537),
        ("banner_message", "a\0b"),
    ],
)
def test_values_that_are_refused(name: str, value: Any) -> None:
    """A value of the wrong type or out of range is refused by the name of its item."""
    with pytest.raises(ItemInvalid, match=name):
        ITEMS[name].parse(value)


@given(st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.lists(st.integers())))
def test_any_value_is_taken_or_refused(value: Any) -> None:
    """Whatever comes, an item takes it as it is or refuses it, and a refusal has no secret in it."""
    for item in ITEMS.values():
        message = _refusal(item, value)
        assert not message or item.name in message
        assert not (item.secret and isinstance(value, str) and len(value) > 20 and value in message)


def _refusal(item: Item, value: Any) -> str:
    try:
        return "" if item.parse(value) == value else "changed"
    except ItemInvalid as error:
        return error.message


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("syslog:514", ("tcp", "syslog", 514)),
        ("udp://[::1]:514", ("udp", "::1", 514)),
        ("tcp://10.0.0.1:6514", ("tcp", "10.0.0.1", 6514)),
        ("tcp://a:1/path", None),
        ("tcp://user@a:1", None),
        (":514", None),
        ("[x:514", None),
    ],
)
def test_endpoints(text: str, endpoint: tuple[str, str, int] | None) -> None:
    """An endpoint has a protocol, a host and a port."""
    assert parse_endpoint(text) == endpoint


def test_overwritten_by_the_operator() -> None:
    """Both names of the setting are taken, ours wins, members that are no items are left out, wrong ones stop the start."""
    harbors = {"CONFIG_OVERWRITE_JSON": '{"read_only": true, "pull_audit_log_disable": true, "no_item": 1}'}
    fixed = {"read_only": True, "pull_audit_log_disable": True}
    assert overwritten_items(load_settings(environment=harbors)) == fixed
    assert overwritten_items(load_settings(environment={})) == {}
    for text in ('{"token_expiration": 0}', '{"auth_mode": "ldap_auth"}', '{"skip_audit_log_database": true}'):
        with pytest.raises(SettingsError, match="LONGSHORE_CONFIG_OVERWRITE_JSON"):
            overwritten_items(load_settings(environment={"CONFIG_OVERWRITE_JSON": text}))
    for text in ("[]", "{", '"secret-word"'):
        with pytest.raises(SettingsError, match="LONGSHORE_CONFIG_OVERWRITE_JSON") as refused:
            load_settings(environment={"CONFIG_OVERWRITE_JSON": text})
        assert "secret-word" not in str(refused.value)


def test_ours_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting by our name is over the one by Harbor's."""
    monkeypatch.setenv("LONGSHORE_CONFIG_OVERWRITE_JSON", '{"read_only": false}')
    assert overwritten_items(load_settings(environment={"CONFIG_OVERWRITE_JSON": '{"read_only": true}'})) == {
        "read_only": False
    }


@pytest.mark.parametrize(("setting", "minutes"), [("30m", 30), ("90s", 2), ("1s", 1), ("2h", 120)])
def test_token_minutes(monkeypatch: pytest.MonkeyPatch, setting: str, minutes: int) -> None:
    """The setting of how long tokens are good is shown in whole minutes."""
    monkeypatch.setenv("LONGSHORE_TOKEN_EXPIRY", setting)
    assert token_minutes(load_settings()) == minutes


@given(st.text(), st.text(max_size=20))
def test_sealing(text: str, owner: str) -> None:
    """What was sealed opens with the same key for the same owner only."""
    sealing = Sealing(b"k" * 32, "test")
    sealed = sealing.seal(text, owner)
    assert sealing.open(sealed, owner) == text
    assert sealed != sealing.seal(text, owner)
    for other, name in ((Sealing(b"l" * 32, "test"), owner), (Sealing(b"k" * 32, "x"), owner), (sealing, owner + "x")):
        with pytest.raises(Internal):
            other.open(sealed, name)
    with pytest.raises(Internal):
        sealing.open("1:AAAA", owner)
