"""The evidence that a source annotates a question with: texts and regions of its images that hold the answer.

The arm `oracle` is shown it, so that a question that only needs the right region or page can be told from one that the
model cannot answer: DeepEyes (Zheng et al., arXiv 2505.14362) trains on questions that are wrong alone and right with
the annotated crop. The evidence is kept in the question's `extra`, which is not part of its identity.
"""

import json
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

KEY = "aid"
"""The key in a question's `extra`; stored tables use it, so it keeps its first name."""
MOST = 32
"""The most texts, and the most boxes, of one question."""

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
"""A position along a side of an image, from 0 to 1."""


class Box(BaseModel):
    """A rectangle of an image, in shares of its width and height from the upper left corner of the upright picture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Annotated[int, Field(ge=0)] = 0
    """The number of the image among the question's images, from 0."""
    left: Share
    top: Share
    right: Share
    bottom: Share

    @model_validator(mode="after")
    def _area(self) -> Self:
        if self.left >= self.right or self.top >= self.bottom:
            raise ValueError("a box without area")
        return self


class Evidence(BaseModel):
    """The annotated evidence of one question: at least one text or box."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    texts: Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=MOST)] = Field(default_factory=list)
    boxes: Annotated[list[Box], Field(max_length=MOST)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.texts and not self.boxes:
            raise ValueError("evidence without a text or a box")
        return self


def read_evidence(extra: str) -> Evidence | None:
    """The evidence in a question's `extra` (JSON text); None if there is none, or none that can be read."""
    try:
        values = json.loads(extra)
        return Evidence.model_validate(values[KEY]) if isinstance(values, dict) and KEY in values else None
    except (ValueError, RecursionError):  # not JSON, or (ValidationError is a ValueError) not Evidence
        return None


def write_evidence(extra: dict[str, Any], evidence: Evidence) -> dict[str, Any]:
    """`extra` with the evidence in it, ready for JSON."""
    return {**extra, KEY: evidence.model_dump()}
