"""The refresh of a source: what is new in it, what was there before, and what must not be accepted without a look.

A row is known by its content: a dataset in another order, or cut into other files, brings nothing new. The state of a
source at its last refresh is stored. A source that has lost more than its `max_shrink`, or whose columns changed their
types, is held back: its tables are left unchanged, and its check fails until a person accepts the change.
"""

import itertools
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel

from records.identity import content_hash, hashed
from records.images.store import FACTS_VERSION, ImageFacts
from records.question import Question, Reject
from records.recipe import Source
from records.tables import SCHEMA_VERSION, VERSION_KEY, TableFile, from_frame, stack, to_frame
from records.workspace import Workspace, rejects_table
from sources.open import OpenedSource, open_source

BATCH = 4096
"""The number of rows that are turned into tables at a time."""


class SourceState(BaseModel):
    """The state of a source at its last refresh."""

    source: str
    settings: str
    """The hash of the source's part of the recipe and of the seed. A source with another hash is not compared."""
    revision: str
    rows: int
    """The number of raw rows: all rows of the source or, for a stream, those that were read."""
    questions: int
    images: int
    """The number of images of all questions: an evaluation set keeps rows whose images are gone."""
    columns: str
    """The columns that are read, with their types, as JSON text."""
    problem: str = ""
    """Why the source was held back the last time; empty if it was not."""


@dataclass(frozen=True)
class RefreshedSource:
    """A source after its refresh: the tables to be stored, and how they differ from those of last time."""

    questions: pl.DataFrame
    """A table of schema Question, with `first_seen`: when the run began that first met the question (ms since 1970)."""
    rejects: pl.DataFrame
    """A table of schema Reject."""
    state: SourceState
    new: int
    """The number of questions that were not there last time."""
    gone: int
    """The number of questions of last time that are not there any more."""
    images_new: int
    """The number of images that were decoded because they were not known."""


def state_table(name: str) -> str:
    """The name of the table that holds the state of a source."""
    return f"sources/{name}"


def images_table(name: str) -> str:
    """The name of the table that holds what is known of the images of a source."""
    return f"images/{name}"


def read_state(workspace: Workspace, name: str) -> SourceState | None:
    """The state of a source at its last refresh; None if there was none."""
    table = state_table(name)
    return from_frame(workspace.tables.read(table), SourceState)[0] if workspace.tables.exists(table) else None


def refresh(workspace: Workspace, spec: Source, seed: int, accept: bool = False) -> RefreshedSource:
    """Read a source and compare it with last time. A source that has to be held back keeps its tables of last time,
    unless the change is accepted (`accept`).

    Raises:
        RecipeError: the source cannot be read at all.
    """
    tables = workspace.tables
    # A run that was killed in between may have left a state without a table.
    before = read_state(workspace, spec.name) if tables.exists(spec.name) else None
    opened = open_source(spec, seed, workspace.images, workspace.recipe.questions.images, _Known(workspace, spec.name))
    about = hashed(spec, leaving_out={"max_shrink"}) | {"evaluation": spec.evaluation}
    settings = content_hash([about, seed])
    compared = before if before is not None and before.settings == settings and not accept else None
    # What can be told without reading the rows is checked first.
    problem = _shrunk("rows", compared, opened.rows, spec) or _changed(compared, opened.columns)
    questions, rejects, images_new = stack([], Question), stack([], Reject), 0
    if not problem:
        questions, rejects, facts, images_new = _read(workspace, spec.name, opened)
        pictures = _pictures(questions)
        problem = _shrunk("questions", compared, questions.height, spec) or _shrunk("images", compared, pictures, spec)
        if images_new and not problem:
            tables.adopt(images_table(spec.name), facts)
        else:
            facts.remove()
    state = SourceState(
        source=spec.name,
        settings=settings,
        revision=opened.revision,
        rows=opened.rows if opened.rows is not None else questions.height + rejects.height,
        questions=questions.height,
        images=_pictures(questions),
        columns=json.dumps(opened.columns),
    )
    earlier = _earlier(workspace, spec.name)
    if problem:
        assert before is not None  # a problem comes of a comparison with it
        state = before.model_copy(update={"problem": problem})
        questions, rejects = tables.read(spec.name), tables.read(rejects_table(spec.name))
    else:
        questions = questions.join(earlier, on="question_id", how="left", maintain_order="left").with_columns(
            pl.col("first_seen").fill_null(workspace.began)
        )
    tables.write(state_table(spec.name), to_frame([state], SourceState))
    ids = questions.select("question_id").unique()
    return RefreshedSource(
        questions,
        rejects,
        state,
        new=0 if problem else ids.join(earlier, on="question_id", how="anti").height,
        gone=earlier.join(ids, on="question_id", how="anti").height,
        images_new=images_new,
    )


def _pictures(questions: pl.DataFrame) -> int:
    return int(questions["images"].list.len().sum())


def _earlier(workspace: Workspace, name: str) -> pl.DataFrame:
    """question_id and first_seen of the questions that were there last time."""
    if workspace.tables.exists(name):
        table = workspace.tables.scan(name)
        if "first_seen" in table.collect_schema():
            return table.select("question_id", "first_seen").group_by("question_id").min().collect()
    return pl.DataFrame(schema={"question_id": pl.String, "first_seen": pl.Int64})


class _Known:
    """The images that were decoded before, by the hash of the bytes that came."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._facts = to_frame([], ImageFacts)
        if workspace.tables.exists(images_table(name)):
            # Thumbnails are long and not needed here: only the table keeps them.
            table = workspace.tables.scan(images_table(name)).filter(pl.col("version") == FACTS_VERSION)
            self._facts = table.with_columns(thumbnail=pl.lit(b"")).collect()
        self._places = {arrived: place for place, arrived in enumerate(self._facts["arrived"])}

    def __call__(self, arrived: str) -> ImageFacts | None:
        place = self._places.get(arrived)
        return None if place is None else ImageFacts(**self._facts.row(place, named=True))


def _read(workspace: Workspace, name: str, opened: OpenedSource) -> tuple[pl.DataFrame, pl.DataFrame, TableFile, int]:
    """All questions and rejects of a source, read in batches; a file with what is known of all its images, old and new;
    and the number of new images. Without a new image the file is not needed, and not complete.
    """
    questions, rejects, decoded = [], [], 0
    folder = Path(tempfile.mkdtemp(dir=workspace.scratch))
    file = TableFile(folder / "images.parquet")
    schema = to_frame([], ImageFacts).to_arrow().schema.with_metadata({VERSION_KEY: str(SCHEMA_VERSION)})
    with pq.ParquetWriter(file.path, schema, compression="zstd") as writer:
        for rows in _batched(opened):
            questions.append(to_frame((row for row in rows if isinstance(row, Question)), Question))
            rejects.append(to_frame((row for row in rows if isinstance(row, Reject)), Reject))
            facts, opened.facts = opened.facts, []
            decoded += len(facts)
            writer.write_table(to_frame(facts, ImageFacts).to_arrow().cast(schema))
        # Without a new image the table is left unchanged.
        if decoded and workspace.tables.exists(images_table(name)):
            for batch in _batches(workspace, name):
                writer.write_table(batch.cast(schema))
    return stack(questions, Question), stack(rejects, Reject), file, decoded


def _batched(opened: OpenedSource) -> Iterator[list[Question | Reject]]:
    rows = iter(opened)
    while batch := list(itertools.islice(rows, BATCH)):
        yield batch


def _batches(workspace: Workspace, name: str) -> Iterator[pa.Table]:
    """What is known of the images that came before, in batches."""
    fs, path = fsspec.url_to_fs(workspace.tables.path(images_table(name)))
    with fs.open(path, "rb") as file:
        for batch in pq.ParquetFile(file).iter_batches(BATCH):
            yield pa.Table.from_batches([batch]).filter(pc.field("version") == FACTS_VERSION)


def _shrunk(what: str, before: SourceState | None, now: int | None, spec: Source) -> str:
    if before is None or now is None:
        return ""
    was = getattr(before, what)
    if now >= was * (1 - spec.max_shrink):
        return ""
    return f"{now} {what}, where there were {was}: more than {spec.max_shrink:.0%} are gone (max_shrink)"


def _changed(before: SourceState | None, columns: dict[str, str]) -> str:
    was = json.loads(before.columns) if before is not None else {}
    # The type of a column of JSON lines that was empty so far is "null".
    changes = [
        f"{name} was {kind}, is {columns[name]}"
        for name, kind in was.items()
        if name in columns and columns[name] != kind and "null" not in (columns[name], kind)
    ]
    changes += [f"{name} is gone" for name in was if name not in columns]
    return f"the columns have changed: {'; '.join(changes)}" if changes else ""
