"""Base, SFT and RL checkpoints on the questions that curation never saw."""

from functools import partial
from pathlib import Path

import dagster as dg
import polars as pl

from assets import show
from assets.resources import Models, Workspace
from assets.rolling import direct_tools, roll, task_tools
from training.evaluate import compare_with_base, pass_rates


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
    sft_checkpoint: pl.DataFrame,
    rl_checkpoint: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    settings = workspace.recipe.evaluation
    held_out = questions.filter(pl.col("split") == "held_out")
    if settings.limit_per_task is not None:
        held_out = held_out.group_by("task", maintain_order=True).head(settings.limit_per_task)
    checkpoints = pl.concat([sft_checkpoint, rl_checkpoint])
    clients = {"base": lambda: models.completer("policy")}
    for name, folder in checkpoints.select("checkpoint", "folder").iter_rows():
        clients[name] = partial(models.checkpoint, name, Path(folder))
    judged, calls = [], 0
    for name, client_of in clients.items():
        for arm, tools_of, sampling in (
            ("direct", direct_tools, settings.direct),
            ("tools", task_tools, settings.tools),
        ):
            context.log.info(f"evaluating {name}, {arm}")
            rollouts, about = roll(
                context, workspace, client_of(), held_out, arm=arm, tools_of=tools_of, sampling=sampling,
                waves=[settings.samples],
            )  # fmt: skip
            calls += about["model_calls_made"]
            tasks = held_out.select("question_id", "task")
            judged.append(
                rollouts.join(tasks, on="question_id", how="left").select(
                    "task", "question_id", "arm", "correct", checkpoint=pl.lit(name)
                )
            )
    table = pass_rates(pl.concat(judged))
    compared = compare_with_base(pl.concat(judged))
    return dg.Output(
        table,
        metadata={
            "questions": held_out.height,
            "pass_rates": dg.MetadataValue.md(show.markdown_table(table)),
            "against_base": dg.MetadataValue.md("\n".join(f"- {line}" for line in compared["summary"])),
            "model_calls_made": calls,
        },
    )


evaluation_assets = [evaluation]
