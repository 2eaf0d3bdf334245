"""The policy and its checkpoints on the questions that curation never saw."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import polars as pl

from assets import show
from assets.resources import Models, Workspace
from assets.rolling import direct_tools, roll, task_tools
from rollouts.endpoint import Endpoint
from training.evaluate import compare_with_base, pass_rates


def _held_out(workspace: Workspace, questions: pl.DataFrame) -> pl.DataFrame:
    held_out = questions.filter(pl.col("split") == "held_out")
    limit = workspace.recipe.evaluation.limit_per_task
    return held_out if limit is None else held_out.group_by("task", maintain_order=True).head(limit)


def _both_arms(
    context: dg.AssetExecutionContext, workspace: Workspace, name: str, client: Endpoint, held_out: pl.DataFrame
) -> tuple[pl.DataFrame, int]:
    """The judged rollouts of one checkpoint in both arms, and how many model calls were made for them."""
    settings = workspace.recipe.evaluation
    tables, calls = [], 0
    for arm, tools_of, sampling in (("direct", direct_tools, settings.direct), ("tools", task_tools, settings.tools)):
        context.log.info(f"{name}, {arm}: {held_out.height} held-out questions")
        rollouts, about = roll(
            context, workspace, client, held_out, arm=arm, tools_of=tools_of, sampling=sampling,
            waves=[settings.samples],
        )  # fmt: skip
        tables.append(rollouts)
        calls += about["model_calls_made"]
    return pl.concat(tables), calls


@dg.asset(
    group_name="evaluation",
    kinds={"vllm"},
    deps=["search_index"],
    description="The policy's attempts at the held-out questions, with and without tools. No filter chose these "
    "questions, so the difference between the arms is free of selection.",
)
def base_evaluation(
    context: dg.AssetExecutionContext, workspace: Workspace, models: Models, questions: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    held_out = _held_out(workspace, questions)
    rollouts, calls = _both_arms(context, workspace, "base", models.completer("policy"), held_out)
    return dg.Output(rollouts, metadata={**show.rollout_metadata(rollouts), "model_calls_made": calls})


@dg.asset(
    group_name="evaluation",
    kinds={"vllm"},
    deps=["search_index"],
    description="The policy, the SFT checkpoint and the RL checkpoint on the held-out questions, with and without "
    "tools: right, attempts and a 95 % interval per task. The comparison with the base is paired by question, and "
    "says only what that many questions can carry.",
)
def evaluation(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    models: Models,
    questions: pl.DataFrame,
    base_evaluation: pl.DataFrame,
    sft_checkpoint: pl.DataFrame,
    rl_checkpoint: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    held_out = _held_out(workspace, questions)
    rollouts, calls = {"base": base_evaluation}, 0
    for name, folder in pl.concat([sft_checkpoint, rl_checkpoint]).select("checkpoint", "folder").iter_rows():
        client = models.checkpoint(name, Path(folder))
        rollouts[name], made = _both_arms(context, workspace, name, client, held_out)
        calls += made
    judged = _judged(rollouts, held_out)
    table, compared = pass_rates(judged), compare_with_base(judged)
    return dg.Output(
        table,
        metadata={
            "questions": held_out.height,
            "pass_rates": dg.MetadataValue.md(show.markdown_table(table)),
            "against_base": dg.MetadataValue.md(_sentences(compared["summary"])),
            "model_calls_made": calls,
        },
    )


def _judged(rollouts: dict[str, pl.DataFrame], questions: pl.DataFrame) -> pl.DataFrame:
    """One row an attempt: checkpoint, arm, task, question_id, correct."""
    tables = [table.with_columns(checkpoint=pl.lit(name)) for name, table in rollouts.items()]
    tasks = questions.select("question_id", "task")
    return (
        pl.concat(tables)
        .join(tasks, on="question_id", how="inner")
        .select("checkpoint", "arm", "task", "question_id", "correct")
    )


def _sentences(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


evaluation_assets = [base_evaluation, evaluation]
