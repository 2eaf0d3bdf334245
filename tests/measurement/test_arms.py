"""The arms that are compared: all over one ledger, alike but for the tools, and nothing asked for twice."""

import json
from pathlib import Path

import polars as pl
import pytest

from filters.benefit.per_question import counts, per_question
from measurement import arms
from measurement.cost import cost
from measurement.donors import stored_results
from measurement.prepared_arm import PreparedArm
from measurement.progress import LedgerSnapshot, arm_progress, open_questions
from measurement.toolbox import Toolbox
from records.evidence import Box, Evidence, write_evidence
from records.recipe.section import RecipeError
from records.tables import from_frame
from records.trajectory import Rollout, text_message
from rollouts.ledger.ledger import Ledger
from rollouts.models.roles import Models
from rollouts.prompts.build import FOUND_OUT
from rollouts.withheld import NOTICE
from tests.support.arms_workspace import AIDED, ASKED, QUESTIONS, Place, aid, asked_of, new_place, question


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with new_place(tmp_path_factory.mktemp("arms")) as place:
        yield place


@pytest.fixture(scope="module")
def first(place):
    return place.roll()


@pytest.fixture(scope="module")
def by_arm(first):
    return {arm: from_frame(rows, Rollout) for (arm,), rows in first[0].group_by("arm", maintain_order=True)}


def test_every_arm_is_made_of_every_question_and_the_oracle_where_there_is_something_to_show(first, by_arm):
    table, requests, metadata = first
    assert {arm: len(rows) for arm, rows in by_arm.items()} == {
        "tools": 15, "direct": 15, "call_only": 15, "result_only": 15, "oracle": 3 * AIDED
    }  # fmt: skip
    assert {rollout.question_id for rollout in by_arm["oracle"]} == {q.question_id for q in QUESTIONS[:AIDED]}
    assert {rollout.sample_index for rollout in by_arm["direct"]} == {4, 5, 6}  # others than those of the difficulty
    assert table["rollout_id"].is_unique().all()
    assert requests.total() == sum(metadata[f"{arm}: model_calls_made"] for arm in by_arm)


def test_a_redrawn_attempt_is_counted_and_gives_its_results_to_the_sample_of_its_number(by_arm, first, tmp_path):
    assert {first[2][f"{arm}: redrawn"] for arm in by_arm} == {0}
    donor = next(rollout for rollout in by_arm["tools"] if rollout.tool_calls)
    with Ledger(str(tmp_path / "ledger")) as ledger:
        ledger.finish(donor.model_copy(update={"rollout_id": "second draw", "redraws": 1}))
        ledger.flush()
        rows = LedgerSnapshot(ledger).rollouts
        (prefilled,) = stored_results(ledger, rows, rows["question_id"])
    assert rows["redraws"].to_list() == [1]
    assert prefilled == {donor.sample_index: tuple(m for m in donor.messages if m.role == "tool")}


def test_the_arms_have_one_budget_and_are_sampled_alike(by_arm):
    alike = {rollout.sampling for rows in by_arm.values() for rollout in rows}
    assert len(alike) == 1
    sampling = json.loads(alike.pop())
    assert sampling["max_tokens"] == sampling["total_tokens"] == 64 * 3
    recipe = Place.recipe_of(sampling={"max_tokens": 50, "max_turns": 4, "total_tokens": 90})
    assert {(arm.sampling.max_tokens, arm.sampling.total_tokens) for arm in arms.compared_arms(recipe)} == {(90, 90)}


def test_withheld_results_never_reach_the_model(by_arm):
    called = [rollout for rollout in by_arm["call_only"] if rollout.tool_calls]
    assert len(called) > 5
    for rollout in by_arm["call_only"]:
        turns = [*rollout.prompt, *rollout.messages]
        assert all(message.text == NOTICE for message in turns if message.role == "tool")
    worked = {message.text for message in by_arm["tools"][0].prompt if message.role == "tool"}
    assert worked
    shown = "\n".join(message.text for rollout in by_arm["call_only"] for message in rollout.prompt)
    assert not any(result in shown for result in worked if len(result) > 3)


def test_an_attempt_with_results_alone_is_given_those_of_the_attempt_with_tools_of_its_number(by_arm):
    donors = {(rollout.question_id, rollout.sample_index): rollout for rollout in by_arm["tools"]}
    plain = {rollout.question_id: rollout.prompt for rollout in by_arm["direct"]}
    with_results = 0
    for rollout in by_arm["result_only"]:
        donor = donors[rollout.question_id, rollout.sample_index]
        obtained = [executed.result.text for executed in donor.tool_calls]
        asked, alone = rollout.prompt[-1].text, plain[rollout.question_id][-1].text
        results = "".join(f"\n<result>\n{text}\n</result>" for text in obtained)
        assert asked == (f"{alone}\n{FOUND_OUT}{results}" if obtained else alone)
        assert not rollout.tool_calls
        with_results += bool(obtained)
    assert 5 < with_results < 15


def test_the_oracle_is_shown_what_the_source_notes(by_arm):
    for rollout in by_arm["oracle"]:
        number = next(n for n, q in enumerate(QUESTIONS) if q.question_id == rollout.question_id)
        assert f"The sum is {6 * number + 14}." in rollout.prompt[-1].text


def test_nothing_new_asks_for_nothing(place, first):
    table, requests, metadata = place.roll()
    assert requests.total() == 0 and table.equals(first[0])
    assert metadata["further_spent"] == 0


def test_an_aid_that_is_noted_otherwise_is_attempted_anew_and_nothing_else(place, first):
    other = [question(0, aid("It is even.")), *QUESTIONS[1:]]
    table, requests, _ = place.roll(asked_of(other))
    assert requests.total() == 3
    fresh = table.join(first[0], on="rollout_id", how="anti")
    assert fresh.select("arm", "question_id").unique().rows() == [("oracle", QUESTIONS[0].question_id)]
    assert table.height == first[0].height
    again, requests, _ = place.roll()
    assert requests.total() == 0 and again.equals(first[0])


def test_more_samples_are_made_where_wanted_and_stored_ones_count(place, first):
    workspace = place.workspace()
    model = Models(workspace).completer("policy").fingerprint
    wanted = ASKED.with_columns(wanted=pl.Series([3, 6, 3, 3, 12]))
    tools, direct = arms.compared_arms(workspace.recipe)[:2]
    with Ledger(workspace.ledger) as ledger:
        for arm in (tools, direct):
            prepared, snapshot = PreparedArm(arm, Toolbox(workspace)), LedgerSnapshot(ledger)
            at = arm_progress(prepared, snapshot, model, wanted)
            assert at.questions["missing"].to_list() == [0, 3, 0, 0, 9]
            todo, start = list(open_questions(at, ASKED, order=1)), arm.first_sample
            assert {item.question.text: item.samples for item in todo} == {QUESTIONS[1].text: 6, QUESTIONS[4].text: 12}
            assert all(set(item.known) == {start, start + 1, start + 2} for item in todo)
            planned = cost(snapshot, at, wanted)
            assert planned.needed_now == planned.at_most == planned.expected == 12
    fewer, requests, _ = place.roll(samples=2)  # then the third of each is one more than asked for, and still used
    assert requests.total() == 0 and fewer.equals(first[0])


def test_what_results_alone_lead_to_is_found_out_anew_with_other_tools(place, first):
    workspace = place.workspace()
    other = place.workspace()
    file = Path(other.recipe_file)
    file.write_text(file.read_text().replace("sessions: 4", "sessions: 4\n  output_chars: 900"))

    def settings(at):
        ready = [PreparedArm(arm, Toolbox(at)) for arm in arms.compared_arms(at.recipe)]
        return {prepared.arm.name: prepared.setting("math").fingerprint("m") for prepared in ready}

    before, after = settings(workspace), settings(other)
    assert {name for name in before if before[name] != after[name]} == {"tools", "result_only"}
    assert len(set(before.values())) == 5


def test_a_box_can_be_shown_to_a_model_that_sees_images_and_of_an_image_that_is_there(place):
    box = Box(image=0, left=0.1, top=0.1, right=0.9, bottom=0.9)
    boxes = [[box], [box.model_copy(update={"image": 1})], [box]]
    noted = [
        QUESTIONS[n].model_copy(
            update={"images": ["0" * 64], "extra": json.dumps(write_evidence({}, Evidence(boxes=of)))}
        )
        for n, of in enumerate(boxes)
    ]
    asked = asked_of([*noted, question(9, '{"aid": {"boxes": "none of these"}}'), question(8, "no JSON")])
    blind = place.workspace()
    oracle = arms.compared_arms(blind.recipe)[-1]
    assert oracle.name == "oracle" and PreparedArm(oracle, Toolbox(blind)).askable(asked).is_empty()
    seeing = place.workspace()
    file = Path(seeing.recipe_file)
    file.write_text(file.read_text().replace("revision: '1'", "revision: '1'\n    sees_images: true"))
    assert seeing.recipe.models.role("policy").sees_images
    shown = PreparedArm(oracle, Toolbox(seeing)).askable(asked)
    assert shown["text"].to_list() == [noted[0].text, noted[2].text] and shown["aid"].n_unique() == 1
    assert PreparedArm(arms.compared_arms(seeing.recipe)[0], Toolbox(seeing)).askable(asked).height == asked.height


def test_a_prompt_with_nothing_to_give_is_the_direct_one(place):
    workspace = place.workspace()
    chosen = {arm.name: arm for arm in arms.compared_arms(workspace.recipe)}
    alone = PreparedArm(chosen["result_only"], Toolbox(workspace)).prompt(QUESTIONS[3])[1]
    plain = PreparedArm(chosen["direct"], Toolbox(workspace)).prompt(QUESTIONS[3])[1]
    assert alone[-1] == plain[-1] == text_message("user", QUESTIONS[3].text)


ARM = """
from rollouts.prompts.forms import Form

FORM = Form("unshown", offers_calls=True, executes_calls=True, prefilled=None, in_examples="words")
"""


def test_an_arm_is_one_new_file(place, tmp_path, monkeypatch):
    """Tools that are offered and not shown in the worked examples, attempted and counted beside the other arms."""
    (tmp_path / "unshown.py").write_text(ARM)
    monkeypatch.setattr(arms, "__path__", [*arms.__path__, str(tmp_path)])
    workspace = place.workspace(controls=["unshown"])
    arms.check_controls(workspace.recipe)
    table, _, metadata = place.roll(controls=["unshown"])
    assert dict(table.group_by("arm").len().iter_rows()) == {"tools": 15, "direct": 15, "unshown": 15}
    assert metadata["unshown: model_calls_made"] >= 15
    starts = {arm.name: arm.first_sample for arm in arms.compared_arms(workspace.recipe)}
    settings = workspace.recipe.tool_benefit
    measured = per_question(counts(table, settings.looks, starts), ASKED, settings)
    assert measured["unshown_attempts"].to_list() == [3] * 5 and measured["unshown"].is_between(0, 1).all()


def test_a_control_that_is_not_an_arm_is_refused(place):
    for name, says in (("sideways", "there is no arm 'sideways'; known: call_only"), ("tools", "compared in any case")):
        with pytest.raises(RecipeError, match=says):
            arms.check_controls(place.workspace(controls=[name]).recipe)
