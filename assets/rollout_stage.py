"""What every rollout stage does: run its arms over the ledger, and show what that took."""

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
import polars as pl

from assets.shown import failures
from measurement.arm_runner import ArmRunner
from measurement.arms import Arm
from measurement.run import Outcome, Stage, Then, sentence
from measurement.summary import METADATA_KEY, StageSummary
from measurement.toolbox import Toolbox
from records.workspace import Workspace
from reports.markdown import NONE, Markdown, markdown_table, plain
from reports.samples import rollout_metadata
from rollouts.ledger.ledger import Ledger
from rollouts.models.endpoint import Endpoint


def rolled_out(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    model: Callable[[], Endpoint],
    questions: pl.DataFrame,
    arms: Sequence[Arm],
    then: Then | None = None,
) -> Outcome:
    """Make what is missing of these arms, and whatever `then` asks for beside it.

    Args:
        model: gives the client of the model that attempts.

    Raises:
        dg.Failure: the model cannot be used as the recipe says or is unreachable, or too much stayed unfinished.
            Everything that finished is in the ledger; the next run resumes there.
    """
    with failures(), Ledger(workspace.ledger) as ledger:
        stage = Stage(ArmRunner(Toolbox(workspace), model(), ledger, context.log), questions, arms)
        stage.make_missing(then)
        return stage.outcome()


def rollout_stage_metadata(outcome: Outcome, not_needed: dict[str, int] | None = None) -> dict[str, Any]:
    """What a rollout stage shows.

    Args:
        not_needed: rollouts that were not needed, by the reason in words.
    """
    several = len(outcome.progresses) > 1
    metadata: dict[str, Any] = rollout_metadata(outcome.index)
    for name, needed in outcome.planned.items():
        prefix = f"{name}: " if several else ""
        metadata[f"{prefix}planned"] = Markdown(f"{sentence(needed)}\n\n{markdown_table(needed.why)}")
    for name, calls in outcome.calls.items():
        prefix = f"{name}: " if several else ""
        metadata |= {f"{prefix}{kind}_calls_made": count for kind, count in calls.calls_made.items()}
        metadata |= {f"{prefix}{kind}_calls_from_the_ledger": n for kind, n in calls.calls_from_the_ledger.items()}
    for progress in outcome.progresses:
        prefix = f"{progress.arm.name}: " if several else ""
        metadata[f"{prefix}redrawn"] = int((progress.used["redraws"] > 0).sum())
    if outcome.rejudged:
        metadata["answers_judged_again"] = sum(rejudged.judged for rejudged in outcome.rejudged)
        changed = pl.concat([rejudged.changed for rejudged in outcome.rejudged])
        metadata["verdicts_changed"] = markdown_table(changed) if changed.height else NONE
    if outcome.warnings:
        metadata["warnings"] = Markdown("\n".join(f"- {plain(warning, 1000)}" for warning in outcome.warnings))
    summary = outcome.summary.plus(StageSummary(not_needed=not_needed or {}))
    return metadata | {METADATA_KEY: summary}
