"""The thresholds of decisions at later looks: both rules' grow with how many questions are decided by then.

A plan of further attempts has to know them before the attempts are there. As in the procedure of Benjamini and Hochberg
the largest number of decisions that agrees with its own threshold is looked for, so from above. Of exact tests it is
the threshold of a p-value; of the posterior rule (filters/benefit/posterior_decisions.py) that of the error of the
least certain question, for the more is decided with little error, the more of what is less certain may be decided too.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from filters.benefit import columns, posterior_decisions
from filters.benefit.exact_tests import ladder_level, ladder_p, look_weights
from filters.benefit.lookahead import ERRORS, GAIN, HARM, NONE, Bounds
from records.recipe import ToolBenefit

KINDS = ("gain", "harm", "none")
"""In the order of lookahead.GAIN, HARM, NONE."""
TRIED = 8
"""How many bounds of the error are tried."""
LATER = 1.12
"""The factor by which errors at later looks count higher than what is known now says: the distribution of the rates is
estimated anew by then, and questions that come out well by today's estimate do so in part by chance. Measured without
it: 29 % too many decisions foreseen where half of the questions stay as they are (benchmarks/tool_benefit.py)."""


class _ErrorBound:
    """Up to which posterior error a kind of decision is made when all further attempts are there."""

    def __init__(self, table: pl.DataFrame, is_open: pl.DataFrame, kind: str, settings: ToolBenefit) -> None:
        self._error = posterior_decisions.errors(is_open)[kind]
        there = table.filter(pl.col("decision") == kind)["decision_error"]
        self._decided = len(there), float(there.sum())
        self._rate = settings.false_discovery_rate
        today = posterior_decisions.bound(table, kind, settings)
        most = max(today, settings.most_error / posterior_decisions.CAUTION)
        self._tried = np.geomspace(most, today, TRIED).tolist()

    @property
    def now(self) -> float:
        """The bound that is tried now; the next ones are lower, the last one is today's."""
        return self._tried[0]

    def sure(self) -> np.ndarray:
        """(open questions,): which are decided without another attempt, because the bound is wider than today's."""
        return (self._tried[-1] < self._error) & (self._error <= self.now)

    def agrees(self, won: float, errors: float, sure: np.ndarray) -> bool:
        """Whether the promise is kept if `won` more are decided, with this sum of errors besides that of `sure` (open
        questions,) among them. If not, the next lower bound is tried."""
        total = self._decided[1] + LATER * errors + float(self._error[sure].sum())
        if len(self._tried) == 1 or posterior_decisions.keeps(self._decided[0] + won, total, self._rate):
            return True
        self._tried = self._tried[1:]
        return False


class Thresholds:
    """Thresholds that agree with how many questions are decided by them at the end, found step by step."""

    def __init__(self, table: pl.DataFrame, is_open: pl.DataFrame, settings: ToolBenefit, looks: Sequence[int]) -> None:
        """
        Args:
            table: as filters.benefit.per_question.per_question returns it.
            is_open: the rows of it that nothing is decided about.
            looks: those of the further attempts.
        """
        self._looks, self._rate, self._height = looks, settings.false_discovery_rate, max(table.height, 1)
        self.told = [kind for kind in ("gain", "harm") if posterior_decisions.may_be_told(table, kind, settings)]
        """Of gain and harm, what the table as a whole shows more of than chance alone would."""
        posterior = [] if settings.decide_by == "exact" else [*self.told, "none"]
        self._errors = {kind: _ErrorBound(table, is_open, kind, settings) for kind in posterior}
        self._none = 1 - settings.confidence
        tested = [kind for kind in ("gain", "harm") if kind not in posterior]
        self._p = {kind: is_open[columns.p_value(kind)].to_numpy() for kind in tested}
        if not settings.further:  # the one look had the whole level
            first = look_weights(looks)[0]
            self._p = {kind: ladder_p(values / first, looks) for kind, values in self._p.items()}
        self._decided = {kind: int((table["decision"] == kind).sum()) for kind in tested}
        hoped = {kind: float(is_open[columns.probability(kind)].sum()) for kind in tested}
        self._expected = {kind: self._decided[kind] + hoped[kind] for kind in tested}
        self._open = is_open.height

    def _level(self, kind: str) -> float:
        return self._rate * max(self._expected[kind], 1) / self._height

    def sure(self) -> list[np.ndarray]:
        """For each of KINDS (open questions,): which are decided so without another attempt."""
        found: list[np.ndarray] = []
        for kind in KINDS:
            if kind in self._errors:
                mine = self._errors[kind].sure()
            else:
                mine = self._p[kind] <= self._level(kind) if kind in self._p else np.zeros(self._open, dtype=bool)
            found.append(mine & ~np.any(found, axis=0) if found else mine)
        return found

    def bounds(self) -> Bounds:
        """What decides at a look."""
        gain, harm = (ladder_level(self._level(kind), self._looks) if kind in self._p else -1.0 for kind in KINDS[:2])
        errors = [self._errors[kind].now if kind in self._errors else -1.0 for kind in KINDS]
        return Bounds((gain, harm), (errors[GAIN], errors[HARM], errors[NONE] if self._errors else self._none))

    def agree(self, brought: np.ndarray, sure: list[np.ndarray]) -> bool:
        """Whether what is decided by them, `brought` (lookahead.EXPECTED,) with those of `sure` among it, agrees with
        them. If not, they are changed."""
        found = []
        for number, kind in enumerate(KINDS):
            won = float(brought[number])
            if kind in self._errors:
                errors = float(brought[ERRORS.start + number])
                found.append(self._errors[kind].agrees(won, errors, sure[number]))
            elif kind in self._p:
                before, self._expected[kind] = self._expected[kind], self._decided[kind] + won
                found.append(abs(self._expected[kind] - before) < 0.5 + before / 50)
        return all(found)
