"""The questions stage at size: all rules over synthetic questions, its time and its peak memory.

Each size runs in a process of its own, which reads its table from a file as the asset does. A third of the questions
have one of n / 10 images (of which some show the same picture), some have choices, and as many as one in ten repeat an
earlier one. 20,000 rows of evaluation sets are looked for. Embeddings are left out: they are the model's time.
"""

import resource
import time
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.questions.synthetic import make
from benchmarks.sizes import at_sizes, command, time_each
from filters.contamination.images import HITS
from filters.questions.curate import EvaluationSets, Prompts, curate
from records.images.store import FACTS_VERSION, ImageFacts
from records.question import Question
from records.recipe.questions import QuestionRules
from records.tables import schema

SOURCES = 5
EVALUATION_ROWS = 20_000


def _hex(numbers: pl.Expr, salt: int) -> pl.Expr:
    """A text that looks like the hash of a content."""
    return pl.concat_str([numbers.hash(salt + i).cast(pl.String).str.zfill(20) for i in range(2)])


def questions(n: int, seed: int) -> pl.DataFrame:
    """n questions as the sources hand them on; a planted duplicate has its original's answer and image."""
    made = make(n, seed).with_row_index("row")
    same = (pl.col("plant") == "near").fill_null(False)
    made = made.with_columns(as_row=pl.when(same).then(pl.col("original")).otherwise(pl.col("row").cast(pl.Int64)))
    kind = pl.col("as_row").hash(1) % 10
    image = pl.when(kind < 3).then(pl.concat_list(_hex(pl.col("as_row") % max(n // 10, 1), 7))).otherwise(pl.lit([]))
    options = pl.concat_list([pl.col("as_row").hash(20 + i).mod(900).cast(pl.String) for i in range(4)])
    chosen = kind == 3
    return made.select(
        source=pl.format("source_{}", pl.col("row") % SOURCES),
        source_row=pl.col("row").cast(pl.String),
        task=pl.when(kind < 3).then(pl.lit("perception")).otherwise(pl.lit("math")),
        text="text",
        images=image.cast(pl.List(pl.String)),
        choices=pl.when(chosen).then(options).otherwise(pl.lit([], dtype=pl.List(pl.String))),
        answer=pl.when(chosen).then(pl.lit("A")).otherwise((pl.col("as_row").hash(2) % 997).cast(pl.String)),
        answer_type=pl.when(chosen).then(pl.lit("choice")).otherwise(pl.lit("short_text")),
        aliases=pl.lit([], dtype=pl.List(pl.String)),
        licence=pl.lit("unknown"),
        extra=pl.lit("{}"),
        question_id=_hex(pl.col("row"), 11).str.slice(0, 32),
        first_seen=pl.lit(1, dtype=pl.Int64),
    )


def facts(table: pl.DataFrame, seed: int) -> pl.DataFrame:
    """What is known of the table's images; one in ten looks like another."""
    random = np.random.default_rng(seed)
    images = table.select(pl.col("images").explode().drop_nulls().unique().sort())["images"]
    looks = random.integers(-(2**63), 2**63 - 1, len(images), dtype=np.int64)
    thumbnails = random.integers(0, 255, (len(images), 768), dtype=np.uint8)
    copies = random.integers(0, max(len(images), 1), len(images) // 10)
    looks[: len(copies)] = looks[copies]
    thumbnails[: len(copies)] = thumbnails[copies]
    known = pl.DataFrame(
        {
            "image": images, "arrived": images, "width": 640, "height": 480, "format": "jpeg", "phash": looks,
            "inner_phash": looks, "thumbnail": [row.tobytes() for row in thumbnails], "version": FACTS_VERSION,
        }
    )  # fmt: skip
    return known.with_columns(changes=pl.lit([], dtype=pl.List(pl.String))).select(schema(ImageFacts).names())


def write(folder: Path, n: int) -> None:
    """The tables of one size, as files."""
    table = questions(n, 0)
    table.write_parquet(folder / "questions.parquet")
    facts(table, 0).write_parquet(folder / "facts.parquet")
    # Another seed makes other texts, a few of which are equal by chance.
    bench = questions(EVALUATION_ROWS, 1).with_columns(images=pl.lit([], dtype=pl.List(pl.String)))
    bench.select(schema(Question).names()).with_columns(benchmark=pl.lit("synthetic"), row="source_row").write_parquet(
        folder / "benchmarks.parquet"
    )


def run(folder: Path) -> dict[str, float]:
    """All rules over the tables of a folder: seconds, peak memory of this process, and rows kept and rejected."""

    def compare(images: pl.DataFrame, benchmark: pl.DataFrame) -> pl.DataFrame:
        """The synthetic images have no pixels, so there is nothing of an evaluation set to find in them."""
        return pl.DataFrame(schema=HITS)

    start = time.perf_counter()
    table, known, evaluation = (
        pl.read_parquet(folder / f"{name}.parquet") for name in ("questions", "facts", "benchmarks")
    )
    rows = table.height
    curated = curate(table, known, QuestionRules(), Prompts(["What is 17 + 25?"]), EvaluationSets(evaluation, compare))
    seconds = time.perf_counter() - start
    return {
        "rows": rows,
        "seconds": round(seconds, 2),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "kept": curated.kept.height,
        "rejected": curated.rejects.height,
    }


def measure(sizes: list[int]) -> dict:
    """The figures of every size, and how much longer a row takes in the largest than in the smallest."""
    figures = at_sizes("benchmarks.questions.stage", sizes, "rows")
    return {"sizes": figures, "time_a_row": time_each(figures, "rows")}


if __name__ == "__main__":
    command(write, run)
