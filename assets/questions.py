"""From all sources to one table of questions that are worth asking, each once, and split for good."""

import dagster as dg
import polars as pl

from assets.conservation import conservation_check, decided, ids, rejects_table
from assets.resources import Workspace
from assets.sources import benchmark_name, benchmark_sources, source_keys
from filters.caches.compared_images import Compared
from filters.duplicates.embeddings import Embedder
from filters.questions.curate import STEPS, curate
from filters.rejects import reject_rows
from records.identity import unit_interval
from records.images.store import FACTS_VERSION, ImageFacts
from records.question import TASKS, Question, Reject
from records.recipe import Recipe
from records.tables import schema, stack
from reports import samples as show
from reports.funnel import funnel
from rollouts.prompts.examples import read_examples
from sources.refresh import images_table

STAGE, SOURCE_STAGE = "questions", "source"


def _draw(units: pl.Series, share: float, salt: str) -> pl.Series:
    """True for about `share` of the texts, by their hash."""
    return units.map_elements(lambda unit: unit_interval(unit, salt) < share, return_dtype=pl.Boolean)


def draw_held_out(questions: pl.DataFrame, share: float, salt: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The questions with `split` (held_out for about `share` of them, else curation), and the rejects.

    Each picture is drawn for itself, and a question without one by its id, so that a draw stays when others come and
    go. A question between pictures that were drawn apart is rejected: `picture_on_both_sides`.
    """
    shown = questions.select(unit="pictures").explode("unit").drop_nulls().unique()
    alone = questions.filter(pl.col("pictures").list.len() == 0).select(unit="question_id")
    drawn = pl.concat([shown, alone.unique()])
    drawn = drawn.with_columns(out=_draw(drawn["unit"], share, salt))
    unit = pl.when(pl.col("pictures").list.len() > 0).then("pictures").otherwise(pl.concat_list("question_id"))
    sides = (
        questions.select(unit=unit)
        .with_row_index("row")
        .explode("unit")
        .join(drawn, on="unit", how="left", maintain_order="left")
        .group_by("row", maintain_order=True)
        .agg(any=pl.col("out").any(), all=pl.col("out").all())
    )
    split = pl.when(sides["any"]).then(pl.lit("held_out")).otherwise(pl.lit("curation"))
    apart = sides["any"] != sides["all"]
    detail = "its pictures are also those of questions on both sides of the held-out split"
    lost = reject_rows(questions.filter(apart), STAGE, "picture_on_both_sides", detail, row_id="arrived_as")
    return questions.with_columns(split=split).filter(~apart), lost


def draw_split(questions: pl.DataFrame, share: float, salt: str) -> pl.Series:
    """True for about `share` of the questions; those that are linked by their pictures are drawn together."""
    links = questions.select("pictures").with_row_index("row").explode("pictures").drop_nulls()
    links = links.with_columns(unit="pictures")
    while True:
        joined = links.with_columns(unit=pl.col("unit").min().over("row")).with_columns(
            unit=pl.col("unit").min().over("pictures")
        )
        if joined.equals(links):
            break
        links = joined
    units = (
        questions.select("question_id")
        .with_row_index("row")
        .join(links.unique("row", keep="any").select("row", "unit"), on="row", how="left", maintain_order="left")
    )
    return _draw(units.select(pl.coalesce("unit", "question_id"))["unit"], share, salt)


def on_several_sides(sides: pl.DataFrame) -> pl.DataFrame:
    """The questions and pictures on more than one side. `sides`: columns question_id, pictures and side."""
    units = pl.concat(
        [sides.select("side", unit="question_id"), sides.select("side", unit="pictures").explode("unit").drop_nulls()]
    )
    return units.group_by("unit").agg(sides=pl.col("side").n_unique()).filter(pl.col("sides") > 1)


def benchmark_rows(workspace: Workspace, recipe: Recipe) -> pl.DataFrame:
    """The rows of all evaluation sets, with `benchmark` and `row`: the names the recipe and the set give them."""
    tables = [workspace.tables.read(spec.name) for spec in benchmark_sources(recipe)]
    named = stack([table.select(schema(Question).names()) for table in tables], Question)
    return named.with_columns(benchmark=pl.col("source").str.strip_prefix(benchmark_name("")), row="source_row")


def image_facts(workspace: Workspace, names: list[str]) -> pl.DataFrame:
    """What is known of the images of these sources."""
    there = [name for name in names if workspace.tables.exists(images_table(name))]
    tables = [workspace.tables.read(images_table(name)) for name in there]
    # Of a source that is held back there may be no newer ones.
    current = [table.filter(pl.col("version") == FACTS_VERSION) for table in tables]
    return stack([new if new.height else table for new, table in zip(current, tables, strict=True)], ImageFacts)


def questions_assets(recipe: Recipe) -> list:
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
    def questions(workspace: Workspace, **sources: pl.DataFrame) -> dg.Output[pl.DataFrame]:
        table = pl.concat([_empty(), *(source.select(_empty().columns) for source in sources.values())])
        examples = read_examples(workspace.recipe.examples)
        shown = [example.question for task in TASKS for example in examples.of(task)]
        rules = workspace.recipe.questions
        embed = None
        if rules.duplicates.semantic is not None:
            embed = Embedder(rules.duplicates.semantic, f"{workspace.data}/embeddings").embed
        facts = image_facts(workspace, names + evaluation)
        known = benchmark_rows(workspace, recipe)
        compare = Compared(workspace.tables, workspace.data, workspace.images.get, rules.decontamination)
        curated = curate(table, facts, rules, shown, known, compare, embed)
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
            rejected=show.reject_samples(rejects, table, workspace.images),
            nearest_pairs=show.pairs(curated.pairs, table, workspace.images),
            contamination=show.contamination(curated.hits, table, workspace.images),
            asked_without_choices=kept["original"].is_not_null().sum(),
            guessable=show.counts(kept.filter(pl.col("chance") > 0), "task", "answer_type"),
            by_split=show.counts(kept, "task", "split"),
            samples=show.sample_questions(kept, workspace.images),
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

    return [questions, check, split_disjoint]


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
