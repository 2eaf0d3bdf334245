"""Rolling a model out over a table of questions, over the ledger, as every rollout stage does."""

import asyncio
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import polars as pl

from measurement.arms import Arm, tools_arm
from measurement.cost import Cost, cost
from measurement.endings import alike
from measurement.export import export
from measurement.prepared_arm import PreparedArm
from measurement.progress import ArmProgress, LedgerSnapshot, Prefilled, arm_progress, open_questions
from measurement.summary import StageSummary
from measurement.toolbox import Toolbox
from measurement.verdicts import Rejudged
from records.faults import ToolInfrastructureError
from records.tables import TableFile, to_frame
from records.trajectory import Rollout
from rollouts.ledger.ledger import Ledger
from rollouts.ledger.outcomes import Outcomes
from rollouts.models.contract import ModelOutage
from rollouts.models.endpoint import Endpoint
from rollouts.prompts.prefilled_results import results_of
from rollouts.redraws import REDRAW
from rollouts.waves import OpenQuestion, Waves

MAX_UNFINISHED_SHARE = 0.05
"""Share of rollouts that faults of ours may leave unfinished before a stage fails."""
DONOR_QUESTIONS = 50_000
"""Questions whose results with tools are in memory at a time."""


class MeasurementError(RuntimeError):
    """A stage cannot go on: the model is unreachable, or too many rollouts stayed unfinished."""


class ArmRunner:
    """Runs what arms lack: one model over one open ledger.

    Args:
        toolbox: builds the tools; its workspace says where things are.
        model: the client of the model that attempts.
        ledger: an open ledger, which is told how long the model's context is.
        log: where progress goes.
    """

    def __init__(self, toolbox: Toolbox, model: Endpoint, ledger: Ledger, log: logging.Logger) -> None:
        self.toolbox, self.model, self.ledger, self.log = toolbox, model, ledger, log
        ledger.outcomes = Outcomes(model.context)
        self.unfinished: list[Rollout] = []
        self.rejudged: list[Rejudged] = []
        self._prepared: dict[str, PreparedArm] = {}
        self._snapshot: LedgerSnapshot | None = None
        self._calls = dict(ledger.made), dict(ledger.reused)

    @property
    def snapshot(self) -> LedgerSnapshot:
        """What the ledger holds, what this runner has made included."""
        if self._snapshot is None:
            self.ledger.flush()
            self._snapshot = LedgerSnapshot(self.ledger, self._note)
        return self._snapshot

    def _note(self, rejudged: Rejudged) -> None:
        self.rejudged.append(rejudged)
        for line in rejudged.lines():
            self.log.warning(line)

    def lasting(self, progresses: Sequence[ArmProgress]) -> list[Rollout]:
        """The rollouts that stayed unfinished, each once, however often they were tried."""
        tried = {rollout.rollout_id: rollout for rollout in self.unfinished}
        if tried:
            for progress in progresses:
                for finished in tried.keys() & set(progress.used["rollout_id"]):
                    del tried[finished]
        return list(tried.values())

    def prepared(self, arm: Arm) -> PreparedArm:
        """The arm with all that its attempts share, built once."""
        prepared = self._prepared.get(arm.name)
        if prepared is None or prepared.arm != arm:
            prepared = self._prepared[arm.name] = PreparedArm(arm, self.toolbox)
        return prepared

    def progress(self, arm: Arm, questions: pl.DataFrame) -> ArmProgress:
        """How far an arm is over these questions."""
        return arm_progress(self.prepared(arm), self.snapshot, self.model.fingerprint, questions)

    def make(self, progress: ArmProgress, questions: pl.DataFrame) -> None:
        """Make what is missing of an arm.

        Raises:
            MeasurementError: the model is unreachable.
        """
        if progress.open.is_empty():
            return
        arm, prefilled = progress.arm, None
        if arm.form.prefilled == "tool_results":
            donors = self.progress(tools_arm(self.toolbox.workspace.recipe), questions).rollouts
            prefilled = partial(prefilled_by, self.ledger, donors)
        self.ledger.reopen(progress.former_settings)
        todo = open_questions(progress, questions, int.from_bytes(os.urandom(4)), prefilled)
        self._snapshot = None
        try:
            self.unfinished += asyncio.run(self._roll_out(progress.prepared, todo, progress.open.height))
        except ModelOutage as outage:
            self.ledger.flush()
            raise MeasurementError(
                f"{arm.name}: no call gets through to the model: {outage}\n"
                "All finished calls are saved: run the same command to resume."
            ) from outage

    async def _roll_out(self, prepared: PreparedArm, todo: Iterator[OpenQuestion], total: int) -> list[Rollout]:
        arm = prepared.arm
        try:
            waves = Waves(
                prepared.prompt, arm.rule.waves, arm.rule.is_open, self.model, self.ledger, self.model.concurrency,
                self.log.info, arm.name, arm.first_sample,
            )  # fmt: skip
            return await waves.roll_out(todo, total)
        finally:
            await self.model.aclose()

    def calls(self) -> StageSummary:
        """The calls that were made, and read from the ledger, since this was last asked."""
        before, now = self._calls, (dict(self.ledger.made), dict(self.ledger.reused))
        self._calls = now
        made, read = (
            {kind: count - earlier.get(kind, 0) for kind, count in counts.items() if kind != REDRAW}
            for counts, earlier in zip(now, before, strict=True)
        )
        return StageSummary(calls_made=made, calls_from_the_ledger=read)


@dataclass
class Outcome:
    """What a stage's rollouts came to."""

    table: TableFile
    """The rollouts that count, then those that stayed unfinished."""
    progresses: list[ArmProgress]
    planned: dict[str, Cost] = field(default_factory=dict)
    """What each arm needed before any call was made, by arm."""
    calls: dict[str, StageSummary] = field(default_factory=dict)
    """The calls of each arm, in the order in which they were made."""
    warnings: list[str] = field(default_factory=list)
    """What someone should look at before the figures are believed; the log says it too."""
    rejudged: list[Rejudged] = field(default_factory=list)
    """Stored answers that were judged again."""

    @property
    def summary(self) -> StageSummary:
        """All calls of the stage."""
        total = StageSummary()
        for calls in self.calls.values():
            total = total.plus(calls)
        return total

    @property
    def index(self) -> pl.DataFrame:
        """The ledger's rows of the rollouts that count (measurement.progress.INDEX)."""
        return pl.concat([progress.used for progress in self.progresses])


class Stage:
    """The arms of one rollout stage over one table of questions.

    Args:
        runner: runs what is missing.
        questions: a table of questions.
        arms: the arms, in the order in which they are attempted.
    """

    def __init__(self, runner: ArmRunner, questions: pl.DataFrame, arms: Sequence[Arm]) -> None:
        self.runner, self.questions, self.arms = runner, questions, arms
        self.planned: dict[str, Cost] = {}
        self.calls: dict[str, StageSummary] = {}

    def make_missing(self) -> None:
        """Make what is missing of each arm, one after the other. Raises MeasurementError as `ArmRunner.make`."""
        runner = self.runner
        for arm in self.arms:
            progress = runner.progress(arm, self.questions)
            self.planned[arm.name] = needed = cost(runner.snapshot, progress, self.questions)
            runner.log.info(f"{arm.name}: {sentence(needed)}")
            runner.make(progress, self.questions)
            self.calls[arm.name] = runner.calls()

    def outcome(self) -> Outcome:
        """The table of all rollouts that count, and what the stage did.

        Raises:
            MeasurementError: too many rollouts stayed unfinished.
        """
        runner = self.runner
        progresses = [runner.progress(arm, self.questions) for arm in self.arms]
        lasting = runner.lasting(progresses)
        _check_unfinished(runner.log, lasting, sum(progress.used.height for progress in progresses))
        for aside in runner.ledger.set_aside:
            runner.log.warning(f"a ledger segment could not be read and was set aside: {aside}")
        warnings = list(alike(pl.concat([progress.used.select("arm", "stop_reason") for progress in progresses])))
        if estimated := runner.model.counters.estimated:
            warnings.append(
                f"the endpoint did not count the tokens of {estimated} replies: they are estimated from the text, "
                "rather too many than too few, and those that it read are not counted"
            )
        for warning in warnings:
            runner.log.warning(warning)
        scratch = runner.toolbox.workspace.scratch
        table = export(runner.ledger, progresses, to_frame(runner.unfinished, Rollout), scratch)
        self.calls["unfinished"] = StageSummary(unfinished=len(lasting))
        return Outcome(table, progresses, self.planned, self.calls, warnings, runner.rejudged)


def prefilled_by(ledger: Ledger, donors: pl.DataFrame, question_ids: pl.Series) -> Iterator[Prefilled]:
    """The results that the attempts `donors` obtained by their calls, for one question after another.

    Args:
        donors: finished rollouts: rollout_id, question_id, sample_index.
    """
    for start in range(0, len(question_ids), DONOR_QUESTIONS):
        part = question_ids.slice(start, DONOR_QUESTIONS).to_frame("question_id")
        rows = donors.select("rollout_id", "question_id", "sample_index").join(part, on="question_id", how="semi")
        calls = ledger.select(["rollout_id", "tool_calls"], pl.col("rollout_id").is_in(rows["rollout_id"].implode()))
        made = rows.join(calls, on="rollout_id").group_by("question_id").agg("sample_index", "tool_calls")
        made = part.join(made, on="question_id", how="left", maintain_order="left")
        for samples, texts in made.select("sample_index", "tool_calls").iter_rows():
            yield {sample: results_of(text) for sample, text in zip(samples or (), texts or (), strict=True)}


def _check_unfinished(log: logging.Logger, unfinished: list[Rollout], finished: int) -> None:
    """A few rollouts may stay unfinished, and count nowhere; with many a stage would measure our faults."""
    if not unfinished:
        return
    total = len(unfinished) + finished
    by_tool = sum(r.error_class.startswith(ToolInfrastructureError.__name__) for r in unfinished)
    what = (
        f"{len(unfinished)} of {total} rollouts could not be finished ({by_tool} because a tool failed, "
        f"{len(unfinished) - by_tool} because the endpoint did not answer); the first: {unfinished[0].error_class}"
    )
    if len(unfinished) > MAX_UNFINISHED_SHARE * total:
        raise MeasurementError(
            f"{what}\nThis is an infrastructure problem, too large to continue. All finished calls are saved: fix the "
            "cause and run again."
        )
    log.warning(f"{what}\nThey do not count as attempts; the next run tries them again.")


def sentence(planned: Cost) -> str:
    """What an arm needs, in one line."""
    if not planned.at_most:
        return f"{planned.stored} rollouts of {planned.questions} questions are in the ledger, and no more are needed"
    return (
        f"{planned.stored} rollouts of {planned.questions} questions are in the ledger; {planned.needed_now} are "
        f"needed now, about {planned.expected:.0f} in all, {planned.at_most} at most; "
        f"about {planned.tokens:,.0f} tokens ({planned.basis})"
    )
