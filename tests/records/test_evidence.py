import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from records.evidence import MOST, Box, Evidence, read_evidence, write_evidence
from records.question import Question

shares = st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True).map(sorted)
boxes = st.builds(
    lambda image, x, y: Box(image=image, left=x[0], top=y[0], right=x[1], bottom=y[1]),
    st.integers(0, 3), shares, shares,
)  # fmt: skip
parts_of_evidence = st.tuples(st.lists(st.text(min_size=1), max_size=3), st.lists(boxes, max_size=3)).filter(any)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["texts", "boxes", "left"]), inner),
    max_leaves=8,
)
LEFT_HALF = {"image": 0, "left": 0.0, "top": 0.0, "right": 0.5, "bottom": 1.0}


@settings(max_examples=60, deadline=None)
@given(parts_of_evidence)
def test_what_is_written_is_read(parts):
    evidence = Evidence(texts=parts[0], boxes=parts[1])
    extra = write_evidence({"level": 3}, evidence)
    assert extra["level"] == 3
    assert read_evidence(json.dumps(extra)) == evidence


@settings(max_examples=60, deadline=None)
@given(json_values)
def test_whatever_stands_there_is_evidence_or_none(value):
    evidence = read_evidence(json.dumps({"aid": value}))
    assert evidence is None or evidence.texts or evidence.boxes


@pytest.mark.parametrize(
    "extra", ["{}", "", "[1]", "no JSON", '{"aid": null}', '{"aid": {}}', '{"aid": {"texts": []}}', "[" * 100_000]
)
def test_no_evidence(extra):
    assert read_evidence(extra) is None


@pytest.mark.parametrize(
    "change",
    [
        {"right": 0.0}, {"bottom": 0.0}, {"left": 0.6}, {"right": 1.2}, {"left": -0.1}, {"top": float("nan")},
        {"bottom": "low"}, {"image": -1}, {"label": "kite"},
    ],
)  # fmt: skip
def test_a_box_is_a_part_of_an_image(change):
    assert read_evidence(json.dumps({"aid": {"boxes": [LEFT_HALF]}})).boxes == [Box(**LEFT_HALF)]
    assert read_evidence(json.dumps({"aid": {"boxes": [LEFT_HALF, LEFT_HALF | change]}})) is None


def test_evidence_is_bounded():
    assert len(Evidence(texts=["x"] * MOST).texts) == MOST
    with pytest.raises(ValidationError):
        Evidence(texts=["x"] * (MOST + 1))
    with pytest.raises(ValidationError):
        Evidence(boxes=[Box(**LEFT_HALF)] * (MOST + 1))


def test_evidence_is_no_part_of_the_identity():
    fields = {"source": "s", "source_row": "1", "task": "search", "text": "?", "answer": "1", "answer_type": "number"}
    with_evidence = Question(**fields, extra=json.dumps(write_evidence({}, Evidence(texts=["It is 1."]))))
    assert with_evidence.question_id == Question(**fields).question_id
