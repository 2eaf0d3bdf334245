"""What a source knows to hold the answer of a question: the annotated regions of its images, and passages of text.

An arm of attempts is shown it, so that a question that only needs the right look or page can be told from one that the
model cannot answer: DeepEyes (Zheng et al., arXiv 2505.14362) trains on questions that are wrong alone and right with
the annotated crop. The aid stands in the question's `extra`, which is no part of its identity.
"""

import json
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

KEY = "aid"
MOST = 32
"""Texts, and boxes, of one question at most."""

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Box(BaseModel):
    """A rectangle of an image, in shares of its width and height from the upper left corner of the upright picture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Annotated[int, Field(ge=0)] = 0
    """Which of the question's images, from 0."""
    left: Share
    top: Share
    right: Share
    bottom: Share

    @model_validator(mode="after")
    def _area(self) -> Self:
        if self.left >= self.right or self.top >= self.bottom:
            raise ValueError("a box without area")
        return self


class Aid(BaseModel):
    """The annotated aid of one question: at least one text or box."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    texts: Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=MOST)] = Field(default_factory=list)
    boxes: Annotated[list[Box], Field(max_length=MOST)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.texts and not self.boxes:
            raise ValueError("an aid without a text or a box")
        return self


def read_aid(extra: str) -> Aid | None:
    """The aid in a question's `extra` (JSON text); None where there is none, or none that can be read."""
    try:
        values = json.loads(extra)
        return Aid.model_validate(values[KEY]) if isinstance(values, dict) and KEY in values else None
    except (ValueError, RecursionError):  # no JSON, or (ValidationError is a ValueError) no Aid
        return None


def write_aid(extra: dict[str, Any], aid: Aid) -> dict[str, Any]:
    """`extra` with the aid in it, ready for JSON."""
    return {**extra, KEY: aid.model_dump()}
