import io
import json
import re

import dagster as dg
import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from assets import tool_benefit
from assets.resources import resources
from filters.benefit import per_question as measure
from filters.benefit.totals import totals
from measurement import arms
from records.images.store import ImageStore
from records.recipe import ToolBenefit
from records.tables import to_frame
from records.trajectory import ExecutedCall, Message, Rollout, ToolCall, ToolResult, text_message
from records.workspace import Workspace
from reports import benefit as benefit_show
from reports import benefit_charts
from reports import drawing as charts
from reports.attempts import examples
from tests.support.drawn import Drawn

SETTINGS = ToolBenefit(samples=8)
ROOM = 200_000
KINDS = {  # right of 8 in direct, tools, call_only, result_only
    "content": (0, 8, 0, 7),
    "habit": (0, 8, 8, 0),
    "harm": (8, 0, 7, 1),
    "even": (4, 4, 4, 4),
    "never": (0, 0, 0, 0),
}
ARMS = ("direct", "tools", "call_only", "result_only")


def rollouts_of(rights, arms_made=ARMS, first=0, prefix=""):
    """Whole rollouts: of each question as many right ones in each arm as said, of 8."""
    rows = []
    for question, right in rights.items():
        for arm, hits in zip(ARMS, right, strict=True):
            rows += [
                attempt(f"{prefix}{question}", arm, index + first * (arm == "direct"), index < hits)
                for index in range(SETTINGS.samples)
                if arm in arms_made
            ]
    return to_frame(rows, Rollout)


def attempt(question, arm, index, correct, code="a = 1\nprint(a)", result="21", answer=None):
    call = ToolCall(name="python", arguments=json.dumps({"code": code}))
    called = [ExecutedCall(call=call, result=ToolResult(outcome="ok", text=result))]
    answer = answer or f"{arm}-{'right' if correct else 'wrong'}"
    return Rollout(
        rollout_id=f"{question}{arm}{index}", question_id=question, arm=arm, model_fingerprint="", sampling="{}",
        prompt_fingerprint="", tool_versions="{}", sample_index=index, prompt=[text_message("user", "?")],
        messages=[Message(role="assistant", reasoning=f"I am the {arm} attempt", answer=answer)], answer=answer,
        tool_calls=called if arm in ("tools", "call_only") else [], prompt_tokens=1, completion_tokens=1, seconds=0.0,
        stop_reason="answered" if correct is not None else "context_length", correct=correct,
    )  # fmt: skip


def asked(rollouts):
    ids = rollouts["question_id"].unique(maintain_order=True)
    return pl.DataFrame(
        {
            "question_id": ids, "task": [("math", "search")[i % 2] for i in range(len(ids))], "source": "s",
            "chance": 0.0, "text": [f"Question {i}?" for i in ids], "answer": "21", "images": [[]] * len(ids),
            "extra": "{}",
        },
        schema_overrides={"images": pl.List(pl.String), "task": pl.String, "text": pl.String},
    )  # fmt: skip


def measured(rollouts, looks=SETTINGS.looks):
    attempts = rollouts.select("question_id", "arm", "sample_index", "correct", tool=tool_benefit.FIRST_TOOL)
    return measure.per_question(measure.counts(attempts, looks), asked(rollouts), SETTINGS)


def shown(rollouts, images):
    table = measured(rollouts)
    by = {name: totals(table, SETTINGS.confidence, by=name) for name in ("task", "tool")}
    found = benefit_show.metadata(table, by, asked(rollouts), rollouts.lazy(), images, SETTINGS)
    return {name: getattr(value, "value", value) for name, value in found.items()}


@pytest.fixture(scope="module")
def many():
    return pl.concat(rollouts_of(KINDS, prefix=f"{number}") for number in range(12))


@pytest.fixture(scope="module")
def table(many):
    return measured(many)


@pytest.fixture
def images(tmp_path):
    return ImageStore(str(tmp_path))


class TestMetadata:
    def test_all_is_said_and_stays_small(self, many, images):
        found = shown(many, images)
        assert list(found) == [
            "in_short", "direct_against_tools", "gain_and_harm", "what_explains_the_gain", "decisions", "examples",
            "totals",
        ]  # fmt: skip
        assert sum(map(len, found.values())) < ROOM
        assert found["in_short"].startswith("60 questions, 8 attempts per arm: intervals are wide. Right without tools")
        assert "tools help: 24, harm: 12, make no difference to:" in found["in_short"]
        assert "| all | 60 | 24 | 12 |" in found["decisions"] and "At most 10% of the questions" in found["decisions"]
        assert "of each decision" not in found["gain_and_harm"] and "first 8 attempts" in found["direct_against_tools"]

    @pytest.mark.parametrize("arms_made", [ARMS, ("direct", "tools")])
    def test_one_question_is_no_crash(self, images, arms_made):
        found = shown(rollouts_of({"content": (0, 8, 0, 8)}, arms_made), images)
        assert found["in_short"].startswith("1 question, 8 attempts per arm: intervals are wide.")
        assert ("No control arm" in found["in_short"]) == (len(arms_made) == 2)
        assert "all" not in found["what_explains_the_gain"].partition("\n\n")[2]

    def test_no_question_is_said(self, images):
        assert list(shown(rollouts_of({"content": (0, 8, 0, 8)}, ("direct",)), images)) == ["in_short"]

    def test_ten_thousand_questions_are_as_small_as_sixty(self, table, images):
        big = pl.concat([table] * 200).with_columns(question_id=pl.int_range(pl.len()).cast(pl.String))
        by = {name: totals(big, 0.95, by=name) for name in ("task", "tool")}
        questions = big.select(
            "question_id", text=pl.lit("long " * 99), answer=pl.lit("1"), images=pl.lit(None, pl.List(pl.String))
        )
        found = benefit_show.metadata(big, by, questions, rollouts_of({}).lazy(), images, SETTINGS)
        assert sum(len(getattr(value, "value", value)) for value in found.values()) < ROOM
        assert found["in_short"].startswith("12,000 questions, 8 attempts per arm. ")


class TestRepresentative:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.sampled_from(list(benefit_charts.DECISIONS)), max_size=90), st.integers(4, 50))
    def test_every_decision_is_seen_and_no_question_twice(self, decisions, rows):
        n = len(decisions)
        drawn = pl.DataFrame(
            {
                "question_id": [str(i) for i in range(n)], "decision": decisions, "benefit": np.linspace(-1, 1, n),
                "benefit_low": np.full(n, -1.0), "benefit_high": np.linspace(0, 1, n),
                "gain_p": np.linspace(0, 1, n), "harm_p": np.linspace(1, 0, n),
            },
            schema_overrides={"decision": pl.String, "question_id": pl.String},
        )  # fmt: skip
        chosen = benefit_show.representative(drawn, rows)
        assert chosen.height == min(n, rows) and chosen["question_id"].is_unique().all()
        assert set(chosen["decision"]) == set(decisions)
        assert chosen["decision"].unique(maintain_order=True).to_list() == [
            name for name in benefit_charts.DECISIONS if name in set(decisions)
        ]
        gains = drawn.filter(pl.col("decision") == "gain").sort("gain_p")
        taken = chosen.filter(pl.col("decision") == "gain")
        assert set(taken["question_id"]) == set(gains["question_id"].head(taken.height)), "the most certain ones"


class TestPictures:
    def test_gain_and_harm_have_bars_of_one_scale(self):
        row = {"name": "t", "questions": 9, "churn": None, "benefit": 0.1}
        row |= {"gain_low": None, "gain_high": None, "harm_low": None, "harm_high": None}
        part = pl.DataFrame([row | {"gain": 0.4, "harm": 0.3}, row | {"gain": 0.2, "harm": 0.6}])
        picture = Drawn(benefit_charts.gain_and_harm([("by task", part)], 0.95))
        gain, harm = (picture.strokes(colour) for colour in (charts.GAIN, charts.HARM))
        assert [bar.long / gain[0].long for bar in (*gain, *harm)] == pytest.approx([1, 0.5, 0.75, 1.5], abs=0.01)
        assert {bar.left for bar in gain} == {bar.right for bar in harm}, "both start from 0"
        assert {"40.0", "30.0", "20.0", "60.0", "net +10.0"} < set(picture.texts) and not picture.cut_off()

    def test_the_plane_shows_all_questions_on_their_side_of_the_diagonal(self):
        cells = pl.DataFrame({"direct": [0, 4, 2], "tools": [4, 0, 2], "questions": [400, 100, 1]})
        picture = Drawn(benefit_charts.rate_plane(cells, 4))
        (gain,), (harm,) = (
            [disc for disc in picture.strokes(colour) if not disc.long] for colour in (charts.GAIN, charts.HARM)
        )
        assert (gain.thick / harm.thick) ** 2 == pytest.approx(4, rel=0.1), "areas are numbers"
        assert gain.left < harm.left and gain.y < harm.y, "from the left, and from the top"
        assert {"400", "100", "400 more often right with tools"} < {" ".join(text.split()) for text in picture.texts}

    def test_the_plane_counts_each_question_once(self, table):
        cells = benefit_show._plane(table, 8)
        assert cells["questions"].sum() == table.height and cells.height == 4
        assert cells.filter(direct=0, tools=8)["questions"].to_list() == [24]

    def test_what_is_not_measured_has_no_bar(self):
        row = {"name": "t", "questions": 3}
        row |= {f"{name}{end}": None for name, _, _ in benefit_charts.PARTS for end in ("", "_low", "_high")}
        part = pl.DataFrame([row | {"benefit": 0.5}], schema_overrides=dict.fromkeys(list(row)[2:], pl.Float64))
        picture = Drawn(benefit_charts.what_explains(part, ["no control arm"], 0.9))
        assert [bar.opacity for bar in picture.strokes(charts.INK) if bar.thick > 5] == [charts.FAINT]
        assert not any(picture.strokes(colour) for colour in (charts.HABIT, charts.CONTENT, charts.RESULTS))
        assert picture.texts.count("not measured") == 3 and "50.0" in picture.texts and not picture.cut_off()

    @pytest.mark.filterwarnings("ignore:Glyph")
    @pytest.mark.parametrize(
        ("text", "said"),
        [("漢字 ½ é “q” π 5", ["漢字 ½ é “q” π 5"]), ("a <$x^2$> 3.14159", ["a <$x^2$> 3.14159"]), ("\u202e\x00", []),
         ("x" * 500, [f"{'x' * 49}…"]), ("", [])],
    )  # fmt: skip
    def test_any_text_can_be_drawn(self, table, text, said):
        part = table.head(1).with_columns(text=pl.lit(text)).with_row_index("number")
        counts = dict.fromkeys(benefit_charts.DECISIONS, 1)
        picture = Drawn(benefit_charts.question_rates(part, counts, 0.95))
        assert set(said) < set(picture.texts) and not picture.cut_off()


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"habit": 0.1, "habit_share": 0.12, "habit_share_low": 0.03, "habit_share_high": 0.3},
         "the habit of calling explains 12 % of it (3 to 30)"),
        ({"habit": 0.1, "habit_share": -0.04}, "the habit of calling explains -4 % of it"),
        ({"results_alone": 0.1, "results_share": 0.8}, "results alone give 80 %"),
        ({"habit": 0.0, "results_alone": 0.0}, "the benefit is too uncertain to divide"),
        ({}, "no control arm was measured: what explains the benefit is not known"),
    ],
)  # fmt: skip
def test_what_explains_it_is_said_in_words(shares, said):
    names = [f"{name}{end}" for name in ("habit_share", "results_share") for end in ("", "_low", "_high")]
    assert benefit_show.explained(dict.fromkeys([*names, "habit", "results_alone"]) | shares) == said


def test_what_a_control_says_is_over_the_questions_that_it_was_asked(many):
    some = many.filter((pl.col("arm") != "call_only") | pl.col("question_id").str.starts_with("1"))
    text = benefit_show.what_explains(totals(measured(some), 0.95), 0.95)
    assert "What call_only says is over the 15 of 60 questions" in text and "What result_only" not in text


class TestExamples:
    def test_each_kind_shows_attempts_that_ended_as_it_says(self, many, table, images):
        text = examples(table, asked(many), many.lazy(), images)
        parts = {part.partition("\n")[0].removeprefix("### "): part for part in text.split("\n\n### ")}
        content = parts["Gained by the content of the results"]
        assert content.count("| answer | **direct-wrong** | **tools-right** | **call_only-wrong** |") == 2
        habit = parts["Gained by the habit of calling"]
        assert habit.count("| verdict | ✗ wrong | ✓ right | ✓ right |") == 2
        assert parts["Harmed"].count("| verdict | ✓ right | ✗ wrong |") == 2
        assert "right in direct 0 of 8, tools 8 of 8, call_only 0 of 8, result_only 7 of 8" in content
        assert "```python\na = 1\nprint(a)\n```" in content and "…" not in content
        assert {line for line in content.splitlines() if " · search · " in line}, "of different tasks"

    def test_a_question_with_a_picture_comes_first_and_shows_it(self, many, table, images):
        buffer = io.BytesIO()
        Image.new("RGB", (90, 60), "red").save(buffer, "PNG")
        shape = images.put(buffer.getvalue())
        for task in ("math", "search"):
            seen = pl.when(pl.col("task") == task).then([shape]).otherwise("images")
            text = examples(table, asked(many).with_columns(images=seen), many.lazy(), images)
            _, first, facts, *_ = text.split("\n\n")
            assert (
                re.match(r"#### Question \d+content\? !\[\]\(data:image/webp;base64,", first) and f" {task} " in facts
            )

    def test_without_a_decision_the_nearest_is_shown_as_such(self, images):
        made = rollouts_of({"a": (7, 1, 7, 1), **{f"even{i}": (4, 4, 4, 4) for i in range(40)}})
        found = measured(made).with_columns(decision=pl.lit("open"))
        text = examples(found, asked(made), made.lazy(), images)
        part = text.partition("### Harmed")[2]
        assert part.startswith(" (not decided; the nearest to it)") and "Question a?" in part

    def test_without_the_control_arm_nothing_is_said_about_habit_and_content(self, images):
        made = rollouts_of(KINDS, ("direct", "tools"))
        text = examples(measured(made), asked(made), made.lazy(), images)
        assert "habit of calling" not in text and "### Gained, and what explains it" in text

    def test_nothing_that_a_model_wrote_is_run_or_fetched(self, images):
        evil = "print('```')\n<script>![](http://a.example/x.png)\n" + "x" * 999 + "\n" * 99
        made = rollouts_of({"a": (0, 8, 0, 8)}).filter(pl.col("arm") != "tools")
        words = "<script>|![](http://a.example/x.png)"
        tools = [attempt("a", "tools", i, True, evil, words, words) for i in range(8)]
        made = pl.concat([made, to_frame(tools, Rollout)])
        found = measured(made).with_columns(decision=pl.lit("gain"), attribution=pl.lit("content"))
        text = examples(found, asked(made), made.lazy(), images)
        inside = re.search(r"^````python\n(.*?)\n````$", text, re.S | re.M)
        assert inside and "```')" in inside[1] and max(map(len, inside[1].splitlines())) <= 110
        outside = text.replace(inside[0], "")
        assert "<script>" not in outside and "![](http" not in outside and len(text) < 4000

    def test_attempts_that_cannot_be_read_leave_cells_empty(self, many, table, images):
        broken = many.with_columns(messages=pl.lit("[{"), tool_calls=pl.lit('[1, {"call": {"arguments": "[]"}}]'))
        text = examples(table, asked(many), broken.lazy(), images)
        assert "| text |  |  |" in text and "✓ right" in text
        assert (
            "(no question)"
            not in examples(table, asked(many).clear(), many.lazy().limit(0), images)
            .partition("### Called")[0]
            .partition("### Gained, and")[0]
        )


class TestChecks:
    @pytest.fixture
    def workspace(self, tmp_path):
        recipe = {
            "name": "checks",
            "sources": [{"name": "sums", "loader": "reasoning_gym", "options": {"tasks": {"gcd": {}}}}],
            "models": {"policy": {"url": "http://127.0.0.1:1/v1", "model": "m", "revision": "3"}},
            "selection": [{"to": "rl"}],
            "tool_benefit": {"samples": 8, "controls": ["call_only", "result_only"]},
        }
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        return Workspace(recipe_file=str(tmp_path / "recipe.yaml"), data=str(tmp_path / "data"))

    def materialized(self, workspace, rollouts):
        """What comes of the asset and its checks, on tables that are stored already."""
        workspace.tables.write("tool_rollouts", rollouts)
        workspace.tables.write("difficulty", asked(rollouts))
        return dg.materialize(
            [
                tool_benefit.tool_benefit, tool_benefit.every_question_measured, tool_benefit.benefit_adds_up,
                dg.AssetSpec("tool_rollouts"), dg.AssetSpec("difficulty"),
            ],
            resources=resources(workspace),
        )  # fmt: skip

    def test_the_asset_measures_what_was_rolled_out(self, workspace):
        start = next(arm.first_sample for arm in arms.compared_arms(workspace.recipe) if arm.name == "direct")
        made = rollouts_of(KINDS, first=start)
        index = pl.lit(start + 99, pl.Int64)
        unfinished = made.head(1).with_columns(stop_reason=pl.lit("unfinished"), correct=None, sample_index=index)
        result = self.materialized(workspace, pl.concat([made, unfinished]))
        found = workspace.tables.read("tool_benefit")
        assert found["direct_first_right"].to_list() == [right[0] for right in KINDS.values()]
        assert found["direct_samples"].to_list() == [8] * 5 and set(found["tool"]) == {"python"}
        (event,) = result.asset_materializations_for_node("tool_benefit")
        assert event.metadata["in_short"].value.startswith("5 questions, 8 attempts per arm")
        assert [check.passed for check in result.get_asset_check_evaluations()] == [True, True]

    def test_questions_without_a_verdict_in_an_arm_are_counted(self, workspace):
        silent = (pl.col("arm") == "call_only") & pl.col("question_id").is_in(["habit", "harm"])
        made = rollouts_of(KINDS).with_columns(correct=pl.when(~silent).then("correct"))
        result = self.materialized(workspace, made)
        (check,) = [c for c in result.get_asset_check_evaluations() if c.check_name == "every_question_measured"]
        counted = {name.rpartition("_in_")[2]: check.metadata[name].value for name in check.metadata}
        assert not check.passed and counted == {
            "direct": 0, "tools": 0, "call_only": 2, "result_only": 0, "questions_not_measured": 0
        }  # fmt: skip

    def test_an_arm_that_never_answers_is_named(self, workspace):
        here = pl.col("arm") == "tools"
        made = rollouts_of(KINDS).with_columns(
            stop_reason=pl.when(here).then(pl.lit("no_answer")).otherwise("stop_reason"),
            correct=pl.col("correct") & ~here,
        )
        result = self.materialized(workspace, made)
        (check,) = [c for c in result.get_asset_check_evaluations() if c.check_name == "every_question_measured"]
        (said,) = check.metadata["arms_that_end_alike"].value
        assert not check.passed and said.startswith("tools: 40 of 40 attempts ended as no_answer")

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"question_id": pl.lit("a")}, "questions_twice"),
            ({"decision": pl.lit("yes")}, "without_a_decision"),
            ({"decision": pl.lit(None, pl.String)}, "without_a_decision"),
            ({"decision": pl.lit("harm"), "harm_q": pl.lit(0.2)}, "decided_beyond_the_level"),
            ({"tools_right": pl.col("tools_attempts") + 1}, "more_right_than_attempts"),
            ({"benefit_low": pl.lit(2.0)}, "interval_upside_down"),
        ],
    )
    def test_a_table_that_does_not_add_up_is_refused(self, workspace, table, change, named):
        assert tool_benefit.adds_up(table, workspace.recipe).passed
        result = tool_benefit.adds_up(table.with_columns(**change), workspace.recipe)
        assert not result.passed and {n for n, v in result.metadata.items() if v.value} == {named}

    def test_no_question_at_all_adds_up(self, workspace, table):
        assert tool_benefit.adds_up(table.clear(), workspace.recipe).passed
