import re

import polars as pl
import pytest

from reports import drawing as charts
from reports import funnel
from tests.support.drawn import Drawn

SCHEMA = {"source": pl.String, "step": pl.String, "reason": pl.String, "rows": pl.Int64}


def drawn(*rows):
    shown = funnel.funnel(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
    return Drawn(shown), [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in shown.partition("\n\n")[2].splitlines()[2:]
    ]


def bars(picture, colour):
    """The bars' parts of `colour` from above, as shares of a whole bar."""
    whole = max(stroke.long for stroke in picture.strokes(charts.INK))
    return [stroke.long / whole for stroke in picture.strokes(colour)]


def test_each_step_has_a_bar_of_what_it_left_and_what_it_rejected():
    picture, rows = drawn(
        ("a", "source", "", 1000), ("a", "wording", "time_bound", 300), ("a", "wording", "ambiguous", 100),
        ("a", "images", "", 0), ("a", "duplicates", "duplicate", 200),
    )  # fmt: skip
    assert rows == [["a", "1,000", "time_bound 300 · duplicate 200 · ambiguous 100", "400", "40.0 %"]]
    assert bars(picture, charts.KEPT) == pytest.approx([1, 0.6, 0.6, 0.4, 0.4], abs=0.01)
    assert bars(picture, charts.LOST) == pytest.approx([0.4, 0.2], abs=0.01)
    said = ["time_bound 300 · ambiguous 100", "duplicate 200", "40.0 %", "0.0 %", "20.0 %", "400 (40.0 %)"]
    assert set(said) < set(picture.texts)


def test_sources_are_summed_before_they_are_told_apart():
    picture, rows = drawn(
        ("a", "source", "", 10), ("b", "source", "", 30), ("a", "answers", "no_answer", 10), ("b", "source", "odd", 3),
        ("b", "answers", "no_answer", 1),
    )  # fmt: skip
    assert rows == [
        ["all sources", "40", "no_answer 11 · odd 3", "26", "65.0 %"],
        ["a", "10", "no_answer 10", "0", "0.0 %"],
        ["b", "30", "odd 3 · no_answer 1", "26", "86.7 %"],
    ]
    assert [round(share, 1) for share in bars(picture, charts.LOST)] == [0.1, 0.3, 1.0, 0.1, 0.0]


def test_a_single_reject_is_seen():
    picture, rows = drawn(("a", "source", "", 1_000_000), ("a", "answers", "no_answer", 1))
    (share,) = bars(picture, charts.LOST)
    assert share > 0.003 and rows[0][3:] == ["999,999", "&gt;99.9 %"]


@pytest.mark.parametrize("sources", [1, funnel.PANELS, funnel.PANELS + 1, 25])
def test_many_sources_with_many_reasons_stay_small_and_within_the_picture(sources):
    rows = []
    for source in range(sources):
        rows.append((f"a_rather_long_name_of_source_{source}", "source", "", 1_000_000))
        rows += [
            (rows[-1][0], f"step_{reason % 7}", f"some_reason_code_{reason}", 20_000 + reason) for reason in range(30)
        ]
    picture, table = drawn(*rows)
    assert picture.size < 45_000 and not picture.cut_off() and len(table) == sources + (sources > 1)
    assert len(bars(picture, charts.KEPT)) == (9 * len(table) if sources <= funnel.PANELS else 9 + sources)
    assert all(f"some_reason_code_{reason} " in table[-1][2] for reason in range(30))


def test_odd_names_and_numbers_do_no_harm():
    picture, rows = drawn(
        ("x|y\n<b>", "source", "", 0), (None, "source", None, 5), (None, None, "a\nb![](c)" * 40, 2),
        ("z", "s", "r", 3), ("z", "s", "q", None),
    )  # fmt: skip
    assert {"all sources", "x|y <b>", "z"} < set(picture.texts) and not picture.cut_off()
    assert [row[0] for row in rows] == ["all sources", "x\\|y &lt;b&gt;", "", "z"]
