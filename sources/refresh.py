"""Taking over what a source gives: what is new in it, what was there before, and what must not be taken over unseen.

A row is known by its content: a dataset in another order, or cut into other files, brings nothing new. The state of a
source as it was last taken over is kept; a source that has lost more than its `max_shrink`, or whose columns changed
their types, is held back: its tables stay what they were, and its check fails until someone accepts the change.
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

from assets.conservation import rejects_table
from assets.resources import Workspace
from records.identity import content_hash, hashed
from records.images.store import FACTS_VERSION, ImageFacts
from records.question import Question, Reject
from records.recipe import Source
from records.tables import SCHEMA_VERSION, VERSION_KEY, TableFile, from_frame, stack, to_frame
from sources.open import Arrival, open_source

BATCH = 4096


class SourceState(BaseModel):
    """A source as it was last taken over."""

    source: str
    settings: str
    """Hash of what the recipe says of it and of its seed: a changed recipe is no changed source."""
    revision: str
    rows: int
    """Raw rows: all that the source has or, of a stream, those that were read."""
    questions: int
    images: int
    """Of all questions: an evaluation set keeps rows whose images are gone."""
    columns: str
    """JSON text: the columns that are read, with their types."""
    problem: str = ""
    """Why it was held back the last time; empty when it was not."""


@dataclass(frozen=True)
class TakenOver:
    """What a source's asset hands on."""

    questions: pl.DataFrame
    """Of schema Question, with `first_seen`: when the run began in which a question first came (ms since 1970)."""
    rejects: pl.DataFrame
    state: SourceState
    new: int
    """Questions that were not there last time."""
    gone: int
    images_new: int


def state_table(name: str) -> str:
    return f"sources/{name}"


def images_table(name: str) -> str:
    return f"images/{name}"


def read_state(workspace: Workspace, name: str) -> SourceState | None:
    table = state_table(name)
    return from_frame(workspace.tables.read(table), SourceState)[0] if workspace.tables.exists(table) else None


def take_over(workspace: Workspace, spec: Source, seed: int, accept: bool = False) -> TakenOver:
    """Read a source and take it over, unless it has to be held back and `accept` does not allow it.

    Raises:
        RecipeError: it cannot be read at all.
    """
    tables = workspace.tables
    # A run that was killed in between may have left a state without a table.
    before = read_state(workspace, spec.name) if tables.exists(spec.name) else None
    arrival = open_source(spec, seed, workspace.images, workspace.recipe.questions.images, _Known(workspace, spec.name))
    about = hashed(spec, leaving_out={"max_shrink"}) | {"evaluation": spec.evaluation}
    settings = content_hash([about, seed])
    compared = before if before is not None and before.settings == settings and not accept else None
    # What a look at the source already tells needs no reading.
    problem = _shrunk("rows", compared, arrival.rows, spec) or _changed(compared, arrival.columns)
    questions, rejects, images_new = stack([], Question), stack([], Reject), 0
    if not problem:
        questions, rejects, facts, images_new = _read(workspace, spec.name, arrival)
        pictures = _pictures(questions)
        problem = _shrunk("questions", compared, questions.height, spec) or _shrunk("images", compared, pictures, spec)
        if images_new and not problem:
            tables.adopt(images_table(spec.name), facts)
        else:
            facts.remove()
    state = SourceState(
        source=spec.name,
        settings=settings,
        revision=arrival.revision,
        rows=arrival.rows if arrival.rows is not None else questions.height + rejects.height,
        questions=questions.height,
        images=_pictures(questions),
        columns=json.dumps(arrival.columns),
    )
    earlier = _earlier(workspace, spec.name)
    if problem:
        state = before.model_copy(update={"problem": problem})
        questions, rejects = tables.read(spec.name), tables.read(rejects_table(spec.name))
    else:
        questions = questions.join(earlier, on="question_id", how="left", maintain_order="left").with_columns(
            pl.col("first_seen").fill_null(workspace.began)
        )
    tables.write(state_table(spec.name), to_frame([state], SourceState))
    ids = questions.select("question_id").unique()
    return TakenOver(
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
    """Images that were looked at before, by the hash of the bytes that came."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._facts = to_frame([], ImageFacts)
        if workspace.tables.exists(images_table(name)):
            # The looks stay where they are: only the table has them.
            table = workspace.tables.scan(images_table(name)).filter(pl.col("version") == FACTS_VERSION)
            self._facts = table.with_columns(thumbnail=pl.lit(b"")).collect()
        self._places = {arrived: place for place, arrived in enumerate(self._facts["arrived"])}

    def __call__(self, arrived: str) -> ImageFacts | None:
        place = self._places.get(arrived)
        return None if place is None else ImageFacts(**self._facts.row(place, named=True))


def _read(workspace: Workspace, name: str, arrival: Arrival) -> tuple[pl.DataFrame, pl.DataFrame, TableFile, int]:
    """All of a source, a batch at a time: its questions and its rejects; and, if images came that were not known, what
    is known of all that ever came, and the number of those.
    """
    questions, rejects, looked_at = [], [], 0
    folder = Path(tempfile.mkdtemp(dir=workspace.scratch))
    file = TableFile(folder / "images.parquet")
    schema = to_frame([], ImageFacts).to_arrow().schema.with_metadata({VERSION_KEY: str(SCHEMA_VERSION)})
    with pq.ParquetWriter(file.path, schema, compression="zstd") as writer:
        for rows in _batched(arrival):
            questions.append(to_frame((row for row in rows if isinstance(row, Question)), Question))
            rejects.append(to_frame((row for row in rows if isinstance(row, Reject)), Reject))
            facts, arrival.facts = arrival.facts, []
            looked_at += len(facts)
            writer.write_table(to_frame(facts, ImageFacts).to_arrow().cast(schema))
        # Without an image that was not known the table stays as it is.
        if looked_at and workspace.tables.exists(images_table(name)):
            for batch in _batches(workspace, name):
                writer.write_table(batch.cast(schema))
    return stack(questions, Question), stack(rejects, Reject), file, looked_at


def _batched(arrival: Arrival) -> Iterator[list[Question | Reject]]:
    rows = iter(arrival)
    while batch := list(itertools.islice(rows, BATCH)):
        yield batch


def _batches(workspace: Workspace, name: str) -> Iterator[pa.Table]:
    """What is known of the images that came before."""
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
