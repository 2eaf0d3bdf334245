"""Direct rollouts, and the questions they find moderately difficult."""

import dagster as dg
import polars as pl

from assets import show
from assets.resources import Models, Workspace
from assets.rolling import direct_tools, roll
from assets.stage import conservation_check, decided
from filters import difficulty as rule


@dg.asset(
    group_name="difficulty",
    kinds={"vllm"},
    description="The policy model's attempts at every curation question without tools, with their verdicts. Sampled in "
    "waves that stop as soon as the keep-band's decision is certain. Every finished call is in the ledger: a run that "
    "was killed goes on where it stopped, and a run with nothing new makes no call.",
)
def direct_rollouts(
    context: dg.AssetExecutionContext, workspace: Workspace, models: Models, questions: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    settings = workspace.recipe.difficulty
    curation = questions.filter(pl.col("split") == "curation")
    rollouts, metadata = roll(
        context,
        workspace,
        models.completer("policy"),
        curation,
        arm="direct",
        tools_of=direct_tools,
        sampling=settings.sampling,
        waves=settings.waves or [settings.samples],
        is_open=lambda attempts, right: rule.undecided(attempts, right, settings.samples, settings.keep),
    )
    saved = curation.height * settings.samples - rollouts.height
    return dg.Output(rollouts, metadata={**metadata, "rollouts_saved_by_stopping_early": saved})


@dg.asset(
    group_name="difficulty",
    kinds={"polars"},
    description="Questions that the policy answers right, without tools, in a number of attempts within the recipe's "
    "keep-band. Counts are kept, the band is applied to them: changing it makes no model call.",
)
def difficulty(workspace: Workspace, questions: pl.DataFrame, direct_rollouts: pl.DataFrame) -> dg.Output[pl.DataFrame]:
    settings = workspace.recipe.difficulty
    curation = questions.filter(pl.col("split") == "curation")
    kept, rejects = rule.apply(curation, direct_rollouts, settings.samples, settings.keep)
    counted = rule.count_attempts(direct_rollouts)
    return decided(
        workspace,
        rule.STAGE,
        curation.height,
        kept,
        rejects,
        pass_rates=show.pass_rates(counted["right"], counted["attempts"], "questions by direct pass rate"),
        samples=show.sample_questions(kept, workspace.images, ["direct_right", "direct_attempts"]),
    )


def _curation_ids(workspace: Workspace) -> list[str]:
    return list(workspace.tables.read("questions").filter(pl.col("split") == "curation")["question_id"])


difficulty_assets = [direct_rollouts, difficulty, conservation_check("difficulty", rule.STAGE, _curation_ids)]
