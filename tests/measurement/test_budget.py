"""Further rollouts: where the planner wants them, within the budget, and not twice."""

from types import SimpleNamespace

import polars as pl
import pytest

from filters.benefit.per_question import per_question
from measurement import arms, budget
from measurement import run as rolling
from measurement.prepared_arm import PreparedArm
from measurement.progress import LedgerSnapshot, arm_progress
from measurement.run import Stage
from measurement.summary import StageSummary
from measurement.toolbox import Toolbox
from rollouts.ledger.ledger import Ledger
from rollouts.models.roles import Models
from tests.support.arms_workspace import ASKED, QUESTIONS, Place, new_place

SETTINGS = {"samples": 3, "further": 5.0, "most_samples": 12, "controls": ["call_only"]}
BUDGET = round(SETTINGS["further"] * len(QUESTIONS))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A place in which a little was given at first; then more, and that run ended within a round; and was run again.

    With the last run's table, requests and metadata, and each plan that was made, with what was known then.
    """
    plans, made, real, real_make = [], [], budget.next_round, rolling.ArmRunner.make

    def recorded(counts, questions, settings, seed, budget, round_size):
        plan = real(counts, questions, settings, seed, budget, round_size)
        plans.append((plan, per_question(counts, questions, settings, seed), budget))
        return plan

    def make(stage, at, questions):
        real_make(stage, at, questions)
        made.append(at.arm.name)
        if made[3:] == ["tools"]:  # all first samples are there; the round has been made in this arm alone
            raise KeyboardInterrupt

    with new_place(tmp_path_factory.mktemp("further")) as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "next_round", recorded)
        small, _, metadata = place.roll(**SETTINGS | {"further": 1.2})
        assert metadata["further_spent"] == 6
        patch.setattr(rolling.ArmRunner, "make", make)
        with pytest.raises(KeyboardInterrupt):
            place.roll(**SETTINGS)
        patch.undo()
        patch.setattr(budget, "next_round", recorded)
        before = place.server.asked()
        table, requests, metadata = place.roll(**SETTINGS)
        patch.undo()
        yield SimpleNamespace(
            place=place, plans=plans, small=small, before=before, table=table, requests=requests, metadata=metadata
        )


def samples(table):
    """Samples of each question in each arm."""
    return table.group_by("question_id", "arm").agg(made=pl.len().cast(pl.Int64))


def beyond(table):
    return int((samples(table)["made"] - SETTINGS["samples"]).sum())


def test_further_samples_go_to_open_questions_only(done):
    for plan, known, _ in done.plans:
        decided = dict(known.select("question_id", "decision").iter_rows())
        compared = plan.filter(pl.col("arm") != "call_only")
        assert {decided[question_id] for question_id in compared["question_id"]} <= {"open"}
    planned = pl.concat([plan for plan, _, _ in done.plans])
    most = planned.group_by("question_id", "arm").agg(pl.col("wanted").max())
    more = samples(done.table).filter(pl.col("made") > SETTINGS["samples"])
    assert more.height > 3
    assert more.rename({"made": "wanted"}).join(most, on=most.columns, how="anti").is_empty()


def test_the_budget_is_kept_and_a_round_takes_a_part_of_it(done):
    spent = done.metadata["further_spent"]
    assert 6 < beyond(done.table) == spent <= done.metadata["further_budget"] == BUDGET
    left = [budget for _, _, budget in done.plans]
    assert left[:2] == [6, BUDGET - 6] and left[1:] == sorted(left[1:], reverse=True) and len(left) > 4
    calls = sum(count for name, count in done.metadata.items() if name.endswith("model_calls_made"))
    assert calls == done.metadata["further: model_calls_made"] == done.requests.total() > 0
    assert set(done.metadata["a_further_1000_rollouts"]) >= {"open", "settled", "rollouts"}


def test_a_run_goes_on_with_what_was_spent_before(done):
    assert not done.requests & done.before
    assert done.small.join(done.table, on="rollout_id", how="anti").is_empty()
    left = samples(done.table).pivot("arm", index="question_id", values="made")
    assert left["tools"].equals(left["direct"], check_names=False)  # none stays a look ahead in one arm


def test_nothing_new_asks_for_nothing(done):
    table, requests, metadata = done.place.roll(**SETTINGS)
    assert requests.total() == 0 and table.equals(done.table)
    assert metadata["further_spent"] == done.metadata["further_spent"]
    # what is stored is used also when no more is given
    table, requests, metadata = done.place.roll(**SETTINGS | {"further": 0.0})
    assert requests.total() == 0 and table.equals(done.table) and metadata["further_budget"] == 0


def test_a_round_that_brings_nothing_is_the_last(monkeypatch):
    plan = pl.DataFrame({"question_id": [QUESTIONS[0].question_id], "arm": ["tools"], "wanted": [6]})
    made = []
    attempts = pl.DataFrame(
        {"question_id": [q.question_id for q in QUESTIONS for _ in range(6)], "arm": ["tools", "direct"] * 15,
         "sample_index": [0, 0, 1, 1, 2, 2] * 5, "correct": [True, False] * 15}
    )  # fmt: skip
    settings = Place.recipe_of(**SETTINGS).tool_benefit
    recipe = SimpleNamespace(tool_benefit=settings, seed=0)
    runner = SimpleNamespace(
        toolbox=SimpleNamespace(workspace=SimpleNamespace(recipe=recipe)),
        log=SimpleNamespace(info=lambda line: None),
        progress=lambda arm, questions: SimpleNamespace(used=attempts),
        make=lambda at, questions: made.append(questions["wanted"].to_list()),
        calls=StageSummary,
    )
    monkeypatch.setattr(budget, "next_round", lambda *_: plan)
    extra = budget.spend_budget(Stage(runner, ASKED, [SimpleNamespace(name="tools")]))
    assert made == [[6]] and extra.spent == 0


def test_the_plan_says_the_most_that_is_given_until_nothing_is_left_that_pays(done, tmp_path):
    asked = ASKED.with_columns(weight=pl.lit(0.5))

    def planned(workspace, asked):
        model = Models(workspace).completer("policy").fingerprint
        with Ledger(workspace.ledger) as ledger:
            snapshot, toolbox = LedgerSnapshot(ledger), Toolbox(workspace)
            ready = [PreparedArm(arm, toolbox) for arm in arms.compared_arms(workspace.recipe)]
            return budget.budget_cost([arm_progress(arm, snapshot, model, asked) for arm in ready], asked)

    need = planned(Place(tmp_path, done.place.server).workspace(**SETTINGS), asked)
    assert (need.needed_now, need.at_most, need.expected) == (0, BUDGET, round(BUDGET / 2)) and need.tokens > 0
    need = planned(done.place.workspace(**SETTINGS), ASKED.with_columns(weight=pl.lit(1.0)))
    assert need.at_most == need.expected == need.tokens == 0
