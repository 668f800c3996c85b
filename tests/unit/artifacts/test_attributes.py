# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from longshore.artifacts.attributes import LARGEST, attributes_of
from longshore.registry.facts import CHART, IMAGE


def test_of_an_image_it_shows_what_harbor_does() -> None:
    """Platform, time, author and how it runs; not the history, which is an addition."""
    config = {
        "architecture": "arm64",
        "os": "linux",
        "variant": "v8",
        "created": "2026-01-01T00:00:00Z",
        "author": "Ada",
        "config": {"Cmd": ["sh"]},
        "history": [{"created_by": "sh"}],
        "rootfs": {"type": "layers"},
    }
    shown = json.loads(attributes_of(IMAGE, json.dumps(config).encode()))
    assert shown == {name: config[name] for name in config if name not in {"history", "rootfs"}}


def test_the_author_may_stand_in_a_label() -> None:
    """Dockerfiles have had no MAINTAINER for years; a label names them."""
    config = {"os": "linux", "config": {"Labels": {"maintainer": "Ada"}}}
    assert json.loads(attributes_of(IMAGE, json.dumps(config).encode()))["author"] == "Ada"


def test_of_a_chart_it_shows_all_fields() -> None:
    """Helm's config is Chart.yaml as JSON."""
    chart = {"name": "app", "version": "1.2.3", "apiVersion": "v2", "dependencies": [{"name": "db"}]}
    assert json.loads(attributes_of(CHART, json.dumps(chart).encode())) == chart


def test_what_is_too_large_for_a_list_is_left_out_and_the_rest_stays() -> None:
    """A huge label costs the labels, not the command; a huge member of a chart costs that member."""
    config = {"os": "linux", "config": {"Cmd": ["sh"], "Labels": {"x": "y" * LARGEST}}}
    shown = json.loads(attributes_of(IMAGE, json.dumps(config).encode()))
    assert shown == {"os": "linux", "config": {"Cmd": ["sh"]}}
    chart = {"name": "app", "keywords": ["x" * LARGEST]}
    assert json.loads(attributes_of(CHART, json.dumps(chart).encode())) == {"name": "app"}


@given(st.one_of(st.binary(), st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(repr)))
def test_whatever_a_config_is_there_is_an_object(config: bytes | str) -> None:
    """Configs are written by strangers: no JSON, no object, and what isn't UTF-8 show nothing."""
    content = config.encode(errors="surrogatepass") if isinstance(config, str) else config
    assert isinstance(json.loads(attributes_of(IMAGE, content)), dict)


def test_json_nested_without_end_shows_nothing() -> None:
    """A config of brackets only must not stop a push."""
    assert attributes_of(CHART, b'{"a":' * 100_000) == "{}"
    assert attributes_of(CHART, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}") == "{}"
