import base64
import io
import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from records.images.store import ImageStore
from records.question import Question, Reject
from records.tables import schema, to_frame
from reports import markdown
from reports import samples as show
from tests.support.drawn import Drawn

HOSTILE = "<script>alert(1)</script> ![](http://a.example/x.png) [b](javascript:c) a|b\n`d` *e* &lt; " + "long " * 9999
MARKUP = re.compile(r"(?<!\\)[`*\[\]|~]|[<>]|&(?!amp;|lt;|gt;)")


def picture(colour, size=(900, 600), kind="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


def noise():
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (72, 72, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def store(tmp_path):
    return ImageStore(str(tmp_path))


def ask(text, images=(), answer="4", source="s"):
    return Question(
        source=source, source_row="0", task="perception", text=text, images=list(images), answer=answer,
        answer_type="number",
    )  # fmt: skip


def rows(text):
    """The cells of a markdown table's rows."""
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines()[2:]]


def pictures(text):
    return [
        Image.open(io.BytesIO(base64.b64decode(found)))
        for found in re.findall(r"!\[\]\(data:image/\w+;base64,([^)]*)\)", text)
    ]


def test_cells_cannot_break_the_table():
    text = markdown.markdown_table(pl.DataFrame({"a": ["x|y\nz", None], "b": [0.12345, 1.0]}))
    assert text.splitlines() == ["| a | b |", "|---|---|", "| x\\|y z | 0.123 |", "|  | 1.000 |"]


def test_only_columns_that_hold_markdown_are_markdown():
    text = markdown.markdown_table(pl.DataFrame({"a": ["![](x)"], "b": ["![](x)"]}), markdown=["b"])
    assert text.splitlines()[-1] == "| !\\[\\](x) | ![](x) |"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (" a\r\n\tb ", "a b"),
        ("<b>", "&lt;b&gt;"),
        ("&lt;", "&amp;lt;"),
        ("![](http://a/b)", "!\\[\\](http://a/b)"),
        ("near_duplicate", "near_duplicate"),
        ("_a_ __b__ a_", "\\_a\\_ \\_\\_b\\_\\_ a\\_"),
        ("\\|", "\\\\\\|"),
        ("a\x00\u202eb", "ab"),
        ("x" * 12, "x" * 9 + "…"),
        (True, "True"),
    ],
)
def test_text_is_shown_as_it_is(value, expected):
    assert markdown.plain(value, 10 if value == "x" * 12 else 160) == expected


@settings(max_examples=200, deadline=None)
@given(st.text("ab_*`[]|<>&~\\!# \n", max_size=30))
def test_no_markup_is_left(text):
    shown = markdown.plain(text)
    assert not MARKUP.search(shown.replace("\\\\", ""))
    plain = re.sub(r"\\(.)", r"\1", shown).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert plain == " ".join(text.split())


def test_a_histogram_is_a_small_picture_of_all_questions():
    shown = show.pass_rates(pl.Series([0.0, 0.25, 0.5, 1.0, 1.0]), "title")
    picture = Drawn(shown)
    assert picture.texts == ["0", "<=0.25", "<=0.5", "<=0.75", "<=1", "title", "1", "1", "1", "0", "2"]
    assert picture.size < 5000 and not picture.cut_off()


def test_samples_have_thumbnails_and_spread_over_tasks(store):
    image = store.put(picture("red"))
    questions = pl.DataFrame(
        {"task": ["a"] * 20 + ["b"], "text": "t", "answer": "x", "images": [[image]] * 20 + [[]]},
        schema_overrides={"images": pl.List(pl.String)},
    )
    text = show.sample_questions(questions, store)
    assert "| b |" in text and len(text) < 20_000
    assert [p.size for p in pictures(text)] == [(show.THUMBNAIL_SIDE, 48)] * (show.SAMPLES - 1)


def test_thumbnails_of_a_table_have_a_limit(store, monkeypatch):
    image = store.put(noise())
    questions = pl.DataFrame(
        {"task": [str(i) for i in range(90)], "text": "t", "answer": "x", "images": [[image]] * 90}
    )
    monkeypatch.setattr(show, "SAMPLES", 90)
    text = show.sample_questions(questions, store)
    assert len(text) < show.THUMBNAIL_BUDGET_CHARS + 10_000 and 5 < len(pictures(text)) < 90 and "| (image) |" in text


class TestRejectSamples:
    def test_the_most_frequent_reason_comes_first_with_samples_of_different_sources(self, store):
        image = store.put(picture("red"))
        asked = [ask(f"question {i}", [image], source="ab"[i > 2]) for i in range(4)]
        rejects = [
            Reject(row_id=q.question_id, stage="questions", reason="often", detail=f"because {i}", source=q.source)
            for i, q in enumerate(asked)
        ]
        rejects.append(Reject(row_id="a#7", stage="a", reason="at_the_source", detail="row 7 has no text", source="a"))
        text = show.reject_samples(to_frame(rejects, Reject), to_frame(asked, Question), store)
        assert [cells[:6] for cells in rows(text)] == [
            ["often", "4", "a", "question 0", "4", "because 0"],
            ["often", "4", "b", "question 3", "4", "because 3"],
            ["at_the_source", "1", "a", "", "", "row 7 has no text"],
        ]
        assert len(pictures(text)) == 2

    def test_images_that_are_not_there_or_not_readable_are_said(self, store):
        asked = [ask("gone", ["ab" * 32]), ask("broken", [store.put(b"<svg>"), "x"])]
        rejects = [Reject(row_id=q.question_id, stage="q", reason="r") for q in asked]
        text = show.reject_samples(to_frame(rejects, Reject), to_frame(asked, Question), store)
        assert [cells[-1] for cells in rows(text)] == ["(image missing)", "(image unreadable) +1"]

    def test_nothing_in_a_text_is_run_or_fetched_and_the_whole_stays_small(self, store):
        image = store.put(noise())
        asked = [ask(f"{i} {HOSTILE}", [image], HOSTILE) for i in range(60)]
        rejects = [Reject(row_id=q.question_id, stage="q", reason=f"r{i}", detail=HOSTILE) for i, q in enumerate(asked)]
        text = show.reject_samples(to_frame(rejects, Reject), to_frame(asked, Question), store)
        assert len(rows(text)) == 60 and {len(cells) for cells in rows(text)} == {7}
        assert "<" not in text and "![](http" not in text and len(text) < 110_000

    def test_a_repeated_question_is_shown_once(self, store):
        asked = to_frame([ask("twice"), ask("twice")], Question)
        rejects = to_frame([Reject(row_id=asked["question_id"][0], stage="q", reason="duplicate")], Reject)
        assert len(rows(show.reject_samples(rejects, asked, store))) == 1


class TestPairs:
    def test_the_pairs_nearest_to_the_threshold_on_both_sides(self, store):
        asked = [ask(f"How many apples are in box {i} of ten?", answer=str(i)) for i in range(20)]
        ids = [q.question_id for q in asked]
        found = pl.DataFrame(
            {
                "kept_id": ids[0],
                "dropped_id": ids[1:],
                "similarity": [0.6 + i / 50 for i in range(1, 20)],
                "kind": "near",
                "dropped": [0.6 + i / 50 > 0.8 for i in range(1, 20)],
            }
        )
        shown = rows(show.pairs(found, to_frame(asked, Question), store, n=4))
        assert [(cells[0], cells[2]) for cells in shown] == [
            ("0.840", "one question"),
            ("0.820", "one question"),
            ("0.800", "two questions"),
            ("0.780", "two questions"),
        ]
        assert shown[0][3] == "How many apples are in box **0** of ten? → **0**"
        assert shown[0][5] == "How many apples are in box **12** of ten? → **12**"

    def test_pictures_stand_side_by_side_and_equal_ones_once(self, store):
        red, blue = store.put(picture("red")), store.put(picture("blue"))
        asked = [ask("a", [red]), ask("b", [red]), ask("c", [blue])]
        ids = [q.question_id for q in asked]
        found = pl.DataFrame(
            {
                "kept_id": ids[0],
                "dropped_id": [*ids[1:], "unknown"],
                "similarity": [0.9, 0.8, None],
                "kind": "joint",
                "dropped": True,
            }
        )
        text = show.pairs(found, to_frame(asked, Question), store)
        colours = [p.convert("RGB").getpixel((20, 20)) for p in pictures(text)]
        assert [max(range(3), key=colour.__getitem__) for colour in colours] == [0, 0, 2, 0]
        assert [cells[6] == "(the same)" for cells in rows(text)] == [True, False, False]
        assert rows(text)[2][5:] == ["", ""]

    def test_long_texts_are_shown_where_they_differ(self):
        one, other = show.differing("same " * 200 + "three apples", "same " * 200 + "five apples")
        assert one == "… same same same same same same **three** apples" and "**five**" in other

    def test_texts_cannot_mark_themselves(self):
        one, other = show.differing(HOSTILE, "*x* |")
        assert "<" not in one and "![" not in one and other == "**\\*x\\* \\|**"


def test_contamination_is_counted_and_the_least_certain_hits_are_shown(store):
    asked = [ask(f"question {i}", [store.put(picture((i, 0, 0)))]) for i in range(9)]
    hits = pl.DataFrame(
        {
            "question_id": [*(q.question_id for q in asked), "unknown"],
            "benchmark": ["vstar_bench"] * 6 + ["gsm8k_test"] * 4,
            "row": [str(i) for i in range(10)],
            "kind": ["image", "text"] * 5,
            "score": [1 - i / 20 for i in range(10)],
        }
    )
    totals, samples = show.contamination(hits, to_frame(asked, Question), store, n=4).split("\n\n")
    assert rows(totals) == [
        ["gsm8k_test", "image", "2", "2", "0.600"],
        ["gsm8k_test", "text", "2", "2", "0.550"],
        ["vstar_bench", "image", "3", "3", "0.800"],
        ["vstar_bench", "text", "3", "3", "0.750"],
    ]
    assert [(cells[0], cells[1], cells[4]) for cells in rows(samples)] == [
        ("gsm8k_test", "8", "question 8"),
        ("gsm8k_test", "9", ""),
        ("vstar_bench", "4", "question 4"),
        ("vstar_bench", "5", "question 5"),
    ]
    assert len(pictures(samples)) == 3


def test_empty_tables_say_so(store):
    questions = pl.DataFrame(schema=schema(Question))
    columns = {"kept_id": pl.String, "dropped_id": pl.String, "similarity": pl.Float64, "kind": pl.String}
    found = pl.DataFrame(schema=columns | {"dropped": pl.Boolean})
    hits = pl.DataFrame(schema=dict.fromkeys(("question_id", "benchmark", "row", "kind"), pl.String) | {"score": float})
    assert {
        show.reject_samples(pl.DataFrame(schema=schema(Reject)), questions, store),
        show.pairs(found, questions, store),
        show.contamination(hits, questions, store),
        show.sample_questions(questions, store),
        markdown.counts(questions, "task"),
    } == {"(none)"}
