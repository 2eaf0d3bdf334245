import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters import difficulty
from records.recipe import CountBand


@st.composite
def plans(draw):
    samples = draw(st.integers(1, 12))
    low = draw(st.integers(0, samples))
    band = CountBand(min=low, max=draw(st.integers(low, samples)))
    waves = []
    while sum(waves) < samples:
        waves.append(draw(st.integers(1, samples - sum(waves))))
    outcomes = draw(st.lists(st.booleans(), min_size=samples, max_size=samples))
    return samples, band, waves, outcomes


def stop_early(samples, band, waves, outcomes):
    seen = []
    for wave in waves:
        seen += outcomes[len(seen) : len(seen) + wave]
        if not difficulty.undecided(len(seen), sum(seen), samples, band):
            break
    return seen


def table(outcomes):
    questions = pl.DataFrame({"question_id": ["q"], "task": ["math"], "source": ["s"]})
    rollouts = pl.DataFrame(
        {"question_id": ["q"] * len(outcomes), "arm": ["direct"] * len(outcomes), "correct": outcomes},
        schema_overrides={"correct": pl.Boolean, "question_id": pl.String, "arm": pl.String},
    )
    return questions, rollouts


@given(plans())
def test_stopping_early_never_changes_the_decision(plan):
    samples, band, waves, outcomes = plan
    seen = stop_early(samples, band, waves, outcomes)
    fixed = band.min <= sum(outcomes) <= band.max
    kept, rejects = difficulty.apply(*table(seen), samples, band)
    assert (kept.height == 1) == fixed
    assert kept.height + rejects.height == 1
    if not fixed:
        assert rejects["reason"][0] == ("too_easy" if sum(outcomes) > band.max else "too_hard")


@pytest.mark.parametrize("outcomes", [[], [None, None], [False, None, False, None]])
def test_a_failure_of_ours_is_no_wrong_answer(outcomes):
    kept, rejects = difficulty.apply(*table(outcomes), 4, CountBand(min=0, max=1))
    assert kept.is_empty() and rejects["reason"].to_list() == ["unfinished"]


def test_raw_counts_are_kept_so_that_a_band_can_change():
    questions, rollouts = table([True, False, False, False])
    kept, _ = difficulty.apply(questions, rollouts, 4, CountBand(min=0, max=1))
    assert kept.select("direct_attempts", "direct_right").row(0) == (4, 1)
    assert difficulty.apply(questions, rollouts, 4, CountBand(min=0, max=0))[0].is_empty()
