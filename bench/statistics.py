"""Several rounds of one figure: its middle, its spread, and the ratio of two figures of one run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One metric of one contender, over all rounds."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return median(self.rounds)

    @property
    def low(self) -> float:
        """The least round."""
        return min(self.rounds)

    @property
    def high(self) -> float:
        """The greatest round."""
        return max(self.rounds)


def ratio(figure: Figure, reference: Figure) -> Figure:
    """How many times the reference, round by round: what slowed the machine slowed both.

    Raises:
        ValueError: they have no round in common, or a reference is 0.
    """
    pairs = list(zip(figure.rounds, reference.rounds, strict=False))
    if not pairs or any(not below for _, below in pairs):
        msg = "a ratio needs rounds of both, and a reference other than 0"
        raise ValueError(msg)
    return Figure(tuple(above / below for above, below in pairs))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below or at which this share (0 to 1) of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The rise of the straight line through these points, by least squares; 0 for fewer than two."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
