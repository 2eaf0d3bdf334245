"""Direct rollouts, and the questions they find moderately difficult."""

import dagster as dg
import polars as pl

from assets.conservation import conservation_check, decided
from assets.rollout_stage import rolled_out, rollout_stage_metadata
from assets.shown import shown
from assets.stage import StageAssets
from filters.difficulty import band as rule
from filters.difficulty.progress import progress
from measurement.arms import direct_arm
from records.recipe import Recipe
from records.tables import TableFile
from records.workspace import Workspace
from reports.markdown import counts
from reports.samples import pass_rates, sample_questions
from rollouts.models.roles import Models


@dg.asset(
    group_name="difficulty",
    kinds={"vllm"},
    description="The policy model's attempts at every curation question without tools, with their verdicts. Sampled in "
    "waves that stop as soon as the keep-band's decision is certain. Every finished call is in the ledger: a run that "
    "was killed goes on where it stopped, and a run with nothing new makes no call.",
)
def direct_rollouts(
    context: dg.AssetExecutionContext,
    workspace: dg.ResourceParam[Workspace],
    models: dg.ResourceParam[Models],
    questions: pl.DataFrame,
) -> dg.Output[TableFile]:
    arm = direct_arm(workspace.recipe)
    curation = questions.filter(pl.col("split") == "curation")
    outcome = rolled_out(context, workspace, lambda: models.completer("policy"), curation, [arm])
    (progress_of_arm,) = outcome.progresses
    fixed = curation.height * arm.rule.samples
    saved = fixed - progress_of_arm.used.height
    stopped = progress_of_arm.questions.with_columns(pl.col("stop_reason").fill_null("open"))
    return dg.Output(
        outcome.table,
        metadata=shown(
            {
                **rollout_stage_metadata(outcome, {"saved by stopping early": saved}),
                "rollouts_saved_by_stopping_early": saved,
                "rollouts_of_a_fixed_sample_size": fixed,
                "by_reason_to_stop": counts(stopped, "task", "stop_reason"),
            }
        ),
    )


@dg.asset(
    group_name="difficulty",
    kinds={"polars"},
    description="Questions that the policy answers right, without tools, in a number of attempts within the recipe's "
    "keep-band. Counts are kept and the band is applied to them: materialized alone it makes no model call. Pass rates "
    "are estimated without bias although sampling stopped early.",
)
def difficulty(
    context: dg.AssetExecutionContext,
    workspace: dg.ResourceParam[Workspace],
    questions: pl.DataFrame,
    direct_rollouts: pl.LazyFrame,
) -> dg.Output[pl.DataFrame]:
    stopping = rule.rule_of(workspace.recipe.difficulty)
    curation = questions.filter(pl.col("split") == "curation")
    finished = direct_rollouts.filter(pl.col("stop_reason") != "unfinished")
    attempts = finished.select("question_id", "arm", "sample_index", "correct").collect()
    attempted = direct_rollouts.select(pl.col("question_id").unique()).collect()["question_id"]
    kept, rejects = rule.apply(curation, attempts, stopping, attempted)
    later = rejects.filter(pl.col("reason") == rule.NOT_ATTEMPTED).height
    if later:
        context.log.warning(
            f"{later} questions came after direct_rollouts was made, because the table questions was replaced since "
            "then, perhaps by another run. They are rejected as not_attempted; materialize direct_rollouts, or run "
            "everything again, to attempt them."
        )
    rates = progress(attempts, stopping)["pass_rate"]
    return decided(
        workspace,
        rule.STAGE,
        curation.height,
        kept,
        rejects,
        pass_rates=pass_rates(rates, "questions by direct pass rate (unbiased under the stopping rule)"),
        mean_pass_rate=rates.mean(),
        samples=sample_questions(kept, workspace.images, ["direct_right", "direct_attempts"]),
    )


def _curation_ids(workspace: Workspace) -> list[str]:
    return list(workspace.tables.read("questions").filter(pl.col("split") == "curation")["question_id"])


def stage(recipe: Recipe) -> StageAssets:
    """The assets and checks of this stage."""
    check = conservation_check("difficulty", rule.STAGE, _curation_ids)
    return StageAssets([direct_rollouts, difficulty, check], {rule.STAGE: "difficulty"})
