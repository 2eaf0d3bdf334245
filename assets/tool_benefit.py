"""Rollouts with tools, and what the tools were good for."""

import dagster as dg
import polars as pl

from assets.rollout_stage import rolled_out, rollout_stage_metadata
from assets.shown import shown
from assets.stage import StageAssets
from filters.benefit import columns, posterior_decisions
from filters.benefit import per_question as measure
from filters.benefit.totals import totals
from measurement.arm_runner import ArmPool
from measurement.arms import compared_arms
from measurement.endings import alike
from measurement.extra_rounds import FORECAST_ROLLOUTS, ExtraRollouts, ExtraRounds
from measurement.prepared_arm import PreparedArm
from measurement.run import Stage
from measurement.toolbox import Toolbox
from records.recipe import BENEFIT_DECISIONS, Recipe, ToolBenefit
from records.tables import TableFile
from records.trajectory import UNREADABLE
from records.workspace import Workspace
from reports.benefit import metadata as benefit_metadata
from reports.markdown import NONE, markdown_table
from rollouts.models.roles import Models
from rollouts.tools import assets_of

FIRST_TOOL = pl.col("tool_calls").str.extract(r'^\[\{"call":\{"name":"((?:[^"\\]|\\.)*)"')
"""The tool that an attempt called first, out of the JSON text of its calls (records.trajectory.ExecutedCall)."""


def tool_rollouts(
    context: dg.AssetExecutionContext,
    workspace: dg.ResourceParam[Workspace],
    models: dg.ResourceParam[Models],
    questions: pl.DataFrame,
    difficulty: pl.DataFrame,
) -> dg.Output[TableFile]:
    compared = compared_arms(workspace.recipe)
    extra: list[ExtraRollouts] = []

    async def further(stage: Stage, pool: ArmPool) -> None:
        extra.append(await ExtraRounds(stage, pool).spend_budget())

    outcome = rolled_out(context, workspace, lambda: models.completer("policy"), difficulty, compared, further)
    decided = questions.filter(pl.col("split") == "curation").height - difficulty.height
    # in the arms that every question is asked in
    spared = decided * sum(arm.rule.samples for arm in compared if arm.form.prefilled != "evidence")
    metadata = rollout_stage_metadata(outcome, {"spared by the difficulty filter": spared})
    metadata |= _extra_metadata(extra[0])
    return dg.Output(outcome.table, metadata=shown(metadata | {"rollouts_spared_by_the_difficulty_filter": spared}))


def _extra_metadata(extra: ExtraRollouts) -> dict[str, object]:
    rounds = markdown_table(pl.DataFrame(extra.rounds)) if extra.rounds else NONE
    return {
        "further_budget": extra.budget,
        "further_spent": extra.spent,
        "further_rounds": rounds,
        f"a_further_{FORECAST_ROLLOUTS}_rollouts": extra.ahead,
    }


@dg.asset(
    group_name="tool_benefit",
    kinds={"polars"},
    code_version="3",  # 1 decided by exact tests, 2 without DOUBT
    description="What tools do for each question: the difference of the pass rates with and without them, with an "
    "interval and the probability that it is a gain or a harm; decisions whose false discovery rate over the table is "
    "bounded; and how much of a gain the habit of calling explains and how much the results. Counted from all stored "
    "attempts, so materialized alone it makes no model call. How: docs/tool-benefit.md.",
)
def tool_benefit(
    workspace: dg.ResourceParam[Workspace], difficulty: pl.DataFrame, tool_rollouts: pl.LazyFrame
) -> dg.Output[pl.DataFrame]:
    settings, seed = workspace.recipe.tool_benefit, workspace.recipe.seed
    finished = tool_rollouts.filter(pl.col("stop_reason") != "unfinished")
    attempts = finished.select(
        "question_id", "arm", "sample_index", "correct", tool=FIRST_TOOL,
        unreadable=pl.col("stop_reason").is_in(UNREADABLE),
    )  # fmt: skip
    starts = {arm.name: arm.first_sample for arm in compared_arms(workspace.recipe)}
    table = measure.per_question(measure.counts(attempts, settings.looks, starts), difficulty, settings, seed)
    totals_by = {by: totals(table, settings.confidence, seed, by) for by in ("task", "tool")}
    found = benefit_metadata(table, totals_by, difficulty, finished, workspace.images, settings)
    return dg.Output(table, metadata=shown(found))


@dg.asset_check(
    asset=tool_benefit,
    description="Every question has an attempt with a verdict in each arm (in `oracle`: where the source has an aid), "
    "and no arm's attempts end nearly all the same way without an answer.",
)
def every_question_measured(workspace: dg.ResourceParam[Workspace], tool_benefit: pl.DataFrame) -> dg.AssetCheckResult:
    asked = workspace.tables.read("difficulty")
    judged = workspace.tables.scan("tool_rollouts").filter(pl.col("correct").is_not_null())
    pairs = judged.select("question_id", "arm").unique().collect(engine="streaming")
    toolbox = Toolbox(workspace)
    missing = {
        f"questions_without_an_attempt_in_{arm.name}": PreparedArm(arm, toolbox)
        .askable(asked)
        .join(pairs.filter(pl.col("arm") == arm.name), on="question_id", how="anti")
        .height
        for arm in compared_arms(workspace.recipe)
    }
    unmeasured = asked.join(tool_benefit, on="question_id", how="anti").height
    warnings = list(alike(workspace.tables.scan("tool_rollouts").select("arm", "stop_reason").collect()))
    return dg.AssetCheckResult(
        passed=not any(missing.values()) and not warnings,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={**missing, "questions_not_measured": unmeasured}
        | ({"arms_that_end_alike": warnings} if warnings else {}),
    )


@dg.asset_check(
    asset=tool_benefit,
    blocking=True,
    description="Each question stands once, with one decision that its numbers bear out, whichever way attempts count "
    "that could not be read, and gain - harm = benefit.",
)
def benefit_adds_up(workspace: dg.ResourceParam[Workspace], tool_benefit: pl.DataFrame) -> dg.AssetCheckResult:
    return adds_up(tool_benefit, workspace.recipe)


def adds_up(table: pl.DataFrame, recipe: Recipe) -> dg.AssetCheckResult:
    """What must be true of any table of tool benefits; metadata counts the rows (or totals) for which it is not."""
    decided = {name: pl.col("decision") == name for name in BENEFIT_DECISIONS}
    wrong = table.select(
        questions_twice=pl.len() - pl.col("question_id").n_unique(),
        without_a_decision=(pl.sum_horizontal(decided.values()).fill_null(0) != 1).sum(),
        decided_beyond_the_level=_beyond(recipe.tool_benefit, decided),
        more_right_than_attempts=pl.any_horizontal(
            pl.col(right(arm)) > pl.col(attempts(arm))
            for arm in columns.ARMS
            for right, attempts in (
                (columns.right, columns.attempts),
                (columns.first_right, columns.first_attempts),
            )
        ).sum(),
        more_unreadable_than_made=pl.any_horizontal(
            (pl.col(columns.silent(arm)) > pl.col(columns.attempts(arm)))
            | (pl.col(columns.lost(arm)) > pl.col(columns.samples(arm)) - pl.col(columns.attempts(arm)))
            for arm in columns.COMPARED
        ).sum(),
        decided_by_unreadable_attempts=(
            (pl.col("decision") != "open")
            & (pl.col(columns.counted_wrong("decision")) != pl.col(columns.left_out("decision")))
        ).sum(),
        interval_upside_down=(pl.col("benefit_low") > pl.col("benefit_high")).sum(),
    ).row(0, named=True)
    total = totals(table, recipe.tool_benefit.confidence, recipe.seed)
    apart = (pl.col("gain") - pl.col("harm") - pl.col("benefit")).abs() > 1e-9
    wrong["gain_less_harm_is_not_benefit"] = total.filter(apart).height
    counted = int(total.filter(pl.col("task") != "all")["questions"].sum())
    whole = int(total.filter(pl.col("task") == "all")["questions"].sum())
    wrong["questions_lost_between_tasks"] = whole - counted
    return dg.AssetCheckResult(passed=not any(wrong.values()), metadata=wrong)


def _beyond(settings: ToolBenefit, decided: dict[str, pl.Expr]) -> pl.Expr:
    """How many questions the rule in force would not have decided so: by their own error, or by that of all of a kind,
    unless each passes its exact test."""
    error, level = posterior_decisions.error(), settings.false_discovery_rate
    beyond = {name: decided[name] & (pl.col(columns.q_value(name)) > level) for name in ("gain", "harm")}
    if settings.decide_by == "exact":
        return pl.sum_horizontal(rows.sum() for rows in beyond.values())
    on_average = [
        pl.when(error.filter(decided[name]).mean() > level).then(beyond.get(name, decided[name]).sum()).otherwise(0)
        for name in ("gain", "harm", "none")
    ]
    return pl.sum_horizontal((error > settings.most_error).sum(), *on_average)


def stage(recipe: Recipe) -> StageAssets:
    """The assets and checks of this stage; what uses tools depends on what they are built from."""
    built_from = assets_of(recipe)
    rollouts = dg.asset(
        group_name="tool_benefit",
        kinds={"vllm"},
        deps=built_from,
        description="The policy's attempts at the questions that passed the difficulty filter, in several arms that "
        "differ in the tools alone: with them, without, and the recipe's controls (calls whose results are withheld; "
        "the results that the attempts with tools obtained, shown without a call; the source's evidence). The direct "
        "attempts are new ones: those that the difficulty filter chose by would make any tool look good. Extra "
        "rollouts go to the questions that are still open.",
    )(tool_rollouts)
    return StageAssets([rollouts, tool_benefit, every_question_measured, benefit_adds_up])
