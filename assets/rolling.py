"""Rolling a model out over a table of questions, over the ledger, as every rollout stage does."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from assets import show
from assets.resources import Workspace
from records.question import Question, Task
from records.recipe import Sampling
from records.tables import from_frame, to_frame
from records.trajectory import Message, Rollout
from rollouts.agent import Setting
from rollouts.dialects import get_dialect
from rollouts.endpoint import Endpoint
from rollouts.ledger import Ledger
from rollouts.prompts import build_prompt, read_examples
from rollouts.sampling import roll_out
from rollouts.tools import Tool, ToolInfrastructureError

MOST_BROKEN = 0.05
"""Share of rollouts that faults of our own tools may leave unfinished before a stage fails."""


def direct_tools(workspace: Workspace, task: Task) -> Mapping[str, Tool]:
    """The direct arm offers none."""
    return {}


def task_tools(workspace: Workspace, task: Task) -> Mapping[str, Tool]:
    """The tools that the recipe offers for a task."""
    return {name: workspace.tool(name) for name in workspace.recipe.tools.get(task, ())}


ToolsOf = Callable[[Workspace, Task], Mapping[str, Tool]]


def preparation(
    workspace: Workspace, role: str, arm: str, tools_of: ToolsOf, sampling: Sampling
) -> Callable[[Question], tuple[Setting, list[Message]]]:
    """The setting and the prompt of any question in one arm, for the model of a role."""
    recipe = workspace.recipe
    dialect, examples = get_dialect(recipe.dialect), read_examples(recipe.examples)
    sees_images = recipe.models.role(role).sees_images
    images = workspace.images

    def prepare(question: Question) -> tuple[Setting, list[Message]]:
        tools = tools_of(workspace, question.task)
        setting = Setting(arm, dialect, tools, sampling, images, sees_images)
        return setting, build_prompt(question, dialect, list(tools.values()), examples, sees_images)

    return prepare


def roll(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    model: Endpoint,
    questions: pl.DataFrame,
    *,
    arm: str,
    tools_of: ToolsOf,
    sampling: Sampling,
    waves: Sequence[int],
    is_open: Callable[[int, int], bool] = lambda attempts, right: True,
    first_sample: int = 0,
    role: str = "policy",
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Roll out, and return the table of rollouts with metadata about it.

    Raises:
        dg.Failure: the model could not be had. Everything that finished is in the ledger; the next run goes on there.
    """
    prepare = preparation(workspace, role, arm, tools_of, sampling)

    async def run(ledger: Ledger) -> list[Rollout]:
        try:
            return await roll_out(
                from_frame(questions, Question), prepare, waves, is_open, model, ledger, 2 * model.concurrency,
                context.log.info, arm, first_sample,
            )  # fmt: skip
        finally:
            await model.aclose()

    with Ledger(workspace.ledger) as ledger:
        for aside in ledger.set_aside:
            context.log.warning(f"a ledger segment could not be read and was set aside: {aside}")
        rollouts = asyncio.run(run(ledger))
        made, reused = ledger.made, ledger.reused
    unfinished = [r for r in rollouts if r.stop_reason == "unfinished"]
    by_tool = [r.error_class.startswith(ToolInfrastructureError.__name__) for r in unfinished]
    broken = [r for r, tool in zip(unfinished, by_tool, strict=True) if tool]
    lost = [r for r, tool in zip(unfinished, by_tool, strict=True) if not tool]
    if lost:
        raise dg.Failure(
            f"{len(lost)} of {len(rollouts)} rollouts could not be finished, because the model could not be had: "
            f"{lost[0].error_class}\nAll finished calls are kept: run again to go on from here."
        )
    if len(broken) > MOST_BROKEN * len(rollouts):
        raise dg.Failure(
            f"{len(broken)} of {len(rollouts)} rollouts could not be finished, because a tool failed: "
            f"{broken[0].error_class}\nThat is no fault of the model's, and too many to go on. All finished calls are "
            "kept: mend the tool and run again."
        )
    if broken:
        context.log.warning(f"{len(broken)} rollouts stay unfinished: {broken[0].error_class}")
    table = to_frame(rollouts, Rollout)
    metadata = {
        **show.rollout_metadata(table),
        "model_calls_made": made["model"],
        "model_calls_from_the_ledger": reused["model"],
        "tool_calls_made": made["tool"],
        "tool_calls_from_the_ledger": reused["tool"],
    }
    context.log.info(f"{arm}: {made['model']} model calls made, {reused['model']} read from the ledger")
    return table, metadata
