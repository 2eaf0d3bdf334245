"""Rollouts with tools, and what the tools were good for."""

import dagster as dg
import polars as pl

from assets import arms, show
from assets.resources import Models, Workspace
from assets.rolling import roll
from filters import tool_benefit as measure
from records.tables import TableFile


@dg.asset(
    group_name="tool_benefit",
    kinds={"vllm"},
    deps=["search_index"],
    description="The policy's attempts at the questions that passed the difficulty filter, in two arms: with the "
    "task's tools offered and executed, and again without. The direct attempts are fresh ones: those that the "
    "difficulty filter chose by would make any tool look good.",
)
def tool_rollouts(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    models: Models,
    questions: pl.DataFrame,
    difficulty: pl.DataFrame,
) -> dg.Output[TableFile]:
    both = [arms.tools(workspace.recipe), arms.fresh_direct(workspace.recipe)]
    table, _, metadata = roll(context, workspace, models.completer("policy"), difficulty, both)
    decided = questions.filter(pl.col("split") == "curation").height - difficulty.height
    spared = decided * sum(arm.rule.samples for arm in both)
    return dg.Output(table, metadata={**metadata, "rollouts_spared_by_the_difficulty_filter": spared})


@dg.asset(
    group_name="tool_benefit",
    kinds={"polars"},
    description="Per question: pass rate with tools minus pass rate without, with Newcombe's interval. Per task: the "
    "mean over questions, with a bootstrap interval over questions. Measured, not assumed: for 93 % of the problems "
    "that DeepEyesV2 solves with tools a setting without them does too (arXiv 2606.02357).",
)
def tool_benefit(
    workspace: Workspace, difficulty: pl.DataFrame, tool_rollouts: pl.LazyFrame
) -> dg.Output[pl.DataFrame]:
    confidence = workspace.recipe.tool_benefit.confidence
    attempts = tool_rollouts.select("question_id", "arm", "correct").collect()
    table = measure.per_question(attempts, confidence).join(
        difficulty.select("question_id", "task", "source"), on="question_id", how="left", maintain_order="left"
    )
    totals = measure.totals(table, confidence, workspace.recipe.seed)
    gained = (table["tools"] > table["direct"]).sum()
    harmed = (table["tools"] < table["direct"]).sum()
    return dg.Output(
        table,
        metadata={
            "by_task": dg.MetadataValue.md(show.markdown_table(totals)),
            "confidence": confidence,
            "questions": table.height,
            "more_often_right_with_tools": gained,
            "less_often_right_with_tools": harmed,
            "direct_pass_rates": show.pass_rates(table["direct"], "questions, direct"),
            "tools_pass_rates": show.pass_rates(table["tools"], "questions, tools"),
        },
    )


@dg.asset_check(asset=tool_benefit, description="Every question that was rolled out in both arms is measured.")
def every_question_measured(workspace: Workspace, tool_benefit: pl.DataFrame) -> dg.AssetCheckResult:
    missing = workspace.tables.read("difficulty").join(tool_benefit, on="question_id", how="anti").height
    return dg.AssetCheckResult(
        passed=missing == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"questions_without_a_finished_attempt_in_an_arm": missing},
    )


tool_benefit_assets = [tool_rollouts, tool_benefit, every_question_measured]
