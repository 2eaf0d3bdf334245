"""What came out, as short tables for a terminal."""

from collections.abc import Iterator

import polars as pl

from assets.resources import Workspace
from filters.difficulty import rule_of
from filters.stopping import progress
from filters.tool_benefit import totals
from records.tables import TableStore


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


def _pass_rates(workspace: Workspace) -> pl.DataFrame:
    """Per task: the direct arm over all curation questions, then both arms over those rolled out with tools."""
    tables = workspace.tables
    tasks = tables.read("questions").select("question_id", "task")
    finished = tables.scan("direct_rollouts").filter(pl.col("stop_reason") != "unfinished")
    attempts = finished.select("question_id", "sample_index", "correct").collect()
    direct = progress(attempts, rule_of(workspace.recipe.difficulty)).join(tasks, on="question_id")
    # sampling stopped when a decision was certain: right / attempts would be biased, these estimates are not
    measures = [pl.len().alias("asked"), pl.col("pass_rate").mean().alias("direct, all")]
    rates = direct.group_by("task").agg(measures)
    overall = direct.select(pl.lit("all").alias("task"), *measures)
    confidence = workspace.recipe.tool_benefit.confidence
    benefit = totals(tables.read("tool_benefit"), confidence, workspace.recipe.seed)
    return pl.concat([rates.sort("task"), overall]).join(benefit, on="task", how="left")


def _evaluation(table: pl.DataFrame) -> pl.DataFrame:
    """One row for each checkpoint and arm, one column for each task."""
    cells = table.with_columns(cell=pl.format("{}/{}", "right", "attempts"))
    wide = cells.pivot(on="task", index=["checkpoint", "arm"], values="cell")
    interval = pl.format("{} to {}", pl.col("low").round(2), pl.col("high").round(2)).alias("interval")
    overall = table.filter(pl.col("task") == "all").select(
        "checkpoint", "arm", pl.col("rate").alias("rate, all"), interval
    )
    return wide.join(overall, on=["checkpoint", "arm"]).select(pl.exclude("all"), "all").sort("arm", "checkpoint")


def report(workspace: Workspace) -> Iterator[str]:
    """The tables of a finished run, one text at a time."""
    tables = workspace.tables
    yield "Questions per source and stage"
    yield text(_funnel(tables, [source.name for source in workspace.recipe.sources]))
    yield (
        "Pass rates (`direct, all`: attempts that chose the questions; the rest: fresh attempts at the moderate ones; "
        f"benefit = tools - direct with a {workspace.recipe.tool_benefit.confidence:.0%} interval over questions)"
    )
    yield text(_pass_rates(workspace))
    yield "Rejects by stage and reason"
    yield text(tables.read("rejects").group_by("stage", "reason", "task").len("rows").sort("stage", "reason", "task"))
    sizes = [("trajectories", tables.read("trajectories").height)]
    for name in ("sft_training_set", "rl_training_set"):
        by_split = dict(tables.read(name).group_by("split").len().rows())
        sizes += [(f"{name}, {split}", by_split.get(split, 0)) for split in ("train", "validation")]
    yield "Sizes"
    yield text(pl.DataFrame(sizes, schema=["what", "rows"], orient="row"))
    yield "Held-out questions: right of asked, the 95 % interval over all (paired comparisons: the evaluation asset)"
    yield text(_evaluation(tables.read("evaluation")))
