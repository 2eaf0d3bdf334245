"""Metadata worth looking at: small tables, histograms and samples with thumbnails, as Dagster shows them."""

import base64
import difflib
import io
import itertools
from collections.abc import Sequence

import polars as pl
from PIL import Image

from records.images.store import ImageStore
from reports.drawing import bar_chart
from reports.markdown import CELL_CHARS, NONE, Markdown, counts, markdown_table, plain

THUMBNAIL_SIDE = 72
"""Pixels of the longer side of a thumbnail."""
SAMPLES = 6
"""Questions in a sample."""
COMPARED_WORDS = 400
"""Words of a text that are compared with another's."""
VERDICTS = {True: "one question", False: "two questions"}
THUMBNAIL_BUDGET_CHARS = 48_000
"""Characters of all thumbnails of a table: metadata of several megabytes freezes the UI."""


def pass_rates(rates: pl.Series, title: str) -> Markdown:
    """Histogram of pass rates (0 to 1) in four equal classes beside 0, a class its upper end included."""
    edges = [0.0, 0.25, 0.5, 0.75, 1.0]
    rates = rates.drop_nulls().drop_nans()
    counts = [int((rates == 0).sum())]
    counts += [int(((rates > low) & (rates <= high)).sum()) for low, high in itertools.pairwise(edges)]
    labels = ["0", *(f"<={edge:g}" for edge in edges[1:])]
    return Markdown(bar_chart(labels, counts, title))


def rollout_metadata(rollouts: pl.DataFrame) -> dict[str, object]:
    """Totals of a table of rollouts."""
    return {
        "rollouts": rollouts.height,
        "tokens_written": int(rollouts["completion_tokens"].sum()),
        "tokens_read": int(rollouts["prompt_tokens"].sum()),
        "seconds_of_calls": round(float(rollouts["seconds"].sum()), 1),
        "by_stop_reason": counts(rollouts, "arm", "stop_reason"),
    }


class Thumbnails:
    """Thumbnails for one table, as long as there is room for them."""

    def __init__(self, store: ImageStore) -> None:
        self._store, self._room = store, THUMBNAIL_BUDGET_CHARS

    def of(self, images: Sequence[str] | None) -> str:
        """The first image of a question as markdown, and how many more it has."""
        if not images:
            return ""
        more = f" +{len(images) - 1}" if len(images) > 1 else ""
        picture = self._thumbnail(images[0]) if self._room > 0 else "(image)"
        self._room -= len(picture)
        return picture + more

    def _thumbnail(self, image: str) -> str:
        try:
            with Image.open(io.BytesIO(self._store.get(image))) as opened:
                opened.draft("RGB", (THUMBNAIL_SIDE, THUMBNAIL_SIDE))  # a JPEG need not be decoded in full
                small = opened.convert("RGB")
        except FileNotFoundError:
            return "(image missing)"
        except Exception:  # a broken image may raise anything out of its decoder
            return "(image unreadable)"
        small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        buffer = io.BytesIO()
        small.save(buffer, "WEBP", quality=60)
        return f"![](data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()})"


def sample_questions(questions: pl.DataFrame, images: ImageStore, columns: Sequence[str] = ()) -> Markdown:
    """A few questions, spread over the tasks, with thumbnails of their images."""
    if questions.is_empty():
        return NONE
    spread = questions.with_columns(_turn=pl.int_range(pl.len()).over("task")).sort("_turn", "task").head(SAMPLES)
    wanted = ["task", "text", "answer", *(c for c in columns if c in questions.columns)]
    return _with_pictures(spread, images, wanted)


def _with_pictures(
    samples: pl.DataFrame, images: ImageStore, wanted: Sequence[str], order: Sequence[str] = ()
) -> Markdown:
    """The wanted columns and a thumbnail; earlier rows get theirs first, then the rows are sorted by `order`."""
    thumbnails = Thumbnails(images)
    pictures = pl.Series([thumbnails.of(row) for row in samples["images"].to_list()], dtype=pl.String)
    shown = samples.with_columns(image=pictures)
    shown = shown.sort(order, maintain_order=True) if order else shown
    return Markdown(markdown_table(shown.select(*wanted, "image"), markdown=["image"]))


def _look_up(samples: pl.DataFrame, questions: pl.DataFrame, by: str) -> pl.DataFrame:
    """`samples` with text, answer and images of the question whose id is in the column `by`, null for unknown ones."""
    found = questions.select("question_id", "text", "answer", "images").join(
        samples.select(by), left_on="question_id", right_on=by, how="semi"
    )
    return samples.join(
        found.unique("question_id", keep="first", maintain_order=True),
        left_on=by,
        right_on="question_id",
        how="left",
        maintain_order="left",
    )


def reject_samples(rejects: pl.DataFrame, questions: pl.DataFrame, images: ImageStore, per_reason: int = 2) -> Markdown:
    """A few rejects of each reason from different sources, the most frequent reason first.

    `questions` are those that came in to the stage; of a reject that is none of them only the detail is shown.
    """
    if rejects.is_empty():
        return NONE
    turn = pl.int_range(pl.len())
    samples = (
        rejects.with_columns(rows=pl.len().over("reason"), _turn=turn.over("reason", "source"))
        .filter(pl.col("_turn") < per_reason)
        .sort("_turn", "source", maintain_order=True)
        .with_columns(_turn=turn.over("reason"))
        .filter(pl.col("_turn") < per_reason)
        .sort("_turn", maintain_order=True)
    )
    samples = _look_up(samples, questions, "row_id").with_columns(_first=-pl.col("rows").cast(pl.Int64))
    wanted = ["reason", "rows", "source", "text", "answer", "detail"]
    return _with_pictures(samples, images, wanted, order=["_first", "reason", "_turn"])


def contamination(hits: pl.DataFrame, questions: pl.DataFrame, images: ImageStore, n: int = 8) -> Markdown:
    """How many hits each benchmark has, and some of them, spread over benchmarks and kinds, the least certain first.

    `hits`: columns question_id, benchmark, row, kind, score (a greater one is more certain).
    """
    if hits.is_empty():
        return NONE
    totals = (
        hits.group_by("benchmark", "kind")
        .agg(hits=pl.len(), questions=pl.col("question_id").n_unique(), lowest_score=pl.col("score").min())
        .sort("benchmark", "kind")
    )
    samples = (
        hits.sort("score", nulls_last=True, maintain_order=True)
        .with_columns(_turn=pl.int_range(pl.len()).over("benchmark", "kind"))
        .sort("_turn", "benchmark", "kind", maintain_order=True)
        .head(n)
    )
    wanted = ["benchmark", "row", "kind", "score", "text", "answer"]
    shown = _with_pictures(_look_up(samples, questions, "question_id"), images, wanted, order=["benchmark", "kind"])
    return Markdown(f"{markdown_table(totals)}\n\n{shown}")


def pairs(found: pl.DataFrame, questions: pl.DataFrame, images: ImageStore, n: int = 8) -> Markdown:
    """Pairs of questions side by side, of each kind the `n` nearest to its threshold: half above it, half below.

    `found`: columns kept_id, dropped_id, similarity (greater is more alike), kind, and dropped, which is false for a
    pair below the threshold: two questions, both kept. Words that only one of the two has are bold.
    """
    if found.is_empty():
        return NONE
    distance = pl.when("dropped").then(pl.col("similarity")).otherwise(-pl.col("similarity"))
    nearest = (
        found.sort(distance, nulls_last=True, maintain_order=True)
        .filter(pl.int_range(pl.len()).over("kind", "dropped") < max(n // 2, 1))
        .sort("kind", "similarity", descending=[False, True], nulls_last=True, maintain_order=True)
    )
    kept, other = (_look_up(nearest.select(side), questions, side) for side in ("kept_id", "dropped_id"))
    texts = [differing(*both) for both in zip(_asked(kept), _asked(other), strict=True)]
    thumbnails = Thumbnails(images)
    pictures = [
        (thumbnails.of(one), "(the same)" if one and one == two else thumbnails.of(two))
        for one, two in zip(kept["images"].to_list(), other["images"].to_list(), strict=True)
    ]
    columns = {
        "similarity": nearest["similarity"],
        "kind": nearest["kind"],
        "verdict": nearest["dropped"].replace_strict(VERDICTS, return_dtype=pl.String),
        "kept": [one for one, _ in texts],
        "image (kept)": [one for one, _ in pictures],
        "other": [two for _, two in texts],
        "image (other)": [two for _, two in pictures],
    }
    made = ["kept", "image (kept)", "other", "image (other)"]
    return Markdown(markdown_table(pl.DataFrame(columns, strict=False), markdown=made))


def _asked(side: pl.DataFrame) -> list[str]:
    """Text and answer in one line; nothing where the question is not known."""
    return side.select(pl.format("{} → {}", "text", pl.col("answer").fill_null("")).fill_null(""))["text"].to_list()


def differing(one: str, other: str) -> tuple[str, str]:
    """Two texts as markdown, from a little before their first difference on, words that only one has in bold."""
    words = one.split()[:COMPARED_WORDS], other.split()[:COMPARED_WORDS]
    blocks = difflib.SequenceMatcher(None, *words, autojunk=False).get_opcodes()
    start = max(next((block[1] for block in blocks if block[0] != "equal"), 0) - 6, 0)
    sides = [(op, i, j) for op, i, j, _, _ in blocks], [(op, i, j) for op, _, _, i, j in blocks]
    return _marked(words[0], sides[0], start), _marked(words[1], sides[1], start)


def _marked(words: list[str], blocks: list[tuple[str, int, int]], start: int) -> str:
    """Words as markdown from `start` on, at most a cell's full, those of unequal blocks bold."""
    out, room = ["…"] if start else [], CELL_CHARS
    for kind, first, last in blocks:
        if room > 0 and (part := plain(" ".join(words[max(first, start) : last]), room)):
            out.append(part if kind == "equal" else f"**{part}**")
            room -= len(part)
    return " ".join(out)
