"""easy-vqa: questions about one coloured shape in a real 64x64 PNG. Perception; MIT licence; needs no hub.

Source: the package `easy-vqa` (https://github.com/vzhou842/easy-VQA): 5,000 images and 48,248 questions, 74 % of
them yes/no. Shapes and colours are asked as open questions, with no choices shown: three shapes to choose from would
make one guess in three right.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from records.question import Reject
from records.recipe import Source
from sources.contract import Draft, Opened
from sources.draw import allocate, draw, reject, require, version

Kind = Literal["yes_no", "shape", "colour"]
KINDS: tuple[Kind, ...] = ("yes_no", "shape", "colour")
LICENCE = "MIT"
_SHAPES = {"circle", "rectangle", "triangle"}
_SPELLINGS = {"gray": ["grey"]}


class Options(BaseModel):
    """The settings of the loader."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: Literal["train", "test"] = "train"
    """The split that is read."""
    kinds: dict[Kind, Annotated[float, Field(ge=0)]] = Field(default_factory=lambda: dict.fromkeys(KINDS, 1.0))
    """The relative share of each kind among the rows drawn (equal by default); a kind that is left out or has 0 is not
    drawn. Shares matter only with a limit."""


def check(options: Options, use: str) -> None:
    if not any(options.kinds.values()):
        raise ValueError("kinds: at least one kind needs a share above 0")


def kind_of(answer: str) -> Kind:
    """The kind of a question, by its answer."""
    if answer in ("yes", "no"):
        return "yes_no"
    return "shape" if answer in _SHAPES else "colour"


def load(spec: Source, options: Options, seed: int) -> Opened:
    """The source, open for reading. A row is named `<split>/<number in the split's file>`."""
    data = require("easy_vqa", "demo", spec.name)
    train = options.split == "train"
    texts, answers, image_ids = (data.get_train_questions if train else data.get_test_questions)()
    paths = (data.get_train_image_paths if train else data.get_test_image_paths)()

    rows: dict[Kind, list[int]] = {kind: [] for kind in KINDS}
    for row, answer in enumerate(answers):
        rows[kind_of(answer)].append(row)
    rows = {kind: numbers for kind, numbers in rows.items() if options.kinds.get(kind, 0) > 0}
    sizes: dict[Kind, int] = {kind: len(numbers) for kind, numbers in rows.items()}
    counts = sizes if spec.limit is None else allocate(spec.limit, sizes, options.kinds)
    drawn = sorted(numbers[i] for kind, numbers in rows.items() for i in draw(len(numbers), counts[kind], seed, kind))

    def drafts() -> Iterator[Draft | Reject]:
        for row in drawn:
            name, kind = f"{options.split}/{row}", kind_of(answers[row])
            try:
                picture = Path(paths[image_ids[row]]).read_bytes()
            except (KeyError, OSError) as error:
                yield reject(spec, name, "perception", "image_missing", f"image {image_ids[row]}: {error}")
                continue
            fields = {
                "source": spec.name,
                "source_row": name,
                "task": "perception",
                "text": texts[row][:1].upper() + texts[row][1:],
                "answer": answers[row],
                "answer_type": "boolean" if kind == "yes_no" else "short_text",
                "aliases": _SPELLINGS.get(answers[row], []),
                "licence": LICENCE,
                "extra": json.dumps({"kind": kind, "image_id": image_ids[row]}),
            }
            yield Draft(fields, [picture])

    return Opened(drafts(), rows=sum(sizes.values()), revision=version("easy-vqa"))
