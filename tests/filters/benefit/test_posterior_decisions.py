"""As many are decided as the promise allows, in any order; and none where chance alone explains the table."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.benefit.simulation import Attempts, draw_truth, measured, settings_of
from filters.benefit import posterior_decisions
from filters.benefit.columns import COMPARED, attempts, decision_by, first_attempts, first_right, lost
from filters.benefit.posterior_decisions import CAUTION, DOUBT, decided, may_be_told, told_from_chance
from filters.benefit.unreadable import _recounted

errors = st.lists(st.sampled_from([0.0, 0.01, 0.05, 0.1, 0.2, 0.29, 0.3, 0.31, 0.6, 1.0, float("nan")]), max_size=40)


@given(errors, st.floats(0.01, 0.4), st.floats(0.05, 0.49), st.randoms())
def test_the_largest_set_that_keeps_both_bounds_whatever_the_order(values, rate, most, random):
    error = np.array(values)
    chosen = decided(error, rate, most)

    def counted(some):
        return (CAUTION * some.sum() + DOUBT * rate) / len(some)

    if chosen.any():
        assert counted(error[chosen]) <= rate + 1e-12 and CAUTION * error[chosen].max() <= most
    rest = np.sort(error[~chosen & ~np.isnan(error)])
    for number in range(len(rest)):  # no larger set would do
        assert CAUTION * rest[number] > most or counted(np.append(error[chosen], rest[rest <= rest[number]])) > rate
    order = list(range(len(values)))
    random.shuffle(order)
    assert (decided(error[order], rate, most) == chosen[order]).all()
    assert (decided(error, min(rate * 1.5, 0.49), most) >= chosen).all()


def table(*states):
    """Questions with so many right of four attempts in each arm."""
    rows = [(4, direct, 4, tools) for direct, tools in states]
    names = [name(arm) for arm in COMPARED for name in (first_attempts, first_right)]
    return pl.DataFrame(rows, schema=names, orient="row")


def test_effects_are_told_from_chance_in_their_own_direction():
    both = table(*[(0, 4)] * 6, *[(4, 0)] * 6, *[(2, 2)] * 20)
    assert told_from_chance(both, "gain") < 0.01 > told_from_chance(both, "harm")
    gains = table(*[(0, 4)] * 6, *[(2, 2)] * 20)
    assert told_from_chance(gains, "gain") < 0.01 and told_from_chance(gains, "harm") == 1
    assert told_from_chance(table(), "gain") == 1 == told_from_chance(table((0, 0), (4, 4)), "gain")


def test_chance_alone_is_told_from_chance_as_rarely_as_the_level_says():
    random = np.random.default_rng(0)
    p = []
    for _ in range(300):
        rates = random.beta(0.4, 0.8, 40)
        right = random.binomial(4, np.stack([rates, rates], 1))
        p.append(told_from_chance(table(*right.tolist()), "gain"))
    for level in (0.05, 0.2, 0.5):
        share = np.mean(np.array(p) <= level)
        assert abs(share - level) < 4 * (level * (1 - level) / 300) ** 0.5


@pytest.fixture(scope="module")
def found():
    """A table of a population in which half of the questions gain, and the settings."""
    random, settings = np.random.default_rng(3), settings_of(4)
    truth = draw_truth("two_modes", 200, random)
    tried = Attempts(truth["question_id"].to_list(), Attempts.draw(truth, COMPARED, random)).take_all(4)
    return measured(tried, truth, settings), settings


def test_more_is_decided_than_by_the_exact_tests_and_as_rightly_as_promised(found):
    made, settings = found
    gains = made.filter(pl.col("decision") == "gain")
    exact = made.filter(pl.col(decision_by("exact")) == "gain")
    assert gains.height > 1.5 * exact.height > 0 and may_be_told(made, "gain", settings)
    assert gains["decision_error"].mean() * CAUTION <= settings.false_discovery_rate
    assert gains["decision_error"].max() * CAUTION <= settings.most_error
    assert (gains["true_benefit"] <= settings.margin).mean() < 0.2
    assert made["decision"].equals(made[decision_by("posterior")], check_names=False)


def test_where_chance_explains_the_table_the_exact_tests_decide(found, monkeypatch):
    made, settings = found
    monkeypatch.setattr(posterior_decisions, "may_be_told", lambda *_: False)
    decision = posterior_decisions.decide(made, settings)
    sure = (made[decision_by("exact")] == "gain") & (1 - made["gain_probability"] <= settings.most_error)
    assert (decision == "gain").equals(sure, check_names=False)
    assert 0 < sure.sum() < (made["decision"] == "gain").sum()


def test_what_is_left_of_a_set_keeps_the_promise_by_itself(found):
    """The most certain half of the gains is taken out: what remains of them is not all decided any more."""
    made, settings = found
    gains = made.filter(pl.col("decision") == "gain").sort("decision_error")
    certain = gains.head(gains.height // 2)["question_id"].implode()
    name = decision_by("posterior")
    fewer = made.with_columns(
        pl.when(pl.col("question_id").is_in(certain)).then(pl.lit("open")).otherwise(name).alias(name)
    )
    kept = fewer.with_columns(decision=posterior_decisions.kept(fewer, settings)).filter(pl.col("decision") == "gain")
    assert 0 < kept.height < gains.height - gains.height // 2
    assert (1 - kept["gain_probability"]).mean() * CAUTION <= settings.false_discovery_rate
    assert posterior_decisions.kept(made, settings).equals(made[name], check_names=False)


def test_the_whole_table_is_looked_at_both_ways(found):
    """Attempts that could not be read count in the first samples too."""
    made, _ = found
    looks = made.select(
        *(pl.col(name(arm)) for arm in COMPARED for name in (attempts, first_attempts)),
        *(pl.col(attempts(arm)).alias(attempts(arm, 4)) for arm in COMPARED),
        *(pl.lit(1).alias(lost(arm, look)) for arm in COMPARED for look in (None, 4)),
    )
    again = _recounted(looks, lost, 1)
    assert (again[first_attempts("tools")] == made[first_attempts("tools")] + 1).all()
    assert (again[attempts("direct", 4)] == made[attempts("direct")] + 1).all()
