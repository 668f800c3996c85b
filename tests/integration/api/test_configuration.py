# SPDX-License-Identifier: Apache-2.0
"""The configuration over the API: what is shown, changed and refused, and read-only mode."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from longshore.database.statement import Statement
from longshore.system.configuration import Configurations
from longshore.system.items import ITEMS
from longshore.system.sealing import Sealing
from longshore.system.service import PURPOSE, ConfigurationService
from tests.integration.api.conftest import KEY

if TYPE_CHECKING:
    from tests.integration.api.conftest import Account, World

_STORED = Statement("SELECT name, value FROM configuration ORDER BY name")
_EVENTS = Statement("SELECT payload FROM events WHERE kind = 'configuration.updated' ORDER BY id")
_PATH = "/configurations"


async def _stored(world: World) -> dict[str, Any]:
    rows = await world.database.read(lambda connection: connection.all(_STORED))
    return {row[0]: row[1] for row in rows}


async def _events(world: World) -> list[dict[str, Any]]:
    rows = await world.database.read(lambda connection: connection.all(_EVENTS))
    return [json.loads(row[0]) for row in rows]


async def _service(world: World, **overwritten: Any) -> ConfigurationService:
    async def nobody() -> bool:
        return False

    configurations = Configurations(world.database, overwritten)
    return ConfigurationService(world.database, configurations, Sealing(KEY, PURPOSE), has_people=nobody)


async def test_everything_is_shown(world: World, admin: Account) -> None:
    """Every item but secrets and the operator's own comes with value and editable, as raw JSON has them."""
    client = await world.client(admin)
    answer = await client.get(_PATH)
    shown = answer.json()
    visible = {name: item for name, item in ITEMS.items() if not item.secret and not item.hidden}
    assert shown.pop("scan_all_policy") == {"type": "none"}
    assert shown == {name: {"value": item.default, "editable": True} for name, item in visible.items()}
    assert '"read_only":{"value":false,"editable":true}' in answer.text
    assert '"ldap_url":{"value":"","editable":true}' in answer.text
    for name in ("pull_time_update_disable", "pull_count_update_disable", "pull_audit_log_disable"):
        assert name not in answer.text
    assert "secret" not in answer.text
    assert "password" not in answer.text
    await world.user()
    assert (await client.get(_PATH)).json()["auth_mode"] == {"value": "db_auth", "editable": False}


async def test_changes(world: World, admin: Account) -> None:
    """Given items change, others stay; unknown members, null and what is the operator's are ignored; one event tells."""
    client = await world.client(admin)
    body = {
        "session_timeout": 5,
        "banner_message": '{"message":"hi"}',
        "self_registration": True,
        "token_expiration": 30,
        "robot_name_prefix": None,
        "ldap_group_gid": 7,
        "scan_all_policy": {"type": "daily"},
        "pull_audit_log_disable": True,
    }
    answer = await client.put(_PATH, json=body)
    assert (answer.status_code, answer.content, answer.headers.get("content-type")) == (200, b"", None)
    shown = (await client.get(_PATH)).json()
    assert shown["session_timeout"] == {"value": 5, "editable": True}
    assert shown["self_registration"]["value"] is True
    assert shown["robot_name_prefix"]["value"] == "robot$"
    current = await world.configurations.current()
    assert (current.session_timeout, current.self_registration, current.pull_audit_log_disable) == (5, True, False)
    changed = ["banner_message", "self_registration", "session_timeout"]
    assert await _events(world) == [{"changed": changed, "actor": "admin", "source": "127.0.0.1"}]
    assert (await client.put(_PATH, json=body)).status_code == 200
    assert (await client.put(_PATH, json={})).status_code == 200
    assert len(await _events(world)) == 1
    assert sorted(await _stored(world)) == changed


async def test_secrets_are_written_only(world: World, admin: Account, capsys: pytest.CaptureFixture[str]) -> None:
    """A secret is never shown, and nowhere in clear: not in the database, in an event or in a log."""
    client = await world.client(admin)
    names = [name for name, item in ITEMS.items() if item.secret]
    body = {name: f"hush-{name}" for name in names}
    assert (await client.put(_PATH, json=body)).status_code == 200
    stored, events = await _stored(world), await _events(world)
    assert sorted(stored) == sorted(names)
    assert (await client.put(_PATH, json=body)).status_code == 200
    assert len(await _events(world)) == 1
    answer = await client.get(_PATH)
    captured = capsys.readouterr()
    for text in (json.dumps(stored), json.dumps(events), answer.text, captured.out, captured.err):
        assert "hush-" not in text
    service = await _service(world)
    assert [await service.secret(name) for name in names] == [f"hush-{name}" for name in names]
    # With another key of the registry the old ones are gone, and new ones can be set.
    other = ConfigurationService(
        world.database, world.configurations, Sealing(b"o" * 32, PURPOSE), has_people=world.has_people
    )
    await other.update({"oidc_client_secret": "new"}, actor="admin", source="")
    assert await other.secret("oidc_client_secret") == "new"


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"token_expiration": 0}, 400, "token_expiration has to be from 1 to 9999999999."),
        ({"session_timeout": 10**10}, 400, "session_timeout"),
        ({"project_creation_restriction": "nobody"}, 400, "everyone or adminonly"),
        ({"storage_per_project": -5}, 400, "storage_per_project"),
        ({"ldap_url": ""}, 400, "ldap_url"),
        ({"oidc_extra_redirect_parms": "x"}, 400, "oidc_extra_redirect_parms"),
        ({"skip_audit_log_database": True}, 400, "audit_log_forward_endpoint"),
        ({"auth_mode": "magic"}, 400, "auth_mode"),
        ({"auth_mode": "oidc_auth"}, 400, "isn't served by this release"),
        ({"read_only": "yes"}, 422, "read_only"),
        ({"ldap_timeout": "5"}, 422, "ldap_timeout"),
        ({"session_timeout": 2**70}, 422, "session_timeout"),
        ([], 422, "object"),
        (None, 422, "body"),
    ],
)
async def test_what_is_refused(world: World, admin: Account, body: Any, status: int, reason: str) -> None:
    """A wrong item is told by its name with the reason, and nothing of the whole body is changed."""
    client = await world.client(admin)
    if isinstance(body, dict):
        body = {"banner_message": "changed", **body}
    answer = await client.put(_PATH, json=body)
    assert answer.status_code == status
    assert reason in answer.json()["errors"][0]["message"]
    assert await _stored(world) == {}
    assert await _events(world) == []


async def test_auth_mode_stays_when_there_are_people(world: World, admin: Account) -> None:
    """How people log in isn't changed when there are any, in Harbor's words; the present one may be sent."""
    await world.user()
    client = await world.client(admin)
    answer = await client.put(_PATH, json={"auth_mode": "ldap_auth"})
    message = "the auth mode cannot be modified as new users have been inserted into database"
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["message"] == f"{message}. Besides, this release serves db_auth only."
    assert (await client.put(_PATH, json={"auth_mode": "db_auth"})).status_code == 200


async def test_audit_log_is_somewhere(world: World, admin: Account) -> None:
    """The database can be left out only while there is an endpoint, which then can't be taken away."""
    client = await world.client(admin)
    body = {"skip_audit_log_database": True, "audit_log_forward_endpoint": "syslog.test:514"}
    assert (await client.put(_PATH, json=body)).status_code == 200
    assert (await client.put(_PATH, json={"audit_log_forward_endpoint": ""})).status_code == 400
    assert (await client.put(_PATH, json={"banner_message": "x"})).status_code == 200
    body = {"skip_audit_log_database": False, "audit_log_forward_endpoint": ""}
    assert (await client.put(_PATH, json=body)).status_code == 200


async def test_fixed_by_the_operator(world: World) -> None:
    """What the operator has fixed holds over what was stored, nothing is editable, and a change is 403."""
    before = await _service(world)
    await before.update({"session_timeout": 5, "token_expiration": 7}, actor="admin", source="")
    service = await _service(world, session_timeout=9, oidc_client_secret="hush")
    shown = await service.shown()
    assert shown["session_timeout"].value == 9
    assert shown["token_expiration"].value == 7
    assert not any(item.editable for item in shown.values())
    assert "oidc_client_secret" not in shown
    assert await service.secret("oidc_client_secret") == "hush"
    with pytest.raises(Exception, match="CONFIG_OVERWRITE_JSON") as refused:
        await service.update({"session_timeout": 5}, actor="admin", source="")
    assert getattr(refused.value, "status", None) == 403


async def test_fixed_items_are_stored(world: World) -> None:
    """A start stores what is fixed, once, so that every process and transaction finds it; secrets sealed as ever."""
    service = await _service(
        world, quota_per_project_enable=False, pull_count_update_disable=True, uaa_client_secret="hush"
    )
    await service.keep_fixed()
    await service.keep_fixed()
    stored = await _stored(world)
    assert stored.pop("uaa_client_secret") != '"hush"'
    assert stored == {"quota_per_project_enable": "false", "pull_count_update_disable": "true"}
    (event,) = await _events(world)
    assert event["actor"] == "longshore"
    world.configurations.forget()
    assert (await world.configurations.current()).quota_per_project_enable is False


async def test_read_only_mode(world: World, admin: Account) -> None:
    """Every change is 403 DENIED in Harbor's words, reading and leaving the mode work, and other replicas follow."""
    client = await world.client(admin)
    elsewhere = Configurations(world.database)
    assert (await elsewhere.current()).read_only is False
    assert (await client.put(_PATH, json={"read_only": True})).status_code == 200
    before = await world.rows()
    for method, path in (("POST", "/projects"), ("PUT", "/projects/library"), ("DELETE", "/projects/library")):
        answer = await client.request(method, path, json={"project_name": "new"})
        message = "The system is in read only mode. Any modification is prohibited."
        assert answer.status_code == 403
        assert answer.json()["errors"] == [{"code": "DENIED", "message": message}]
    assert await world.rows() == before
    assert (await client.get("/projects")).status_code == 200
    assert (await client.get("/systeminfo")).json()["read_only"] is True
    elsewhere.forget()
    assert (await elsewhere.current()).read_only is True
    assert (await client.put(_PATH, json={"read_only": False})).status_code == 200
    assert (await client.post("/projects", json={"project_name": "new"})).status_code == 201


async def test_read_only_precedes_who_asks(world: World, admin: Account) -> None:
    """As in Harbor the mode is told to anybody who tries a change."""
    await (await world.client(admin)).put(_PATH, json={"read_only": True})
    assert (await (await world.client(None)).post("/projects", json={})).status_code == 403


async def test_systeminfo_shows_the_configuration(world: World, admin: Account) -> None:
    """What everybody is told of the configuration is there even when empty; the rest after login."""
    nobody, client = await world.client(None), await world.client(admin)
    anonymous = (await nobody.get("/systeminfo")).json()
    assert anonymous == {
        "auth_mode": "db_auth",
        "primary_auth_mode": False,
        "self_registration": False,
        "banner_message": "",
        "oidc_provider_name": "",
    }
    banner = '{"closable":true,"message":"hi","type":"warning"}'
    body = {"banner_message": banner, "project_creation_restriction": "adminonly", "notification_enable": False}
    await client.put(_PATH, json=body)
    assert (await nobody.get("/systeminfo")).json()["banner_message"] == banner
    shown = (await client.get("/systeminfo")).json()
    assert shown["project_creation_restriction"] == "adminonly"
    assert shown["notification_enable"] is False
    assert shown["registry_url"] == "registry.test"
    assert shown["harbor_version"].startswith("v2.15.2-")
    assert shown["has_ca_root"] is False
