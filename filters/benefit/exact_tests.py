"""Exact tests of two pass rates from few attempts, and how the many tests of a table are decided together."""

from collections.abc import Sequence
from functools import lru_cache
from math import comb, pi

import numpy as np

_STEPS = 32
"""Steps of the grid of nuisance rates, per attempt: p-values come out at most 0.07 % too large."""
_LADDER_STEPS = 8
"""The same for the sizes of whole ladders: at most 1 % too large."""
_LADDER_GRID = np.append(np.geomspace(1e-7, 0.3, 160), 1.0)
"""Values of min over looks of p / weight that a ladder's p-value is computed for; between them the next higher one
counts: valid, and in the worst case twice too large."""
_BLOCK = 2_000_000
"""Numbers in memory at once."""


@lru_cache(maxsize=1_000)
def boschloo(n_first: int, n_second: int) -> np.ndarray:
    """P-values of H0: p_second <= p_first against p_second > p_first, at every outcome of two series of attempts.

    Boschloo (1970), Statistica Neerlandica 24(1): the exact unconditional test that orders the outcomes by Fisher's
    exact p-value. More powerful than Fisher's test, and like it never above its level. The largest chance under H0 is
    found on the boundary p_first = p_second = p, for the order is convex in Barnard's sense (Roehmel and Mansmann
    1999, Biometrical Journal 41:149-170). There the chance is a trigonometric polynomial of degree
    N = n_first + n_second in t, p = (1 - cos t) / 2, with values in [0, M]. Its second derivative is at most N^2 M / 2
    (Bernstein's inequality), so on a grid of step h at least M (1 - N^2 h^2 / 16) is met; divided by that, no p-value
    is too small.

    Args:
        n_first, n_second: attempts in each series, 0 or more.

    Returns:
        (n_first + 1, n_second + 1), read-only: [right of the first series, right of the second].

    Raises:
        ValueError: when a number is negative.
    """
    if min(n_first, n_second) < 0:
        raise ValueError(f"{n_first} and {n_second} attempts: neither may be negative")
    n = n_first + n_second
    if n == 0:
        return _frozen(np.ones((1, 1)))
    fisher = _fisher(n_first, n_second).ravel()
    order = np.argsort(fisher, kind="stable")
    # Outcomes with equal p-values enter together; what differs less than this differs by rounding.
    last = np.append(np.diff(np.log(fisher[order])) > 1e-9, True)
    group = np.cumsum(last) - last

    angles = np.linspace(0, pi, _STEPS * n + 1)
    largest = np.zeros(int(last.sum()))
    block = max(1, _BLOCK // len(order))
    for start in range(0, len(angles), block):
        p = np.sin(angles[start : start + block, None] / 2) ** 2
        chances = _binomial(n_first, p)[:, :, None] * _binomial(n_second, p)[:, None, :]
        upto = np.cumsum(chances.reshape(len(p), -1)[:, order], axis=1)[:, last]
        np.maximum(largest, upto.max(axis=0), out=largest)
    values = np.empty(len(order))
    values[order] = np.minimum(largest / (1 - (pi / _STEPS) ** 2 / 16), 1.0)[group]
    return _frozen(values.reshape(n_first + 1, n_second + 1))


def _frozen(values: np.ndarray) -> np.ndarray:
    values.flags.writeable = False  # the cache hands out the same array every time
    return values


def _binomial(n: int, p: np.ndarray) -> np.ndarray:
    """Chances of 0 to n right: p (G, 1) -> (G, n + 1)."""
    right = np.arange(n + 1)
    return np.array([comb(n, s) for s in right], float) * p**right * (1 - p) ** (n - right)


def _fisher(n_first: int, n_second: int) -> np.ndarray:
    """Fisher's one-sided exact p-value at every outcome: given how many are right in all, the chance of at least as
    many in the second series. In whole numbers up to the last division: rounding must not part what is equal."""
    values = np.empty((n_first + 1, n_second + 1))
    for right in range(n_first + n_second + 1):
        tail = 0
        for second in range(min(right, n_second), max(right - n_first, 0) - 1, -1):
            tail += comb(n_first, right - second) * comb(n_second, second)
            values[right - second, second] = tail / comb(n_first + n_second, right)
    return values


def look_weights(looks: Sequence[int]) -> tuple[float, ...]:
    """How much of the level each look may spend: 1/2, 1/4, ... and the last as much as the one before it.

    A test that may be made at several looks at growing data refuses H0 when p / weight is small at one of them. Since
    the weights sum to 1, min over the looks made of p / weight is a p-value whatever decided which looks are made (the
    union bound); `ladder_p` makes it exact.
    """
    if not looks:
        raise ValueError("there must be a look")
    return (*(2.0 ** -(j + 1) for j in range(len(looks) - 1)), 2.0 ** -(len(looks) - 1))


def ladder_p(smallest: np.ndarray, looks: Sequence[int]) -> np.ndarray:
    """The p-value of min over looks of p / weight, where at each look both series have as many attempts as it says.

    It is the largest chance, over all rates under H0, that p / weight falls so low at any look of the ladder if all
    are made (as in group sequential designs: Jennison and Turnbull 1999, ch. 19). Those that were made, whoever chose
    them, give no smaller minimum than all would, so it holds under any stopping.

    Args:
        smallest: min over the looks made of p / weight, any shape.

    Returns:
        P-values, never above `smallest`.
    """
    smallest = np.minimum(smallest, 1.0)
    place = np.searchsorted(_LADDER_GRID, smallest * (1 - 1e-12))  # the next higher one: no p-value is too small
    return np.minimum(smallest, _ladder_sizes(tuple(looks))[place])


def ladder_level(level: float, looks: Sequence[int]) -> float:
    """The largest min over looks of p / weight that is rejected at a level: `ladder_p` of it is at most the level."""
    fits = np.flatnonzero(_ladder_sizes(tuple(looks)) <= level)
    return max(level, float(_LADDER_GRID[fits[-1]])) if len(fits) else level


@lru_cache(maxsize=64)
def _ladder_sizes(looks: tuple[int, ...]) -> np.ndarray:
    """The largest chance under H0, per a of the grid, that p / weight is at most a at a look.

    Under H0 it is largest where the rates are equal: with a lower second or a higher first rate, the second series can
    only have fewer right attempts, the first only more, and p only be larger, at every look. The states of both series
    are walked from look to look, for all rates of a grid at once; that the grid misses the largest is paid as in
    `boschloo`.
    """
    rates = np.sin(np.linspace(0, pi / 2, _LADDER_STEPS * looks[-1] + 1)[:, None] / 2) ** 2  # the other half mirrors it
    steps, before = [], 0
    for look in looks:
        chances = _binomial(look - before, rates)
        step = np.zeros((len(rates), before + 1, look + 1))
        for right in range(before + 1):
            step[:, right, right : right + look - before + 1] = chances
        steps.append(step)
        before = look
    sizes = np.ones(len(_LADDER_GRID))
    for place, bound in enumerate(_LADDER_GRID[:-1]):
        states, rejected = np.ones((len(rates), 1, 1)), np.zeros(len(rates))
        for look, weight, step in zip(looks, look_weights(looks), steps, strict=True):
            states = step.transpose(0, 2, 1) @ states @ step
            refuses = boschloo(look, look) <= bound * weight
            rejected += states[:, refuses].sum(axis=1)
            states[:, refuses] = 0
        sizes[place] = rejected.max() / (1 - (pi / _LADDER_STEPS) ** 2 / 16)
    return _frozen(np.minimum(sizes, _LADDER_GRID))


def adjusted(p: np.ndarray) -> np.ndarray:
    """Benjamini and Hochberg's adjusted p-values: those up to q are rejected at a false discovery rate of q.

    Benjamini and Hochberg (1995), Journal of the Royal Statistical Society B 57:289-300; adjusted as in Yekutieli and
    Benjamini (1999): min over j >= i of m p_(j) / j. For p-values that are independent or positively dependent
    (Benjamini and Yekutieli 2001).

    Args:
        p: (tests,) p-values; NaN where nothing was tested, which counts for nothing.

    Returns:
        (tests,), NaN where p is.
    """
    p = np.asarray(p, float)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    scaled = p[order] * (len(order) / np.arange(1, len(order) + 1))
    values = np.full(len(p), np.nan)
    values[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return values
