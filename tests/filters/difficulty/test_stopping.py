from itertools import product
from math import isclose
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.difficulty.progress import progress
from filters.difficulty.stopping import Rule
from filters.difficulty.unbiased_rate import flipped_sequences
from records.recipe import CountBand

RULE = Rule((2, 2, 4), CountBand(min=1, max=6))
RECORDED = Path(__file__).parents[3] / "benchmarks" / "recorded.parquet"


@st.composite
def rules(draw, samples=9, errors=(0.0, 0.02, 0.1, 0.3)):
    waves = []
    count = draw(st.integers(1, samples))
    while sum(waves) < count:
        waves.append(draw(st.integers(1, count - sum(waves))))
    low = draw(st.integers(0, count))
    band = CountBand(min=low, max=draw(st.integers(low, count)))
    prior = draw(st.sampled_from([(0.5, 0.5), (1.0, 1.0), (0.3, 2.0)]))
    return Rule(tuple(waves), band, draw(st.sampled_from(errors)), prior)


def every_sequence(samples, failures=()):
    """A question for each sequence of right and wrong, in the order of itertools.product; some samples fail in all."""
    sequences = list(product([False, True], repeat=samples))
    return sequences, pl.DataFrame(
        {
            "question_id": [str(q) for q in range(len(sequences)) for _ in range(samples)],
            "sample_index": list(range(samples)) * len(sequences),
            "correct": [None if i in failures else x for xs in sequences for i, x in enumerate(xs)],
        },
        schema_overrides={"correct": pl.Boolean},
    )


def stop(rule, sequence):
    """Where a plain walk stops: (attempts, right)."""
    return next((n, sum(sequence[:n])) for n in rule.looks if not rule.is_open(n, sum(sequence[:n])))


def chance(sequence, a, b):
    """The probability of a sequence of attempts, the pass rate being Beta(a, b)."""
    result = 1.0
    for right in sequence:
        result *= (a if right else b) / (a + b)
        a, b = a + right, b + (not right)
    return result


@settings(max_examples=60, deadline=None)
@given(rules(errors=[0.0]))
def test_stopping_when_certain_never_changes_a_decision(rule):
    sequences, table = every_sequence(rule.samples)
    found = progress(table, rule)
    assert found["decision"].to_list() == [rule.fixed_decision(sum(sequence)) for sequence in sequences]
    assert set(found["stop_reason"]) == {"certain"}
    assert found.select("attempts", "right").rows() == [stop(rule, sequence) for sequence in sequences]


@settings(max_examples=200, deadline=None)
@given(rules(errors=[0.0]))
def test_an_open_state_can_still_end_either_way(rule):
    for attempts, right in product(range(1, rule.samples + 1), repeat=2):
        if right <= attempts:
            ends = {rule.fixed_decision(total) for total in range(right, right + rule.samples - attempts + 1)}
            assert (rule.decision(attempts, right) is None) == (len(ends) > 1)


@settings(max_examples=60, deadline=None)
@given(rules(errors=[0.02, 0.1, 0.3]))
def test_decisions_changed_by_the_bounded_rule_stay_within_its_bound(rule):
    sequences, table = every_sequence(rule.samples)
    decided = progress(table, rule)["decision"].to_list()
    changed = [
        sequence
        for sequence, decision in zip(sequences, decided, strict=True)
        if decision != rule.fixed_decision(sum(sequence))
    ]
    assert sum(chance(sequence, *rule.prior) for sequence in changed) <= rule.error + 1e-12
    totals = [sum(sequence) for sequence in changed]
    assert flipped_sequences(rule) == tuple(totals.count(n) for n in range(rule.samples + 1))


def test_the_bounded_rule_stops_earlier_and_says_so():
    rule = Rule((2, 2, 2, 2), CountBand(max=2), 0.05)
    assert rule.decision(4, 3) == ("too_easy", "certain")
    assert rule.decision(4, 0) == ("keep", "likely")
    assert Rule(rule.waves, rule.keep).decision(4, 0) is None
    assert rule.decision(2, 0) is None


@settings(max_examples=40, deadline=None)
@given(rules(samples=7))
def test_expected_attempts_are_those_of_all_sequences(rule):
    a, b = rule.prior
    for attempts in (0, *rule.looks):
        for right in range(attempts + 1):
            known = (True,) * right + (False,) * (attempts - right)
            expected = 0.0
            for rest in product([False, True], repeat=rule.samples - attempts):
                ends = [n for n in (attempts, *rule.looks) if n >= attempts]
                end = next(n for n in ends if not rule.is_open(n, sum((known + rest)[:n])))
                expected += chance(rest, a + right, b + attempts - right) * (end - attempts)
            assert isclose(rule.expected_more(attempts, right), expected, abs_tol=1e-9)


def test_expected_attempts_have_a_closed_form_for_all_pass_rates_alike():
    # One at a time until both a right and a wrong one are seen: n attempts are all alike with chance 2 / (n + 1).
    rule = Rule((1,) * 8, CountBand(min=1, max=7), prior=(1.0, 1.0))
    assert isclose(rule.expected_more(0, 0), 1 + sum(2 / (n + 1) for n in range(1, 8)))
    assert Rule((4, 4), None).expected_more(3, 1) == 5


@pytest.mark.parametrize("waves", [(), (2, 0)])
def test_waves_hold_samples(waves):
    with pytest.raises(ValueError, match="at least one"):
        Rule(waves, None)


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="3 right of 2 attempts cannot be"):
        RULE.decision(2, 3)


@pytest.mark.parametrize("waves", [(1,) * 8, (2,) * 4, (4, 2, 2), (4, 4), (1,) * 16, (4,) * 4, (8, 4, 4)])
@pytest.mark.parametrize("low, high", [(1, 7), (1, 6), (0, 2), (2, 12)])
def test_recorded_attempts_are_decided_as_by_all_of_them(waves, low, high):
    rule = Rule(waves, CountBand(min=low, max=high))
    recorded = pl.read_parquet(RECORDED).filter(pl.col("sample_index") < rule.samples)
    full = recorded.group_by("question_id").agg(n=pl.col("correct").count(), right=pl.col("correct").sum())
    table = progress(recorded, rule).join(full.filter(n=rule.samples), on="question_id")
    assert table.height >= 40
    assert table["decision"].to_list() == [rule.fixed_decision(right) for right in table["right_right"]]
