"""What came out, as short tables for a terminal."""

from collections.abc import Iterator, Sequence

import polars as pl

from filters.benefit.totals import totals
from filters.difficulty.band import rule_of
from filters.difficulty.progress import progress
from records.recipe import BENEFIT_DECISIONS
from records.tables import TableStore
from records.workspace import Workspace


def text(frame: pl.DataFrame) -> str:
    """A table for a terminal."""
    with pl.Config(
        tbl_rows=-1, tbl_cols=-1, tbl_width_chars=160, fmt_str_lengths=100, tbl_hide_column_data_types=True,
        tbl_hide_dataframe_shape=True, tbl_formatting="ASCII_MARKDOWN", float_precision=2,
    ):  # fmt: skip
        return str(frame)


def _funnel(tables: TableStore, sources: list[str]) -> pl.DataFrame:
    """Questions per source at each stage."""
    rows = [(name, tables.read(name).height + tables.read(f"rejects/{name}").height) for name in sources]
    raw = pl.DataFrame(rows, schema=["source", "raw rows"], orient="row")
    questions = tables.read("questions")
    stages = {
        "questions": questions,
        "held out": questions.filter(pl.col("split") == "held_out"),
        "moderate": tables.read("difficulty"),
        "rl": tables.read("rl_questions"),
        "cold start": tables.read("cold_start_questions"),
    }
    for name, frame in stages.items():
        raw = raw.join(frame.group_by("source").len(name), on="source", how="left")
    return raw.fill_null(0)


def _pass_rates(workspace: Workspace, benefits: pl.DataFrame) -> pl.DataFrame:
    """Per task: the direct arm over all curation questions, then the arms over those rolled out with tools."""
    tables = workspace.tables
    tasks = tables.read("questions").select("question_id", "task")
    finished = tables.scan("direct_rollouts").filter(pl.col("stop_reason") != "unfinished")
    attempts = finished.select("question_id", "sample_index", "correct").collect()
    direct = progress(attempts, rule_of(workspace.recipe.difficulty)).join(tasks, on="question_id")
    # sampling stopped when a decision was certain: right / attempts would be biased, these estimates are not
    measures = [pl.len().alias("asked"), pl.col("pass_rate").mean().alias("direct, all")]
    rates = direct.group_by("task").agg(measures)
    overall = direct.select(pl.lit("all").alias("task"), *measures)
    rows = totals(benefits, workspace.recipe.tool_benefit.confidence, workspace.recipe.seed)
    shown = rows.select(
        "task",
        *("questions", "direct", "tools"),
        *(_with_interval(rows, name) for name in ("benefit", "gain", "harm")),
        "churn",
        _with_interval(rows, "habit_share").alias("by habit"),
    )
    return pl.concat([rates.sort("task"), overall]).join(shown, on="task", how="left", maintain_order="left")


def _with_interval(rows: pl.DataFrame, name: str) -> pl.Series:
    """An estimate with its interval as one text, "-" where there is none: "0.31 [0.10, 0.52]"."""

    def shown(estimate: float | None, low: float | None, high: float | None) -> str:
        if estimate is None:
            return "-"
        return f"{estimate:.2f}" if low is None or high is None else f"{estimate:.2f} [{low:.2f}, {high:.2f}]"

    cells = rows.select(name, f"{name}_low", f"{name}_high").iter_rows()
    return pl.Series(name, [shown(*cell) for cell in cells], pl.String)


def _decisions(benefits: pl.DataFrame) -> pl.DataFrame:
    """Questions by what is decided about them: one row a task, `all` last."""
    measures = [
        pl.len().alias("measured"),
        *((pl.col("decision") == name).sum().alias(name) for name in BENEFIT_DECISIONS),
    ]
    rows = benefits.group_by("task").agg(measures).sort("task")
    return pl.concat([rows, benefits.select(pl.lit("all").alias("task"), *measures)])


def _evaluation(table: pl.DataFrame) -> pl.DataFrame:
    """One row for each checkpoint and arm, one column for each task."""
    cells = table.with_columns(cell=pl.format("{}/{}", "right", "attempts"))
    wide = cells.pivot(on="task", index=["checkpoint", "arm"], values="cell")
    interval = pl.format("{} to {}", pl.col("low").round(2), pl.col("high").round(2)).alias("interval")
    overall = table.filter(pl.col("task") == "all").select(
        "checkpoint", "arm", pl.col("rate").alias("rate, all"), interval
    )
    return wide.join(overall, on=["checkpoint", "arm"]).select(pl.exclude("all"), "all").sort("arm", "checkpoint")


def report(workspace: Workspace, training_sets: Sequence[str]) -> Iterator[str]:
    """The tables of a finished run, one text at a time.

    Args:
        training_sets: the names of the tables of all training sets.
    """
    tables = workspace.tables
    yield "Questions per source and stage"
    yield text(_funnel(tables, [source.name for source in workspace.recipe.sources]))
    settings, benefits = workspace.recipe.tool_benefit, tables.read("tool_benefit")
    yield (
        "Pass rates (`direct, all`: attempts that chose the questions; the rest: the first fresh attempts at the "
        f"moderate ones, with {settings.confidence:.0%} intervals over questions).\n"
        "benefit = tools - direct = gain (wrong without tools, right with them) - harm (right without, wrong with); "
        "churn: gain or harm of asking twice without\ntools; by habit: share of the benefit that calls explain whose "
        "results are withheld (- where the benefit may be none)"
    )
    yield text(_pass_rates(workspace, benefits))
    yield (
        "Questions that tools help (gain) or harm (of each a share of at most "
        f"{settings.false_discovery_rate:g} wrongly, on average), make no difference to (none), and those still open"
    )
    yield text(_decisions(benefits))
    yield "Rejects by stage and reason"
    yield text(tables.read("rejects").group_by("stage", "reason", "task").len("rows").sort("stage", "reason", "task"))
    sizes = [("trajectories", tables.read("trajectories").height)]
    for name in training_sets:
        by_split = dict(tables.read(name).group_by("split").len().rows())
        sizes += [(f"{name}, {split}", by_split.get(split, 0)) for split in ("train", "validation")]
    yield "Sizes"
    yield text(pl.DataFrame(sizes, schema=["what", "rows"], orient="row"))
    yield "Held-out questions: right of asked, the 95 % interval over all (paired comparisons: the evaluation asset)"
    yield text(_evaluation(tables.read("evaluation")))
