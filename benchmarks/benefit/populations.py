"""What questions can be like: populations whose pass rates without tools and with them are known."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Rates = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Population:
    """What questions can be like: `draw(random, n)` gives n pass rates without tools and with them."""

    what: str
    draw: Callable[[np.random.Generator, int], Rates]
    chance: float = 0.0
    """How often a guess is right: the rates drawn are those of a model that never guesses."""
    other: float = 0.0
    """The share of the questions, the last ones, that are of another task."""


def _ties(random: np.random.Generator, n: int) -> Rates:
    direct = random.beta(0.5, 0.5, n)
    return direct, np.where(random.random(n) < 0.5, direct, direct + (1 - direct) * random.beta(2, 1, n))


def _unrelated(random: np.random.Generator, n: int) -> Rates:
    return random.beta(0.5, 1.5, n), random.beta(1, 0.7, n)


def _null(random: np.random.Generator, n: int) -> Rates:
    direct = random.beta(0.4, 0.8, n)
    return direct, direct


def _small(random: np.random.Generator, n: int) -> Rates:
    direct = random.beta(2, 3, n)
    return direct, np.clip(direct + random.normal(0.03, 0.12, n), 0, 1)


def _harm(random: np.random.Generator, n: int) -> Rates:
    direct, kind = random.beta(0.5, 0.5, n), random.random(n)
    up, down = direct + (1 - direct) * random.random(n), direct * random.random(n)
    return direct, np.where(kind < 0.6, direct, np.where(kind < 0.8, up, down))


def _hard(random: np.random.Generator, n: int) -> Rates:
    direct = np.where(random.random(n) < 0.6, 0.02 * random.random(n), random.beta(0.6, 2, n))
    return direct, np.where(random.random(n) < 0.4, direct, random.random(n))


POPULATIONS = {
    "ties": Population("tools change nothing at half of the questions, and help much at the others", _ties),
    "unrelated": Population("the rate with tools has nothing to do with the one without", _unrelated),
    "small": Population("small differences both ways: 0.03 on average, a spread of 0.12", _small),
    "harm": Population("no difference at 60 %, a gain at 20 %, harm at 20 %", _harm),
    "hard": Population("hardly ever right without tools; 40 % stay so with them, the others reach any rate", _hard),
    "choices": Population("as ties, but one guess in four is right", _ties, 0.25),
    "yes_no": Population("as harm, but every second guess is right", _harm, 0.5),
    "null": Population("tools change nothing at any question", _null),
}


def _two_modes(random: np.random.Generator, n: int) -> Rates:
    direct = np.where(random.random(n) < 0.5, random.beta(1, 12, n), random.beta(6, 4, n))
    return direct, np.where(random.random(n) < 0.5, direct + (1 - direct) * random.beta(6, 2, n), direct)


def _habit_prone(random: np.random.Generator, n: int) -> Rates:
    direct = random.beta(1, 2, n)
    return direct, np.clip(direct + random.beta(1.2, 8, n), 0, 1)


def _heavy_tails(random: np.random.Generator, n: int) -> Rates:
    direct = random.beta(1, 1.5, n)
    return direct, np.clip(direct + 0.12 * random.standard_t(2, n), 0, 1)


def _rare(random: np.random.Generator, n: int) -> Rates:
    direct = random.beta(0.5, 1, n)
    return direct, np.where(random.random(n) < 0.03, direct + (1 - direct) * random.beta(4, 1, n), direct)


_OTHER = 0.2


def _mixed(most: Callable[..., Rates], few: Callable[..., Rates]) -> Callable[[np.random.Generator, int], Rates]:
    def draw(random: np.random.Generator, n: int) -> Rates:
        others = of_other_task(n, _OTHER)
        here, there = most(random, n - others), few(random, others)
        return np.concatenate([here[0], there[0]]), np.concatenate([here[1], there[1]])

    return draw


def of_other_task(n: int, share: float) -> int:
    """How many of n questions are of another task."""
    return round(n * share)


DECIDED_ABOUT = POPULATIONS | {
    "two_modes": Population("hard or easy without tools; they solve most of what is left at half of both", _two_modes),
    "habit_prone": Population("a small gain at every question, 0.13 on average", _habit_prone),
    "heavy_tails": Population("small differences both ways, and a few very large ones", _heavy_tails),
    "rare": Population("a large gain at 3 % of the questions, and none at the others", _rare),
    "unlike": Population(
        "as two_modes, but of another task every fifth, as null", _mixed(_two_modes, _null), 0, _OTHER
    ),
    "only_there": Population("as null, but of another task every fifth, as ties", _mixed(_null, _ties), 0, _OTHER),
}
"""Those that decisions are tried on."""
