import base64
import io

import polars as pl
from PIL import Image

from assets import show
from records.images import ImageStore


def test_cells_cannot_break_the_table():
    text = show.markdown_table(pl.DataFrame({"a": ["x|y\nz", None], "b": [0.12345, 1.0]}))
    assert text.splitlines() == ["| a | b |", "|---|---|", "| x\\|y z | 0.123 |", "|  | 1.000 |"]


def test_a_histogram_is_a_small_picture_of_all_questions():
    shown = show.pass_rates(pl.Series([0.0, 0.25, 0.5, 1.0, 1.0]), "title").value
    data = base64.b64decode(shown.partition("base64,")[2].rstrip(")"))
    assert Image.open(io.BytesIO(data)).size[0] > 100 and len(data) < 5000


def test_samples_have_thumbnails_and_spread_over_tasks(tmp_path):
    store = ImageStore(str(tmp_path))
    buffer = io.BytesIO()
    Image.new("RGB", (900, 900), "red").save(buffer, "PNG")
    image = store.put(buffer.getvalue())
    questions = pl.DataFrame(
        {"task": ["a"] * 20 + ["b"], "text": "t", "answer": "x", "images": [[image]] * 20 + [[]]},
        schema_overrides={"images": pl.List(pl.String)},
    )
    text = show.sample_questions(questions, store).value
    assert "| b |" in text and text.count("data:image/png;base64,") == show.SAMPLES - 1 and len(text) < 20_000
