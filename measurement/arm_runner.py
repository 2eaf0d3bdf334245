"""One model over one open ledger: how far arms are, and the making of what they lack in one pool of attempts."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

import polars as pl

from measurement.arms import COMPARED, Arm
from measurement.prepared_arm import PreparedArm
from measurement.progress import ArmProgress, LedgerSnapshot, arm_progress, open_questions
from measurement.summary import StageSummary
from measurement.toolbox import Toolbox
from measurement.verdicts import Rejudged
from records.trajectory import Rollout
from rollouts.ledger.ledger import Ledger
from rollouts.ledger.outcomes import Outcomes
from rollouts.ledger.tally import Tally
from rollouts.models.contract import ModelOutage
from rollouts.models.endpoint import Endpoint
from rollouts.pool import Pool
from rollouts.redraws import REDRAW
from rollouts.waves import Ended, Prefilled, Waves, first_of

T = TypeVar("T")


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

    @property
    def snapshot(self) -> LedgerSnapshot:
        """What the ledger holds, what this runner has made included."""
        if (snapshot := self._snapshot) is None:  # another thread may forget it meanwhile
            self.ledger.flush()
            snapshot = self._snapshot = LedgerSnapshot(self.ledger, self._note)
        return snapshot

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

    def forget(self) -> None:
        """The next reading of the ledger holds what was made since the last."""
        self._snapshot = None

    def pooled(self, work: Callable[["ArmPool"], Awaitable[T]]) -> T:
        """What `work` returns, which makes attempts in one pool of this model and this ledger.

        Raises:
            MeasurementError: the model is unreachable.
        """
        try:
            return asyncio.run(self._pooled(work))
        finally:
            self.ledger.flush()
            self.forget()

    async def _pooled(self, work: Callable[["ArmPool"], Awaitable[T]]) -> T:
        pool = Pool(self.model, self.ledger, self.model.concurrency, self.log.info)
        try:
            async with pool:
                return await work(ArmPool(self, pool))
        except Exception as error:
            cause = first_of(error)
            if not isinstance(cause, ModelOutage):
                raise cause from None
            raise MeasurementError(
                f"{', '.join(pool.progress.unfinished())}: no call gets through to the model: {cause}\n"
                "All finished calls are saved: run the same command to resume."
            ) from cause
        finally:
            await self.model.aclose()


class ArmPool:
    """Arms whose missing attempts are made in one pool."""

    def __init__(self, runner: ArmRunner, pool: Pool) -> None:
        self.runner, self._pool = runner, pool
        self._order = int.from_bytes(os.urandom(4))

    async def make(
        self,
        progress: ArmProgress,
        questions: pl.DataFrame,
        tally: Tally,
        ended: Ended | None = None,
        prefilled: Callable[[pl.Series, int], Iterator[Prefilled]] | None = None,
    ) -> list[Rollout]:
        """Make what is missing of an arm; returns the rollouts that stayed unfinished.

        Args:
            tally: counts the calls.
            ended: is told of each sample that is through.
            prefilled: gives what the prompts of a form that shows other attempts' results show.

        Raises:
            ModelOutage: the model is unreachable.
        """
        if progress.open.is_empty():
            return []
        arm = progress.arm
        self.runner.ledger.reopen(progress.former_settings)
        waves = Waves(
            progress.prepared.prompt, arm.rule.waves, arm.rule.is_open, self._pool, arm.name, arm.first_sample,
            turn_of(arm), ended,
        )  # fmt: skip
        todo = open_questions(progress, questions, self._order, prefilled)
        with tally.counting():
            unfinished = await waves.roll_out(todo, progress.open.height)
        self.runner.unfinished += unfinished
        self.runner.forget()
        return unfinished


def turn_of(arm: Arm) -> int:
    """The turn of an arm's attempts in a pool: those that others wait for or that decide come first, and among the
    controls those of several turns, so that the last ones under way are short."""
    if arm.form.executes_calls:
        return 0
    if arm.name in COMPARED:
        return 1
    return 2 if arm.form.offers_calls else 3


def summary_of(tally: Tally) -> StageSummary:
    """The calls of a tally; redraws, which are counted beside them, are left out."""
    made, read = (
        {kind: count for kind, count in counts.items() if kind != REDRAW} for counts in (tally.made, tally.reused)
    )
    return StageSummary(calls_made=made, calls_from_the_ledger=read)
