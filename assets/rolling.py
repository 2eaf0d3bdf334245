"""Rolling a model out over a table of questions, over the ledger, as every rollout stage does."""

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import dagster as dg
import polars as pl

from assets import show
from assets.arms import Arm, preparation
from assets.resources import Workspace
from assets.rollout_table import export
from assets.standing import Held, Need, Standing, need, open_questions, standing
from records.tables import TableFile, to_frame
from records.trajectory import Rollout
from rollouts.endpoint import Endpoint
from rollouts.ledger import Ledger
from rollouts.model import ModelOutage
from rollouts.sampling import roll_out
from rollouts.tools import ToolInfrastructureError

MOST_UNFINISHED = 0.05
"""Share of rollouts that faults of ours may leave unfinished before a stage fails."""


def roll(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    model: Endpoint,
    questions: pl.DataFrame,
    arms: Sequence[Arm],
) -> tuple[TableFile, list[Standing], dict[str, Any]]:
    """Make what is missing of these arms, and return the table of rollouts with where each arm stands and metadata.

    Raises:
        dg.Failure: the model could not be had, or too much stayed unfinished. Everything that finished is in the
            ledger; the next run goes on there.
    """
    metadata: dict[str, Any] = {}
    unfinished: list[Rollout] = []
    with Ledger(workspace.ledger) as ledger:
        held = Held(ledger)
        before = dict(ledger.made), dict(ledger.reused)
        for arm in arms:
            at = standing(workspace, held, arm, model.fingerprint, questions)
            planned = need(workspace, held, at, questions)
            context.log.info(f"{arm.name}: {sentence(planned)}")
            prefix = f"{arm.name}: " if len(arms) > 1 else ""
            metadata[f"{prefix}planned"] = dg.MetadataValue.md(
                f"{sentence(planned)}\n\n{show.markdown_table(planned.why)}"
            )
            if at.open.height:
                unfinished += _go_on(context, workspace, ledger, model, questions, at)
            made = {f"{prefix}{kind}_calls_made": ledger.made[kind] - before[0][kind] for kind in ledger.made}
            metadata |= made | {
                f"{prefix}{kind}_calls_from_the_ledger": ledger.reused[kind] - before[1][kind] for kind in ledger.reused
            }
            before = dict(ledger.made), dict(ledger.reused)
        ledger.flush()
        held = Held(ledger)
        standings = [standing(workspace, held, arm, model.fingerprint, questions) for arm in arms]
        _check_unfinished(context, unfinished, sum(at.used.height for at in standings))
        for aside in ledger.set_aside:
            context.log.warning(f"a ledger segment could not be read and was set aside: {aside}")
        table = export(ledger, standings, to_frame(unfinished, Rollout), workspace.scratch)
    index = pl.concat([at.used for at in standings])
    return table, standings, {**show.rollout_metadata(index), **metadata}


def _go_on(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    ledger: Ledger,
    model: Endpoint,
    questions: pl.DataFrame,
    at: Standing,
) -> list[Rollout]:
    arm = at.arm
    todo = open_questions(at, questions, order=int.from_bytes(os.urandom(4)))

    async def run() -> list[Rollout]:
        try:
            return await roll_out(
                todo, at.open.height, preparation(workspace, arm), arm.rule.waves, arm.rule.is_open, model, ledger,
                model.concurrency, context.log.info, arm.name, arm.first_sample,
            )  # fmt: skip
        finally:
            await model.aclose()

    try:
        return asyncio.run(run())
    except ModelOutage as outage:
        ledger.flush()
        raise dg.Failure(
            f"{arm.name}: the model could not be had: {outage}\n"
            "All finished calls are kept: run again to go on from here."
        ) from outage


def _check_unfinished(context: dg.AssetExecutionContext, unfinished: list[Rollout], finished: int) -> None:
    """A few rollouts may stay unfinished, and count nowhere; with many a stage would measure our faults."""
    if not unfinished:
        return
    total = len(unfinished) + finished
    by_tool = sum(r.error_class.startswith(ToolInfrastructureError.__name__) for r in unfinished)
    what = (
        f"{len(unfinished)} of {total} rollouts could not be finished ({by_tool} because a tool failed, "
        f"{len(unfinished) - by_tool} because the model could not be had); the first: {unfinished[0].error_class}"
    )
    if len(unfinished) > MOST_UNFINISHED * total:
        raise dg.Failure(
            f"{what}\nThat is no fault of the questions, and too many to go on. All finished calls are kept: mend it "
            "and run again."
        )
    context.log.warning(f"{what}\nThey count as no attempts; the next run tries them again.")


def sentence(planned: Need) -> str:
    """What an arm needs, in one line."""
    if not planned.most:
        return f"{planned.stored} rollouts of {planned.questions} questions are in the ledger, and no more are needed"
    return (
        f"{planned.stored} rollouts of {planned.questions} questions are in the ledger; {planned.now} are needed now, "
        f"about {planned.expected:.0f} in all, {planned.most} at most; "
        f"about {planned.tokens:,.0f} tokens ({planned.basis})"
    )
