import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.benefit.per_question import counts, per_question
from filters.benefit.planner import forecast, next_round
from records.recipe import ToolBenefit

LADDER = ToolBenefit(samples=4, further=8.0, controls=[])


def of_one_look(samples):
    return ToolBenefit(samples=samples, most_samples=64, controls=[])


class Questions:
    """Half are as easy with tools, a third gain, the others are harmed. Attempts at them are made one after the other,
    as they are asked for."""

    def __init__(self, n, seed, arms=("direct", "tools")):
        random = np.random.default_rng(seed)
        direct, kind = random.beta(0.5, 1, n), random.random(n)
        up, down = direct + (1 - direct) * random.beta(2, 1, n), direct * random.beta(1, 2, n)
        tools = np.where(kind < 1 / 2, direct, np.where(kind < 5 / 6, up, down))
        rates = {"direct": direct, "tools": tools, "call_only": np.where(kind < 2 / 3, direct, (direct + tools) / 2)}
        self.facts = pl.DataFrame({"question_id": [f"q{i:05}" for i in range(n)], "chance": 0.0}).with_columns(
            task=pl.when(pl.int_range(n) % 3 > 0).then(pl.lit("math")).otherwise(pl.lit("search")), source=pl.lit("s")
        )
        self.truth = self.facts.select("question_id", benefit=pl.Series(tools - direct))
        self.all = pl.concat(
            self.facts.select("question_id", arm=pl.lit(arm), correct=pl.Series(random.random((n, 64)) < rate[:, None]))
            .with_columns(sample_index=pl.lit(list(range(64))))
            .explode("correct", "sample_index")
            for arm, rate in rates.items()
            if arm in arms
        )
        self.held = self.all.select("question_id", "arm", wanted=0).unique()

    def take(self, plan):
        before = self.held["wanted"].sum()
        both = pl.concat([self.held, plan.select(self.held.columns).cast(self.held.schema)])
        self.held = both.group_by("question_id", "arm").agg(pl.col("wanted").max())
        return self.held["wanted"].sum() - before

    def take_all(self, samples):
        self.take(self.held.with_columns(wanted=samples))
        return self

    def counts(self, rules):
        made = self.all.join(self.held, on=["question_id", "arm"]).filter(pl.col("sample_index") < pl.col("wanted"))
        return counts(made, rules.looks)

    def spend(self, rules, budget, rounds=4):
        left = budget
        while left > 0:
            plan = next_round(self.counts(rules), self.facts, rules, 0, left, round_size=budget // rounds)
            if plan.is_empty():
                break
            left -= self.take(plan)
        assert left >= 0
        return self

    def judged(self, rules):
        """decision, and whether it is true."""
        table = per_question(self.counts(rules), self.facts, rules).join(
            self.truth.rename({"benefit": "t"}), on="question_id"
        )
        true = {"gain": pl.col("t") > 0, "harm": pl.col("t") < 0, "none": pl.col("t").abs() <= rules.margin}
        return table.select(
            "question_id",
            "decision",
            true=pl.coalesce(pl.when(decision=what).then(holds) for what, holds in true.items()),
        )


def settled(table):
    return table.filter(pl.col("decision") != "open").height


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_a_round_keeps_to_the_budget_the_open_questions_and_the_looks(data):
    rules = LADDER.model_copy(update={"samples": data.draw(st.integers(1, 4)), "most_samples": 16})
    n, budget = data.draw(st.integers(1, 40)), data.draw(st.integers(0, 200))
    size = data.draw(st.none() | st.integers(0, 100))
    questions = Questions(n, data.draw(st.integers(0, 9)))
    arm, look = st.sampled_from(["direct", "tools"]), st.integers(0, 16)
    some = st.lists(st.tuples(st.sampled_from(questions.facts["question_id"].to_list()), arm, look), max_size=30)
    questions.take(pl.DataFrame(data.draw(some), schema=["question_id", "arm", "wanted"], orient="row"))
    held = questions.counts(rules)
    facts = questions.facts.with_columns(chance=pl.Series(data.draw(st.lists(st.floats(0, 1), min_size=n, max_size=n))))
    plan = next_round(held, facts, rules, 0, budget, size)

    again = next_round(held.sample(fraction=1, shuffle=True, seed=1), facts.reverse(), rules, 0, budget, size)
    assert plan.equals(again), "the order of the rows decides nothing"
    assert set(plan["wanted"]) <= set(rules.looks) and set(plan["arm"]) <= {"direct", "tools"}
    assert plan.select("question_id", "arm").is_unique().all()
    decisions = per_question(held, facts, rules).filter(pl.col("decision") != "open")
    assert plan.join(decisions, on="question_id", how="semi").is_empty()
    had = plan.join(questions.held, on=["question_id", "arm"], suffix="_before")
    more = had.with_columns(more=pl.col("wanted") - pl.col("wanted_before"))
    assert more.height == plan.height and (more["more"] > 0).all()
    costs = more.group_by("question_id").agg(pl.col("more").sum())["more"].to_list()
    assert sum(costs) <= budget
    assert size is None or len(costs) <= 1 or sum(costs) <= max(size, max(costs))


def test_what_does_not_fit_makes_room_for_what_does():
    questions = Questions(40, 0).take_all(4)
    questions.take(questions.held.filter(pl.col("question_id") < "q00020").with_columns(wanted=16))
    held = questions.counts(LADDER)
    assert next_round(held, questions.facts, LADDER, 0, 7).is_empty()
    for budget in (8, 15, 31, 40):
        assert (
            questions.spend(LADDER, 0)
            and 0 <= budget - sum_of(held, next_round(held, questions.facts, LADDER, 0, budget)) < 8
        )


def sum_of(held, plan):
    made = held.select("question_id", direct="direct_samples", tools="tools_samples")
    made = made.unpivot(index="question_id", variable_name="arm", value_name="made")
    return plan.join(made, on=["question_id", "arm"]).select(pl.col("wanted") - pl.col("made")).sum().item()


def test_the_planner_settles_more_than_an_even_split_and_as_rightly():
    planned, even = [], []
    for seed in range(2):
        planned.append(Questions(300, seed).take_all(4).spend(LADDER, 2400).judged(LADDER))
        even.append(Questions(300, seed).take_all(8).judged(of_one_look(8)))
    planned, even = pl.concat(planned), pl.concat(even)
    assert planned["true"].sum() > 1.1 * even["true"].sum() > 0
    wrong = planned.group_by("decision").agg(wrong=(~pl.col("true")).mean())
    assert (wrong.filter(pl.col("decision") != "open")["wrong"] <= LADDER.false_discovery_rate).all()


def test_the_forecast_comes_true():
    told, came = 0.0, 0
    for seed in range(3):
        questions = Questions(600, seed).take_all(4)
        before = questions.judged(LADDER)
        said = forecast(questions.counts(LADDER), questions.facts, LADDER, 0, 1000)
        assert said["open"] == 600 - settled(before)
        assert said["rollouts"] == 1000
        told += said["settled"]
        came += settled(questions.spend(LADDER, 1000).judged(LADDER)) - settled(before)
    assert told == pytest.approx(came, rel=0.25)


def test_a_forecast_adds_up_and_needs_no_further_rollouts_in_the_settings():
    questions = Questions(90, 3).take_all(4)
    fixed = of_one_look(4)
    held = questions.counts(fixed)
    said = {rollouts: forecast(held, questions.facts, fixed, 0, rollouts) for rollouts in (0, 100, 1000)}
    for rollouts, one in said.items():
        assert one["rollouts"] <= rollouts
        assert one["settled"] == pytest.approx(one["gain"] + one["harm"] + one["none"], abs=0.2)
        assert one["settled"] == pytest.approx(sum(task["settled"] for task in one["by_task"].values()), abs=0.2)
        assert one["open"] == sum(task["open"] for task in one["by_task"].values())
        assert one["open"] == 90 - settled(questions.judged(fixed))
    assert 0 <= said[0]["settled"] < said[100]["settled"] < said[1000]["settled"] < 90


def test_nothing_measured_nothing_planned():
    questions = Questions(5, 0)
    held = questions.counts(LADDER)
    assert next_round(held, questions.facts, LADDER, 0, 100).schema == {
        "question_id": pl.String, "arm": pl.String, "wanted": pl.Int64,
    }  # fmt: skip
    assert forecast(held, questions.facts, LADDER, 0)["by_task"] == {}


def test_a_gain_that_nobody_can_explain_yet_gets_calls_without_results():
    questions = Questions(120, 5, ("direct", "tools", "call_only")).take_all(4)
    questions.take(questions.held.filter(pl.col("arm") != "call_only").with_columns(wanted=16))
    held = questions.counts(LADDER)
    table = per_question(held, questions.facts, LADDER)
    unclear = table.filter(attribution="unclear")
    assert 0 < unclear.height < (table["decision"] == "gain").sum()
    assert set(next_round(held, questions.facts, LADDER, 0, 5000)["arm"]) == {"direct", "tools"}

    controlled = LADDER.model_copy(update={"controls": ["call_only"]})
    plan = next_round(held, questions.facts, controlled, 0, 5000).filter(arm="call_only")
    assert plan.height > 0 and set(plan["wanted"]) == {16}
    assert set(plan["question_id"]) <= set(unclear["question_id"])
    questions.take(plan)
    after = per_question(questions.counts(controlled), questions.facts, controlled).filter(attribution="unclear")
    assert after.height < unclear.height
    assert (
        next_round(questions.counts(controlled), questions.facts, controlled, 0, 5000)
        .filter(arm="call_only")
        .is_empty()
    )
