# SPDX-License-Identifier: Apache-2.0
"""Draws the icons of artifact types: run it after a change here, and check in what it writes.

They are files and not drawn at run time, since an icon is known by its digest, and compressors differ.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

SIZE = 50
SAMPLES = 4
FOLDER = Path(__file__).parents[1] / "src/longshore/artifacts/pictures"

Shape = Callable[[float, float], bool]
Colour = tuple[int, int, int]


def rounded(x: float, y: float) -> bool:
    """The tile that every icon stands on."""
    dx, dy = max(abs(x - 25) - 14, 0), max(abs(y - 25) - 14, 0)
    return dx * dx + dy * dy <= 81


def rectangle(left: float, top: float, right: float, bottom: float) -> Shape:
    """A rectangle."""
    return lambda x, y: left <= x <= right and top <= y <= bottom


def ring(outer: float, inner: float, cx: float = 25, cy: float = 25) -> Shape:
    """A ring, or a disc when it has no hole."""
    return lambda x, y: inner * inner <= (x - cx) ** 2 + (y - cy) ** 2 <= outer * outer


def diamond(cx: float, cy: float, width: float, height: float) -> Shape:
    """A rhombus."""
    return lambda x, y: abs(x - cx) / width + abs(y - cy) / height <= 1


def line(x1: float, y1: float, x2: float, y2: float, width: float) -> Shape:
    """A stroke with round ends."""
    length = (x2 - x1) ** 2 + (y2 - y1) ** 2

    def inside(x: float, y: float) -> bool:
        along = min(max(((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length, 0), 1)
        return (x - x1 - along * (x2 - x1)) ** 2 + (y - y1 - along * (y2 - y1)) ** 2 <= width * width / 4

    return inside


ICONS: dict[str, tuple[Colour, tuple[Shape, ...]]] = {
    # Layers upon each other.
    "image": ((37, 99, 175), tuple(diamond(25, y, 15, 6) for y in (16, 25, 34))),
    # A helm.
    "chart": (
        (20, 110, 120),
        (
            ring(11, 8.5),
            ring(3.5, 0),
            line(25, 9, 25, 41, 2.5),
            line(9, 25, 41, 25, 2.5),
            line(13.7, 13.7, 36.3, 36.3, 2.5),
            line(13.7, 36.3, 36.3, 13.7, 2.5),
        ),
    ),
    # A parcel.
    "cnab": (
        (150, 90, 30),
        (rectangle(12, 20, 24, 38), rectangle(26, 20, 38, 38), rectangle(12, 12, 24, 18), rectangle(26, 12, 38, 18)),
    ),
    # A W.
    "wasm": (
        (100, 80, 200),
        (line(12, 15, 18, 35, 4), line(18, 35, 25, 20, 4), line(25, 20, 32, 35, 4), line(32, 35, 38, 15, 4)),
    ),
    # Neurons.
    "cnai": (
        (140, 50, 130),
        (
            *(ring(3.5, 0, 13, y) for y in (16, 34)),
            *(ring(3.5, 0, 25, y) for y in (13, 25, 37)),
            ring(3.5, 0, 37, 25),
            *(line(13, a, 25, b, 1.2) for a in (16, 34) for b in (13, 25, 37)),
            *(line(25, b, 37, 25, 1.2) for b in (13, 25, 37)),
        ),
    ),
    # A list.
    "sbom": (
        (50, 120, 70),
        (
            *(ring(2.2, 0, 15, y) for y in (15, 25, 35)),
            *(line(21, y, 36, y, 3) for y in (15, 25, 35)),
        ),
    ),
    # Anything: a box.
    "unknown": (
        (95, 105, 115),
        (
            ring(4, 0),
            rectangle(11, 11, 39, 14),
            rectangle(11, 36, 39, 39),
            rectangle(11, 11, 14, 39),
            rectangle(36, 11, 39, 39),
        ),
    ),
}


def draw(colour: Colour, shapes: tuple[Shape, ...]) -> bytes:
    """An icon as PNG."""
    rows = bytearray()
    for row in range(SIZE):
        rows.append(0)
        for column in range(SIZE):
            rows.extend(pixel(column, row, colour, shapes))
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def pixel(column: int, row: int, colour: Colour, shapes: tuple[Shape, ...]) -> tuple[int, int, int, int]:
    """The middle of some samples of one pixel."""
    tile = white = 0
    for number in range(SAMPLES * SAMPLES):
        x = column + (number % SAMPLES + 0.5) / SAMPLES
        y = row + (number // SAMPLES + 0.5) / SAMPLES
        if rounded(x, y):
            tile += 1
            white += any(shape(x, y) for shape in shapes)
    if not tile:
        return 0, 0, 0, 0
    red, green, blue = (round(part + (255 - part) * white / tile) for part in colour)
    return red, green, blue, round(255 * tile / SAMPLES**2)


if __name__ == "__main__":
    for name, (colour, shapes) in ICONS.items():
        (FOLDER / f"{name}.png").write_bytes(draw(colour, shapes))
