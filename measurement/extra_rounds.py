"""Extra rollouts for the questions that the first ones leave open, in rounds, up to the recipe's budget.

Two rounds are under way at a time: a round is planned with all that came before the one under way, and while that one
runs. So the model is never without work between rounds, and no plan depends on which attempt happened to finish first.
Attempts in the control arms fill the places that the first samples and the first rounds leave free.

Plans are kept in the ledger, like calls: a run that was killed continues with the same ones, and one with nothing new
plans nothing. What was stored beyond the first samples when the first plan was made has been spent.
"""

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import polars as pl

from filters.benefit.columns import COMPARED
from filters.benefit.per_question import counts, per_question
from filters.benefit.planner import forecast, next_round
from measurement.arm_runner import ArmPool, summary_of
from measurement.arms import Arm
from measurement.budget import attempts_of, spent_on
from measurement.run import Stage
from measurement.summary import StageSummary
from records.identity import content_hash
from records.recipe import BENEFIT_DECISIONS
from rollouts.ledger.ledger import Make
from rollouts.ledger.tally import Tally

MIN_ROUNDS = 4
"""A round takes at most this part of the budget: a later one is planned with what it brought."""
FORECAST_ROLLOUTS = 1000
"""The further rollouts whose effect is forecast."""
PLANNED_FOR = (*COMPARED, "call_only")
"""The arms that extra rollouts are made in."""
WANTED = pl.Schema({"question_id": pl.String, "arm": pl.String, "wanted": pl.Int64})
"""How many samples a question has, or is to have, in an arm."""


@dataclass
class ExtraRollouts:
    """What became of the extra rollouts."""

    budget: int
    spent: int
    ahead: dict[str, float]
    """What FORECAST_ROLLOUTS more would settle (filters.benefit.planner.forecast)."""
    rounds: list[dict[str, int]] = field(default_factory=list)
    """What each round asked and decided, of those that asked for anything."""
    calls: StageSummary = field(default_factory=StageSummary)


class Round(NamedTuple):
    """A round that is under way."""

    plan: pl.DataFrame
    """WANTED."""
    made: "asyncio.Task[int]"
    """Gives the number of rollouts that it made."""


class ExtraRounds:
    """The rounds of one stage.

    Args:
        stage: the compared arms, whose first samples are being made.
        pool: where they are made.
    """

    def __init__(self, stage: Stage, pool: ArmPool) -> None:
        self._stage, self._pool, self._runner = stage, pool, stage.runner
        recipe = stage.runner.toolbox.workspace.recipe
        self._settings, self._seed = recipe.tool_benefit, recipe.seed
        self._arms = {arm.name: arm for arm in stage.arms if arm.name in PLANNED_FOR}
        self._budget = round(self._settings.further * stage.questions.height)
        self._blocked: set[str] = set()
        """Questions with a sample that could not be finished: another plan would only want it again."""
        self._rounds: list[dict[str, int]] = []
        self._tally = Tally()

    async def spend_budget(self) -> ExtraRollouts:
        """Make extra rollouts where the planner wants them, until the budget is spent or nothing that is left pays.

        Raises:
            ModelOutage: the model is unreachable.
        """
        if self._budget:
            await self._make_rounds()
        for name in self._arms:
            await self._stage.under_way[name]
        attempts, counted = await asyncio.to_thread(self._known, None)
        spent = spent_on(attempts, self._settings)
        ahead = await asyncio.to_thread(
            forecast, counted, self._stage.questions, self._settings, self._seed, FORECAST_ROLLOUTS
        )
        self._runner.log.info(
            f"{ahead['open']} questions are open; of a further {FORECAST_ROLLOUTS} rollouts {ahead['rollouts']} would "
            f"be used, and settle about {ahead['settled']} of them"
        )
        self._stage.tallies["further"] = self._tally
        return ExtraRollouts(self._budget, spent, ahead, self._rounds, summary_of(self._tally))

    async def _make_rounds(self) -> None:
        before = await self._before()
        first = [self._first(name, before) for name in COMPARED]
        reached, left = pl.concat(first), self._budget - self._beyond(before)
        for name in COMPARED:
            await self._stage.under_way[name]
        controls = [name for name in self._arms if name not in COMPARED]
        under_way, number = deque[Round](), 0
        async with asyncio.TaskGroup() as group:
            while under_way or controls or left > 0:
                plan = await self._plan(number, reached, under_way, left)
                number, left = number + 1, left - _missing(plan, reached)
                if plan.height:
                    under_way.append(Round(plan, group.create_task(self._make(plan))))
                elif not under_way and not controls:
                    break
                if plan.height and len(under_way) == 1:
                    continue
                if under_way:
                    plan, made = under_way.popleft()
                    reached = _furthest(reached, plan)
                    if rollouts := await made:
                        await self._note(plan, rollouts, reached, left)
                for name in controls:
                    await self._stage.under_way[name]
                    reached = _furthest(reached, self._first(name, before))
                controls = []

    # ---- plans

    async def _before(self) -> pl.DataFrame:
        """WANTED: what was stored beyond the first samples when the first plan was made."""

        async def make() -> dict[str, Any]:
            stored = [self._stage.before[name].used.select("question_id", "arm", "sample_index") for name in self._arms]
            further = pl.concat(stored).filter(pl.col("sample_index") >= self._settings.samples)
            reached = further.group_by("question_id", "arm").agg(wanted=pl.col("sample_index").max() + 1)
            return _packed(reached)

        return _unpacked(await self._kept("before", make))

    async def _plan(self, number: int, reached: pl.DataFrame, under_way: Sequence[Round], left: int) -> pl.DataFrame:
        """WANTED: the plan of a round.

        Args:
            number: of the plan, from 0.
            reached: how many samples the plan may know of.
            under_way: the rounds that are being made.
            left: rollouts that are neither made nor planned.
        """

        async def make() -> dict[str, Any]:
            busy = {question_id for plan, _ in under_way for question_id in plan["question_id"]} | self._blocked
            return _packed(await asyncio.to_thread(self._next, reached, busy, left))

        return _unpacked(await self._kept(number, make)) if left > 0 else WANTED.to_frame()

    async def _kept(self, what: str | int, make: Make) -> dict[str, Any]:
        """A plan, from the ledger where it is there."""
        return await self._runner.ledger.once(self._chain, "plan", content_hash([self._chain, what]), make)

    @cached_property
    def _chain(self) -> str:
        """The identity of the series of plans: what all of them follow from, but for what the attempts come to."""
        progresses = [self._stage.before[name] for name in self._arms]
        settings = [progress.settings["setting"].to_list() for progress in progresses]
        questions = self._stage.questions["question_id"].to_list()
        return "plans-" + content_hash([settings, questions, self._settings.model_dump(mode="json"), self._seed])

    def _next(self, reached: pl.DataFrame, busy: set[str], left: int) -> pl.DataFrame:
        counted, size = self._known(reached)[1], math.ceil(self._budget / MIN_ROUNDS)
        questions = self._stage.questions.with_columns(busy=pl.col("question_id").is_in(list(busy)))
        return next_round(counted, questions, self._settings, self._seed, left, size)

    def _known(self, reached: pl.DataFrame | None) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The attempts up to the samples in `reached` (all if None), and their counts."""
        self._runner.forget()
        attempts = attempts_of([self._runner.progress(arm, self._stage.questions) for arm in self._arms.values()])
        if reached is not None:
            placed = attempts.join(reached, on=["question_id", "arm"], maintain_order="left")
            attempts = placed.filter(pl.col("sample_index") < pl.col("wanted")).drop("wanted")
        return attempts, counts(attempts, self._settings.looks)

    def _first(self, arm: str, before: pl.DataFrame) -> pl.DataFrame:
        """WANTED: the first samples of an arm, with what was there before."""
        ids = self._stage.before[arm].questions.select("question_id")
        first = ids.with_columns(arm=pl.lit(arm), wanted=pl.lit(self._settings.samples, pl.Int64))
        return _furthest(first, before.filter(pl.col("arm") == arm))

    def _beyond(self, before: pl.DataFrame) -> int:
        return int((before["wanted"] - self._settings.samples).sum())

    # ---- rounds

    async def _make(self, plan: pl.DataFrame) -> int:
        """Make what a plan wants and is not there; returns how many rollouts that were."""
        async with asyncio.TaskGroup() as group:
            made = [
                group.create_task(self._make_arm(arm, plan.filter(pl.col("arm") == name)))
                for name, arm in self._arms.items()
            ]
        return sum(task.result() for task in made)

    async def _make_arm(self, arm: Arm, plan: pl.DataFrame) -> int:
        if plan.is_empty():
            return 0
        wanted = plan.select("question_id", "wanted")
        chosen = self._stage.questions.join(wanted, on="question_id", maintain_order="left")
        progress = await asyncio.to_thread(self._runner.progress, arm, chosen)
        unfinished = await self._pool.make(progress, chosen, self._tally)
        self._blocked |= {rollout.question_id for rollout in unfinished}
        return int(progress.open["missing"].sum()) - len(unfinished)

    async def _note(self, plan: pl.DataFrame, rollouts: int, reached: pl.DataFrame, left: int) -> None:
        """Keep and say what a round came to."""
        counted = (await asyncio.to_thread(self._known, reached))[1]
        table = await asyncio.to_thread(per_question, counted, self._stage.questions, self._settings, self._seed)
        decided = {decision: int((table["decision"] == decision).sum()) for decision in BENEFIT_DECISIONS}
        self._rounds.append({"questions": plan["question_id"].n_unique(), "rollouts": rollouts, **decided})
        spoken = ", ".join(f"{count} {decision}" for decision, count in decided.items())
        self._runner.log.info(
            f"extra rollouts: round {len(self._rounds)}: {rollouts} rollouts of {self._rounds[-1]['questions']} "
            f"questions; now {spoken}; {left} of {self._budget} rollouts are not planned yet"
        )


def _missing(plan: pl.DataFrame, reached: pl.DataFrame) -> int:
    """The samples that a plan wants beyond those that are reached."""
    placed = plan.join(reached, on=["question_id", "arm"], how="left", suffix="_before")
    return int((pl.Series(placed["wanted"]) - placed["wanted_before"].fill_null(0)).clip(0).sum())


def _furthest(*reached: pl.DataFrame) -> pl.DataFrame:
    """WANTED: the most of each question in each arm."""
    table = pl.concat([part.select(WANTED.names()).cast(WANTED) for part in reached])
    return table.group_by("question_id", "arm").agg(pl.col("wanted").max()).sort("question_id", "arm")


def _packed(plan: pl.DataFrame) -> dict[str, Any]:
    """A plan as the ledger keeps it: the ids of the questions, by arm and number of samples."""
    parts = plan.sort("arm", "wanted", "question_id").group_by("arm", "wanted", maintain_order=True)
    packed: dict[str, Any] = {}
    for (arm, wanted), part in parts:
        packed.setdefault(str(arm), {})[str(wanted)] = part["question_id"].to_list()
    return packed


def _unpacked(packed: dict[str, Any]) -> pl.DataFrame:
    """WANTED of what the ledger keeps."""
    rows = [(question, arm, int(n)) for arm, of in packed.items() for n, ids in of.items() for question in ids]
    return pl.DataFrame(rows, schema=WANTED, orient="row").sort("question_id", "arm")
