"""Rollouts with tools, and what the tools were good for."""

import dagster as dg
import polars as pl

from assets.resources import Models, Workspace
from filters.benefit import columns
from filters.benefit import per_question as measure
from filters.benefit.totals import totals
from measurement import arms
from measurement.budget import go_further
from measurement.run import roll
from records.recipe import BENEFIT_DECISIONS, Recipe
from records.tables import TableFile
from reports import benefit as benefit_show

FIRST_TOOL = pl.col("tool_calls").str.extract(r'^\[\{"call":\{"name":"((?:[^"\\]|\\.)*)"')
"""The tool that an attempt called first, out of the JSON text of its calls (records.trajectory.ExecutedCall)."""


@dg.asset(
    group_name="tool_benefit",
    kinds={"vllm"},
    deps=["search_index"],
    description="The policy's attempts at the questions that passed the difficulty filter, in several arms that differ "
    "in the tools alone: with them, without, and the recipe's controls (calls whose results are withheld; the results "
    "that the attempts with tools obtained, given up front; what the source annotates). The direct attempts are fresh "
    "ones: those that the difficulty filter chose by would make any tool look good. Further rollouts go to the "
    "questions that are still open.",
)
def tool_rollouts(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    models: Models,
    questions: pl.DataFrame,
    difficulty: pl.DataFrame,
) -> dg.Output[TableFile]:
    compared = arms.benefit(workspace.recipe)
    table, _, metadata = roll(
        context,
        workspace,
        models.completer("policy"),
        difficulty,
        compared,
        further=lambda stage: go_further(stage, difficulty, compared),
    )
    decided = questions.filter(pl.col("split") == "curation").height - difficulty.height
    # in the arms that every question is asked in
    spared = decided * sum(arm.rule.samples for arm in compared if arm.form != "oracle")
    return dg.Output(table, metadata={**metadata, "rollouts_spared_by_the_difficulty_filter": spared})


@dg.asset(
    group_name="tool_benefit",
    kinds={"polars"},
    description="What tools do for each question: the difference of the pass rates with and without them, with an "
    "interval and the probability that it is a gain or a harm; decisions whose false discovery rate over the table is "
    "bounded; and how much of a gain the habit of calling explains and how much the results. Counted from all stored "
    "attempts, so materialized alone it makes no model call. How: docs/tool-benefit.md.",
)
def tool_benefit(
    workspace: Workspace, difficulty: pl.DataFrame, tool_rollouts: pl.LazyFrame
) -> dg.Output[pl.DataFrame]:
    settings, seed = workspace.recipe.tool_benefit, workspace.recipe.seed
    finished = tool_rollouts.filter(pl.col("stop_reason") != "unfinished")
    attempts = finished.select("question_id", "arm", "sample_index", "correct", tool=FIRST_TOOL)
    starts = {arm.name: arm.first_sample for arm in arms.benefit(workspace.recipe)}
    table = measure.per_question(measure.counts(attempts, settings.looks, starts), difficulty, settings, seed)
    by_task, by_tool = (totals(table, settings.confidence, seed, by) for by in ("task", "tool"))
    shown = benefit_show.metadata(table, by_task, by_tool, difficulty, finished, workspace.images, settings)
    return dg.Output(table, metadata=shown)


@dg.asset_check(
    asset=tool_benefit,
    description="Every question has an attempt with a verdict in each arm (in `oracle`: where the source has an aid).",
)
def every_question_measured(workspace: Workspace, tool_benefit: pl.DataFrame) -> dg.AssetCheckResult:
    asked = workspace.tables.read("difficulty")
    judged = workspace.tables.scan("tool_rollouts").filter(pl.col("correct").is_not_null())
    pairs = judged.select("question_id", "arm").unique().collect(engine="streaming")
    missing = {
        f"questions_without_an_attempt_in_{arm.name}": arms.askable(workspace, arm, asked)
        .join(pairs.filter(pl.col("arm") == arm.name), on="question_id", how="anti")
        .height
        for arm in arms.benefit(workspace.recipe)
    }
    unmeasured = asked.join(tool_benefit, on="question_id", how="anti").height
    return dg.AssetCheckResult(
        passed=not any(missing.values()),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={**missing, "questions_not_measured": unmeasured},
    )


@dg.asset_check(
    asset=tool_benefit,
    blocking=True,
    description="Each question stands once, with one decision that its numbers bear out, and gain - harm = benefit.",
)
def benefit_adds_up(workspace: Workspace, tool_benefit: pl.DataFrame) -> dg.AssetCheckResult:
    return adds_up(tool_benefit, workspace.recipe)


def adds_up(table: pl.DataFrame, recipe: Recipe) -> dg.AssetCheckResult:
    """What must be true of any table of tool benefits; metadata counts the rows (or totals) for which it is not."""
    level = recipe.tool_benefit.false_discovery_rate
    decided = {name: pl.col("decision") == name for name in BENEFIT_DECISIONS}
    wrong = table.select(
        questions_twice=pl.len() - pl.col("question_id").n_unique(),
        without_a_decision=(pl.sum_horizontal(decided.values()).fill_null(0) != 1).sum(),
        decided_beyond_the_level=pl.any_horizontal(
            decided[name] & (pl.col(f"{name}_q") > level) for name in ("gain", "harm")
        ).sum(),
        more_right_than_attempts=pl.any_horizontal(
            pl.col(right(arm)) > pl.col(attempts(arm))
            for arm in columns.ARMS
            for right, attempts in (
                (columns.right, columns.attempts),
                (columns.first_right, columns.first_attempts),
            )
        ).sum(),
        interval_upside_down=(pl.col("benefit_low") > pl.col("benefit_high")).sum(),
    ).row(0, named=True)
    total = totals(table, recipe.tool_benefit.confidence, recipe.seed)
    apart = (pl.col("gain") - pl.col("harm") - pl.col("benefit")).abs() > 1e-9
    wrong["gain_less_harm_is_not_benefit"] = total.filter(apart).height
    counted = total.filter(pl.col("task") != "all")["questions"].sum()
    whole = total.filter(pl.col("task") == "all")["questions"].sum()
    wrong["questions_lost_between_tasks"] = whole - counted
    return dg.AssetCheckResult(passed=not any(wrong.values()), metadata=wrong)


tool_benefit_assets = [tool_rollouts, tool_benefit, every_question_measured, benefit_adds_up]
