"""Intervals for rates and for means over questions, shared by the benefit of tools and the evaluation."""

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import polars as pl

DRAWS = 2_000
_NORMAL_FROM = 1_000
"""The number of questions from which a sum of drawn values may be taken to be normal."""
_NORMAL_SKEWNESS = 0.05
"""The skewness up to which a sum of drawn values may be taken to be normal."""
_BLOCK = 2_000_000
"""Numbers in memory at once."""


def wilson(right: pl.Expr, attempts: pl.Expr, confidence: float = 0.95) -> tuple[pl.Expr, pl.Expr]:
    """Wilson's score interval for a proportion (Wilson 1927), as expressions for its lower and upper end.

    (0, 1) where there was no attempt.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = right / attempts
    centre = (rate + z * z / (2 * attempts)) / (1 + z * z / attempts)
    half = z / (1 + z * z / attempts) * (rate * (1 - rate) / attempts + z * z / (4 * attempts**2)).sqrt()
    low, high = (centre - half).clip(0, 1), (centre + half).clip(0, 1)
    return pl.when(attempts > 0).then(low).otherwise(0.0), pl.when(attempts > 0).then(high).otherwise(1.0)


def bootstrap_mean(values: Sequence[float], confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Bootstrap interval of a mean, by `bootstrap_ratio`.

    There is one value per question: attempts at one question are not independent of each other.
    """
    ratios = np.asarray(values, dtype=float)
    return bootstrap_ratio(ratios, np.ones(len(ratios)), np.ones(len(ratios), int), confidence, seed)


def bootstrap_ratio(
    numerators: np.ndarray,
    denominators: np.ndarray,
    counts: np.ndarray,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of sum(numerators) / sum(denominators) over questions, by drawing the questions again.

    The bootstrap over clusters (Davison and Hinkley 1997, section 3.8; Efron and Tibshirani 1993, ch. 13), a question
    with all its attempts being a cluster. Questions with equal values are one state, and how often each state is drawn
    is multinomial: the same draws at a cost that does not grow with the questions. For many questions the sums are
    normal, and are drawn as such. The percentiles are expanded as in Hesterberg (2015), The American Statistician
    69:371-386: at Phi(-sqrt(n / (n - 1)) t), t Student's quantile for n - 1 degrees of freedom, as the plain ones are
    too narrow for few questions.

    Args:
        numerators, denominators: (states,) values of one question in each state; all ones as denominators for a mean.
        counts: (states,) questions in each state, whole numbers.

    Returns:
        the lower and the upper end; (nan, nan) for fewer than two questions. Of no width where all questions agree.
        Draws whose denominators sum to 0 are left out.
    """
    n = int(counts.sum())
    if n < 2:
        return math.nan, math.nan
    random = np.random.default_rng(seed)
    values = np.column_stack([numerators, denominators]).astype(float)
    means = (values * counts[:, None]).sum(axis=0) / n
    spread = values - means
    if n >= _NORMAL_FROM and (_skewness(spread, counts) < _NORMAL_SKEWNESS).all():
        covariance = (spread * counts[:, None]).T @ spread / n**2
        drawn = random.multivariate_normal(means, covariance, DRAWS, method="eigh")
    else:
        values, state = np.unique(values, axis=0, return_inverse=True)
        shares = np.bincount(state, counts) / n
        drawn = np.empty((DRAWS, 2))
        block = max(1, _BLOCK // len(shares))
        for start in range(0, DRAWS, block):
            stop = min(start + block, DRAWS)
            drawn[start:stop] = random.multinomial(n, shares, stop - start) @ values
    tail = NormalDist().cdf(-math.sqrt(n / (n - 1)) * student_quantile(0.5 + confidence / 2, n - 1))
    drawn = drawn[drawn[:, 1] != 0]
    if not len(drawn):
        return math.nan, math.nan
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [tail, 1 - tail])
    return float(low), float(high)


def _skewness(spread: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Skewness, without its sign, of the sum of n questions drawn: (columns,). 0 for what does not vary."""
    weighted = spread**2 * counts[:, None]
    second, third = weighted.sum(axis=0), np.abs((weighted * spread).sum(axis=0))
    return np.divide(third, second**1.5, out=np.zeros(len(second)), where=second > 1e-12 * counts.sum())


@lru_cache
def student_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t, for a probability of at least one half, to about five digits.

    With t = sqrt(freedom) tan(angle) the density is cos(angle) ** (freedom - 1), which is added up.
    """
    edges = np.linspace(0, min(math.pi / 2, 12 / math.sqrt(freedom)), 20_001)
    mass = np.append(0, np.cumsum(np.cos((edges[1:] + edges[:-1]) / 2) ** (freedom - 1)))
    angle = np.interp(2 * probability - 1, mass / mass[-1], edges)
    return math.sqrt(freedom) * math.tan(angle)
