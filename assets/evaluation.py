"""The policy and its checkpoints on the questions that curation never saw."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from filters.questions.splits import held_out_questions
from measurement import arms
from measurement.run import roll
from records.tables import TableFile
from records.workspace import Workspace
from reports import samples as show
from rollouts.models.endpoint import Endpoint
from rollouts.models.roles import Models
from training.evaluate import compare_with_base, pass_rates

JUDGED = ["question_id", "arm", "correct"]


def _both_arms(
    context: dg.AssetExecutionContext, workspace: Workspace, name: str, client: Endpoint, held_out: pl.DataFrame
) -> tuple[TableFile, dict[str, Any]]:
    """The judged rollouts of one checkpoint in both arms, with metadata."""
    context.log.info(f"{name}: {held_out.height} held-out questions, in both arms")
    table, _, metadata = roll(context, workspace, client, held_out, arms.evaluation(workspace.recipe))
    return table, metadata


@dg.asset(
    group_name="evaluation",
    kinds={"vllm"},
    deps=["search_index"],
    description="The policy's attempts at the held-out questions, with and without tools. No filter chose these "
    "questions, so the difference between the arms is free of selection.",
)
def base_evaluation(
    context: dg.AssetExecutionContext,
    workspace: dg.ResourceParam[Workspace],
    models: dg.ResourceParam[Models],
    questions: pl.DataFrame,
) -> dg.Output[TableFile]:
    held_out = held_out_questions(questions, workspace.recipe.evaluation.limit_per_task)
    table, metadata = _both_arms(context, workspace, "base", models.completer("policy"), held_out)
    return dg.Output(table, metadata=metadata)


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
    workspace: dg.ResourceParam[Workspace],
    models: dg.ResourceParam[Models],
    questions: pl.DataFrame,
    base_evaluation: pl.LazyFrame,
    sft_checkpoint: pl.DataFrame,
    rl_checkpoint: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    held_out = held_out_questions(questions, workspace.recipe.evaluation.limit_per_task)
    rollouts, calls = {"base": base_evaluation.select(JUDGED).collect()}, 0
    for name, folder in pl.concat([sft_checkpoint, rl_checkpoint]).select("checkpoint", "folder").iter_rows():
        client = models.checkpoint(name, Path(folder))
        table, metadata = _both_arms(context, workspace, name, client, held_out)
        rollouts[name] = pl.read_parquet(table.path, columns=JUDGED)
        table.remove()
        calls += sum(value for label, value in metadata.items() if label.endswith("model_calls_made"))
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
