"""After a whole run: what a changed recipe or source asks for is what it touches, and the plan said so before."""

from dataclasses import replace

import polars as pl
import pytest
import yaml

import pipelines.plan
from measurement.cost import Cost
from measurement.plan import Planned
from records.identity import unit_interval
from records.question import Question
from rollouts.ledger import ledger
from rollouts.ledger.segments import Segments
from rollouts.prompts.examples import SHIPPED_EXAMPLES
from tests.support.whole_runs import SUMS, ModelStandIn, Place, Result, Sum, assert_same, undisturbed

ATTEMPT = ["stage", "arm", "question_id", "sample_index"]
ARMS = 8
"""Arms of all stages: one decides about difficulty, four are compared, the teacher's, and two of the evaluation."""


class Changed:
    """A workspace in which a whole run was made, and what is asked for when something changes in it."""

    def __init__(self, place: Place, server: ModelStandIn, before: dict[str, pl.DataFrame], monkeypatch) -> None:
        self.place, self.server, self.before, self._patch = place, server, before, monkeypatch

    def plan(self) -> list[Planned]:
        """What `touchstone plan` works out and prints; it asks the model for nothing and changes no table."""
        asked, planned = len(self.server.events()), []

        def recorded(*arguments):
            for one in real(*arguments):
                planned.append(one)
                yield one

        real = pipelines.plan.plan
        with self._patch.context() as patch:
            patch.setattr(pipelines.plan, "plan", recorded)
            printed = "\n".join(pipelines.plan.printed_plan(self.place.workspace.recipe, self.place.workspace))
        assert len(self.server.events()) == asked
        assert "No call was made for this plan." in printed
        for _, need in planned:
            assert need.needed_now <= need.expected + 1e-9 <= need.at_most + 2e-9
            assert need.at_most == 0 or need.basis in printed
            assert all(reason in printed for reason in need.why["reason"])
        return planned

    def run(self) -> tuple[Result, pl.DataFrame]:
        """A run to its end, and the attempts that it asked for: a table of ATTEMPT."""
        start = len(self.server.events())
        result = self.place.run()
        assert result.error == ""
        keys = [line["key"] for line in self.server.events()[start:] if line["event"] == "asked"]
        assert len(keys) == len(set(keys)) == result.calls
        calls = self.place.on_disk().filter(pl.col("key").is_in(keys))
        assert calls["key"].n_unique() == len(keys)
        rollouts = Segments(f"{self.place.data}/ledger/rollouts", ledger.ROLLOUTS)
        rows = rollouts.read(["rollout_id", "arm", "question_id", "sample_index"]).join(
            calls, on="rollout_id", how="semi"
        )
        rows = rows.join(self.place.tables.read("questions").select("question_id", "split"), on="question_id")
        fresh = pl.col("sample_index") >= self.place.workspace.recipe.difficulty.samples
        stage = (
            pl.when(pl.col("split") == "held_out").then(pl.lit("base_evaluation"))
            .when(pl.col("arm") == "teacher").then(pl.lit("teacher_rollouts"))
            .when((pl.col("arm") != "direct") | fresh).then(pl.lit("tool_rollouts"))
            .otherwise(pl.lit("direct_rollouts"))
        )  # fmt: skip
        return result, rows.with_columns(stage=stage).select(ATTEMPT)

    def planned_and_asked(self) -> tuple[dict[tuple[str, str], Cost], Result, pl.DataFrame]:
        """Plan and run: what was asked for lies within what was planned, and is it where that was certain."""
        planned = {(stage, need.arm): need for stage, need in self.plan()}
        result, asked = self.run()
        made = dict.fromkeys(planned, 0) | {key: part.height for key, part in asked.group_by("stage", "arm")}
        assert set(made) == set(planned)
        for key, need in planned.items():
            assert need.needed_now <= made[key] <= need.at_most, (key, need)
        said = result.metadata["direct_rollouts"]["planned"]
        direct = planned["direct_rollouts", "direct"]
        assert (f"{direct.needed_now} are needed now" if direct.at_most else "no more are needed") in said
        assert all(reason in said for reason in direct.why["reason"])
        return planned, result, asked

    def assert_free(self) -> None:
        """Nothing is planned and nothing is asked for."""
        planned, _, asked = self.planned_and_asked()
        assert len(planned) == ARMS and sum(need.at_most for need in planned.values()) == 0
        assert asked.is_empty()


def reasons(planned: dict[tuple[str, str], Cost]) -> dict[tuple[str, str], list[str]]:
    """Why each stage needs something in an arm, for those that do."""
    return {key: need.why["reason"].to_list() for key, need in planned.items() if need.at_most}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ModelStandIn(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def changed(tmp_path, tmp_path_factory, server, monkeypatch):
    done, tables, _ = undisturbed(tmp_path_factory.getbasetemp())
    return Changed(done.copy(tmp_path, server.url), server, tables, monkeypatch)


def test_nothing_new_asks_for_nothing(changed):
    changed.assert_free()
    assert_same(changed.place.contents(), changed.before)


def test_a_new_question_is_asked_and_no_other(changed):
    before = set(changed.before["questions"]["question_id"])
    place, salt = changed.place, changed.place.workspace.recipe.split.salt
    candidates = (Sum(a, 40) for a in range(50, 90))

    def identity(question: Sum) -> str:
        return Question(
            source="",
            source_row="",
            task="math",
            text=question.text,
            answer=str(question.a + question.b),
            answer_type="number",
        ).question_id

    new = next(question for question in candidates if unit_interval(identity(question), salt) > 0.15)
    place.ask((*SUMS, new))
    planned, _, asked = changed.planned_and_asked()
    assert set(place.tables.read("questions")["question_id"]) - before == {identity(new)}
    assert set(asked["question_id"]) == {identity(new)}
    assert planned["direct_rollouts", "direct"].needed_now == 2
    assert reasons(planned)["direct_rollouts", "direct"] == ["new to this arm"]


def test_a_band_asks_for_what_it_leaves_open_and_going_back_asks_for_nothing(changed):
    first = changed.before["direct_rollouts"].group_by("question_id").agg(n=pl.len(), right=pl.col("correct").sum())
    open_now = first.filter((pl.col("right") <= 3) & (pl.col("right") + 8 - pl.col("n") > 3))
    changed.place.change({"difficulty.keep": {"min": 0, "max": 3}})
    planned, _, asked = changed.planned_and_asked()
    assert reasons(planned) == {("direct_rollouts", "direct"): ["begun, not decided"]}
    direct = planned["direct_rollouts", "direct"]
    assert direct.needed_now == 2 * open_now.height > 0 and direct.at_most == (8 - open_now["n"]).sum()
    assert set(asked["question_id"]) == set(open_now["question_id"]) and set(asked["stage"]) == {"direct_rollouts"}
    after = changed.place.tables.read("direct_rollouts").group_by("question_id").agg(m=pl.len())
    more = open_now.join(after, on="question_id").select((pl.col("m") - pl.col("n")).sum()).item()
    assert asked.height == more

    changed.place.change({"difficulty.keep": {"min": 0, "max": 4}})
    changed.assert_free()
    assert_same(changed.place.contents(), changed.before)


def test_filters_shares_and_formats_ask_for_nothing(changed):
    changed.place.change(
        {
            "selection": [{"to": "rl", "benefit": {"min": 0.0}}],
            "split.validation": 0.4,
            "sft.formats": ["trl_messages"],
            "cold_start.checks": ["right", "uses_tool"],
            "cold_start.keep_per_question": 2,
            "tool_benefit.confidence": 0.8,
        }
    )
    changed.assert_free()
    assert changed.place.tables.read("cold_start_questions").is_empty()
    assert changed.place.tables.read("rl_questions").height > changed.before["rl_questions"].height


@pytest.mark.slow
def test_questions_sent_to_the_teacher_by_a_new_rule_are_asked_of_it_alone(changed):
    changed.place.change({"selection": [{"to": "cold_start", "benefit": {"min": 0.1}}]})
    planned, _, asked = changed.planned_and_asked()
    before = changed.before["cold_start_questions"]
    now = changed.place.tables.read("cold_start_questions")
    moved = now.join(before, on="question_id", how="anti")
    assert reasons(planned) == {("teacher_rollouts", "teacher"): ["new to this arm"]}
    need = planned["teacher_rollouts", "teacher"]
    assert need.needed_now == need.at_most == need.expected == 2 * moved.height == asked.height > 0
    assert set(asked["question_id"]) == set(moved["question_id"])


def test_further_rollouts_are_planned_as_what_they_may_cost_at_most(changed):
    changed.place.change({"tool_benefit.further": 2, "cold_start.sampling.temperature": 0.5})
    planned = {(stage, need.arm): need for stage, need in changed.plan()}
    assert len(planned) == ARMS + 1
    need = planned.pop(("tool_rollouts", "further"))
    assert (need.needed_now, need.at_most) == (0, 2 * changed.before["difficulty"].height)
    assert reasons(planned) == {("teacher_rollouts", "teacher"): ["changed: sampling"]}, "both are in one table"


def test_the_sampling_of_one_arm_asks_for_that_arm_alone(changed):
    changed.place.change({"cold_start.sampling.temperature": 0.5})
    planned, _, asked = changed.planned_and_asked()
    assert reasons(planned) == {("teacher_rollouts", "teacher"): ["changed: sampling"]}
    need = planned["teacher_rollouts", "teacher"]
    assert need.needed_now == need.at_most == 2 * changed.before["cold_start_questions"].height == asked.height > 0


def with_other_examples(folder, **changes):
    """A file of the shipped examples, but for changes of the first one about math, or of the instructions."""
    examples = yaml.safe_load(SHIPPED_EXAMPLES.read_text())
    if "result" in changes:
        examples["math"][0]["steps"][0]["arguments"]["code"] += "  # exactly"
    if "system" in changes:
        examples["system"] += changes["system"]
    folder.joinpath("examples.yaml").write_text(yaml.safe_dump(examples))
    return {"examples": str(folder / "examples.yaml")}


@pytest.mark.parametrize("what", [pytest.param("prompt", marks=pytest.mark.slow), "tools"])
def test_a_changed_tool_or_worked_call_asks_for_the_arms_with_tools(changed, tmp_path, what):
    limit = {"sandbox.output_chars": 3999}
    changed.place.change(limit if what == "tools" else with_other_examples(tmp_path, result=True))
    planned, _, asked = changed.planned_and_asked()
    kept, held_out = changed.before["difficulty"].height, changed.before["questions"].height - 20
    worked = {("tool_rollouts", "call_only"): ["changed: prompt"]} if what == "prompt" else {}
    assert reasons(planned) == {
        **worked,
        ("tool_rollouts", "tools"): [f"changed: {what}"],
        # it is given what other attempts with tools bring
        ("tool_rollouts", "result_only"): ["changed: prompt"],
        ("teacher_rollouts", "teacher"): sorted({f"changed: {what}", "new to this arm"}),
        ("base_evaluation", "tools"): [f"changed: {what}"],
    }
    assert planned["tool_rollouts", "tools"].needed_now == planned["tool_rollouts", "tools"].at_most == 3 * kept > 0
    assert planned["base_evaluation", "tools"].needed_now == planned["base_evaluation", "tools"].at_most == held_out > 0
    assert set(asked["arm"]) <= {"tools", "result_only", "teacher", *(arm for _, arm in worked)}


@pytest.mark.slow
def test_another_model_asks_for_everything(changed, tmp_path):
    changed.place.change({"models.policy.revision": "2"})
    planned, _, asked = changed.planned_and_asked()
    direct = planned["direct_rollouts", "direct"]
    assert direct.needed_now == 2 * direct.questions and direct.stored == 0
    assert all("changed: model" in why for why in reasons(planned).values()) and len(reasons(planned)) == ARMS
    assert set(asked["stage"]) == {"direct_rollouts", "tool_rollouts", "teacher_rollouts", "base_evaluation"}


def test_other_instructions_would_ask_for_everything(changed, tmp_path):
    changed.place.change(with_other_examples(tmp_path, system="Be brief."))
    planned = {(stage, need.arm): need for stage, need in changed.plan()}
    assert len(reasons(planned)) == ARMS
    assert all("changed: prompt" in why for why in reasons(planned).values())


def test_another_alias_renews_verdicts_and_asks_for_nothing(changed):
    easy = changed.before["rejects/difficulty"].filter(pl.col("reason") == "too_easy")["row_id"].implode()
    before = changed.before["direct_rollouts"]
    mixed = before.filter(pl.col("question_id").is_in(easy) & ~pl.col("correct"))["question_id"][0]
    text = changed.before["questions"].filter(pl.col("question_id") == mixed)["text"].item()
    known = {question.text: question for question in SUMS}
    other = replace(known[text], aliases=(str(known[text].a + known[text].b + 1),))
    changed.place.ask(tuple(other if question.text == text else question for question in SUMS))
    result, asked = changed.run()
    shown = result.metadata["direct_rollouts"]
    assert asked.is_empty() and shown["answers_judged_again"] > 0
    assert "| wrong to right | number | number | number |" in shown["verdicts_changed"]
    after = changed.place.tables.read("direct_rollouts")
    of_it = pl.col("question_id") == mixed
    assert after.filter(of_it)["correct"].all()
    assert set(after.filter(of_it)["judged_with"]).isdisjoint(before.filter(of_it)["judged_with"])
    assert (
        after.filter(~of_it)
        .select("rollout_id", "correct")
        .equals(before.filter(~of_it).select("rollout_id", "correct"))
    )
