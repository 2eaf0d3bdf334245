"""A stage's table, written from the ledger: in order, each rollout once, with its current verdict."""

import asyncio

import polars as pl
import pytest
import yaml

from measurement import arms
from measurement.cost import cost
from measurement.export import export
from measurement.prepared_arm import PreparedArm
from measurement.progress import LedgerSnapshot, arm_progress, open_questions
from measurement.toolbox import Toolbox
from records.question import Question
from records.tables import from_frame, to_frame
from records.trajectory import Rollout
from records.workspace import Workspace
from rollouts.ledger.ledger import Ledger
from rollouts.models.roles import Models
from rollouts.waves import judged

RECIPE = {
    "name": "table",
    "sources": [{"name": "sums", "loader": "reasoning_gym", "options": {"tasks": {"gcd": {}}}}],
    "models": {"policy": {"url": "http://127.0.0.1:1/v1", "model": "m", "revision": "3"}},
    "difficulty": {"samples": 4, "keep": {"min": 1, "max": 4}, "waves": [2, 2]},
    "selection": [{"to": "rl"}],
}
QUESTIONS = [
    Question(source="s", source_row=str(n), task="math", text=f"{n}?", answer=str(n), answer_type="number")
    for n in range(4)
]
ASKED = to_frame(QUESTIONS, Question)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return Workspace(recipe_file=str(tmp_path / "recipe.yaml"), data=str(tmp_path / "data"))


def prepared(place):
    return PreparedArm(arms.direct_arm(place.recipe), Toolbox(place))


def rollout(place, question, sample, answer, stop_reason="answered"):
    arm, model = arms.direct_arm(place.recipe), Models(place).completer("policy").fingerprint
    setting, prompt = PreparedArm(arm, Toolbox(place)).prompt(question)
    row = Rollout(
        rollout_id=f"{question.text}{sample}", question_id=question.question_id, arm="direct", model_fingerprint=model,
        prompt_fingerprint="p", setting=setting.fingerprint(model), prompt_template=setting.prompt_template,
        sampling=arm.sampling.model_dump_json(), tool_versions="{}", sample_index=sample, prompt=prompt, messages=[],
        answer=answer, tool_calls=[], prompt_tokens=90, completion_tokens=10, seconds=0.5, stop_reason=stop_reason,
    )  # fmt: skip
    return asyncio.run(judged(row, question))


@pytest.fixture
def ledger(place):
    """Question 3 is decided, 2 has a wave and a half, 1 half a wave, and 0 nothing."""
    for _ in range(2):  # as if two runs had finished the same
        with Ledger(place.ledger) as ledger:
            for sample in (1, 0):
                ledger.finish(rollout(place, QUESTIONS[3], sample, "3"))
            for sample in (2, 0, 1):
                ledger.finish(rollout(place, QUESTIONS[2], sample, "7"))
            ledger.finish(rollout(place, QUESTIONS[1], 1, "1"))
    with Ledger(place.ledger) as ledger:
        yield ledger


@pytest.fixture
def at(place, ledger):
    model = Models(place).completer("policy").fingerprint
    return arm_progress(prepared(place), LedgerSnapshot(ledger), model, ASKED)


def test_where_an_arm_stands(at):
    columns = ["used", "attempts", "right", "decision", "missing"]
    assert at.questions.select(columns).rows() == [
        (0, 0, 0, None, 2),
        (0, 0, 0, None, 1),
        (2, 2, 0, None, 1),
        (2, 2, 2, "keep", 0),
    ]
    going_on = {item.question.text: item.known for item in open_questions(at, ASKED, order=1)}
    assert going_on == {"0?": {}, "1?": {1: True}, "2?": {0: False, 1: False, 2: False}}


def test_what_it_needs_and_why(place, ledger, at):
    needed = cost(LedgerSnapshot(ledger), at, ASKED)
    assert (needed.stored, needed.needed_now, needed.at_most) == (6, 4, 4 + 3 + 1)
    assert needed.needed_now <= needed.expected <= needed.at_most and needed.tokens == pytest.approx(
        100 * needed.expected
    )
    assert needed.why.select("reason", "questions").rows() == [("begun, not decided", 2), ("new to this arm", 1)]


def test_a_changed_setting_is_named(place, ledger):
    arm = arms.direct_arm(place.recipe)
    warmer = arm.__class__(**{**vars(arm), "sampling": arm.sampling.model_copy(update={"temperature": 0.1})})
    snapshot, changed = LedgerSnapshot(ledger), PreparedArm(warmer, Toolbox(place))
    why = cost(snapshot, arm_progress(changed, snapshot, "another model", ASKED), ASKED).why
    assert dict(why.select("reason", "questions").iter_rows()) == {
        "changed: model, sampling": 3, "new to this arm": 1
    }  # fmt: skip


def test_the_table_holds_each_rollout_once_in_order_with_the_unfinished_last(place, ledger, at):
    late = [rollout(place, QUESTIONS[0], 0, None, "unfinished"), rollout(place, QUESTIONS[1], 1, None, "unfinished")]
    table = pl.read_parquet(export(ledger, [at], to_frame(late, Rollout), place.scratch).path)
    rows = from_frame(table, Rollout)
    assert [(r.rollout_id, r.correct) for r in rows] == [
        ("1?1", True), ("2?0", False), ("2?1", False), ("2?2", False), ("3?0", True), ("3?1", True), ("0?0", None)
    ]  # fmt: skip
    assert rows[-1].stop_reason == "unfinished" and rows[0].prompt[-1].text == "1?"


def test_a_new_alias_changes_the_verdict_in_the_table(place, ledger):
    other = QUESTIONS[2].model_copy(update={"aliases": ["7"]})
    asked = to_frame([*QUESTIONS[:2], other, QUESTIONS[3]], Question)
    model = Models(place).completer("policy").fingerprint
    at = arm_progress(prepared(place), LedgerSnapshot(ledger), model, asked)
    table = pl.read_parquet(export(ledger, [at], to_frame([], Rollout), place.scratch).path)
    assert table.filter(pl.col("question_id") == other.question_id)["correct"].to_list() == [True, True]
