import polars as pl
import pytest

from filters.difficulty import band as difficulty
from filters.difficulty.stopping import Rule
from records.recipe import CountBand, Difficulty

RULE = Rule((2, 2), CountBand(min=0, max=1))


def tables(outcomes, arm="direct"):
    questions = pl.DataFrame({"question_id": ["q"], "task": ["math"], "source": ["s"]})
    rollouts = pl.DataFrame(
        {
            "question_id": ["q"] * len(outcomes),
            "arm": [arm] * len(outcomes),
            "sample_index": list(range(len(outcomes))),
            "correct": outcomes,
            "seconds": [1.0] * len(outcomes),
        },
        schema_overrides={"correct": pl.Boolean, "question_id": pl.String, "arm": pl.String, "sample_index": pl.Int64},
    )
    return questions, rollouts


def rejected(outcomes, rule=RULE, arm="direct"):
    kept, rejects = difficulty.apply(*tables(outcomes, arm), rule)
    assert kept.is_empty() and rejects.height == 1
    return rejects.row(0, named=True)


def test_kept_questions_carry_their_counts():
    kept, rejects = difficulty.apply(*tables([False, False, True, False]), RULE)
    assert rejects.is_empty()
    assert kept.columns == [
        "question_id", "task", "source", "direct_attempts", "direct_right", "direct_pass_rate", "direct_stop",
    ]  # fmt: skip
    assert kept.row(0)[3:] == (4, 1, 0.25, "certain")


def test_a_band_can_change_without_a_new_rollout():
    outcomes = [True, False, False, False]
    assert difficulty.apply(*tables(outcomes), RULE)[0].height == 1
    assert rejected(outcomes, Rule((2, 2), CountBand(max=0)))["reason"] == "too_easy"


@pytest.mark.parametrize(
    "outcomes, rule, reason, detail",
    [
        ([True, True], RULE, "too_easy", "2 of 2 attempts right without tools; kept are 0 to 1 of 4"),
        ([False] * 4, Rule((4,), CountBand(min=1, max=3)), "too_hard", "0 of 4 attempts right without tools; kept are "
         "1 to 3 of 4"),
        ([False] * 4, Rule((4, 1), CountBand(min=1, max=4), 0.2), "too_hard", "0 of 4 attempts right without tools; "
         "kept are 1 to 4 of 5; stopped early as likely: a chance of at most 0.2 that all 5 decide otherwise"),
        ([None, True, None, False], RULE, "undecided", "1 of 2 attempts right without tools; kept are 0 to 1 of 4; 2 "
         "of 4 samples gave no attempt"),
        ([None, None, None, None], RULE, "undecided", "0 of 0 attempts right without tools; kept are 0 to 1 of 4; 4 "
         "of 4 samples gave no attempt"),
        ([False, True, False], RULE, "unfinished", "1 of 2 attempts right without tools; kept are 0 to 1 of 4; 1 "
         "samples of the next wave are missing"),
        ([], RULE, "unfinished", "0 of 0 attempts right without tools; kept are 0 to 1 of 4; 2 samples of the next "
         "wave are missing"),
    ],
)  # fmt: skip
def test_rejects_say_why(outcomes, rule, reason, detail):
    found = rejected(outcomes, rule)
    assert (found["reason"], found["detail"]) == (reason, detail)


def test_other_arms_do_not_count():
    assert rejected([False] * 4, arm="tools")["reason"] == "unfinished"


def test_a_rule_without_a_band_is_refused():
    with pytest.raises(ValueError, match="needs a rule with a keep-band"):
        difficulty.apply(*tables([True]), Rule((4,), None))


def test_the_rule_of_a_recipe():
    settings = Difficulty(samples=4, keep=CountBand(max=1), waves=[2, 2], error=0.05, prior=(1, 1))
    assert difficulty.rule_of(settings) == Rule((2, 2), CountBand(max=1), 0.05, (1.0, 1.0))
    assert difficulty.rule_of(Difficulty(samples=8)) == Rule((8,), CountBand(max=2))


@pytest.mark.parametrize("wrong", [{"error": 0.5}, {"error": -0.1}, {"prior": (0, 1)}, {"prior": (1, float("inf"))}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Difficulty(**wrong)


def test_a_question_that_came_later_is_not_called_unfinished():
    questions, rollouts = tables([])
    for attempted, reason in (
        (None, "unfinished"),
        (["q"], "unfinished"),
        (["r"], "not_attempted"),
        ([], "not_attempted"),
    ):
        known = None if attempted is None else pl.Series(attempted, dtype=pl.String)
        kept, rejects = difficulty.apply(questions, rollouts, RULE, known)
        assert kept.is_empty() and rejects["reason"].to_list() == [reason]
