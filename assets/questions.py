"""The table of all questions that are worth asking: each once, from all sources, and split for good."""

from functools import partial

import dagster as dg
import polars as pl

from assets.conservation import conservation_check, decided, ids
from assets.sources import benchmark_name, benchmark_sources, source_keys
from assets.stage import StageAssets
from filters.caches.compared_images import ComparisonCache
from filters.duplicates.embeddings import Embedder
from filters.questions.curate import STEPS, EvaluationSets, Prompts, curate
from filters.questions.splits import STAGE, draw_held_out, on_several_sides
from records.control_tokens import OF_ALL_FAMILIES, ControlTokens, control_tokens
from records.images.store import FACTS_VERSION, ImageFacts
from records.question import TASKS, Question, Reject
from records.recipe import Recipe
from records.tables import completed, schema, stack
from records.workspace import Workspace, rejects_table
from reports.funnel import funnel
from reports.markdown import counts
from reports.samples import contamination, pairs, reject_samples, sample_questions
from rollouts.models.roles import Models
from rollouts.models.weights import WeightsError
from rollouts.prompts.examples import read_examples
from sources.refresh import images_table

SOURCE_STAGE = "source"


def benchmark_rows(workspace: Workspace, recipe: Recipe) -> pl.DataFrame:
    """The rows of all evaluation sets, with `benchmark` and `row`: the names the recipe and the set give them."""
    tables = [workspace.tables.read(spec.name) for spec in benchmark_sources(recipe)]
    named = stack([completed(table, Question).select(schema(Question).names()) for table in tables], Question)
    return named.with_columns(benchmark=pl.col("source").str.strip_prefix(benchmark_name("")), row="source_row")


def image_facts(workspace: Workspace, names: list[str]) -> pl.DataFrame:
    """What is known of the images of these sources."""
    there = [name for name in names if workspace.tables.exists(images_table(name))]
    tables = [workspace.tables.read(images_table(name)) for name in there]
    # Of a source that is held back there may be no newer ones.
    current = [table.filter(pl.col("version") == FACTS_VERSION) for table in tables]
    return stack([new if new.height else table for new, table in zip(current, tables, strict=True)], ImageFacts)


def policy_tokens(workspace: Workspace, models: Models) -> ControlTokens:
    """The control tokens of the policy's tokenizer; of all families for a policy that is a URL, or whose weights cannot
    be had, which the first rollout says."""
    if workspace.recipe.models.role("policy").weights is None:
        return OF_ALL_FAMILIES
    try:
        return control_tokens(models.files("policy").path)
    except WeightsError:
        return OF_ALL_FAMILIES


def _prompts(workspace: Workspace, models: Models) -> Prompts:
    examples = read_examples(workspace.recipe.examples)
    shown = [example.question for task in TASKS for example in examples.of(task)]
    return Prompts(shown, partial(policy_tokens, workspace, models))


def stage(recipe: Recipe) -> StageAssets:
    names = [source.name for source in recipe.sources]
    evaluation = [spec.name for spec in benchmark_sources(recipe)]

    @dg.asset(
        group_name="questions",
        kinds={"polars"},
        ins={name: dg.AssetIn(key) for name, key in zip(names, source_keys(recipe), strict=True)},
        deps=evaluation,
        description="The questions of all sources that are worth asking: answers that can be checked, wording that has "
        "one answer, images that are there, each question once, and none out of an evaluation set. Where a "
        "multiple-choice question needs no choices it is asked without them (`original` keeps it). `chance` is how "
        "often the best guess is right. `split` says which are held out for the evaluation and never rolled out for "
        "curation; it goes by the picture (or the question), so that no picture is on both sides.",
    )
    def questions(
        workspace: dg.ResourceParam[Workspace], models: dg.ResourceParam[Models], **sources: pl.DataFrame
    ) -> dg.Output[pl.DataFrame]:
        table = pl.concat([_empty(), *(source.select(_empty().columns) for source in sources.values())])
        rules = workspace.recipe.questions
        embed = None
        if rules.duplicates.semantic is not None:
            embed = Embedder(rules.duplicates.semantic, f"{workspace.data}/embeddings").embed
        facts = image_facts(workspace, names + evaluation)
        known = benchmark_rows(workspace, recipe)
        compare = ComparisonCache(workspace.tables, workspace.data, workspace.images.get, rules.decontamination)
        curated = curate(table, facts, rules, _prompts(workspace, models), EvaluationSets(known, compare), embed)
        kept, apart = draw_held_out(curated.kept, recipe.split.held_out, recipe.split.salt)
        rejects = pl.concat([curated.rejects, apart])
        at_sources = stack([workspace.tables.read(rejects_table(name)) for name in names], Reject)
        return decided(
            workspace,
            STAGE,
            table.height,
            kept,
            rejects,
            funnel=funnel(_steps(names, table, at_sources, rejects)),
            rejected=reject_samples(rejects, table, workspace.images),
            nearest_pairs=pairs(curated.pairs, table, workspace.images),
            contamination=contamination(curated.hits, table, workspace.images),
            asked_without_choices=kept["original"].is_not_null().sum(),
            guessable=counts(kept.filter(pl.col("chance") > 0), "task", "answer_type"),
            by_split=counts(kept, "task", "split"),
            samples=sample_questions(kept, workspace.images),
        )

    check = conservation_check(
        "questions",
        STAGE,
        lambda w: [i for name in names for i in ids(w, name)],
        id_column="arrived_as",
    )

    @dg.asset_check(asset=questions, blocking=True, description="No question and no picture is on both sides.")
    def split_disjoint(questions: pl.DataFrame) -> dg.AssetCheckResult:
        straddling = on_several_sides(questions.select("question_id", "pictures", side="split"))
        return dg.AssetCheckResult(passed=straddling.is_empty(), metadata={"on_both_sides": straddling.height})

    return StageAssets([questions, check, split_disjoint], {STAGE: "questions"})


def _empty() -> pl.DataFrame:
    return pl.DataFrame(schema={**schema(Question), "first_seen": pl.Int64})


def _steps(names: list[str], table: pl.DataFrame, at_sources: pl.DataFrame, rejects: pl.DataFrame) -> pl.DataFrame:
    """What came in from each source, and what each step rejected for which reason: source, step, reason, rows."""
    order = pl.Enum([SOURCE_STAGE, *STEPS, STAGE])
    came = pl.concat([table.select("source"), at_sources.select("source")])
    lost = pl.concat([at_sources, rejects]).group_by("source", "stage", "reason").len("rows")
    known = pl.DataFrame({"source": names}).join(came.group_by("source").len("rows"), on="source", how="left")
    steps = pl.concat(
        [
            known.select("source", stage=pl.lit(SOURCE_STAGE), reason=pl.lit(""), rows=pl.col("rows").fill_null(0)),
            lost.select("source", "stage", "reason", "rows"),
        ],
        how="vertical_relaxed",
    )
    places = pl.col("source").replace_strict(names, range(len(names)), return_dtype=pl.Int64)
    return steps.sort(pl.col("stage").cast(order), places, pl.col("rows"), descending=[False, False, True]).select(
        "source", "reason", step="stage", rows=pl.col("rows").cast(pl.Int64)
    )
