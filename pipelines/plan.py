"""`touchstone plan`: what a materialization would cost and why, printed before anything is spent."""

import tempfile
from collections.abc import Iterator

import dagster as dg
import fsspec
import polars as pl

from assets.graph import build_assets
from assets.resources import resources
from measurement.plan import Planned, plan
from measurement.toolbox import Toolbox
from records.recipe import Recipe
from records.workspace import Workspace
from reports.terminal import text
from rollouts.ledger.ledger import Ledger
from rollouts.models.roles import Models

FREE = ("sources", "benchmarks", "questions")
"""Groups of assets that cost no model call."""


class PlanError(RuntimeError):
    """The questions could not be read, so that nothing can be planned."""


def _as_read_now(recipe: Recipe, workspace: Workspace, scratch: str) -> Workspace:
    """A workspace in `scratch` with the questions as a run would make them now; the recipe's own is left alone."""
    fresh = Workspace(workspace.recipe_file, scratch)
    assets = [item for item in build_assets(recipe) if not isinstance(item, dg.AssetChecksDefinition)]
    result = dg.materialize(
        assets,
        selection=dg.AssetSelection.groups(*FREE),
        resources=resources(fresh),
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    if not result.success:
        failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
        cause = failures[0].error
        assert cause is not None  # a step that fails says why
        raise PlanError(f"the questions could not be read: {(cause.cause or cause).message.strip()}")
    return fresh


def printed_plan(recipe: Recipe, workspace: Workspace) -> Iterator[str]:
    """The plan, one text at a time.

    Raises:
        PlanError: a source or the search index could not be read.
    """
    where = _where(workspace)  # before the ledger is opened, which makes it
    with tempfile.TemporaryDirectory(prefix="touchstone-plan-") as scratch:
        fresh = _as_read_now(recipe, workspace, scratch)
        with Ledger(workspace.ledger) as ledger:
            planned = list(plan(Toolbox(fresh), ledger, Models(fresh), fresh.tables.read("questions")))
    yield where
    yield "Rollouts (now: certainly needed; expected: average; most: upper bound)"
    yield text(_table(planned))
    if why := _why(planned):
        yield "Why"
        yield text(pl.concat(why))
    bases = [(stage, cost.arm, cost.basis) for stage, cost in planned if cost.at_most]
    if bases:
        yield "Tokens per rollout: where the figure is from"
        yield text(pl.DataFrame(bases, schema=["stage", "arm", "from"], orient="row"))
    held_out = [cost for stage, cost in planned if stage == "base_evaluation"]
    checkpoints = 2 * sum(cost.stored + cost.at_most for cost in held_out)
    yield (
        f"Not in the table: the evaluation of the SFT and RL checkpoints, {checkpoints} rollouts when both are trained "
        "anew and none when neither is. No call was made for this plan."
    )


def _where(workspace: Workspace) -> str:
    """The places that the plan goes by, as they depend on where the command is run."""
    fs, path = fsspec.url_to_fs(workspace.ledger)
    there = ""
    if not (fs.exists(path) and fs.ls(path)):
        there = (
            " There is none yet, so everything would be made anew. If there should be one, run this in the directory "
            "of the earlier run, or set TOUCHSTONE_DATA."
        )
    return f"The data folder is {workspace.data}, the ledger {workspace.ledger}.{there}"


def _table(planned: list[Planned]) -> pl.DataFrame:
    rows = [
        (
            stage,
            cost.arm,
            cost.questions,
            cost.stored,
            cost.needed_now,
            round(cost.expected),
            cost.at_most,
            round(cost.tokens),
        )
        for stage, cost in planned
    ]
    totals = (sum(column) for column in list(zip(*rows, strict=True))[3:])
    columns = ["stage", "arm", "questions", "in the ledger", "now", "expected", "most", "tokens, about"]
    return pl.DataFrame([*rows, ("all", "", None, *totals)], schema=columns, orient="row")


def _why(planned: list[Planned]) -> list[pl.DataFrame]:
    return [
        cost.why.select(
            pl.lit(stage).alias("stage"),
            pl.lit(cost.arm).alias("arm"),
            "reason",
            "questions",
            pl.col("rollouts").round(0).cast(pl.Int64).alias("rollouts, expected"),
        )
        for stage, cost in planned
        if cost.at_most
    ]
