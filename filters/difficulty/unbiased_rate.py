"""The pass rate of a question when the rule of filters/difficulty/stopping.py chose how often it was asked.

The plain ratio of right attempts is biased then: a rule that stops at the first right answer stops early on luck.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from math import comb

import numpy as np

from filters.difficulty.stopping import Rule


def _reached(rule: Rule, looks: Sequence[int], attempts: int, right: int) -> Iterator[tuple[int, Counter[int]]]:
    """The number of sequences of attempts from the state (attempts, right) to each number of right ones at each look
    (attempts made so far), without those that stopped at an earlier look."""
    going = Counter({right: 1})
    for look in looks:
        reached: Counter[int] = Counter()
        for start, paths in going.items():
            for more in range(look - attempts + 1):
                reached[start + more] += paths * comb(look - attempts, more)
        yield look, reached
        going = Counter({count: paths for count, paths in reached.items() if rule.is_open(look, count)})
        attempts = look


@lru_cache(maxsize=1_000)
def stopping_points(rule: Rule) -> dict[tuple[int, int], int]:
    """The states (attempts, right) in which sampling stops when each sample is an attempt, and the number of sequences
    of attempts that lead to each: the chance to stop there is that number times p^right (1 - p)^(attempts - right)."""
    return {
        (look, right): paths
        for look, reached in _reached(rule, rule.looks, 0, 0)
        for right, paths in reached.items()
        if not rule.is_open(look, right)
    }


@lru_cache(maxsize=100_000)
def unbiased_rate(rule: Rule, looks: tuple[int, ...], right: int) -> float:
    """The unbiased estimate of the pass rate of a question stopped with `right` right of `looks[-1]` attempts.

    Girshick, Mosteller and Savage (1946), Annals of Mathematical Statistics 17:13-23: sequences of attempts from (1, 1)
    to the stopping point over those from (0, 0), counting only those that do not stop earlier. Without an early stop
    it is the plain ratio. It is the chance that the first attempt was right, conditional on where it ended: the mean of
    many questions is right, but for one question it may be 0 although some attempts were right, or 1 although some were
    not.

    Args:
        rule: the stopping rule.
        looks: the question's own number of attempts at the end of each of its waves, up to where it stopped. Where
            samples gave no attempt these are lower than the rule's own; the estimate is then unbiased conditional on
            them, provided that whether a sample gives an attempt does not depend on whether it would have been right.
        right: right attempts, in all.

    Raises:
        ValueError: when there is no attempt, or the rule would have stopped before.
    """
    own = sorted(set(looks) - {0})
    if not own:
        raise ValueError("a pass rate cannot be estimated from no attempt")
    *_, (_, from_start) = _reached(rule, own, 0, 0)
    *_, (_, from_right) = _reached(rule, own, 1, 1)
    if not from_start[right]:
        raise ValueError(f"{right} right at the looks {own}: the rule would have stopped at an earlier look")
    return from_right[right] / from_start[right]


@lru_cache(maxsize=10_000)
def stopped_interval(rule: Rule, attempts: int, right: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided confidence interval for the pass rate of one question that stopped with these counts.

    The tests of Clopper and Pearson (1934), inverted over the stopping points of the rule, which are ordered by
    right / attempts: Armitage (1958), Biometrika 45:1-15; Jennison and Turnbull (1983), Technometrics 25:49-58. (The
    unbiased estimates would not do as the order: too many stopping points share one.) For every pass rate it covers
    with at least `confidence`, when each sample is an attempt. For a rule that never stops early it is the interval of
    Clopper and Pearson.

    Raises:
        ValueError: when the rule does not stop in that state if each sample is an attempt.
    """
    points = stopping_points(rule)
    if (attempts, right) not in points:
        raise ValueError(f"{right} right of {attempts} attempts is not a state in which this rule stops")

    def chance(chosen: list[tuple[int, int]]) -> Callable[[np.ndarray], np.ndarray]:
        made, hits = np.array(chosen).T
        paths = np.array([float(points[point]) for point in chosen])
        return lambda p: (paths * p[:, None] ** hits * (1 - p[:, None]) ** (made - hits)).sum(axis=1)

    at_least = chance([(n, s) for n, s in points if s * attempts >= right * n])
    at_most = chance([(n, s) for n, s in points if s * attempts <= right * n])
    tail = (1 - confidence) / 2
    return _first_above(at_least, tail), 1 - _first_above(lambda q: at_most(1 - q), tail)


def _first_above(curve: Callable[[np.ndarray], np.ndarray], level: float) -> float:
    """The lowest p in 0 to 1 with curve(p) above the level, from below. By grids and not by bisection: nothing promises
    a monotone curve, and the interval must hold every p that the tests do not refuse."""
    low, high = 0.0, 1.0
    for _ in range(4):
        grid = np.linspace(low, high, 501)
        above = int(np.argmax(curve(grid) > level))
        if above == 0:
            return low
        low, high = float(grid[above - 1]), float(grid[above])
    return low


@lru_cache(maxsize=1_000)
def flipped_sequences(rule: Rule) -> tuple[int, ...]:
    """The number of sequences of `samples` attempts with 0, 1, ... `samples` right that the rule, stopping early,
    decides differently than all attempts would."""
    flipped = [0] * (rule.samples + 1)
    for (attempts, right), paths in stopping_points(rule).items():
        decided = rule.decision(attempts, right)
        more = rule.samples - attempts
        for j in range(more + 1):
            if decided is not None and decided.decision != rule.fixed_decision(right + j):
                flipped[right + j] += paths * comb(more, j)
    return tuple(flipped)


def flip_probability(rule: Rule, p: float) -> float:
    """Exact chance that a question of pass rate `p` is decided differently than with all its attempts."""
    k = rule.samples
    return sum(count * p**right * (1 - p) ** (k - right) for right, count in enumerate(flipped_sequences(rule)))
