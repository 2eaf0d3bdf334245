import base64
import io
import re

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageColor

from reports import drawing as charts
from reports import funnel

SCHEMA = {"source": pl.String, "step": pl.String, "reason": pl.String, "rows": pl.Int64}


def drawn(*rows):
    shown = funnel.funnel(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
    return picture(shown), [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in shown.partition("\n\n")[2].splitlines()[2:]
    ]


def picture(shown):
    data = base64.b64decode(re.search(r"base64,([^)]*)\)", shown)[1])
    assert len(data) < 45_000
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def bars(image, colour):
    """Runs of rows of pixels within the bars' columns that hold `colour`, as the greatest width of each."""
    inside = image[:, funnel.BARS : funnel.BARS + funnel.BAR_WIDTH + 1]
    widths = (inside == ImageColor.getrgb(colour)).all(axis=2).sum(axis=1)
    starts = np.flatnonzero((widths > 0) & (np.r_[0, widths[:-1]] == 0))
    return [int(widths[start]) for start in starts]


def test_each_step_has_a_bar_of_what_it_left_and_what_it_rejected():
    image, rows = drawn(
        ("a", "source", "", 1000), ("a", "wording", "time_bound", 300), ("a", "wording", "ambiguous", 100),
        ("a", "images", "", 0), ("a", "duplicates", "duplicate", 200),
    )  # fmt: skip
    assert rows == [["a", "1,000", "time_bound 300 · duplicate 200 · ambiguous 100", "400", "40.0 %"]]
    kept, lost = ([width / funnel.BAR_WIDTH for width in bars(image, c)] for c in (charts.KEPT, charts.LOST))
    assert kept == pytest.approx([1, 0.6, 0.6, 0.4, 0.4], abs=0.01) and lost == pytest.approx([0.4, 0.2], abs=0.01)


def test_sources_are_summed_before_they_are_told_apart():
    image, rows = drawn(
        ("a", "source", "", 10), ("b", "source", "", 30), ("a", "answers", "no_answer", 10), ("b", "source", "odd", 3),
        ("b", "answers", "no_answer", 1),
    )  # fmt: skip
    assert rows == [
        ["all sources", "40", "no_answer 11 · odd 3", "26", "65.0 %"],
        ["a", "10", "no_answer 10", "0", "0.0 %"],
        ["b", "30", "odd 3 · no_answer 1", "26", "86.7 %"],
    ]
    assert [round(width / funnel.BAR_WIDTH, 1) for width in bars(image, charts.LOST)] == [0.1, 0.3, 1.0, 0.1, 0.0]


def test_a_reject_of_less_than_a_pixel_is_seen():
    image, rows = drawn(("a", "source", "", 1_000_000), ("a", "answers", "no_answer", 1))
    assert len(bars(image, charts.LOST)) == 1 and rows[0][3:] == ["999,999", "&gt;99.9 %"]


@pytest.mark.parametrize("sources", [1, funnel.PANELS, funnel.PANELS + 1, 25])
def test_many_sources_with_many_reasons_stay_small_and_within_the_picture(sources):
    rows = []
    for source in range(sources):
        rows.append((f"a_rather_long_name_of_source_{source}", "source", "", 1_000_000))
        rows += [
            (rows[-1][0], f"step_{reason % 7}", f"some_reason_code_{reason}", 20_000 + reason) for reason in range(30)
        ]
    image, table = drawn(*rows)
    assert image.shape[1] == funnel.WIDTH and len(table) == sources + (sources > 1)
    assert len(bars(image, charts.KEPT)) == (9 * len(table) if sources <= funnel.PANELS else 9 + sources)
    edges = [image[:2], image[-2:], image[:, :5], image[:, -5:]]
    assert all((edge == 255).all() for edge in edges)  # nothing is cut off
    assert all(f"some_reason_code_{reason} " in table[-1][2] for reason in range(30))


def test_odd_names_and_numbers_do_no_harm():
    image, rows = drawn(
        ("x|y\n<b>", "source", "", 0), (None, "source", None, 5), (None, None, "a\nb![](c)" * 40, 2),
        ("z", "s", "r", 3), ("z", "s", "q", None),
    )  # fmt: skip
    assert len(image) > 100
    assert [row[0] for row in rows] == ["all sources", "x\\|y &lt;b&gt;", "", "z"]
