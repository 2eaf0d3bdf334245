"""The policy and its checkpoints on the questions that curation never saw."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import dagster as dg
import polars as pl

from assets.rollout_stage import rolled_out, rollout_stage_metadata
from assets.shown import shown
from assets.stage import StageAssets
from filters.questions.splits import held_out_questions
from measurement.arms import evaluation_arms
from measurement.run import Outcome
from measurement.summary import METADATA_KEY, StageSummary
from records.recipe import Recipe
from records.tables import TableFile
from records.workspace import Workspace
from reports.markdown import Markdown, markdown_table
from rollouts.models.endpoint import Endpoint
from rollouts.models.roles import Models
from rollouts.tools import assets_of
from training.evaluate import compare_with_base, pass_rates

JUDGED = ["question_id", "arm", "correct"]


def _both_arms(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    name: str,
    client: Callable[[], Endpoint],
    held_out: pl.DataFrame,
) -> Outcome:
    """The judged rollouts of one checkpoint in both arms."""
    context.log.info(f"{name}: {held_out.height} held-out questions, in both arms")
    return rolled_out(context, workspace, client, held_out, evaluation_arms(workspace.recipe))


def base_evaluation(
    context: dg.AssetExecutionContext,
    workspace: dg.ResourceParam[Workspace],
    models: dg.ResourceParam[Models],
    questions: pl.DataFrame,
) -> dg.Output[TableFile]:
    held_out = held_out_questions(questions, workspace.recipe.evaluation.limit_per_task)
    outcome = _both_arms(context, workspace, "base", lambda: models.completer("policy"), held_out)
    return dg.Output(outcome.table, metadata=shown(rollout_stage_metadata(outcome)))


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
    rollouts, summary = {"base": base_evaluation.select(JUDGED).collect()}, StageSummary()
    for name, folder in pl.concat([sft_checkpoint, rl_checkpoint]).select("checkpoint", "folder").iter_rows():
        client = partial(models.checkpoint, name, Path(folder))
        outcome = _both_arms(context, workspace, name, client, held_out)
        rollouts[name] = pl.read_parquet(outcome.table.path, columns=JUDGED)
        outcome.table.remove()
        summary = summary.plus(outcome.summary)
    judged = _judged(rollouts, held_out)
    table, compared = pass_rates(judged), compare_with_base(judged)
    return dg.Output(
        table,
        metadata=shown(
            {
                "questions": held_out.height,
                "pass_rates": markdown_table(table),
                "against_base": Markdown(_sentences(compared["summary"])),
                "model_calls_made": summary.calls_made.get("model", 0),
                METADATA_KEY: summary,
            }
        ),
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


def _sentences(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def stage(recipe: Recipe) -> StageAssets:
    """The assets and checks of this stage; what uses tools depends on what they are built from."""
    built_from = assets_of(recipe)
    base = dg.asset(
        group_name="evaluation",
        kinds={"vllm"},
        deps=built_from,
        description="The policy's attempts at the held-out questions, with and without tools. No filter chose these "
        "questions, so the difference between the arms is free of selection.",
    )(base_evaluation)
    compared = dg.asset(
        group_name="evaluation",
        kinds={"vllm"},
        deps=built_from,
        description="The policy, the SFT checkpoint and the RL checkpoint on the held-out questions, with and without "
        "tools: right, attempts and a 95 % interval per task. The comparison with the base is paired by question, and "
        "says only what that many questions can carry.",
    )(evaluation)
    return StageAssets([base, compared])
