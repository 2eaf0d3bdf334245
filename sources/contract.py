"""What a loader is, and what it hands on. A new loader is one module of sources/loaders/ that offers

- `Options`: a pydantic model (extra="forbid") of the settings that a recipe may give under `options`,
- `load(spec, options, seed) -> Opened`: what the source says about itself, and exactly one draft of a question
  or reject per raw row drawn, so that rows in = questions + rejects. A reject has the stage "source" and the row id
  `<source name>:<row>`. A draft's images are encoded bytes, which are decoded and checked by sources/intake/,
- `documents(options) -> Iterator[Document]`, if it can also be a corpus of the search tool,
- `check(options, use)`, if some settings can only be judged together; it raises ValueError. `use` is "questions" or
  "documents".

Modules whose names start with an underscore are not loaders.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from records.images.store import ImageFacts
from records.question import Reject


class PendingEvidence(Protocol):
    """The evidence that a row gives, which can only be kept once the sizes of its images are known."""

    def added_to(self, extra: str, images: Sequence[ImageFacts]) -> str:
        """A question's `extra` (JSON text) with the evidence, or with the reason why there is none."""
        ...


@dataclass(frozen=True)
class Draft:
    """A question whose images are still encoded bytes, as the source gave them."""

    fields: dict[str, Any]
    """The fields of a Question, all but `images`."""
    pictures: list[bytes] = field(default_factory=list)
    """The encoded images of the question."""
    evidence: PendingEvidence | None = None
    """What is added to the question's `extra` once the sizes of its images are known."""


@dataclass(frozen=True)
class Opened:
    """A source that is open for reading."""

    drafts: Iterator[Draft | Reject]
    """Exactly one item per raw row drawn."""
    rows: int | None = None
    """The number of raw rows of the source, drawn or not; None for a stream."""
    columns: dict[str, str] = field(default_factory=dict)
    """The columns that are read, with their types; empty for a source that a package makes."""
    revision: str = ""
    """What names exactly this state of the source: a commit of a hub, or a package with its version."""
