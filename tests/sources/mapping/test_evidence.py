"""Evidence out of columns: texts, boxes measured on the decoded image, and the reason if they cannot be read."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from records.evidence import MOST, read_evidence
from records.images.store import ImageFacts, ImageStore
from records.question import Question
from records.recipe import EvaluationSource, RecipeError, Source
from sources.mapping import evidence
from sources.mapping.cells import BrokenRow
from sources.mapping.evidence import row_evidence
from sources.mapping.settings import MappingOptions
from sources.open import load_source


def facts(width=40, height=20, changes=()):
    return ImageFacts(
        image="i", arrived="a", width=width, height=height, format="png", changes=list(changes), phash=0, inner_phash=0,
        thumbnail=b"",
    )  # fmt: skip


def settled(texts=None, boxes=None, form="xyxy", images=None):
    """The evidence of a row, or the reason why it has none."""
    try:
        found = row_evidence(texts, boxes, form)
    except BrokenRow as error:
        return error.reason
    extra = found.added_to('{"level": 3}', [facts()] if images is None else images)
    assert json.loads(extra)["level"] == 3
    return json.loads(extra).get("aid_not_read") or read_evidence(extra)


def sides(box):
    return box.image, box.left, box.top, box.right, box.bottom


@pytest.mark.parametrize(
    ("form", "numbers", "expected"),
    [
        ("xyxy", [10, 5, 30, 20], (0, 0.25, 0.25, 0.75, 1.0)),
        ("xywh", [10.0, 5, 20.0, 15], (0, 0.25, 0.25, 0.75, 1.0)),
        ("shares_xyxy", [0.25, 0.25, 0.75, 1], (0, 0.25, 0.25, 0.75, 1.0)),
        ("xyxy", [-0.9, 0, 40.9, 20.3], (0, 0.0, 0.0, 1.0, 1.0)),  # a pixel too far: cut off
        ("shares_xyxy", (0.2, 0, 1.02, 0.5), (0, 0.2, 0.0, 1.0, 0.5)),
    ],
)
def test_boxes_become_shares_of_the_first_image(form, numbers, expected):
    assert [sides(box) for box in settled(boxes=numbers, form=form).boxes] == [expected]
    assert len(settled(boxes=[numbers, numbers], form=form).boxes) == 2


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 999), min_size=2, max_size=2, unique=True).map(sorted),
    st.lists(st.integers(0, 499), min_size=2, max_size=2, unique=True).map(sorted),
)
def test_the_three_forms_say_the_same(x, y):
    images = (facts(1000, 500),)
    corners = settled(boxes=[x[0], y[0], x[1], y[1]], images=images)
    assert settled(boxes=[x[0], y[0], x[1] - x[0], y[1] - y[0]], form="xywh", images=images) == corners
    shares = [x[0] / 1000, y[0] / 500, x[1] / 1000, y[1] / 500]
    assert settled(boxes=shares, form="shares_xyxy", images=images) == corners
    box = corners.boxes[0]
    assert [round(box.left * 1000), round(box.bottom * 500)] == [x[0], y[1]]


@pytest.mark.parametrize(
    ("boxes", "reason"),
    [
        ([10, 5, 30], "box_not_numbers"),
        ("10 5 30 20", "box_not_numbers"),
        ([10, 5, 30, None], "box_not_numbers"),
        ([10, 5, 30, True], "box_not_numbers"),
        ([10, 5, 30, float("nan")], "box_not_numbers"),
        ([10, 5, 30, 10**400], "box_not_numbers"),
        ([[10, 5, 30, 20], "here"], "box_not_numbers"),
        ([[10, 5, 30, 20]] * (MOST + 1), "too_many_parts"),
        ([30, 5, 10, 20], "box_without_area"),
        ([10, 5, 10, 20], "box_without_area"),
        ([[10, 5, 30, 20], [10, 5, 60, 20]], "box_outside_image"),
        ([-5, 5, 30, 20], "box_outside_image"),
    ],
)
def test_one_bad_box_and_there_is_no_evidence(boxes, reason):
    assert settled(boxes=boxes, texts="A text.") == reason


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.floats()), max_size=5)
)
def test_whatever_a_cell_holds_is_evidence_or_a_reason(cell):
    for texts, boxes in ((cell, None), (None, cell), (cell, cell)):
        try:
            found = row_evidence(texts, boxes, "shares_xyxy")
        except BrokenRow:
            continue
        if found is not None:
            values = json.loads(found.added_to("{}", [facts()]))
            assert read_evidence(json.dumps(values)) is not None or values["aid_not_read"].startswith("box_")


def test_boxes_need_an_image_that_lies_as_it_lay():
    assert settled(boxes=[1, 1, 2, 2], images=()) == "box_without_image"
    turned = (facts(changes=["exif_rotated"]),)
    assert settled(boxes=[1, 1, 2, 2], images=turned) == "box_on_turned_image"
    assert settled(boxes=[0, 0, 0.5, 1], form="shares_xyxy", images=turned) == "box_on_turned_image"
    assert settled(texts="x", images=turned).texts == ["x"]


def test_texts():
    assert settled("One.").texts == ["One."]
    assert settled(["One.", ["Two.", "Three."], None, "", "One.", 4.0]).texts == ["One.", "Two. Three.", "4"]
    assert row_evidence(None, None, "xyxy") is row_evidence([], [], "xyxy") is row_evidence("", None, "xyxy") is None
    assert settled({"a": 1}) == settled([{"a": 1}]) == "not_a_text"
    assert settled("half a pair \ud800") == "not_unicode"
    (long,) = settled("word " * 2000).texts
    assert long.endswith("word …") and len(long) <= evidence.MAX_CHARS + 2


def png(size):
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "PNG")
    return buffer.getvalue()


def write(folder, rows):
    (folder / "images").mkdir()
    (folder / "images" / "wide.png").write_bytes(png((200, 100)))
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))


def load(folder, evaluation=False, **columns):
    options = {
        "path": str(folder / "rows.jsonl"), "image_folder": str(folder / "images"), "task": "perception",
        "box_form": "xywh", "columns": {"images": "image", **columns},
    }  # fmt: skip
    spec = (EvaluationSource if evaluation else Source)(name="src", loader="files", options=options)
    return list(load_source(spec, 0, ImageStore(str(folder / "store"))))


def test_from_files_to_questions(tmp_path):
    asked = {"question": "Which colour?", "answer": "red", "image": "wide.png"}
    write(
        tmp_path,
        [
            asked | {"seen": [{"bbox": [50, 0, 100, 50]}], "page": "It is red."},
            asked | {"question": "Where?", "seen": [{"bbox": [50, 0, 100, 500]}], "page": None},
            asked | {"question": "When?", "seen": [], "page": None},
            asked | {"question": "Who?", "seen": [], "page": {"title": "x"}},
            {"question": "What?", "answer": "red", "image": [], "seen": [{"bbox": [0, 0, 5, 5]}], "page": None},
        ],
    )
    questions = load(tmp_path, evidence_boxes="seen[].bbox", evidence_texts="page", extra=["page"])
    assert all(isinstance(question, Question) for question in questions)
    first = read_evidence(questions[0].extra)
    assert (first.texts, [sides(box) for box in first.boxes]) == (["It is red."], [(0, 0.25, 0.0, 0.75, 0.5)])
    extras = [json.loads(question.extra) for question in questions]
    assert extras[0]["page"] == "It is red."
    assert [extra.get("aid_not_read") for extra in extras] == [
        None, "box_outside_image", None, "not_a_text", "box_without_image",
    ]  # fmt: skip
    assert [read_evidence(question.extra) for question in questions[1:]] == [None] * 4
    plain = load(tmp_path)
    assert [question.question_id for question in plain] == [question.question_id for question in questions]
    assert {question.extra for question in plain} == {"{}"}


def test_an_expression_that_fails_costs_the_evidence_alone(tmp_path):
    write(tmp_path, [{"question": "1+1?", "answer": "2", "image": [], "n": 3}])
    (question,) = load(tmp_path, evidence_texts="boxed(n)")
    assert json.loads(question.extra) == {"aid_not_read": "expression_failed"}


def test_an_evaluation_set_gets_no_evidence(tmp_path):
    write(tmp_path, [{"question": "1+1?", "answer": "2", "image": "wide.png", "page": "It is 2.", "seen": [9]}])
    (question,) = load(tmp_path, evaluation=True, evidence_texts="page", evidence_boxes="seen")
    assert question.extra == "{}"


def test_the_columns_may_be_spelled_as_they_were_first(tmp_path):
    write(tmp_path, [{"question": "1+1?", "answer": "2", "image": "wide.png", "page": "It is 2.", "seen": []}])
    new = load(tmp_path, evidence_boxes="seen[].bbox", evidence_texts="page")
    assert load(tmp_path, aid_boxes="seen[].bbox", aid_texts="page") == new
    assert read_evidence(new[0].extra).texts == ["It is 2."]
    own = {"text": "q", "aid_boxes": "own"}
    mapped = MappingOptions(published="vstar_gqa", columns=own).columns
    assert (mapped.evidence_boxes, mapped.text) == ("own", "q")
    with pytest.raises(RecipeError, match="this is another spelling of evidence_boxes, which is given as well"):
        load(tmp_path, aid_boxes="seen", evidence_boxes="seen")
