"""What a prompt may give up front: results of a stored rollout, annotated texts and crops."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from records.evidence import Box, Evidence, write_evidence
from records.images.store import ImageStore
from records.question import Question
from records.tables import to_frame
from records.trajectory import ExecutedCall, Rollout, ToolCall, ToolResult
from rollouts.prompts.prefilled_results import LEAST_SIDE, aid_results, crop, results_of
from sandbox.result_images import check_result_image
from tests.rollouts.test_agent import ANSWER, CALL, Counter, Scripted, once


def picture(width, height, kind="PNG"):
    """Bytes of an image in which every pixel tells its place."""
    down, across = np.indices((height, width))
    pixels = np.stack([across % 256, down % 256, (across + down) % 256], axis=2).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def question(images=(), **extra):
    return Question(
        source="s", source_row="1", task="perception", text="?", images=list(images), answer="a",
        answer_type="short_text", extra=json.dumps(extra),
    )  # fmt: skip


async def test_results_of_a_stored_rollout_come_back_in_order(tmp_path):
    rollout = await once(tmp_path, Scripted(CALL, CALL, ANSWER), Counter())
    (stored,) = to_frame([rollout], Rollout)["tool_calls"]
    assert [result.text for result in results_of(stored)] == ["2", "4"]


def test_calls_that_were_not_run_have_no_result():
    outcomes = ["ok", "invalid_call", "raised", "timed_out", "invalid_call", "out_of_memory", "killed"]
    calls = [
        ExecutedCall(
            call=ToolCall(name="python", arguments="{}"), result=ToolResult(outcome=o, text=str(n), images=[f"i{n}"])
        )
        for n, o in enumerate(outcomes)
    ]
    stored = json.dumps([call.model_dump() for call in calls])
    assert [(r.text, r.images) for r in results_of(stored)] == [(str(n), [f"i{n}"]) for n in (0, 2, 3, 5, 6)]
    assert results_of("[]") == ()


@pytest.mark.parametrize("stored", ["", "null", "{}", "[1]", '[{"call": {}}]', '[{"call"'])
def test_a_text_that_holds_no_calls_is_refused(stored):
    with pytest.raises(ValueError):
        results_of(stored)


def test_texts_and_crops_of_the_aid_are_given(tmp_path):
    store = ImageStore(str(tmp_path))
    images = [store.put(picture(100, 80)), store.put(picture(200, 50, "JPEG"))]
    aid = Evidence(
        texts=["Portugal: coastline 1,793 km", "second"],
        boxes=[
            Box(image=0, left=0.1, top=0.25, right=0.6, bottom=0.75),
            Box(image=1, left=0, top=0, right=0.5, bottom=1),
            Box(image=2, left=0, top=0, right=1, bottom=1),  # the question has two images
        ],
    )
    results = aid_results(question(images, **write_evidence({}, aid)), store, sees_images=True)
    assert [r.role for r in results] == ["tool"] * 4 and [r.text for r in results] == [*aid.texts, "", ""]
    assert [len(r.images) for r in results] == [0, 0, 1, 1]
    data = [store.get(r.images[0]) for r in results[2:]]
    first, second = (Image.open(io.BytesIO(d)) for d in data)
    assert (first.format, first.size, second.format, second.size) == ("PNG", (50, 40), "PNG", (100, 50))
    assert np.array_equal(np.array(first), np.array(Image.open(io.BytesIO(picture(100, 80))))[20:60, 10:60])
    for png in data:
        check_result_image(png)
    blind = aid_results(question(images, **write_evidence({}, aid)), store, sees_images=False)
    assert [(r.text, r.images) for r in blind] == [(text, []) for text in aid.texts]


@pytest.mark.parametrize(
    "extra",
    [{}, {"aid": None}, {"aid": {"texts": "x"}}, {"other": 1}, {"aid": {"boxes": [{"image": 0, "left": "a"}]}}],
)
def test_without_an_aid_there_is_nothing_to_give(tmp_path, extra):
    assert aid_results(question(["0" * 64], **extra), ImageStore(str(tmp_path)), sees_images=True) == ()


def test_boxes_alone_are_nothing_to_give_to_a_model_that_sees_none(tmp_path):
    aid = Evidence(boxes=[Box(image=0, left=0, top=0, right=1, bottom=1)])
    asked = question(["0" * 64], **write_evidence({}, aid))
    # the image is not even read: the store does not hold it
    assert aid_results(asked, ImageStore(str(tmp_path)), sees_images=False) == ()
    with pytest.raises(OSError):
        aid_results(asked, ImageStore(str(tmp_path)), sees_images=True)


@given(
    size=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    share=st.tuples(*[st.floats(0, 1)] * 4),
    exact=st.booleans(),
)
def test_a_crop_holds_its_box_is_large_enough_and_lies_within_the_image(size, share, exact):
    (width, height), (a, b, c, d) = size, share
    if exact:  # whole pixels, as most annotations have them
        a, b, c, d = (
            round(a * width) / width,
            round(b * width) / width,
            round(c * height) / height,
            round(d * height) / height,
        )
    (left, right), (top, bottom) = sorted((a, b)), sorted((c, d))
    if left == right or top == bottom:
        return
    data = picture(width, height)
    with Image.open(io.BytesIO(crop(data, Box(left=left, top=top, right=right, bottom=bottom)))) as opened:
        pixels = np.array(opened)
    (x, y), (w, h) = (int(v) for v in pixels[0, 0, :2]), (pixels.shape[1], pixels.shape[0])
    whole = np.array(Image.open(io.BytesIO(data)))
    assert np.array_equal(pixels, whole[y : y + h, x : x + w])
    for first, length, low, high, side in ((x, w, left, right, width), (y, h, top, bottom, height)):
        assert first <= low * side + 1e-5 and high * side - 1e-5 <= first + length <= side
        assert length >= min(side, LEAST_SIDE)
        if exact:
            assert length == min(side, max(LEAST_SIDE, round((high - low) * side)))
