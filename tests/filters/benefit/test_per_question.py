"""Counts are what a person would count; decisions keep their false discovery rate; what is not measured is not said."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.benefit import per_question as tool_benefit
from filters.benefit.per_question import ARMS
from records.recipe import ToolBenefit

outcomes = st.lists(st.sampled_from([True, False, None]), max_size=9)


def rollouts(tools_used=None, **arms):
    """arm -> (question -> outcomes by sample index)"""
    rows = [
        {"question_id": question, "arm": arm, "sample_index": index, "correct": outcome}
        for arm, questions in arms.items()
        for question, made in questions.items()
        for index, outcome in enumerate(made)
    ]
    schema = {"question_id": pl.String, "arm": pl.String, "sample_index": pl.Int64, "correct": pl.Boolean}
    table = pl.DataFrame(rows, schema=schema)
    return table if tools_used is None else table.with_columns(tool=pl.Series(tools_used, dtype=pl.String))


def questions(ids, task="math", chance=0.0):
    ids = list(ids)
    return pl.DataFrame({"question_id": pl.Series(ids, dtype=pl.String)}).with_columns(
        task=pl.lit(task), source=pl.lit("s"), chance=pl.lit(chance)
    )


def measured(settings=None, **arms):
    settings = settings or ToolBenefit(samples=8)
    ids = sorted({question for made in arms.values() for question in made})
    counts = tool_benefit.counts(rollouts(**arms), settings.looks)
    return tool_benefit.per_question(counts, questions(ids), settings)


@given(st.dictionaries(st.sampled_from(ARMS), st.dictionaries(st.sampled_from("abc"), outcomes, max_size=3)))
@settings(max_examples=40, deadline=None)
def test_counts_are_those_of_a_loop(arms):
    table = tool_benefit.counts(rollouts(**arms).sample(fraction=1.0, shuffle=True, seed=1), (2, 4))
    asked = sorted({question for made in arms.values() for question, given in made.items() if given})
    assert table["question_id"].to_list() == asked
    for row in table.iter_rows(named=True):
        for arm in ARMS:
            made = arms.get(arm, {}).get(row["question_id"], [])
            for name, part in {"": made, "_first": made[:2]}.items():
                assert row[f"{arm}{name}_attempts"] == sum(outcome is not None for outcome in part)
                assert row[f"{arm}{name}_right"] == sum(outcome is True for outcome in part)
            if arm in ("direct", "tools"):
                assert row[f"{arm}_samples"] == len(made)
                assert row[f"{arm}_right_4"] == sum(outcome is True for outcome in made[:4])
                assert row[f"{arm}_attempts_4"] == sum(outcome is not None for outcome in made[:4])


def test_an_arm_may_begin_at_a_later_index():
    made = rollouts(direct={"q": [False] * 4}, tools={"q": [True] * 4}).with_columns(
        sample_index=pl.when(pl.col("arm") == "direct").then(pl.col("sample_index") + 8).otherwise("sample_index")
    )
    row = tool_benefit.counts(made, (2,), {"direct": 8}).row(0, named=True)
    assert row["direct_first_attempts"] == row["tools_first_attempts"] == 2


def test_the_tool_of_a_question_is_the_one_called_in_most_attempts():
    used = ["python", "search", "search", None, None, None, "python", "python"]
    made = rollouts(used, tools={"a": [True] * 3, "b": [False] * 3, "c": [True, False]})
    table = tool_benefit.counts(made, (3,))
    assert dict(table.select("question_id", "tool").rows()) == {"a": "search", "b": "(none)", "c": "python"}
    # attempts beyond the first look were asked for because of what came out: they count for nothing here
    assert dict(tool_benefit.counts(made, (1,)).select("question_id", "tool").rows())["a"] == "python"


def test_what_is_certain_is_decided_and_the_rest_is_open():
    sure = {f"g{i}": [True] * 8 for i in range(5)}
    wrong = {name: [False] * 8 for name in sure}
    table = measured(direct=wrong | {"h": [True] * 8, "o": [True, False] * 4},
                     tools=sure | {"h": [False] * 8, "o": [False, True] * 4})  # fmt: skip
    decided = dict(table.select("question_id", "decision").rows())
    assert decided == {**dict.fromkeys(sure, "gain"), "h": "harm", "o": "open"}
    assert (table.filter(pl.col("decision") == "gain")["benefit_low"] > 0).all()
    # the exact test of 0 of 8 against 8 of 8
    assert table["gain_p"].min() == pytest.approx(2 * 0.5**17, rel=0.1)


def test_a_question_that_is_never_right_either_way_is_one_that_tools_do_nothing_for():
    settings = ToolBenefit(samples=32)
    table = measured(settings, direct={f"q{i}": [False] * 32 for i in range(50)},
                     tools={f"q{i}": [False] * 32 for i in range(50)})  # fmt: skip
    assert set(table["decision"]) == {"none"}


def test_a_gain_is_given_to_the_habit_or_to_the_content():
    names = [f"q{i}" for i in range(60)]
    never, always = dict.fromkeys(names, [False] * 8), dict.fromkeys(names, [True] * 8)
    habit = measured(direct=never, tools=always, call_only=always)
    content = measured(direct=never, tools=always, call_only=never)
    unknown = measured(direct=never, tools=always)
    assert set(habit["attribution"]) == {"habit"} and set(content["attribution"]) == {"content"}
    assert set(unknown["attribution"]) == {None} and unknown["habit"].null_count() == 60
    assert habit["habit"].mean() > 0.8 and abs(habit["content"].mean()) < 0.1


def test_unfinished_rollouts_are_no_attempts_and_unmeasured_questions_are_left_out():
    table = measured(tools={"a": [True, None], "b": [True]}, direct={"a": [False, False], "b": [None]})
    assert table.select("question_id", "tools_attempts", "direct_attempts", "tools_samples").rows() == [("a", 1, 2, 2)]
    assert measured().is_empty()


def test_guessing_counts():
    made = rollouts(direct={"q": [True, False] * 4}, tools={"q": [True] * 7 + [False]})
    counts = tool_benefit.counts(made, (8,))
    plain, guessed = (
        tool_benefit.per_question(counts, questions(["q"], chance=chance), ToolBenefit()).row(0, named=True)
        for chance in (0.0, 0.5)
    )
    assert guessed["benefit"] == pytest.approx(2 * plain["benefit"])
    assert (guessed["gain_p"], guessed["direct"]) == (plain["gain_p"], plain["direct"])


@pytest.mark.parametrize("population", ["nothing", "some"])
def test_false_discoveries_are_rare_even_where_questions_are_asked_until_they_look_good(population):
    settings = ToolBenefit(samples=4, further=8.0, most_samples=16)
    shares, made_at_all = [], 0
    for seed in range(15):
        random = np.random.default_rng(seed)
        direct = random.beta(0.5, 0.8, 150)
        gains = random.random(150) < (0.0 if population == "nothing" else 0.3)
        tools = np.where(gains, direct + (1 - direct) * random.beta(4, 1, 150), direct)
        right = {
            "direct": random.random((150, 16)) < direct[:, None],
            "tools": random.random((150, 16)) < tools[:, None],
        }
        ahead = right["tools"][:, :4].sum(axis=1) - right["direct"][:, :4].sum(axis=1)
        size = np.where(np.abs(ahead) == 1, 16, np.where(np.abs(ahead) == 2, 8, 4))  # the undecided are asked again
        arms = {arm: {f"q{i:03}": given[i, : size[i]].tolist() for i in range(150)} for arm, given in right.items()}
        decided = measured(settings, **arms).select("question_id", "decision").rows()
        chosen = [int(name[1:]) for name, decision in decided if decision == "gain"]
        made_at_all += len(chosen)
        shares.append(float(np.mean([not gains[i] for i in chosen])) if chosen else 0.0)
    assert np.mean(shares) <= 0.1
    assert population == "nothing" or made_at_all > 75


def test_the_order_of_rows_changes_nothing():
    random = np.random.default_rng(3)
    arms = {arm: {f"q{i}": (random.random(8) < 0.5).tolist() for i in range(20)} for arm in ARMS[:3]}
    made, settings = rollouts(**arms), ToolBenefit()
    asked = questions(sorted(arms["direct"]))
    first, second = (
        tool_benefit.per_question(tool_benefit.counts(table, settings.looks), order, settings).sort("question_id")
        for table, order in ((made, asked), (made.reverse(), asked.reverse()))
    )
    numbers = pl.selectors.float()
    assert np.allclose(first.select(numbers).fill_null(0).to_numpy(), second.select(numbers).fill_null(0).to_numpy())
    assert first.select(~numbers).equals(second.select(~numbers))


def unread(made, **arms):
    """The rollouts with the samples of each arm from an index on as unreadable."""
    since = pl.lit(False)
    for arm, index in arms.items():
        since |= (pl.col("arm") == arm) & (pl.col("sample_index") >= index)
    return made.with_columns(unreadable=since & ~pl.col("correct").fill_null(False))


def decided(made, settings=None):
    settings = settings or ToolBenefit(samples=8)
    counts = tool_benefit.counts(made, settings.looks)
    return tool_benefit.per_question(counts, questions(counts["question_id"]), settings)


NAMES = [f"q{i}" for i in range(30)]


def test_a_decision_that_hangs_on_unreadable_attempts_is_open():
    # without tools half of the turns name no action, and what can be read is as right as with tools
    half = {name: [True] * 4 + [False] * 4 for name in NAMES}
    made = rollouts(direct=half, tools={name: [True] * 8 for name in NAMES})
    plain, planted = decided(made), decided(unread(made, direct=4))
    assert set(plain["decision"]) == {"gain"} and set(planted["decision"]) == {"open"}
    assert planted["direct_silent"].to_list() == [4] * 30 and planted["direct_lost"].sum() == 0
    assert set(planted["decision_unreadable_wrong"]) == {"gain"}
    assert "gain" not in set(planted["decision_unreadable_left_out"])
    assert planted["benefit_unreadable_wrong"].mean() > planted["benefit_unreadable_left_out"].mean() + 0.2
    assert planted["benefit"].equals(plain["benefit"]) and planted["direct_attempts"].equals(plain["direct_attempts"])


def test_what_the_server_lost_counts_as_wrong_in_one_of_both_ways():
    # with tools the server lost half of the actions: what is left looks like a gain
    never = {name: [False] * 8 for name in NAMES}
    made = rollouts(direct=never, tools={name: [True] * 2 + [None] * 6 for name in NAMES})
    planted = decided(unread(made, tools=2))
    assert planted["tools_lost"].to_list() == [6] * 30 and planted["tools_attempts"].to_list() == [2] * 30
    counted = decided(rollouts(direct=never, tools={name: [True] * 2 + [False] * 6 for name in NAMES}))
    assert planted["decision_unreadable_wrong"].equals(counted["decision"].rename("decision_unreadable_wrong"))
    assert planted["benefit_unreadable_wrong"].to_numpy() == pytest.approx(counted["benefit"].to_numpy())
    assert planted["decision_unreadable_left_out"].to_list() == decided(made)["decision"].to_list()


def test_where_both_ways_agree_the_decision_stands():
    made = rollouts(direct={name: [False] * 8 for name in NAMES}, tools={name: [True] * 8 for name in NAMES})
    planted = decided(unread(made, direct=7))
    assert set(planted["decision"]) == {"gain"} and planted["direct_silent"].to_list() == [1] * 30
    silent = decided(unread(made, direct=0))
    assert set(silent["decision"]) == {"open"}, "nothing without tools could be read"
    assert silent["benefit_unreadable_left_out"].null_count() == 30


def test_without_unreadable_attempts_nothing_is_computed_again(monkeypatch):
    made = rollouts(direct={"q": [False] * 8}, tools={"q": [True] * 8})
    monkeypatch.setattr(tool_benefit, "_decided", None)
    for table in (decided(made), decided(unread(made))):
        row = table.row(0, named=True)
        assert row["decision"] == row["decision_unreadable_wrong"] == row["decision_unreadable_left_out"]
        assert row["benefit"] == row["benefit_unreadable_wrong"] == row["benefit_unreadable_left_out"]
