# SPDX-License-Identifier: Apache-2.0
"""Labels on the wire and on artifacts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from longshore.database.connection import Connection
from longshore.database.statement import Statement
from longshore.labels.models import LabelFacts
from longshore.labels.queries import HasLabels
from longshore.listing.models import AllOf, AnyOf, Condition, Exact
from longshore.oci.errors import BadRequest, Conflict, NotFound
from tests.builders import World as Builder
from tests.integration.api.test_answers import document, nothing

if TYPE_CHECKING:
    from longshore.storage.port import OpenedStore
    from tests.integration.api.conftest import Account, World

_TOTALS = Statement("SELECT scope_id, total FROM list_totals WHERE list = 'labels' ORDER BY scope_id")
_COUNTS = Statement(
    "SELECT coalesce(project_id, 0) AS scope_id, count(*) AS total FROM labels GROUP BY project_id ORDER BY 1"
)


async def _assert_counted(world: World) -> None:
    async def read(connection: Connection) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        kept, counted = await connection.all(_TOTALS), await connection.all(_COUNTS)
        return [(row[0], row[1]) for row in kept if row[1]], [(row[0], row[1]) for row in counted]

    kept, counted = await world.database.read(read)
    assert kept == counted


async def _image(world: World, store: OpenedStore, project_id: int) -> int:
    """The number of a manifest that was pushed to the project."""
    builder = Builder(world.database, store)
    await builder.image(project_id, builder.layer(100), path=f"app{world.number}")
    found: int = await builder.value("SELECT max(id) FROM manifests")
    return found


async def test_label_from_its_making_to_its_end(world: World, admin: Account) -> None:
    """A label is made, shown, listed, changed and deleted as the contract has it (26); the totals stay true."""
    client = await world.client(admin)
    body = {"name": "ok", "description": "good", "color": "#0065AB", "scope": "g", "id": 0, "project_id": 7}
    made = nothing(await client.post("/labels", json=body), 201)
    location = made.headers["location"]
    number = int(location.removeprefix("/api/v2.0/labels/"))
    shown = document(await client.get(f"/labels/{number}"), "GetLabelByID")
    assert shown == {
        "id": number,
        "name": "ok",
        "description": "good",
        "color": "#0065AB",
        "scope": "g",
        "creation_time": shown["creation_time"],
        "update_time": shown["creation_time"],
    }
    assert document(await client.get("/labels?scope=g"), "ListLabels") == [shown]
    nothing(await client.put(f"/labels/{number}", json={"name": "fine", "scope": "p", "project_id": 1}))
    changed = (await client.get(f"/labels/{number}")).json()
    assert (changed["name"], changed["scope"], "description" in changed, "color" in changed) == (
        "fine",
        "g",
        False,
        False,
    )
    await _assert_counted(world)
    nothing(await client.delete(f"/labels/{number}"))
    assert (await client.get(f"/labels/{number}")).status_code == 404
    assert (await client.delete(f"/labels/{number}")).status_code == 404
    await _assert_counted(world)


async def test_scopes(world: World, admin: Account) -> None:
    """Names are unique in the registry and in each project; a list shows one scope, and says whose label each is."""
    client = await world.client(admin)
    project_id, _ = await world.project()
    other_id, _ = await world.project()
    for number in (project_id, other_id):
        body = {"name": "ok", "scope": "p", "project_id": number}
        nothing(await client.post("/labels", json=body), 201)
        again = await client.post("/labels", json=body)
        assert (again.status_code, again.json()["errors"][0]["code"]) == (409, "CONFLICT")
    nothing(await client.post("/labels", json={"name": "ok", "scope": "g"}), 201)
    assert (await client.post("/labels", json={"name": "ok", "scope": "g"})).status_code == 409
    (shown,) = document(await client.get(f"/labels?scope=p&project_id={project_id}"), "ListLabels")
    assert (shown["scope"], shown["project_id"]) == ("p", project_id)
    (everywhere,) = (await (await world.client(None)).get("/labels?scope=g")).json()
    assert "project_id" not in everywhere
    await _assert_counted(world)


async def test_lists(world: World, admin: Account) -> None:
    """Labels come by number, are found by a part of their name, sorted by other keys, and paged (9, 26)."""
    client = await world.client(admin)
    project_id, _ = await world.project()
    names = ["beta", "alpha", "Gamma", "100%"]
    for name in names:
        await world.labels.create(project_id, LabelFacts(name=name, color="#fff" if name == "beta" else ""))
    base = f"/labels?scope=p&project_id={project_id}"

    async def listed(query: str) -> list[str]:
        return [label["name"] for label in document(await client.get(f"{base}&{query}"), "ListLabels")]

    assert await listed("") == names
    assert await listed("sort=-id") == names[::-1]
    assert await listed("sort=name") == sorted(names)
    assert await listed("name=AM") == ["Gamma"]
    assert await listed("name=%25") == ["100%"]
    assert await listed("q=name%3D~alp") == ["alpha"]
    assert await listed("q=color%3D%23fff") == ["beta"]
    assert await listed("q=name%3D{alpha beta}") == ["beta", "alpha"]
    page = await client.get(f"{base}&page_size=3&page=2")
    assert ([label["name"] for label in page.json()], page.headers["x-total-count"]) == (["100%"], "4")
    assert 'rel="prev"' in page.headers["link"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("scope=x", 400),
        ("scope=p", 400),
        ("scope=p&project_id=0", 400),
        ("scope=p&project_id=x", 422),
        ("scope=p&project_id=777", 404),
        ("scope=g&project_id=777", 200),
        ("scope=g&q=id%3Dx", 400),
    ],
)
async def test_bad_lists(world: World, admin: Account, query: str, status: int) -> None:
    """A list needs a scope, and a project where the scope is one."""
    assert (await (await world.client(admin)).get(f"/labels?{query}")).status_code == status


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (422, [1]),
        (422, {"name": 7, "scope": "g"}),
        (422, {"name": "x", "scope": "p", "project_id": "1"}),
        (400, {"scope": "g"}),
        (400, {"name": "  ", "scope": "g"}),
        (400, {"name": "x" * 129, "scope": "g"}),
        (400, {"name": "x", "scope": "g", "color": "#" * 17}),
        (400, {"name": "x", "scope": "g", "description": "x" * 1025}),
        (400, {"name": "x"}),
        (400, {"name": "x", "scope": "q"}),
        (400, {"name": "x", "scope": "p"}),
        (404, {"name": "x", "scope": "p", "project_id": 777}),
    ],
)
async def test_bad_labels(world: World, admin: Account, status: int, body: Any) -> None:
    """What a label can't be is refused with the member and the reason, and nothing is made."""
    client, before = await world.client(admin), await world.rows()
    answer = await client.post("/labels", json=body)
    assert answer.status_code == status, answer.text
    assert await world.rows() == before


async def test_missing_things_are_told_to_people_only(world: World) -> None:
    """A label or project that doesn't exist is 404 before 403 (14), and 401 for who isn't logged in."""
    somebody, nobody = await world.client(await world.user()), await world.client(None)
    body = {"name": "x", "scope": "p", "project_id": 777}
    for client, status in ((somebody, 404), (nobody, 401)):
        assert (await client.post("/labels", json=body)).status_code == status
        for method in ("GET", "PUT", "DELETE"):
            content = {"name": "x"} if method == "PUT" else None
            assert (await client.request(method, "/labels/777", json=content)).status_code == status


async def test_renaming_to_a_taken_name(world: World, admin: Account) -> None:
    """A label can't take the name of another one of its scope, and keeps what it was."""
    client = await world.client(admin)
    await world.labels.create(None, LabelFacts(name="taken"))
    number = await world.labels.create(None, LabelFacts(name="mine"))
    assert (await client.put(f"/labels/{number}", json={"name": "taken"})).status_code == 409
    assert (await client.get(f"/labels/{number}")).json()["name"] == "mine"


async def test_labels_of_artifacts(world: World, store: OpenedStore) -> None:
    """An artifact has labels of the registry and of its project, each once, until one of the two goes."""
    project_id, _ = await world.project()
    other_id, _ = await world.project()
    image = await _image(world, store, project_id)
    mine = await world.labels.create(project_id, LabelFacts(name="mine"))
    common = await world.labels.create(None, LabelFacts(name="common"))
    foreign = await world.labels.create(other_id, LabelFacts(name="foreign"))
    for label_id in (common, mine):
        await world.labels.add_to_artifact(project_id, image, label_id)
    with pytest.raises(Conflict):
        await world.labels.add_to_artifact(project_id, image, mine)
    for label_id in (foreign, 777):
        with pytest.raises(NotFound):
            await world.labels.add_to_artifact(project_id, image, label_id)
    with pytest.raises(NotFound):
        await world.labels.add_to_artifact(project_id, 777, mine)
    found = await world.label_queries.labels_of([image, 777])
    assert {number: [label.id for label in labels] for number, labels in found.items()} == {image: [mine, common]}
    assert await world.label_queries.labels_of([]) == {}
    with pytest.raises(NotFound):
        await world.labels.remove_from_artifact(project_id, image, foreign)
    await world.labels.remove_from_artifact(project_id, image, common)
    await world.labels.delete(mine)
    assert await world.label_queries.labels_of([image]) == {}


async def test_labelling_meets_deleting(world: World, store: OpenedStore) -> None:
    """A label that is put on while it is deleted is gone from the artifact, whoever comes first."""
    project_id, _ = await world.project()
    image = await _image(world, store, project_id)
    for number in range(10):
        label_id = await world.labels.create(project_id, LabelFacts(name=f"label{number}"))
        first, second = await asyncio.gather(
            world.labels.add_to_artifact(project_id, image, label_id),
            world.labels.delete(label_id),
            return_exceptions=True,
        )
        assert first is None or isinstance(first, NotFound)
        assert second is None
    assert await world.label_queries.labels_of([image]) == {}
    await _assert_counted(world)


@pytest.mark.parametrize(
    ("condition", "found"),
    [(AllOf(("A",)), {1, 2}), (AllOf(("A", "B")), {2}), (AllOf(("A", "A")), {1, 2}), (AllOf(("777",)), set())],
)
async def test_artifacts_by_labels(world: World, store: OpenedStore, condition: AllOf, found: set[int]) -> None:
    """`labels=(1 2)` finds the artifacts that have all of them."""
    project_id, _ = await world.project()
    first, second = await _image(world, store, project_id), await _image(world, store, project_id)
    a, b = [await world.labels.create(None, LabelFacts(name=text)) for text in ("a", "b")]
    for image, label_id in ((first, a), (second, a), (second, b)):
        await world.labels.add_to_artifact(project_id, image, label_id)
    texts = tuple(text.replace("A", str(a)).replace("B", str(b)) for text in condition.texts)
    where, values = HasLabels("m.id").where("labels", AllOf(texts), "q_labels")
    statement = Statement(f"SELECT m.id FROM manifests m WHERE {where}")
    rows = await world.database.read(lambda connection: connection.all(statement, **values))
    places = {first: 1, second: 2}
    assert {places[row[0]] for row in rows} == found


@pytest.mark.parametrize("condition", [Exact("1"), AnyOf(("1",)), AllOf(("x",)), AllOf(())])
def test_bad_conditions(condition: Condition) -> None:
    """Labels are asked for by numbers, all of them (10)."""
    with pytest.raises(BadRequest):
        HasLabels("m.id").where("labels", condition, "q")


async def test_events(world: World, admin: Account, store: OpenedStore) -> None:
    """Each change leaves its event; what changes nothing leaves none."""
    project_id, _ = await world.project()
    image = await _image(world, store, project_id)
    last = await world.database.read(lambda connection: connection.value(Statement("SELECT max(id) FROM events")))
    client = await world.client(admin)
    body = {"name": "ok", "scope": "p", "project_id": project_id}
    location = (await client.post("/labels", json=body)).headers["location"].removeprefix("/api/v2.0")
    number = int(location.rpartition("/")[2])
    await client.put(location, json=body)
    await client.put(location, json={**body, "name": "fine"})
    await world.labels.add_to_artifact(project_id, image, number, actor="admin")
    await world.labels.remove_from_artifact(project_id, image, number, actor="admin")
    await client.delete(location)
    rows = await world.database.read(
        lambda connection: connection.all(
            Statement("SELECT kind, project_id FROM events WHERE id > :last ORDER BY id"), last=last
        )
    )
    kinds = ["label.created", "label.updated", "label.added", "label.removed", "label.deleted"]
    assert [(row[0], row[1]) for row in rows] == [(kind, project_id) for kind in kinds]
