# SPDX-License-Identifier: Apache-2.0
"""What the row of an upload session remembers of an object that is written in parts."""

from __future__ import annotations

import msgspec

from longshore.storage.parts.client import Part
from longshore.storage.port import NO_STATE, Checkpoint, InvalidObjectKey, ObjectKey, StoreUnavailable


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an object in parts stands; the default is an object that no part was ever begun for.

    Attributes:
        begun: An upload in parts may exist under the key, known by ``upload`` or not.
        upload: The store's id of it.
        parts: What it holds, in order.
        next: The number that the next part gets.
        tail: Key of an object with the bytes behind the parts.
        tail_size: How many bytes these are.
        sealed: No more bytes come: the parts are the whole object.
    """

    begun: bool = False
    upload: str | None = None
    parts: tuple[Part, ...] = ()
    next: int = 1
    tail: str | None = None
    tail_size: int = 0
    sealed: bool = False

    @property
    def in_parts(self) -> int:
        """Bytes that the parts hold."""
        return sum(part.size for part in self.parts)

    @property
    def offset(self) -> int:
        """Bytes that are durable."""
        return self.in_parts + self.tail_size

    @property
    def tail_key(self) -> ObjectKey | None:
        """The tail's key."""
        return None if self.tail is None else ObjectKey(self.tail)

    def checkpoint(self) -> Checkpoint:
        """Return what is to be recorded."""
        tail = self.tail_key
        return Checkpoint(self.offset, _ENCODER.encode(self).decode(), () if tail is None else (tail,))


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(State)


def parse_state(key: ObjectKey, offset: int, text: str) -> State | None:
    """Read a recorded state, None for ``NO_STATE``.

    Raises ``StoreUnavailable`` when it is none of ours or tells of other bytes than the ``offset`` recorded with it.
    """
    if text == NO_STATE:
        return None
    try:
        state = _DECODER.decode(text)
        _ = state.tail_key
    except (msgspec.MsgspecError, InvalidObjectKey) as error:
        raise StoreUnavailable(
            f"What the database remembers of the unfinished object {key} can't be read: another release or another kind "
            "of store wrote it. Start the upload again."
        ) from error
    if state.offset != offset or (state.parts and state.upload is None) or (state.sealed and not state.parts):
        raise StoreUnavailable(
            f"What the database remembers of the unfinished object {key} doesn't fit its {offset} bytes. Start the upload "
            "again."
        )
    return state
