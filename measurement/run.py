"""A rollout stage: its arms over a table of questions, over the ledger, as every rollout stage runs them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import polars as pl

from measurement.arm_runner import ArmPool, ArmRunner, MeasurementError, summary_of
from measurement.arms import Arm, tools_arm
from measurement.cost import Cost, cost
from measurement.donors import Donors
from measurement.endings import alike
from measurement.export import export
from measurement.progress import ArmProgress
from measurement.summary import StageSummary
from measurement.verdicts import Rejudged
from records.faults import ToolInfrastructureError
from records.tables import TableFile, to_frame
from records.trajectory import Rollout
from rollouts.ledger.tally import Tally

MAX_UNFINISHED_SHARE = 0.05
"""Share of rollouts that faults of ours may leave unfinished before a stage fails."""
Then = Callable[["Stage", "ArmPool"], Awaitable[None]]
"""What a stage does beside its arms' missing attempts, in the same pool."""


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
        self.before: dict[str, ArmProgress] = {}
        """How far each arm was before any call was made."""
        self.planned: dict[str, Cost] = {}
        self.under_way: dict[str, asyncio.Task[object]] = {}
        """What makes the missing attempts of each arm."""
        self.tallies: dict[str, Tally] = {}
        self.calls: dict[str, StageSummary] = {}

    def make_missing(self, then: Then | None = None) -> None:
        """Make what is missing of all arms, in one pool, and whatever `then` asks for. Raises MeasurementError as
        `ArmRunner.pooled`."""
        runner = self.runner
        for arm in self.arms:
            self.before[arm.name] = progress = runner.progress(arm, self.questions)
            self.planned[arm.name] = needed = cost(runner.snapshot, progress, self.questions)
            runner.log.info(f"{arm.name}: {sentence(needed)}")
        runner.pooled(partial(self._make_all, then=then))
        self.calls = {name: summary_of(tally) for name, tally in self.tallies.items()}

    async def _make_all(self, pool: ArmPool, then: Then | None) -> None:
        shown = {
            name: Donors(self._progress_of_donors(), self.runner.ledger, under_way=True)
            for name, progress in self.before.items() if progress.arm.form.prefilled == "tool_results"
        }  # fmt: skip

        def ended(question_id: str, sample: int, rollout: Rollout | None) -> None:
            for donors in shown.values():
                donors.ended(question_id, sample, rollout)

        async with asyncio.TaskGroup() as group:
            for name, progress in self.before.items():
                self.tallies[name] = tally = Tally()
                if name in shown:
                    work = self._make_shown(pool, progress, shown[name], tally)
                else:
                    work = pool.make(
                        progress, self.questions, tally, ended if progress.arm.form.executes_calls else None
                    )
                self.under_way[name] = group.create_task(work)
            if then is not None:
                await then(self, pool)

    def _progress_of_donors(self) -> ArmProgress:
        donor = tools_arm(self.runner.toolbox.workspace.recipe)
        return self.before.get(donor.name) or self.runner.progress(donor, self.questions)

    async def _make_shown(self, pool: ArmPool, progress: ArmProgress, donors: Donors, tally: Tally) -> None:
        """Attempts that are shown what others obtained: as these end, and what that left out from the ledger."""
        await pool.make(progress, self.questions, tally, prefilled=donors.of)
        if donors.left_out:
            runner, donor = self.runner, tools_arm(self.runner.toolbox.workspace.recipe)
            runner.forget()
            now, given = [
                await asyncio.to_thread(runner.progress, arm, self.questions) for arm in (progress.arm, donor)
            ]
            stored = Donors(given, runner.ledger, under_way=False)
            await pool.make(now, self.questions, tally, prefilled=stored.of)

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
