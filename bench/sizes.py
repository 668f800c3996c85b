# SPDX-License-Identifier: Apache-2.0
"""How much of everything there is: tiny to see that the benchmark runs, default for a run of minutes, large for an hour."""

from __future__ import annotations

from dataclasses import dataclass, replace

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """One size of the benchmark.

    Attributes:
        repositories: Of the small images that are pushed to every server.
        images: How many of these there are.
        layers: Bytes of each layer of the image that W4 pulls.
        scale_repositories: Of the scale set in Longshore's database, each with ten artifacts of five tags.
        many_tags: Tags of the one repository that has many.
        hot: How many requests a list of the hot workload has.
        crowded: How many of the many tags of one repository are asked for.
        cold: How many artifacts the cold workload asks for, each once before it begins again.
        pushed: Bytes of W5's large blob, and of its very large one.
        chunks: Bytes of W5's small and of its large chunks.
        streams: How many of W5's pushes run at once where more than one does.
        storm_images: The most images of a round of W6.
        seconds: Of a round of load.
        rounds: Of each server and case.
        long_rounds: The same where a round takes long.
        idle_share: Of the seconds for which W12 looks at an idle server.
    """

    repositories: int
    images: int
    layers: tuple[int, ...]
    scale_repositories: int
    many_tags: int
    hot: int
    crowded: int
    cold: int
    pushed: tuple[int, int]
    chunks: tuple[int, int]
    streams: int
    storm_images: int
    seconds: float
    rounds: int
    long_rounds: int
    idle_share: float


_DEFAULT = Size(
    repositories=100,
    images=500,
    layers=(25_000_000, 12_000_000, 6_000_000, 4_000_000, 2_000_000, 900_000, 100_000),
    scale_repositories=10_000,
    many_tags=100_000,
    hot=5_000,
    crowded=1_000,
    cold=20_000,
    pushed=(256 * MIB, 1024 * MIB),
    chunks=(5 * MIB, 64 * MIB),
    streams=4,
    storm_images=3_000,
    seconds=1,
    rounds=5,
    long_rounds=3,
    idle_share=1,
)
SIZES = {
    "tiny": Size(
        repositories=2,
        images=6,
        layers=(400_000, 200_000, 100_000, 50_000, 20_000, 9_000, 1_000),
        scale_repositories=20,
        many_tags=200,
        hot=200,
        crowded=100,
        cold=150,
        pushed=(2 * MIB, 4 * MIB),
        chunks=(MIB // 2, MIB),
        streams=2,
        storm_images=10,
        seconds=0.2,
        rounds=1,
        long_rounds=1,
        idle_share=0.05,
    ),
    "default": _DEFAULT,
    "large": replace(_DEFAULT, many_tags=1_000_000, seconds=3, long_rounds=5),
}
