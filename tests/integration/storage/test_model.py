# SPDX-License-Identifier: Apache-2.0
"""Writers, resumed writers, readers, deletes and power cuts against a dictionary of bytes."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from longshore.oci.digest import Algorithm
from longshore.storage.conformance import entries, expect_error
from longshore.storage.filesystem import FilesystemStore
from longshore.storage.memory import MemoryStore
from longshore.storage.port import BlobWriter, ObjectExists, ObjectKey, ObjectMissing, OpenedStore, StoreUnavailable

PIECES = st.lists(st.binary(max_size=9000), max_size=4)
POSITIONS = st.integers(0, 20_000)


class Model(RuleBasedStateMachine):
    """One writer per object at a time, as the owner of an upload session guarantees."""

    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.contents: dict[ObjectKey, bytes] = {}
        self.durable: dict[ObjectKey, bytes] = {}
        self.writers: dict[ObjectKey, BlobWriter] = {}
        self.store = self.opened()

    def opened(self) -> OpenedStore:
        raise NotImplementedError("each store has its own model")

    def teardown(self) -> None:
        for writer in self.writers.values():
            self.runner.run(writer.close())
        self.runner.run(self.store.close())
        self.runner.close()

    @rule(target=keys)
    def create(self) -> ObjectKey:
        key = ObjectKey.fresh()
        self.writers[key] = self.runner.run(self.store.create(key))
        self.contents[key] = b""
        return key

    @rule(key=keys)
    def create_again(self, key: ObjectKey) -> None:
        if key in self.contents:
            self.runner.run(expect_error(ObjectExists, self.store.create(key)))

    @rule(key=keys, pieces=PIECES)
    def append(self, key: ObjectKey, pieces: list[bytes]) -> None:
        if key not in self.writers:
            return
        hasher = Algorithm.SHA256.hasher()
        self.runner.run(self.writers[key].append(pieces, hasher))
        assert hasher.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()
        self.contents[key] += b"".join(pieces)
        assert self.writers[key].offset == len(self.contents[key])

    @rule(key=keys)
    def sync(self, key: ObjectKey) -> None:
        if key in self.writers:
            self.runner.run(self.writers[key].sync())
            self.durable[key] = self.contents[key]

    @rule(key=keys)
    def close(self, key: ObjectKey) -> None:
        if key in self.writers:
            self.runner.run(self.writers.pop(key).close())

    @rule(key=keys, offset=POSITIONS)
    def resume(self, key: ObjectKey, offset: int) -> None:
        self.close(key)
        if offset > len(self.contents.get(key, b"")) or key not in self.contents:
            self.runner.run(expect_error(ObjectMissing, self.store.resume(key, offset)))
            return
        self.writers[key] = self.runner.run(self.store.resume(key, offset))
        self.contents[key] = self.contents[key][:offset]
        # What was synced before and is cut off now may or may not come back; nobody relies on either.
        self.durable.pop(key, None)
        self.sync(key)

    @rule(key=keys, offset=POSITIONS, length=POSITIONS)
    def read(self, key: ObjectKey, offset: int, length: int) -> None:
        if key not in self.contents:
            self.runner.run(expect_error(ObjectMissing, self.store.open(key)))
            return
        reader = self.runner.run(self.store.open(key))
        expected = self.contents[key][offset : offset + length]
        assert reader.size == len(self.contents[key])
        assert self.runner.run(reader.read(offset, length)) == expected
        assert reader.read_cached(offset, length) in (None, expected)
        reader.close()

    @rule(key=consumes(keys))
    def delete(self, key: ObjectKey) -> None:
        self.close(key)
        self.runner.run(self.store.delete([key]))
        self.contents.pop(key, None)
        self.durable.pop(key, None)

    @invariant()
    def everything_is_listed(self) -> None:
        found = self.runner.run(entries(self.store))
        assert [(stored.key, stored.size) for stored in found] == sorted(
            (key, len(content)) for key, content in self.contents.items()
        )


class FilesystemModel(Model):
    def opened(self) -> OpenedStore:
        self.root = Path(tempfile.mkdtemp(prefix="longshore-model-"))
        # Made by hand: the syncs of a proper start would take most of the time.
        for name in ("meta", *(f"{number:02x}" for number in range(256))):
            (self.root / name).mkdir()
        (self.root / "meta" / "layout").write_text("1\n")
        store = FilesystemStore(self.root)
        self.runner.run(store.prepare())
        return store

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.root)


class MemoryModel(Model):
    def opened(self) -> OpenedStore:
        self.memory = MemoryStore()
        return self.memory

    @rule(target=Model.keys)
    def crash(self) -> object:
        self.memory.crash()
        for writer in self.writers.values():
            self.runner.run(expect_error(StoreUnavailable, writer.sync()))
        self.writers.clear()
        self.contents = dict(self.durable)
        return multiple()


def test_the_filesystem_agrees_with_a_dictionary() -> None:
    """Any sequence of calls on the filesystem adapter gives what a dictionary of bytes would give."""
    slow = [HealthCheck.too_slow]
    run_state_machine_as_test(
        FilesystemModel,
        settings=settings(max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=slow),
    )


def test_the_memory_agrees_with_a_dictionary() -> None:
    """Any sequence of calls on the memory twin, power cuts included, gives what two dictionaries of bytes would give."""
    run_state_machine_as_test(MemoryModel, settings=settings(max_examples=50, stateful_step_count=40, deadline=None))
