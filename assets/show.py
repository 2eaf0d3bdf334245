"""Metadata worth looking at: small tables, bar charts and sample questions, as Dagster shows them."""

import base64
import io
import itertools
from collections.abc import Sequence

import dagster as dg
import polars as pl
from PIL import Image, ImageDraw

from records.images import ImageStore

THUMBNAIL_SIDE = 64
SAMPLES = 6


def markdown_table(frame: pl.DataFrame) -> str:
    """A table as markdown; floats with three digits."""
    header = f"| {' | '.join(frame.columns)} |\n|{'---|' * frame.width}"
    lines = []
    for row in frame.iter_rows():
        cells = [f"{value:.3f}" if isinstance(value, float) else _cell(value) for value in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([header, *lines])


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return text if text.startswith("![") else text.replace("|", "\\|").replace("\n", " ")[:160]


def bar_chart(labels: Sequence[str], values: Sequence[float], title: str) -> str:
    """A bar chart as a markdown image of a few kB (Dagster has no image type; a data URI in markdown is the idiom)."""
    bar, gap, height, foot = 44, 10, 120, 34
    image = Image.new("RGB", (gap + len(labels) * (bar + gap), height + foot), "white")
    draw = ImageDraw.Draw(image)
    top = max([*values, 1])
    for index, (label, value) in enumerate(zip(labels, values, strict=True)):
        left = gap + index * (bar + gap)
        full = int((height - 18) * value / top)
        draw.rectangle([left, height - full, left + bar, height], fill="#b8860b")
        draw.text((left + 2, height - full - 14), f"{value:g}", fill="black")
        draw.text((left + 2, height + 4), label, fill="black")
    draw.text((gap, height + 20), title, fill="black")
    buffer = io.BytesIO()
    image.quantize(16).save(buffer, "PNG", optimize=True)
    return f"![{title}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"


def pass_rates(rates: pl.Series, title: str) -> dg.MarkdownMetadataValue:
    """Histogram of pass rates (0 to 1) in four equal classes beside 0, a class its upper end included."""
    edges = [0.0, 0.25, 0.5, 0.75, 1.0]
    rates = rates.drop_nulls().drop_nans()
    counts = [int((rates == 0).sum())]
    counts += [int(((rates > low) & (rates <= high)).sum()) for low, high in itertools.pairwise(edges)]
    labels = ["0", *(f"<={edge:g}" for edge in edges[1:])]
    return dg.MetadataValue.md(bar_chart(labels, counts, title))


def sample_questions(questions: pl.DataFrame, images: ImageStore, columns: Sequence[str] = ()) -> dg.MetadataValue:
    """A few questions, spread over the tasks, with thumbnails of their images."""
    if questions.is_empty():
        return dg.MetadataValue.md("(none)")
    spread = questions.with_columns(_turn=pl.int_range(pl.len()).over("task")).sort("_turn", "task").head(SAMPLES)
    pictures = [
        " ".join(f"![]({images.data_uri(image, THUMBNAIL_SIDE)})" for image in row[:2]) for row in spread["images"]
    ]
    wanted = ["task", "text", "answer", *(c for c in columns if c in questions.columns)]
    shown = spread.select(wanted).with_columns(image=pl.Series(pictures, dtype=pl.String))
    return dg.MetadataValue.md(markdown_table(shown))


def counts(frame: pl.DataFrame, *by: str) -> dg.MarkdownMetadataValue:
    """How many rows there are of each kind."""
    if frame.is_empty():
        return dg.MetadataValue.md("(none)")
    return dg.MetadataValue.md(markdown_table(frame.group_by(*by).len("rows").sort(*by)))


def rollout_metadata(rollouts: pl.DataFrame) -> dict[str, object]:
    """Totals of a table of rollouts."""
    return {
        "rollouts": rollouts.height,
        "tokens_written": int(rollouts["completion_tokens"].sum()),
        "tokens_read": int(rollouts["prompt_tokens"].sum()),
        "seconds_of_calls": round(float(rollouts["seconds"].sum()), 1),
        "by_stop_reason": counts(rollouts, "arm", "stop_reason"),
    }
