"""The evidence of a question (records/evidence.py), read from the columns of its row.

Boxes are checked when the row is read, and measured when its images are decoded, because only then their sizes are
known. If a part cannot be read, the question is kept without evidence, and `aid_not_read` in its `extra` says why.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from records.evidence import MOST, Box, Evidence, write_evidence
from records.images.store import ImageFacts
from sources.mapping.cells import BrokenRow, cell_text

BoxForm = Literal["xyxy", "xywh", "shares_xyxy"]
"""xyxy: left, top, right, bottom in pixels; xywh: left, top, width, height in pixels; shares_xyxy: left, top, right,
bottom in shares of the image's width and height."""

NOT_READ = "aid_not_read"
"""The key in a question's `extra` that holds the reason why there is no evidence; stored tables use it."""
MAX_CHARS = 6000
"""The number of characters after which a text is cut: a long page."""
_OVERHANG = 0.01
"""The share of a side, or one pixel if that is more, by which a box may stick out of its image; what sticks out is cut
off. A box that sticks out further was drawn on a picture of another size."""
_FAR = 1e9
"""The distance that every coordinate must be below, which also refuses NaN."""

Four = tuple[float, float, float, float]


@dataclass(frozen=True)
class RowEvidence:
    """The evidence that a row gives, its boxes not yet measured against the image. Satisfies `PendingEvidence`."""

    texts: list[str]
    boxes: list[Four]
    """Boxes in the row's first image."""
    form: BoxForm

    def added_to(self, extra: str, images: Sequence[ImageFacts]) -> str:
        """A question's `extra` (JSON text) with the evidence, or with the reason why there is none."""
        values = json.loads(extra)
        try:
            boxes = [_measured(box, self.form, images) for box in self.boxes]
            values = write_evidence(values, Evidence(texts=self.texts, boxes=boxes))
        except BrokenRow as error:
            values[NOT_READ] = error.reason
        return json.dumps(values, ensure_ascii=False)


def row_evidence(texts: Any, boxes: Any, form: BoxForm) -> RowEvidence | None:
    """The evidence in two cells; None if both are empty.

    Args:
        texts: a text or a list of texts; a list within it is one text in parts, such as the sentences of a paragraph.
        boxes: a box (four numbers) or a list of boxes.
        form: what the four numbers are.

    Raises:
        BrokenRow: `not_a_text`, `not_unicode`, `box_not_numbers` or `too_many_parts`.
    """
    read = [_text(part) for part in (texts if isinstance(texts, list | tuple) else [texts])]
    read = [text for text in dict.fromkeys(read) if text]
    given = list(boxes) if isinstance(boxes, list | tuple) else [] if boxes is None else [boxes]
    if given and not any(isinstance(item, list | tuple) for item in given):
        given = [given]
    numbers = [_four(box) for box in given]
    if max(len(read), len(numbers)) > MOST:
        raise BrokenRow("too_many_parts", f"{len(read)} texts and {len(numbers)} boxes; at most {MOST} each are taken")
    return RowEvidence(read, numbers, form) if read or numbers else None


def _text(part: Any) -> str:
    text = " ".join(map(cell_text, part)) if isinstance(part, list | tuple) else cell_text(part)
    return text if len(text) <= MAX_CHARS else text[:MAX_CHARS].rsplit(maxsplit=1)[0] + " …"


def _four(box: Any) -> Four:
    numbers = list(box) if isinstance(box, list | tuple) else [box]
    plain = all(isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < _FAR for n in numbers)
    if len(numbers) != 4 or not plain:
        raise BrokenRow("box_not_numbers", f"{numbers!r}"[:200])
    left, top, third, fourth = map(float, numbers)
    return left, top, third, fourth


def _measured(box: Four, form: BoxForm, images: Sequence[ImageFacts]) -> Box:
    """A box in shares of the first image.

    Raises:
        BrokenRow: `box_without_image`; `box_on_turned_image` for a photograph that was turned upright, of which nobody
            knows how it lay when the box was drawn; `box_outside_image`; `box_without_area`.
    """
    if not images:
        raise BrokenRow("box_without_image")
    image = images[0]
    if "exif_rotated" in image.changes:
        raise BrokenRow("box_on_turned_image")
    left, top, right, bottom = box
    if form == "xywh":
        right, bottom = left + right, top + bottom
    width, height = (1, 1) if form == "shares_xyxy" else (image.width, image.height)
    left, right = _within(left / width, right / width, image.width)
    top, bottom = _within(top / height, bottom / height, image.height)
    return Box(image=0, left=left, top=top, right=right, bottom=bottom)


def _within(low: float, high: float, pixels: int) -> tuple[float, float]:
    """The two ends along a side of `pixels`, in shares, cut off at the image's edges."""
    over = max(_OVERHANG, 1 / pixels)
    if low < -over or high > 1 + over:
        raise BrokenRow("box_outside_image")
    low, high = round(max(low, 0.0), 6), round(min(high, 1.0), 6)
    if low >= high:
        raise BrokenRow("box_without_area")
    return low, high
