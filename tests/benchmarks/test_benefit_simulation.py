"""The benchmark of tool benefit measures what it says: known truths, attempts taken in order, decisions judged."""

import contextlib
import json
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageColor

from benchmarks import decisions, tool_benefit
from benchmarks.benefit import budget as benefit_budget
from benchmarks.benefit import figures as benefit_figures
from benchmarks.benefit import size as benefit_size
from benchmarks.benefit.populations import DECIDED_ABOUT, POPULATIONS
from benchmarks.benefit.simulation import (
    ARMS,
    KINDS,
    Attempts,
    draw_truth,
    judge_decisions,
    mean_and_error,
    measured,
    one_table,
    settings_of,
    spend,
    totals_coverage,
    true_totals,
)


@pytest.mark.parametrize("name", POPULATIONS)
def test_truths_are_rates_and_the_same_each_time(name):
    truth = draw_truth(name, 400, np.random.default_rng(3))
    assert truth.equals(draw_truth(name, 400, np.random.default_rng(3)))
    assert truth["question_id"].n_unique() == 400
    chance = POPULATIONS[name].chance
    for arm in ARMS:
        assert truth[arm].min() >= chance - 1e-12 and truth[arm].max() <= 1 + 1e-12
    corrected = (truth["tools"] - truth["direct"]) / (1 - chance)
    assert (corrected - truth["benefit"]).abs().max() < 1e-12
    between = (truth["call_only"] - truth["direct"]) * (truth["tools"] - truth["call_only"])
    assert between.min() >= -1e-12


def test_attempts_follow_the_rates_and_are_taken_in_their_order():
    truth = draw_truth("ties", 2_000, np.random.default_rng(0))
    right = Attempts.draw(truth, ("direct", "tools"), np.random.default_rng(1), 16)
    for arm, verdicts in right.items():
        assert abs(verdicts.mean() - truth[arm].mean()) < 0.01
    ids = truth["question_id"].to_list()
    attempts = Attempts(ids, right).take_all(2)
    assert attempts.taken == 2 * 2 * 2_000
    plan = pl.DataFrame(
        {"question_id": [ids[7], ids[7], ids[1]], "arm": ["direct", "tools", "tools"], "wanted": [5, 99, 1]}
    )
    assert attempts.take(plan) == 3 + 14 + 0
    rows = attempts.rollouts().filter(pl.col("question_id") == ids[7], pl.col("arm") == "tools").sort("sample_index")
    assert rows["sample_index"].to_list() == list(range(16))
    assert rows["correct"].cast(pl.Int8).to_list() == right["tools"][7].tolist()


def test_an_attempt_without_a_verdict_is_none():
    attempts = Attempts(["a"], {"direct": np.array([[1, -1, 0]], dtype=np.int8)}).take_all(3)
    assert attempts.rollouts()["correct"].to_list() == [True, None, False]


def test_decisions_are_judged():
    table = pl.DataFrame(
        {
            "decision": ["gain", "gain", "harm", "harm", "none", "none", "open"],
            "true_benefit": [0.01, 0.0, -0.01, 0.0, 0.1, -0.11, 0.5],
        }
    )
    assert judge_decisions(table, 0.1)["rightly"].to_list() == [True, False, True, False, True, False, None]


def test_the_planner_keeps_the_budget():
    random = np.random.default_rng(0)
    truth = draw_truth("hard", 40, random)
    right = Attempts.draw(truth, ("direct", "tools"), random)
    attempts, settings = Attempts(truth["question_id"].to_list(), right).take_all(4), settings_of(4, 6)
    before = attempts.taken
    spent = spend(attempts, truth, settings, 6 * 40)
    assert 0 < spent <= 6 * 40 and attempts.taken == before + spent
    table = measured(attempts, truth, settings)
    assert table.height == 40 and table["true_benefit"].to_list() == truth["benefit"].to_list()
    assert set(table["direct_samples"]) <= set(settings.looks)


def test_one_table_adds_up():
    row = one_table("harm", 200, 8, 0.0, 0)
    assert 0.9 <= row["coverage"] <= 1 and row["coverage_80"] <= row["coverage"] and row["rollouts"] == 16
    assert all(0 <= row[f"{kind}_wrong"] <= row[kind] for kind in KINDS)
    count, stated, true = row["bins"].T
    assert count.sum() == 200 and (stated <= count + 1e-9).all() and (true <= count).all()


def test_totals_cover_the_truth():
    true = true_totals("ties", 20_000)
    assert true["gain"] - true["harm"] == pytest.approx(true["benefit"])
    assert true["habit"] + true["content"] == pytest.approx(true["benefit"])
    assert true["results_share"] == pytest.approx(0.6)
    assert "habit_share" not in true_totals("null", 1_000)
    found = totals_coverage("ties", 60, 20, 4, 0)
    assert set(found) == set(true)
    for total in ("benefit", "gain", "harm", "habit"):
        tables, wrong = found[total]
        assert tables == 20 and wrong <= 5


def test_error_of_few_tables_is_at_least_the_binomial_one():
    table = pl.DataFrame({"held": [0.9, 0.9], "n": [50, 50]})
    mean, error = table.select(mean_and_error("held", among=pl.col("n").sum())).row(0)
    assert mean == 0.9 and error == pytest.approx((0.9 * 0.1 / 100) ** 0.5)
    mean, error = table.select(mean_and_error("held")).row(0)
    assert error == 0


def test_calibration_error_is_a_mean_over_questions():
    bins = pl.DataFrame(
        {
            "way": ["fixed"] * 3,
            "bin": [0, 1, 2],
            "count": [100.0, 300.0, 0.0],
            "stated": [10.0, 150.0, 0.0],
            "true": [10.0, 120.0, 0.0],
        }
    )
    found = tool_benefit.calibration_error(bins, "way")
    assert found["apart"].item() == pytest.approx(0.75 * 0.1)
    assert found["surely"].item() == pytest.approx(0.75 * (0.1 - 2 * (0.4 * 0.6 / 300) ** 0.5))


@pytest.fixture
def recording(tmp_path):
    random = np.random.default_rng(4)
    truth = draw_truth("hard", 12, random)
    attempts = Attempts(truth["question_id"].to_list(), Attempts.draw(truth, ARMS[:3], random, 16)).take_all(16)
    facts = truth.select("question_id", "task", "source", "chance")
    rows = attempts.rollouts().join(facts, on="question_id")
    # an attempt without a verdict, and another that is missing
    first = pl.int_range(pl.len()) == 0
    rows = rows.with_columns(correct=pl.when(~first).then("correct"))[[*range(5), *range(6, rows.height)]]
    rows.sample(fraction=1, shuffle=True, seed=0).write_parquet(tmp_path / "arms.parquet")
    return tmp_path / "arms.parquet", rows


def test_a_recording_is_read_in_its_order(recording):
    file, rows = recording
    questions, right = benefit_budget.recorded(file)
    assert questions.columns == ["question_id", "task", "source", "chance"] and set(right) == {"direct", "tools"}
    name = rows["question_id"][0]
    mine = rows.filter(pl.col("question_id") == name, pl.col("arm") == "direct").sort("sample_index")
    told = mine["correct"].cast(pl.Int8).fill_null(-1).to_list()
    row = questions["question_id"].to_list().index(name)
    assert mine.height == 15 and right["direct"][row].tolist() == [*told, -1]
    again = benefit_budget.permuted(right, np.random.default_rng(0))
    assert all((np.sort(again[arm], axis=1) == np.sort(right[arm], axis=1)).all() for arm in right)


def test_a_replay_spends_budgets_that_leave_something_to_choose(recording, monkeypatch):
    monkeypatch.setattr(benefit_budget, "BUDGETS", (16, 24))  # there are 16 attempts an arm: 24 further ones are all
    rows = benefit_budget.recorded_curves(recording[0], 0)
    of_one_rule = [("equal", 0), ("equal", 16), ("planner", 16)]
    assert [(row["way"], row["budget"]) for row in rows] == [*of_one_rule, *of_one_rule]
    assert all(row["rollouts"] <= row["budget"] and row["rightly"] + row["wrongly"] <= 1 for row in rows)
    assert rows[1]["rollouts"] == 16 and rows[1]["rightly"] >= rows[0]["rightly"]


def test_a_forecast_is_held_against_what_comes(monkeypatch):
    monkeypatch.setattr(benefit_budget, "AHEAD", 100)
    row = benefit_budget.foreseen("hard", 30, 0, 0)
    assert 0 < row["said"] <= row["open"] <= 30 and 0 <= row["came"] <= row["open"]
    assert row == benefit_budget.foreseen("hard", 30, 0, 0)


def test_size_is_measured_on_a_table_as_the_pipeline_writes_it(tmp_path):
    benefit_size.write(tmp_path, 300)
    rollouts = pl.read_parquet(tmp_path / "rollouts.parquet")
    assert rollouts.select(pl.struct("question_id", "arm", "sample_index").is_duplicated().sum()).item() == 0
    assert rollouts["question_id"].str.contains("^[0-9a-f]{32}$").all() and rollouts["correct"].null_count() > 0
    figures = benefit_size.run(tmp_path)
    assert figures["questions"] == 300 and figures["rollouts"] == rollouts.height and figures["peak_gb"] > 0
    assert json.loads(json.dumps(figures)) == figures


def test_figures_are_small_pictures(tmp_path):
    sizes, names = [20, 200], [name for name in POPULATIONS if name != "null"]
    cells = pl.DataFrame(
        [(name, n, 8, 0.0, 0.95, 0.01) for n in sizes for name in names],
        schema=["population", "questions", "samples", "further", "coverage", "coverage_error"],
        orient="row",
    )
    bins = pl.DataFrame({"way": ["fixed", "planner"], "stated": [0.2, 0.8], "true": [0.1, 0.9], "error": [0.0, 0.02]})
    benefit_figures.calibration(cells, bins, 8, tmp_path / "calibration.png")
    points = pl.DataFrame(
        {
            "data": ["ties"] * 3,
            "rule": ["posterior", "posterior", "exact"],
            "way": ["both", "planner", "equal"],
            "budget": [0, 8, 8],
            "rightly": [0.1, 0.4, 0.3],
            "rightly_error": [0.0, 0.01, 0.01],
        }
    )
    benefit_figures.budget(points, {"ties": "Ties"}, tmp_path / "budget.png")
    for file in tmp_path.glob("*.png"):
        assert file.stat().st_size < 60_000
        with Image.open(file) as image:
            drawn = np.array([colour for _, colour in image.convert("RGBA").getcolors(image.width * image.height)])
        for colour in map(ImageColor.getrgb, benefit_figures.COLOURS[:2]):
            assert (np.abs(drawn - [*colour, 255]).max(axis=1) < 8).any(), "few colours stand for all"


def test_both_rules_are_compared_with_the_truth_and_cells_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(decisions, "SIZES", (20,))
    monkeypatch.setattr(decisions, "FURTHER", 2.0)
    monkeypatch.setattr(decisions, "DECIDED_ABOUT", {name: DECIDED_ABOUT[name] for name in ("null", "unrelated")})
    here = contextlib.nullcontext(SimpleNamespace(map=map))
    monkeypatch.setattr(decisions, "ProcessPoolExecutor", lambda *_, **__: here)
    cells = decisions.measure(2, tmp_path / "cells.csv")
    assert cells.height == 6 and set(cells["tables"]) == {4}
    unrelated = cells.filter(pl.col("population") == "unrelated")
    assert unrelated["posterior_gain"].sum() > unrelated["exact_gain"].sum()
    monkeypatch.setattr(decisions, "measure_cell", None)  # nothing is measured twice
    assert decisions.measure(2, tmp_path / "cells.csv").equals(cells)
    assert [row["what"].split(",")[0] for row in decisions.judge(cells)][:1] == ["false gain"]
    found = decisions.recorded_decisions()
    assert found.filter(pl.col("attempts") == 4, pl.col("decision") == "gain")["questions"].to_list() == [29, 19]
