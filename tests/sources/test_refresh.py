"""What is new in a source, and what is held back."""

import io
import json
import random

import pytest
from PIL import Image

from records.recipe import EvaluationSource, Source
from records.workspace import Workspace, rejects_table
from sources.refresh import images_table, read_state, refresh


def png(number):
    buffer = io.BytesIO()
    Image.effect_noise((40, 40), 60 + number).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


class Data:
    """A folder of JSON lines with images that changes from refresh to refresh."""

    def __init__(self, folder):
        self.folder = folder / "rows"
        self.pictures = folder / "pictures"
        self.folder.mkdir()
        self.pictures.mkdir()
        self.data = str(folder / "data")
        self.options = {
            "path": str(self.folder),
            "task": "math",
            "image_folder": str(self.pictures),
            "columns": {"text": "q", "answer": "a", "images": "pics"},
        }

    def rows(self, count, start=0):
        for number in range(start, start + count):
            path = self.pictures / f"{number}.png"
            if number % 4 == 0 and not path.exists():
                path.write_bytes(png(number))
        return [
            {"q": f"What is {n} and 1?", "a": str(n + 1), "pics": [f"{n}.png"] if n % 4 == 0 else [], "more": n}
            for n in range(start, start + count)
        ]

    def write(self, *parts):
        for file in self.folder.iterdir():
            file.unlink()
        for number, rows in enumerate(parts):
            text = "\n".join(json.dumps(row) for row in rows)
            (self.folder / f"{number}.jsonl").write_text(text)

    def refresh(self, accept=False, limit=None, max_shrink=0.2, evaluation=False, **options):
        workspace = Workspace(recipe_file="pipelines/recipes/demo.yaml", data=self.data)
        kind = EvaluationSource if evaluation else Source
        options = {**self.options, **options}
        spec = kind(name="src", loader="files", limit=limit, max_shrink=max_shrink, options=options)
        refreshed = refresh(workspace, spec, 0, accept)
        workspace.tables.write("src", refreshed.questions)
        workspace.tables.write(rejects_table("src"), refreshed.rejects)
        return refreshed


@pytest.fixture
def data(tmp_path):
    return Data(tmp_path)


def test_rows_are_known_by_their_content(data):
    rows = data.rows(40)
    data.write(rows)
    first = data.refresh()
    assert (first.new, first.gone, first.images_new, first.state.rows) == (40, 0, 10, 40)
    # In another order and in other files: nothing is new, and no image is looked at again.
    random.Random(1).shuffle(rows)
    data.write(rows[:7], rows[7:])
    again = data.refresh()
    assert (again.new, again.gone, again.images_new, again.state.problem) == (0, 0, 0, "")
    assert set(again.questions["first_seen"]) == set(first.questions["first_seen"])
    # One row more, one changed, one gone.
    rows = [{**rows[0], "a": "7"}, *rows[2:], *data.rows(1, 40)]
    data.write(rows)
    third = data.refresh()
    assert (third.new, third.gone, third.images_new) == (2, 2, 1)
    old = set(first.questions["first_seen"])
    assert third.questions["first_seen"].is_in(list(old)).sum() == 38
    assert min(set(third.questions["first_seen"]) - old) > max(old)


def test_a_limited_draw_does_not_depend_on_order_files_or_unread_columns(data):
    rows = data.rows(200)
    data.write(rows)
    first = data.refresh(limit=30)
    random.Random(2).shuffle(rows)
    data.write([{**row, "more": "x"} for row in rows[:50]], rows[50:])
    again = data.refresh(limit=30)
    assert sorted(again.questions["question_id"]) == sorted(first.questions["question_id"])
    # A row more takes the place of one at most.
    data.write([*rows, *data.rows(1, 200)])
    assert data.refresh(limit=30).new <= 1
    assert data.refresh(limit=31, max_shrink=1).new <= 2


def test_a_source_that_shrank_is_held_back_until_it_is_accepted(data):
    rows = data.rows(50)
    data.write(rows)
    first = data.refresh()
    data.write(rows[:41])
    assert data.refresh().state.problem == ""
    data.write(rows[:30])
    for _ in range(2):  # it does not become the new measure by being looked at twice
        held = data.refresh()
        assert "30 rows, where there were 41: more than 20% are gone" in held.state.problem
        assert (held.questions.height, held.new) == (41, 0)
    accepted = data.refresh(accept=True)
    assert (accepted.questions.height, accepted.state.problem, accepted.gone) == (30, "", 11)
    assert data.refresh().state.problem == ""
    assert first.questions.height == 50


def test_an_empty_or_broken_source_does_not_empty_the_table(data):
    data.write(data.rows(40))
    data.refresh()
    for file in data.pictures.iterdir():
        file.unlink()
    held = data.refresh()
    assert "30 questions, where there were 40" in held.state.problem
    assert held.questions.height == 40 and held.rejects.height == 0


def test_an_evaluation_set_that_lost_its_images_is_held_back(data):
    data.write(data.rows(20))
    first = data.refresh(evaluation=True)
    assert first.state.images == 5
    for file in data.pictures.iterdir():
        file.unlink()
    held = data.refresh(evaluation=True)
    assert "0 images, where there were 5" in held.state.problem
    assert held.questions["images"].list.len().sum() == 5
    # Taken over all the same, its rows are still there for their texts.
    taken = data.refresh(evaluation=True, accept=True)
    assert (taken.questions.height, taken.state.images) == (20, 0)
    assert taken.questions["extra"].str.contains("not_read").sum() == 5


def test_a_run_that_was_killed_before_its_table_was_written_leaves_no_measure(data):
    data.write(data.rows(20))
    workspace = Workspace(recipe_file="pipelines/recipes/demo.yaml", data=data.data)
    spec = Source(name="src", loader="files", options=data.options)
    refresh(workspace, spec, 0)
    data.write(data.rows(5))
    assert data.refresh().state.problem == ""


def test_a_changed_type_is_held_back_and_a_new_column_is_not(data):
    rows = data.rows(20)
    data.write(rows)
    data.refresh()
    data.write([{**row, "another": 1} for row in rows])
    assert data.refresh().state.problem == ""
    data.write([{**row, "a": int(row["a"])} for row in rows])
    assert data.refresh().state.problem == "the columns have changed: a was text, is number"
    # What the recipe says differently is no change of the source.
    assert data.refresh(licence="MIT").state.problem == ""


def test_what_is_known_of_images_is_kept_once(data):
    data.write(data.rows(8))
    data.refresh()
    data.write(data.rows(12))
    data.refresh()
    workspace = Workspace(recipe_file="pipelines/recipes/demo.yaml", data=data.data)
    facts = workspace.tables.read(images_table("src"))
    assert facts.height == 3 == facts["image"].n_unique()
    assert facts.select("width", "height").unique().rows() == [(40, 40)]
    assert read_state(workspace, "src").questions == 12
    assert read_state(workspace, "none") is None
