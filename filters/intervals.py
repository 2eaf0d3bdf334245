"""Intervals for rates and for means over questions, shared by the benefit of tools and the evaluation."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import polars as pl

DRAWS = 10_000


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
    """Percentile bootstrap interval of a mean, the values drawn again (Efron and Tibshirani 1993, ch. 13).

    One value a question: attempts at one question are not independent of each other. (nan, nan) for no values.
    """
    given = np.asarray(values, dtype=float)
    if not len(given):
        return math.nan, math.nan
    random = np.random.default_rng(seed)
    means = np.empty(DRAWS)
    for start in range(0, DRAWS, 500):  # bounded memory for many questions
        count = min(500, DRAWS - start)
        means[start : start + count] = given[random.integers(0, len(given), (count, len(given)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
