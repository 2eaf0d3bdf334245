"""The teacher's rollouts, and those that are good enough to learn from."""

import asyncio
import contextlib
from collections.abc import Sequence

import dagster as dg
import polars as pl

from assets.conservation import conservation_check, decided
from assets.rollout_stage import rolled_out, rollout_stage_metadata
from assets.shown import shown
from assets.stage import StageAssets
from filters import trajectories as rule
from measurement.arms import teacher_arm
from measurement.prepared_arm import PreparedArm
from measurement.toolbox import Toolbox
from records.faults import ToolInfrastructureError
from records.question import Question, Reject
from records.recipe import Recipe
from records.tables import TableFile, from_frame, to_frame
from records.trajectory import Rollout, ToolResult, Trajectory
from records.workspace import Workspace
from reports.markdown import Markdown
from rollouts.models.roles import Models
from rollouts.tool_calls import replays
from rollouts.tools import assets_of


def teacher_rollouts(
    context: dg.AssetExecutionContext,
    workspace: dg.ResourceParam[Workspace],
    models: dg.ResourceParam[Models],
    cold_start_questions: pl.DataFrame,
) -> dg.Output[TableFile]:
    arm = teacher_arm(workspace.recipe)
    outcome = rolled_out(context, workspace, lambda: models.completer("teacher"), cold_start_questions, [arm])
    return dg.Output(outcome.table, metadata=shown(rollout_stage_metadata(outcome)))


@dg.asset(
    group_name="cold_start",
    kinds={"polars"},
    description="Teacher rollouts that passed every check of the recipe: the answer is right, a tool was used, every "
    "call ran without error, and making the calls again in a fresh sandbox gives the same observations. Each carries "
    "the record of its checks; all others are rejects with the first check they failed.",
)
def trajectories(
    context: dg.AssetExecutionContext,
    workspace: dg.ResourceParam[Workspace],
    cold_start_questions: pl.DataFrame,
    teacher_rollouts: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    settings = workspace.recipe.cold_start
    questions = {question.question_id: question for question in from_frame(cold_start_questions, Question)}
    candidates = [
        rule.Candidate(rollout, questions[rollout.question_id]) for rollout in from_frame(teacher_rollouts, Rollout)
    ]

    def replay_them(passed: Sequence[rule.Candidate]) -> dict[str, list[list[ToolResult]]]:
        context.log.info(f"replaying {len(passed)} of {len(candidates)} rollouts in fresh sandboxes")
        return asyncio.run(_replays(workspace, passed))

    candidates = rule.gather(candidates, settings.checks, {"replay": replay_them})
    kept, rejects = rule.apply(candidates, settings.checks, settings.keep_per_question)
    return decided(
        workspace,
        rule.STAGE,
        len(candidates),
        to_frame(kept, Trajectory),
        to_frame(rejects, Reject),
        example=Markdown(_readable(kept[0]) if kept else "(none kept)"),
    )


async def _replays(workspace: Workspace, candidates: Sequence[rule.Candidate]) -> dict[str, list[list[ToolResult]]]:
    """The replays of each rollout's calls in fresh sandboxes, by rollout_id; none of one that cannot be replayed."""
    results: dict[str, list[list[ToolResult]]] = {}
    limit = asyncio.Semaphore(workspace.recipe.sandbox.sessions)
    prepared = PreparedArm(teacher_arm(workspace.recipe), Toolbox(workspace))

    async def one(candidate: rule.Candidate) -> None:
        tools = prepared.offered(candidate.question.task)
        async with limit:
            with contextlib.suppress(ToolInfrastructureError):
                results[candidate.rollout.rollout_id] = await replays(
                    candidate.rollout, tools, candidate.question.images
                )

    await asyncio.gather(*(one(candidate) for candidate in candidates))
    return results


def _readable(trajectory: Trajectory) -> str:
    turns = [trajectory.prompt[-1], *trajectory.messages]
    return "\n\n".join(f"**{turn.role}**\n\n```\n{turn.raw or turn.text}\n```" for turn in turns)


def stage(recipe: Recipe) -> StageAssets:
    """The assets and checks of this stage; what uses tools depends on what they are built from."""
    built_from = assets_of(recipe)
    rollouts = dg.asset(
        group_name="cold_start",
        kinds={"vllm"},
        deps=built_from,
        description="The teacher's attempts, with tools, at the questions that a cold start is for.",
    )(teacher_rollouts)
    check = conservation_check(
        "trajectories",
        rule.STAGE,
        lambda w: list(w.tables.read("teacher_rollouts")["rollout_id"]),
        id_column="rollout_id",
    )
    return StageAssets([rollouts, trajectories, check], {rule.STAGE: "trajectories"})
