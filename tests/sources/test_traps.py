"""Rows as people have met them: tests/traps/rows.jsonl says what must come out of each, and why."""

import io
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from filters.questions import control_text, wording
from records.control_tokens import OF_ALL_FAMILIES
from records.images.store import ImageStore
from records.question import Question, Reject
from records.recipe import Source
from records.recipe.questions import Wording
from records.tables import to_frame
from sources.contract import Draft
from sources.mapping.row import to_draft
from sources.mapping.settings import MappingOptions
from sources.open import check_source, get_loader

LINES = [json.loads(line) for line in (Path(__file__).parent.parent / "traps" / "rows.jsonl").read_text().splitlines()]
INLINE = {"columns": {"text": "without_choices(question)", "choices": "inline_choices(question)"}}


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(buffer, "PNG")
    return buffer.getvalue()


def with_pictures(value: Any) -> Any:
    """The value with an image in the place of each "@png"."""
    if isinstance(value, list):
        return [with_pictures(item) for item in value]
    if isinstance(value, dict):
        return {key: with_pictures(item) for key, item in value.items()}
    return png() if value == "@png" else value


def by_classes(line: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The options of a dataset with a class column, written as its author's library does it."""
    from datasets import ClassLabel, Dataset, Features, List, Value

    row, label = dict(line["row"]), ClassLabel(names=line["classes"])
    features = {"question": Value("string"), "label": label}
    if "options" in row:
        features["options"] = List(Value("string"))
    if line.get("nested"):
        row["deep"], features["deep"] = {"labels": [row["label"]]}, {"labels": List(label)}
    Dataset.from_list([row], features=Features(features)).to_parquet(str(folder / "rows.parquet"))
    return {"path": "parquet", "data_files": str(folder / "rows.parquet")}


def written(line: dict[str, Any], folder: Path) -> list[str]:
    """The files of a line that goes through the loaders of JSON; the row is the last one."""
    files = [line.get("earlier_file"), [*line.get("beside", ()), line["row"]]]
    paths = []
    for number, rows in enumerate(rows for rows in files if rows):
        paths.append(str(folder / f"{number}.jsonl"))
        Path(paths[-1]).write_text("\n".join(json.dumps(row) for row in rows))
    return paths


def through(loader: str, options: dict[str, Any], line: dict[str, Any]) -> Draft | Reject:
    spec = Source(name="src", loader=loader, options={"task": line.get("task", "math"), **line["options"], **options})
    return list(get_loader(loader).load(spec, check_source(spec, "recipe", 0), 0).drafts)[-1]


def made(line: dict[str, Any], folder: Path) -> Iterator[tuple[str, Draft | Reject]]:
    """What comes out of a line, by how it was read."""
    line.setdefault("options", {})
    if line.get("loader") == "huggingface":
        yield "huggingface", through("huggingface", by_classes(line, folder), line)
    elif line.get("loader") == "both":
        paths = written(line, folder)
        yield "files", through("files", {"path": paths}, line)
        yield "huggingface", through("huggingface", {"path": "json", "data_files": paths}, line)
    else:
        given = INLINE if line.get("mapping") == "inline" else line["options"]
        options = MappingOptions(**{"task": line.get("task", "math"), **given})
        yield "mapping", to_draft(Source(name="src", loader="files"), options, 0, with_pictures(line["row"]))


def in_the_questions_stage(draft: Draft, store: ImageStore) -> str | None:
    """The reason for which the rules for texts reject a question; None if they keep it."""
    question = Question(**draft.fields, images=[store.put(picture) for picture in draft.pictures])
    kept, rejects = wording.apply(to_frame([question], Question), Wording())
    late = control_text.apply(kept, lambda: OF_ALL_FAMILIES)[1]
    return next(iter([*rejects["reason"], *late["reason"]]), None)


@pytest.mark.parametrize("kind", sorted({line["kind"] for line in LINES}))
def test_every_row_becomes_what_its_author_meant(kind: str, tmp_path: Path) -> None:
    wrong = []
    for number, line in enumerate(line for line in LINES if line["kind"] == kind):
        folder = tmp_path / str(number)
        folder.mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for how, draft in made(line, folder):
                if isinstance(draft, Reject):
                    found: dict[str, Any] = {"reject": draft.reason}
                else:
                    found = {**draft.fields, "pictures": len(draft.pictures)}
                    found = {key: found[key] for key in line["gives"] if key in found}
                    if "then" in line or kind == "X2":
                        found["then"] = in_the_questions_stage(draft, ImageStore(str(tmp_path / "images")))
                expected = {**line["gives"], **({"then": line.get("then")} if "then" in found else {})}
                if found != expected:
                    wrong.append((how, line["row"], found, expected, line["because"]))
    assert not wrong, "\n".join(map(str, wrong))


def test_the_corpus_is_large_enough() -> None:
    assert len(LINES) >= 60 and all(line["because"] for line in LINES)
