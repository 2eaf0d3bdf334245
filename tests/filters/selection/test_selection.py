import pytest
import yaml

from filters import selection
from records.recipe import read_recipe
from records.recipe.section import RecipeError
from tests.filters.selection.test_routes import tables

BASE = {
    "name": "small",
    "sources": [{"name": "sums", "loader": "reasoning_gym"}],
    "models": {"policy": {"url": "http://127.0.0.1:1/v1", "model": "m"}},
}
DRAWN = [(0, 4, "gain", 0.99)] * 3 + [(0, 0, "open", 0.4), None]
STEP = """
from filters.rejects import reject_rows
from filters.selection import STAGE
from records.recipe.section import Section


class Options(Section):
    most: int


def apply(rows, options, seed):
    return rows.head(options.most), reject_rows(rows.slice(options.most), STAGE, "enough", f"{options.most} are enough")
"""


@pytest.fixture
def recipe(tmp_path):
    def read(*entries):
        path = tmp_path / "r.yaml"
        path.write_text(yaml.safe_dump(BASE | {"selection": list(entries)}))
        return read_recipe(path)

    return read


@pytest.fixture
def drop_in(tmp_path, monkeypatch):
    folder = tmp_path / "steps"
    folder.mkdir()
    (folder / "enough.py").write_text(STEP)
    (folder / "_private.py").write_text(STEP)
    monkeypatch.setattr(selection, "__path__", [*selection.__path__, str(folder)])


RL, SHOWN = {"to": "rl", "tools": {"min": 0.5}}, {"to": "cold_start", "tools": {"max": 0.49}}


def test_steps_follow_the_routes_and_no_row_is_lost(recipe):
    entries = recipe(RL, SHOWN, {"step": "balance", "by": "route"}).selection
    kept, rejects = selection.select(*tables(DRAWN), entries, 0)
    assert sorted(kept["route"]) == ["cold_start", "rl"]
    assert sorted(rejects["reason"]) == ["balance", "balance", "unmeasured"]
    assert sorted([*kept["question_id"], *rejects["row_id"]]) == ["q0", "q1", "q2", "q3", "q4"]


@pytest.mark.usefixtures("drop_in")
def test_a_new_file_in_the_folder_is_a_new_step(recipe):
    assert selection.step_names() == ["balance", "enough", "routes"]
    entries = recipe(RL, {"step": "enough", "most": 2}).selection
    kept, rejects = selection.select(*tables(DRAWN), entries, 0)
    assert kept["question_id"].to_list() == ["q0", "q1"]
    assert dict(rejects.select("row_id", "reason").rows())["q2"] == "enough"


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"step": "balnce"}, "r.yaml: selection.1.step: there is no step 'balnce'; known: balance, routes"),
        ({"step": "balance"}, "r.yaml: selection.1.by: this key is needed"),
        (
            {"step": "balance", "by": "task", "max_rato": 2},
            "r.yaml: selection.1.max_rato: no such key (did you mean 'max_ratio'?); allowed: by, max_ratio, within",
        ),
    ],
)
def test_an_unknown_step_or_option_is_refused(recipe, entry, says):
    with pytest.raises(RecipeError) as refused:
        selection.prepared(recipe(RL, entry).selection, "r.yaml")
    assert str(refused.value) == says


@pytest.mark.parametrize("entries", [[{"step": "balance", "by": "task"}], [RL, {"step": "balance", "by": "task"}, RL]])
def test_routes_come_first(recipe, entries):
    with pytest.raises(RecipeError, match=r"selection: routes .* come first"):
        recipe(*entries)


@pytest.mark.parametrize(("entry", "says"), [({"to": "sft"}, "selection.0.to: "), ({"step": 3}, "selection.0.step: ")])
def test_a_message_names_the_key_of_a_route_or_step(recipe, entry, says):
    with pytest.raises(RecipeError, match=says):
        recipe(entry)
