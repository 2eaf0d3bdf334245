"""The teacher's rollouts, and those that are good enough to learn from."""

import asyncio
import contextlib

import dagster as dg
import polars as pl

from assets.conservation import conservation_check, decided
from assets.resources import Models, Workspace
from filters import trajectories as rule
from measurement import arms
from measurement.run import roll
from records.faults import ToolInfrastructureError
from records.question import Question, Reject
from records.tables import TableFile, from_frame, to_frame
from records.trajectory import Rollout, ToolResult, Trajectory
from rollouts.tool_calls import replay


@dg.asset(
    group_name="cold_start",
    kinds={"vllm"},
    deps=["search_index"],
    description="The teacher's attempts, with tools, at the questions that a cold start is for.",
)
def teacher_rollouts(
    context: dg.AssetExecutionContext, workspace: Workspace, models: Models, cold_start_questions: pl.DataFrame
) -> dg.Output[TableFile]:
    arm = arms.teacher(workspace.recipe)
    table, _, metadata = roll(context, workspace, models.completer("teacher"), cold_start_questions, [arm])
    return dg.Output(table, metadata=metadata)


@dg.asset(
    group_name="cold_start",
    kinds={"polars"},
    description="Teacher rollouts that passed every check of the recipe: the answer is right, a tool was used, every "
    "call ran without error, and making the calls again in a fresh sandbox gives the same observations. Each carries "
    "the record of its checks; all others are rejects with the first check they failed.",
)
def trajectories(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    cold_start_questions: pl.DataFrame,
    teacher_rollouts: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    settings = workspace.recipe.cold_start
    questions = {question.question_id: question for question in from_frame(cold_start_questions, Question)}
    candidates = [
        rule.Candidate(rollout, questions[rollout.question_id]) for rollout in from_frame(teacher_rollouts, Rollout)
    ]
    if rule.NEEDS_REPLAY in settings.checks:
        others = rule.get_checks([name for name in settings.checks if name != rule.NEEDS_REPLAY])
        passed = [c for c in candidates if rule.first_failure(c, others)[0] is None]
        context.log.info(f"replaying {len(passed)} of {len(candidates)} rollouts in fresh sandboxes")
        replays = asyncio.run(_replay_all(workspace, passed))
        candidates = [rule.Candidate(c.rollout, c.question, replays.get(c.rollout.rollout_id)) for c in candidates]
    kept, rejects = rule.apply(candidates, settings.checks, settings.keep_per_question)
    return decided(
        workspace,
        rule.STAGE,
        len(candidates),
        to_frame(kept, Trajectory),
        to_frame(rejects, Reject),
        example=dg.MetadataValue.md(_readable(kept[0]) if kept else "(none kept)"),
    )


async def _replay_all(workspace: Workspace, candidates: list[rule.Candidate]) -> dict[str, list[ToolResult]]:
    results: dict[str, list[ToolResult]] = {}
    limit, arm = asyncio.Semaphore(workspace.recipe.sandbox.sessions), arms.teacher(workspace.recipe)

    async def one(candidate: rule.Candidate) -> None:
        tools = arms.offered_tools(workspace, arm, candidate.question.task)
        async with limit:
            # one that cannot be replayed stays without results, and is rejected for that
            with contextlib.suppress(ToolInfrastructureError):
                results[candidate.rollout.rollout_id] = await replay(
                    candidate.rollout.tool_calls, tools, candidate.question.images
                )

    await asyncio.gather(*(one(candidate) for candidate in candidates))
    return results


def _readable(trajectory: Trajectory) -> str:
    turns = [trajectory.prompt[-1], *trajectory.messages]
    return "\n\n".join(f"**{turn.role}**\n\n```\n{turn.raw or turn.text}\n```" for turn in turns)


cold_start_assets = [
    teacher_rollouts,
    trajectories,
    conservation_check(
        "trajectories",
        rule.STAGE,
        lambda w: list(w.tables.read("teacher_rollouts")["rollout_id"]),
        id_column="rollout_id",
    ),
]
