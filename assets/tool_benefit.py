"""Rollouts with tools, and what the tools were good for."""

import dagster as dg
import polars as pl

from assets import show
from assets.resources import Models, Workspace
from assets.rolling import direct_tools, roll, task_tools
from filters import tool_benefit as measure


@dg.asset(
    group_name="tool_benefit",
    kinds={"vllm"},
    deps=["search_index"],
    description="The policy's attempts at the questions that passed the difficulty filter, in two arms: with the "
    "task's tools offered and executed, and again without. The direct attempts are fresh ones: those that the "
    "difficulty filter chose by would make any tool look good.",
)
def tool_rollouts(
    context: dg.AssetExecutionContext, workspace: Workspace, models: Models, difficulty: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    recipe = workspace.recipe
    samples = recipe.tool_benefit.samples
    tables, metadata = [], {}
    for arm, tools_of, sampling, first in (
        ("tools", task_tools, recipe.tool_benefit.sampling, 0),
        ("direct", direct_tools, recipe.difficulty.sampling, recipe.difficulty.samples),
    ):
        table, about = roll(
            context, workspace, models.completer("policy"), difficulty, arm=arm, tools_of=tools_of, sampling=sampling,
            waves=[samples], first_sample=first,
        )  # fmt: skip
        tables.append(table)
        metadata |= {f"{arm}: {key}": value for key, value in about.items()}
    return dg.Output(pl.concat(tables), metadata=metadata)


@dg.asset(
    group_name="tool_benefit",
    kinds={"polars"},
    description="Per question: pass rate with tools minus pass rate without, with Newcombe's interval. Per task: the "
    "mean over questions, with a bootstrap interval over questions. Measured, not assumed: for 93 % of the problems "
    "that DeepEyesV2 solves with tools a setting without them does too (arXiv 2606.02357).",
)
def tool_benefit(
    workspace: Workspace, difficulty: pl.DataFrame, tool_rollouts: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    confidence = workspace.recipe.tool_benefit.confidence
    table = measure.per_question(tool_rollouts, confidence).join(
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
            "direct_pass_rates": show.pass_rates(table["direct_right"], table["direct_attempts"], "questions, direct"),
            "tools_pass_rates": show.pass_rates(table["tools_right"], table["tools_attempts"], "questions, tools"),
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
