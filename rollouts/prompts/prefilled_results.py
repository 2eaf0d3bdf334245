"""Results that a prompt holds without a call: those of a stored rollout, or the evidence that a source annotates."""

import io
import math
from collections.abc import Sequence

from PIL import Image
from pydantic import TypeAdapter

from records.evidence import Box, read_evidence
from records.images.store import ImageStore
from records.question import Question
from records.trajectory import ExecutedCall, Message, ToolResult, tool_message

LEAST_SIDE = 28
"""Pixels per side of the smallest crop, where its image has them: models that see in patches refuse smaller ones."""
SLACK = 1e-6
"""The part of a pixel that rounding may lose: a share that was made from whole pixels leads back to these."""

_executed = TypeAdapter(list[ExecutedCall])


def results_of(tool_calls_json: str) -> tuple[Message, ...]:
    """What the calls of a rollout returned, in their order, from the JSON text that the ledger keeps of them.

    Raises:
        ValueError: the text is not a list of executed calls.
    """
    return obtained(_executed.validate_json(tool_calls_json))


def obtained(calls: Sequence[ExecutedCall]) -> tuple[Message, ...]:
    """What these calls returned, in their order. A call that was refused before anything ran has no result."""
    return tuple(tool_message(c.call.name, c.result) for c in calls if c.result.outcome != "invalid_call")


def aid_results(question: Question, images: ImageStore, sees_images: bool) -> tuple[Message, ...]:
    """The annotated aid of a question: each text, then the crop of each box, which goes to the image store.

    () when there is nothing to give: no aid, or only boxes for a model that sees no images. A box of an image that the
    question does not have is left out.

    Raises:
        OSError: an image cannot be read, or a crop not stored.
    """
    aid = read_evidence(question.extra)
    if aid is None:
        return ()
    boxes = [box for box in aid.boxes if box.image < len(question.images)] if sees_images else []
    crops = [images.put(crop(images.get(question.images[box.image]), box)) for box in boxes]
    return (
        *(tool_message("", ToolResult(outcome="ok", text=text)) for text in aid.texts),
        *(tool_message("", ToolResult(outcome="ok", images=[image])) for image in crops),
    )


def crop(data: bytes, box: Box) -> bytes:
    """The part of a stored image within a box, as PNG, with as much around it as makes it LEAST_SIDE pixels a side."""
    with Image.open(io.BytesIO(data)) as image:
        left, right = _widened(box.left, box.right, image.width)
        top, bottom = _widened(box.top, box.bottom, image.height)
        buffer = io.BytesIO()
        image.crop((left, top, right, bottom)).save(buffer, "PNG")
    return buffer.getvalue()


def _widened(low: float, high: float, side: int) -> tuple[int, int]:
    """The pixels from the share `low` to the share `high` of a side, whole ones, widened evenly and kept within it."""
    first, last = math.floor(low * side + SLACK), math.ceil(high * side - SLACK)
    size = min(side, max(LEAST_SIDE, last - first))
    start = first - (size - (last - first)) // 2
    start = min(max(0, start), side - size)
    return start, start + size
