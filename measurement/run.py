"""Rolling a model out over a table of questions, over the ledger, as every rollout stage does."""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from assets.resources import Workspace
from measurement.arms import Arm, preparation, tools
from measurement.export import export
from measurement.progress import Given, Held, Need, Standing, need, open_questions, standing
from records.faults import ToolInfrastructureError
from records.tables import TableFile, to_frame
from records.trajectory import Rollout
from reports import samples as show
from rollouts.ledger.ledger import Ledger
from rollouts.models.contract import ModelOutage
from rollouts.models.endpoint import Endpoint
from rollouts.prompts.prefilled_results import results_of
from rollouts.waves import OpenQuestion, Waves

MOST_UNFINISHED = 0.05
"""Share of rollouts that faults of ours may leave unfinished before a stage fails."""
DONORS = 50_000
"""Questions whose results with tools are in memory at a time."""


class Stage:
    """The rollouts of one stage in the making: one model over one open ledger."""

    def __init__(
        self, context: dg.AssetExecutionContext, workspace: Workspace, model: Endpoint, ledger: Ledger
    ) -> None:
        self.context, self.workspace, self.model, self.ledger = context, workspace, model, ledger
        self.unfinished: list[Rollout] = []
        self._held: Held | None = None
        self._calls = dict(ledger.made), dict(ledger.reused)

    @property
    def held(self) -> Held:
        """What the ledger holds, what this stage has made included."""
        if self._held is None:
            self.ledger.flush()
            self._held = Held(self.ledger)
        return self._held

    def left(self, standings: Sequence[Standing]) -> list[Rollout]:
        """The rollouts that stayed unfinished, each once, however often they were tried."""
        tried = {rollout.rollout_id: rollout for rollout in self.unfinished}
        if tried:
            for at in standings:
                for finished in tried.keys() & set(at.used["rollout_id"]):
                    del tried[finished]
        return list(tried.values())

    def standing(self, arm: Arm, questions: pl.DataFrame) -> Standing:
        return standing(self.workspace, self.held, arm, self.model.fingerprint, questions)

    def make(self, at: Standing, questions: pl.DataFrame) -> None:
        """Make what is missing of an arm that stands there.

        Raises:
            dg.Failure: the model could not be had.
        """
        if at.open.is_empty():
            return
        arm, given = at.arm, None
        if arm.form == "result_only":
            donors = self.standing(tools(self.workspace.recipe), questions).rollouts
            given = partial(given_by, self.ledger, donors)
        todo = open_questions(at, questions, int.from_bytes(os.urandom(4)), given)
        self._held = None
        try:
            self.unfinished += asyncio.run(self._roll_out(arm, todo, at.open.height))
        except ModelOutage as outage:
            self.ledger.flush()
            raise dg.Failure(
                f"{arm.name}: the model could not be had: {outage}\n"
                "All finished calls are kept: run again to go on from here."
            ) from outage

    async def _roll_out(self, arm: Arm, todo: Iterator[OpenQuestion], total: int) -> list[Rollout]:
        try:
            waves = Waves(
                preparation(self.workspace, arm), arm.rule.waves, arm.rule.is_open, self.model, self.ledger,
                self.model.concurrency, self.context.log.info, arm.name, arm.first_sample,
            )  # fmt: skip
            return await waves.roll_out(todo, total)
        finally:
            await self.model.aclose()

    def calls(self) -> dict[str, int]:
        """How many calls were made, and how many read from the ledger, since this was last asked."""
        before, now = self._calls, (dict(self.ledger.made), dict(self.ledger.reused))
        self._calls = now
        names = ("calls_made", "calls_from_the_ledger")
        return {
            f"{kind}_{name}": now[which][kind] - before[which].get(kind, 0)
            for which, name in enumerate(names)
            for kind in now[which]
        }


def roll(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    model: Endpoint,
    questions: pl.DataFrame,
    arms: Sequence[Arm],
    further: Callable[[Stage], dict[str, Any]] | None = None,
) -> tuple[TableFile, list[Standing], dict[str, Any]]:
    """Make what is missing of these arms, one after the other, and then what is asked for by what came out.

    Returns:
        The table of rollouts, where each arm stands, and metadata.

    Raises:
        dg.Failure: the model could not be had, or too much stayed unfinished. Everything that finished is in the
            ledger; the next run goes on there.
    """
    metadata: dict[str, Any] = {}
    with Ledger(workspace.ledger) as ledger:
        stage = Stage(context, workspace, model, ledger)
        for arm in arms:
            at = stage.standing(arm, questions)
            planned = need(workspace, stage.held, at, questions)
            context.log.info(f"{arm.name}: {sentence(planned)}")
            prefix = f"{arm.name}: " if len(arms) > 1 else ""
            metadata[f"{prefix}planned"] = dg.MetadataValue.md(
                f"{sentence(planned)}\n\n{show.markdown_table(planned.why)}"
            )
            stage.make(at, questions)
            metadata |= {f"{prefix}{name}": count for name, count in stage.calls().items()}
        if further is not None:
            metadata |= further(stage)
        standings = [stage.standing(arm, questions) for arm in arms]
        _check_unfinished(context, stage.left(standings), sum(at.used.height for at in standings))
        for aside in ledger.set_aside:
            context.log.warning(f"a ledger segment could not be read and was set aside: {aside}")
        table = export(ledger, standings, to_frame(stage.unfinished, Rollout), workspace.scratch)
    index = pl.concat([at.used for at in standings])
    return table, standings, {**show.rollout_metadata(index), **metadata}


def given_by(ledger: Ledger, donors: pl.DataFrame, question_ids: pl.Series) -> Iterator[Given]:
    """What the attempts `donors` obtained by their calls, for one question after another.

    Args:
        donors: finished rollouts: rollout_id, question_id, sample_index.
    """
    for start in range(0, len(question_ids), DONORS):
        part = question_ids.slice(start, DONORS).to_frame("question_id")
        rows = donors.select("rollout_id", "question_id", "sample_index").join(part, on="question_id", how="semi")
        calls = ledger.select(["rollout_id", "tool_calls"], pl.col("rollout_id").is_in(rows["rollout_id"].implode()))
        made = rows.join(calls, on="rollout_id").group_by("question_id").agg("sample_index", "tool_calls")
        made = part.join(made, on="question_id", how="left", maintain_order="left")
        for samples, texts in made.select("sample_index", "tool_calls").iter_rows():
            yield {sample: results_of(text) for sample, text in zip(samples or (), texts or (), strict=True)}


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
