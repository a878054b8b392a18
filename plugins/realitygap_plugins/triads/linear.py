"""Systems of linear equations over GF(3). A vector is a pair of bit masks: where +1 stands, and where -1."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Vector = tuple[int, int]
ZERO: Vector = (0, 0)


@dataclass(frozen=True)
class Solutions:
    """All solutions of a system: the particular one, plus any sum of the kernel's vectors."""

    particular: Vector
    kernel: tuple[Vector, ...]

    def fewest(self, most: int) -> tuple[Vector, bool]:
        """A solution with few entries that are not 0, and whether none has fewer: up to `most` solutions are compared one by one, of more
        the particular one is improved, one vector of the kernel at a time, while that takes entries away."""
        if 3 ** min(len(self.kernel), 64) <= most:
            found = [self.particular]
            for vector in self.kernel:
                found = [added(one, other) for one in found for other in (ZERO, vector, negated(vector))]
            return min(found, key=weight), True
        best, before = self.particular, -1
        steps = [step for vector in sorted(self.kernel, key=weight) for step in (vector, negated(vector))]
        while weight(best) != before:
            before = weight(best)
            for step in steps:
                best = min(best, added(best, step), key=weight)
        return best, False


def solve(rows: Iterable[tuple[Vector, int]], unknowns: int) -> Solutions | None:
    """The solutions of `row * x = right` for all rows, by elimination; None where there are none."""
    one = 1 << unknowns
    pivots: dict[int, Vector] = {}
    for row, right in rows:
        # The right side is the coefficient of one unknown more, which is 1.
        rest = added(row, (ZERO, (0, one), (one, 0))[right % 3])
        while low := (rest[0] | rest[1]) & -(rest[0] | rest[1]):
            if low == one:
                return None  # 0 = 1
            pivot = pivots.get(low)
            if pivot is None:
                pivots[low] = rest
                break
            rest = added(rest, negated(pivot) if (rest[0] & low) == (pivot[0] & low) else pivot)
    order = sorted(pivots, reverse=True)
    free = [bit for place in range(unknowns) if (bit := 1 << place) not in pivots]
    plus, minus = _completed((one, 0), order, pivots)
    return Solutions((plus ^ one, minus), tuple(_completed((bit, 0), order, pivots) for bit in free))


def _completed(vector: Vector, order: Iterable[int], pivots: dict[int, Vector]) -> Vector:
    """The vector with the unknown of each pivot such that its row gives 0; a row has no unknown before its pivot."""
    plus, minus = vector
    for low in order:
        ones, twos = pivots[low]
        total = (((ones & plus) | (twos & minus)).bit_count() - ((ones & minus) | (twos & plus)).bit_count()) % 3
        if total:
            if (total == 1) == bool(ones & low):
                minus |= low
            else:
                plus |= low
    return plus, minus


def added(one: Vector, other: Vector) -> Vector:
    """The sum, entry by entry."""
    (a, b), (c, d) = one, other
    only, same = ~(c | d), ~(a | b)
    return (a & only) | (c & same) | (b & d), (b & only) | (d & same) | (a & c)


def negated(vector: Vector) -> Vector:
    return vector[1], vector[0]


def weight(vector: Vector) -> int:
    """Entries that are not 0."""
    return (vector[0] | vector[1]).bit_count()
