"""Tool benefit at size: time and peak memory of counting, measuring and adding up, for about 20 rollouts a question.

The table of rollouts is written beforehand, in the order in which the pipeline writes it (arm after arm, in each the
questions' order). Each size then runs in a process of its own, which reads it from the file as the asset does.
"""

import resource
import time
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from benchmarks.sizes import at_sizes, command, time_each
from records.recipe import ToolBenefit

SETTINGS = ToolBenefit(samples=4, further=4.0, most_samples=32)
COMPARED = {4: 0.7, 8: 0.24, 16: 0.045, 32: 0.015}
"""Samples of a question in `tools` and `direct`, and the share of the questions that have as many: as a planner leaves
a table behind, six on average."""
ARMS = ("tools", "direct", "call_only", "result_only")
TASKS = ("math", "perception", "search")
TOOLS = ("python", "search", None)
SLICE = 100_000
NO_VERDICT = 0.01


def _ids(count: int) -> pl.Series:
    """Question ids: 32 hex digits, in no order."""
    numbers = np.random.default_rng(0).bytes(16 * count).hex()
    return pl.Series("question_id", [numbers[at : at + 32] for at in range(0, len(numbers), 32)])


def write(folder: Path, questions: int) -> None:
    """The tables of one size, as files: questions and rollouts, a slice at a time."""
    random = np.random.default_rng(0)
    ids = _ids(questions)
    facts = pl.DataFrame({"question_id": ids}).with_columns(
        task=pl.Series(np.array(TASKS)[random.integers(0, len(TASKS), questions)].tolist()),
        source=pl.lit("synthetic"),
        chance=pl.Series(np.array([0.0, 0.25, 0.5])[random.integers(0, 3, questions)]),
    )
    facts.write_parquet(folder / "questions.parquet")
    direct = random.beta(0.5, 1.0, questions)
    tools = np.where(random.random(questions) < 0.5, direct, direct + (1 - direct) * random.random(questions))
    rates = {"direct": direct, "tools": tools, "call_only": (direct + tools) / 2, "result_only": (direct + tools) / 2}
    compared = random.choice(list(COMPARED), questions, p=list(COMPARED.values()))
    writer = None
    for arm in ARMS:
        for first in range(0, questions, SLICE):
            here = slice(first, min(first + SLICE, questions))
            made = compared[here] if arm in ("tools", "direct") else np.full(here.stop - first, SETTINGS.samples)
            row = np.repeat(np.arange(first, here.stop), made)
            number = np.arange(len(row)) - np.repeat(np.cumsum(made) - made, made)
            chosen = random.integers(0, len(TOOLS), len(row))
            part = pl.DataFrame({"question_id": ids.gather(row), "sample_index": number}).with_columns(
                arm=pl.lit(arm),
                correct=pl.when(pl.Series(random.random(len(row)) >= NO_VERDICT)).then(
                    pl.Series(random.random(len(row)) < rates[arm][row])
                ),
                tool=pl.Series(TOOLS).gather(chosen) if arm == "tools" else pl.lit(None, pl.String),
            )
            arrow = part.to_arrow(compat_level=pl.CompatLevel.oldest())
            writer = writer or pq.ParquetWriter(folder / "rollouts.parquet", arrow.schema, compression="zstd")
            writer.write_table(arrow)
    assert writer is not None  # there are questions
    writer.close()


def run(folder: Path) -> dict[str, object]:
    """Counts, measures and totals of a folder: seconds of each, and the peak memory of this process."""
    from filters.benefit.per_question import counts, per_question
    from filters.benefit.totals import totals

    times = [time.perf_counter()]
    questions = pl.read_parquet(folder / "questions.parquet")
    held = counts(pl.scan_parquet(folder / "rollouts.parquet"), SETTINGS.looks)
    times.append(time.perf_counter())
    table = per_question(held, questions, SETTINGS, seed=0)
    times.append(time.perf_counter())
    added = [totals(table, SETTINGS.confidence, 0, by) for by in ("task", "tool")]
    times.append(time.perf_counter())
    assert table.height > 0.99 * questions.height and all(not one.is_empty() for one in added)
    steps = dict(zip(("counts", "per_question", "totals"), np.diff(times).round(2).tolist(), strict=True))
    return {
        "questions": questions.height,
        "rollouts": pl.scan_parquet(folder / "rollouts.parquet").select(pl.len()).collect().item(),
        "seconds": round(times[-1] - times[0], 2),
        **steps,
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def measure(sizes: list[int]) -> dict:
    """The figures of every size, and how much longer a question takes in the largest than in the smallest.

    Raises RuntimeError when a process fails.
    """
    figures = at_sizes("benchmarks.benefit.size", sizes, "questions")
    return {"sizes": figures, "time_a_question": time_each(figures, "questions")}


if __name__ == "__main__":
    command(write, run)
