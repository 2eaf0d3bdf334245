"""Further rollouts: where the planner wants them, within the budget, and not twice, whatever ends first."""

import asyncio
import random
from types import SimpleNamespace

import polars as pl
import pytest

from filters.benefit.per_question import per_question
from measurement import arms, budget, extra_rounds
from measurement.prepared_arm import PreparedArm
from measurement.progress import LedgerSnapshot, arm_progress
from measurement.toolbox import Toolbox
from records.faults import ToolInfrastructureError
from rollouts import waves
from rollouts.ledger.ledger import Ledger
from rollouts.models.endpoint import Endpoint
from rollouts.models.roles import Models
from tests.support.arms_workspace import ASKED, QUESTIONS, Place, new_place

SETTINGS = {"samples": 3, "further": 5.0, "most_samples": 12, "controls": ["call_only"]}
BUDGET = round(SETTINGS["further"] * len(QUESTIONS))


def recorded(plans):
    """The planner, which notes each plan, what is known then, what is left and which questions are busy."""

    def next_round(counts, questions, settings, seed, left, size):
        plan = real(counts, questions, settings, seed, left, size)
        busy = set(questions.filter("busy")["question_id"])
        plans.append((plan, per_question(counts, questions, settings, seed), left, busy))
        return plan

    real = extra_rounds.next_round
    return next_round


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A place in which a little was given at first; and then more.

    With the last run's table, requests and metadata, and each plan that was made, with what was known then.
    """
    plans = []
    with new_place(tmp_path_factory.mktemp("further")) as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(extra_rounds, "next_round", recorded(plans))
        small, _, metadata = place.roll(**SETTINGS | {"further": 1.2})
        assert metadata["further_spent"] == 6
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
    for plan, known, _, busy in done.plans:
        assert not set(plan["question_id"]) & busy
        decided = dict(known.select("question_id", "decision").iter_rows())
        compared = plan.filter(pl.col("arm") != "call_only")
        assert {decided[question_id] for question_id in compared["question_id"]} <= {"open"}
    planned = pl.concat([plan for plan, *_ in done.plans])
    most = planned.group_by("question_id", "arm").agg(pl.col("wanted").max())
    more = samples(done.table).filter(pl.col("made") > SETTINGS["samples"])
    assert more.height > 3
    assert more.rename({"made": "wanted"}).join(most, on=most.columns, how="anti").is_empty()


def test_the_budget_is_kept_and_a_round_takes_a_part_of_it(done):
    spent = done.metadata["further_spent"]
    assert 6 < beyond(done.table) == spent <= done.metadata["further_budget"] == BUDGET
    left = [left for _, _, left, _ in done.plans]
    more = left.index(BUDGET - 6)
    assert left[0] == 6 and left[more:] == sorted(left[more:], reverse=True) and len(left) > more + 3
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


class Ended(Exception):
    """A run ends in the midst of what it does."""


def without_times(table):
    return table.with_columns(pl.col("tool_calls").str.replace_all(r'"seconds":[0-9.e+-]+', "")).drop("seconds")


ALL = SETTINGS | {"controls": ["call_only", "result_only"]}


@pytest.fixture(scope="module")
def at_once(tmp_path_factory):
    """The same budget given at once, undisturbed: the place, its table, what was asked, the plans, and the attempts in
    the order in which they began and ended."""
    begun, ended, plans, real = [], [], [], waves.attempt

    async def attempt(question, prompt, setting, sample, model, ledger):
        begun.append((setting.arm, question.question_id, sample, len(ended)))
        rollout = await real(question, prompt, setting, sample, model, ledger)
        ended.append((setting.arm, question.question_id, sample))
        return rollout

    with new_place(tmp_path_factory.mktemp("at_once")) as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(waves, "attempt", attempt)
        patch.setattr(extra_rounds, "next_round", recorded(plans))
        table, requests, metadata = place.roll(**ALL)
        patch.undo()
        assert metadata["further_spent"] > 6 and set(table["arm"]) == {"tools", "direct", "call_only", "result_only"}
        yield SimpleNamespace(
            place=place, table=table, requests=requests, metadata=metadata, plans=plans, begun=begun, ended=ended
        )


@pytest.mark.parametrize("seed", range(2))
def test_no_table_depends_on_what_ends_first_nor_on_when_a_run_is_killed(at_once, tmp_path, monkeypatch, seed):
    """Replies come in any order, and the run ends within a round more than once: equal tables, and each call once."""
    drawn, calls = random.Random(seed), 0
    real, first = Endpoint.complete, at_once.requests.total() - 30

    async def complete(self, request):
        nonlocal calls
        calls += 1
        if calls in killed_at:
            raise Ended
        await asyncio.sleep(drawn.random() * 0.02)
        return await real(self, request)

    killed_at = {drawn.randrange(20, first), first + drawn.randrange(15), first + 15 + drawn.randrange(10)}
    monkeypatch.setattr(Endpoint, "complete", complete)
    place = Place(tmp_path, at_once.place.server)
    before = place.server.asked()
    for _ in killed_at:
        with pytest.raises(Ended):
            place.roll(**ALL)
    table, _, metadata = place.roll(**ALL)
    assert without_times(table).equals(without_times(at_once.table))
    assert metadata["further_spent"] == at_once.metadata["further_spent"]
    asked = place.server.asked() - before
    assert set(asked) == set(at_once.requests)


def test_no_arm_and_no_round_waits_for_the_end_of_the_one_before(at_once):
    (one, *_), (two, _, _, busy), *_ = at_once.plans
    assert one.height and two.height and busy == set(one["question_id"])
    for arm, question_id, sample, before in at_once.begun:  # but what is shown results waits for these
        if arm == "result_only":
            assert ("tools", question_id, sample) in at_once.ended[:before]
    ended = [arm for arm, *_ in at_once.ended]
    first_direct = min(before for arm, _, _, before in at_once.begun if arm == "direct")
    assert "tools" in ended[first_direct:]
    known = [table["call_only_attempts"].sum() for _, table, *_ in at_once.plans]
    assert known[:2] == [0, 0] and known[-1] > 0, "the first rounds are planned without the controls"


def test_what_cannot_be_finished_is_wanted_by_no_other_plan(tmp_path, monkeypatch):
    """The tool fails in every further attempt: the rounds end, nothing counts, and the next run makes up for it."""
    real, broken = waves.attempt, True

    async def attempt(question, prompt, setting, sample, model, ledger):
        if broken and setting.arm == "tools" and sample >= 3:
            rollout = await real(question, prompt, setting, sample, model, ledger)
            return rollout.model_copy(
                update={"stop_reason": "unfinished", "error_class": ToolInfrastructureError.__name__}
            )
        return await real(question, prompt, setting, sample, model, ledger)

    monkeypatch.setattr(waves, "attempt", attempt)
    monkeypatch.setattr("measurement.run.MAX_UNFINISHED_SHARE", 1.0)
    with new_place(tmp_path) as place:
        table, _, metadata = place.roll(**SETTINGS)
        lost = table.filter(pl.col("stop_reason") == "unfinished")
        assert lost.height and set(lost["arm"]) == {"tools"}
        broken = False
        again, _, metadata = place.roll(**SETTINGS)
    assert not (again["stop_reason"] == "unfinished").any() and metadata["further_spent"] <= BUDGET
    made = again.select("question_id", "arm", "sample_index")
    assert lost.select("question_id", "arm", "sample_index").join(made, on=made.columns, how="anti").is_empty()


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
