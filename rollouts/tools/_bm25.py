"""A BM25 index of documents: built once, saved as files, searched in memory, with snippets.

Its version is the hash of all documents, in the order of their ids, and of all settings: the same set of documents is
the same index. An index never changes; a new one is built beside it.
"""

import hashlib
import importlib.metadata
import itertools
import json
import math
import tempfile
import uuid
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import polars as pl
import regex

from records.identity import canonical_json, hashed
from records.question import Document
from records.tables import to_frame
from records.words import UNSPACED
from rollouts.tools._search_words import query_tokens, title_tokens, tokens
from rollouts.tools._snippets import LONG, TITLE, passages, readable, window

BM25_SETTINGS: dict[str, Any] = {"method": "lucene", "k1": 1.2, "b": 0.4, "title_weight": 6, "tokens": 2, "snippets": 2}
"""What an index and its snippets depend on, beside the documents; `tokens` and `snippets` are versions of the code."""
PASSAGES = "passages"
_PARTS = {"document": pl.Int64, "start": pl.Int64, "end": pl.Int64}
_NO_WORD = "="
COMPOUNDS = 16
"""Indexed words, the shortest, that an unknown word of a query is looked for in."""
PART = 4
"""The fewest letters of a word that is looked for as a part of others."""


class IndexMissing(RuntimeError):
    """The index that is needed was never built; the message names the asset that builds it."""


def _version(documents: Iterable[Document]) -> str:
    digest = hashlib.sha256()
    digest.update(canonical_json([BM25_SETTINGS, importlib.metadata.version("bm25s")]).encode())
    for document in documents:
        digest.update(canonical_json(hashed(document)).encode())
    return digest.hexdigest()[:32]


def build_index(documents: Iterable[Document], path: str) -> str:
    """Build the index of `documents` in the folder `<path>/<version>`, unless it is there, and return its version.

    Args:
        path: an fsspec folder. The index appears there whole or not at all.

    Raises:
        ValueError: there is no document, or two have the same id.
    """

    rows = sorted(documents, key=lambda row: row.document_id)
    if not rows:
        raise ValueError("the search corpus has no documents")
    identity, count = Counter(row.document_id for row in rows).most_common(1)[0]
    if count > 1:
        raise ValueError(f"the search corpus has {count} documents with the id {identity!r}")
    version = _version(rows)
    fs, root = fsspec.url_to_fs(path.rstrip("/"))
    if fs.exists(f"{root}/{version}/manifest.json"):
        return version

    texts = [readable(row.text) for row in rows]
    parts = [
        (number, start, end) for number, text in enumerate(texts) if len(text) > LONG for start, end in passages(text)
    ]
    with tempfile.TemporaryDirectory() as folder:
        titles = [title_tokens(row.title) * BM25_SETTINGS["title_weight"] for row in rows]
        in_parts = [tokens(texts[number][start:end]) for number, start, end in parts]
        for (number, _, _), words in zip(parts, in_parts, strict=True):
            titles[number] += words
        whole = (tokens(text) if len(text) <= LONG else [] for text in texts)
        _save([title + words for title, words in zip(titles, whole, strict=True)], folder)
        if parts:
            _save(in_parts, f"{folder}/{PASSAGES}")
        pl.DataFrame(parts, schema=_PARTS, orient="row").write_parquet(f"{folder}/{PASSAGES}.parquet")
        shown = to_frame(rows, Document).with_columns(text=pl.Series(texts, dtype=pl.String))
        shown.write_parquet(f"{folder}/documents.parquet")
        manifest = {"version": version, "documents": len(rows), "parameters": BM25_SETTINGS}
        Path(folder, "manifest.json").write_text(json.dumps(manifest, indent=1))
        part = f"{root}/{version}.{uuid.uuid4().hex}.tmp"
        fs.makedirs(root, exist_ok=True)
        fs.put(f"{folder}/", f"{part}/", recursive=True)
        if not fs.exists(f"{root}/{version}/manifest.json"):
            fs.mv(part, f"{root}/{version}", recursive=True)
        else:  # another writer was faster; its files are the same
            fs.rm(part, recursive=True)
    return version


def _save(texts: list[list[str]], folder: str) -> None:
    """Write the index of texts, given as their words."""
    import bm25s

    index = bm25s.BM25(method=BM25_SETTINGS["method"], k1=BM25_SETTINGS["k1"], b=BM25_SETTINGS["b"])
    # Ids in the order of the words, so that the same documents give the same files. Documents without any word are a
    # corpus too: one that nothing is found in.
    vocabulary = {word: i for i, word in enumerate(sorted({word for text in texts for word in text} or {_NO_WORD}))}
    if _NO_WORD in vocabulary:
        texts = [[_NO_WORD]] * len(texts)
    index.index(([[vocabulary[word] for word in text] for text in texts], vocabulary), show_progress=False)
    index.save(folder, show_progress=False)


class _Words:
    """The words of an index: which of them a query asks for."""

    def __init__(self, vocabulary: dict[str, int]) -> None:
        self._vocabulary = vocabulary
        whole = [word for word in vocabulary if len(word) > PART and word[0] not in "^=" and not word[0].isdigit()]
        self._forwards = sorted(whole)
        self._backwards = sorted(word[::-1] for word in whole)

    def asked(self, query: str) -> list[str]:
        """The indexed words of a query, each once. A word that is not indexed stands for the longer ones that it begins
        or ends, as the parts of a compound do, or else for the two words that it is made of."""
        found: dict[str, None] = {}
        for forms in query_tokens(query):
            known = next((form for form in forms if form in self._vocabulary), None)
            found |= dict.fromkeys([known] if known else self._kin(forms[-1]))
        return list(found)

    def _kin(self, word: str) -> list[str]:
        if len(word) < PART or not word.isalpha() or regex.match(f"[{UNSPACED}]", word):
            return []
        beginning = _with_prefix(self._forwards, word)
        ending = [one[::-1] for one in _with_prefix(self._backwards, word[::-1])]
        longer = sorted({*beginning, *ending}, key=lambda one: (len(one), one))[:COMPOUNDS]
        return longer or self._halves(word)

    def _halves(self, word: str) -> list[str]:
        for cut in range(len(word) - PART, PART - 1, -1):
            first, second = word[:cut], word[cut:]
            for one in (first, first.removesuffix("s")):
                if len(one) >= PART and one in self._vocabulary and second in self._vocabulary:
                    return [one, second]
        return []


def _with_prefix(ordered: list[str], prefix: str) -> list[str]:
    """The shortest words of a sorted list that begin so; of very many, only the first are looked at."""
    start = bisect_left(ordered, prefix)
    found = itertools.takewhile(lambda one: one.startswith(prefix), itertools.islice(ordered, start, start + 1000))
    return sorted(found, key=lambda one: (len(one), one))[:COMPOUNDS]


class Bm25Index:
    """An index in memory. Searching is fast (about a millisecond for ten thousand documents) and holds no state."""

    def __init__(self, path: str) -> None:
        """Read the index at an fsspec folder. Raises IndexMissing when there is none."""
        import bm25s

        fs, root = fsspec.url_to_fs(path)
        if not fs.exists(f"{root}/manifest.json"):
            raise IndexMissing(f"there is no search index at {path}: materialize the asset 'search_index' first")
        with tempfile.TemporaryDirectory() as folder:
            if "file" not in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,)):
                fs.get(f"{root}/", f"{folder}/", recursive=True)
                root = folder
            self._bm25 = bm25s.BM25.load(root, load_corpus=False)
            frame = pl.read_parquet(f"{root}/documents.parquet")
            parts = pl.read_parquet(f"{root}/{PASSAGES}.parquet")
            self._passages = bm25s.BM25.load(f"{root}/{PASSAGES}", load_corpus=False) if parts.height else None
        self._words = _Words(self._bm25.vocab_dict)
        self._titles: list[str] = frame["title"].to_list()
        self._texts: list[str] = frame["text"].to_list()
        self._parts: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for row, (document, start, end) in enumerate(parts.iter_rows()):
            self._parts[document].append((row, start, end))

    def __len__(self) -> int:
        return len(self._texts)

    def search(self, query: str, top_k: int) -> list[tuple[int, float]]:
        """Document numbers with their scores, best first (ties: the first by its id); none that score 0."""
        words = self._words.asked(query)
        if not words:
            return []
        scores = self._bm25.get_scores(words)
        best = (-scores).argsort(kind="stable")[:top_k]
        return [(int(i), float(scores[i])) for i in best if scores[i] > 0]

    def weight(self, word: str) -> float:
        """The inverse document frequency of a word: how much it tells; 0 for an unknown one."""
        number = self._bm25.vocab_dict.get(word)
        if number is None:
            return 0.0
        pointers = self._bm25.scores["indptr"]
        count = int(pointers[number + 1] - pointers[number])
        return math.log(1 + (len(self) - count + 0.5) / (count + 0.5))

    def snippet(self, document: int, query: str, words: int) -> str:
        """The window of at most `words` words of a document's text whose query words tell most."""
        asked = self._words.asked(query)
        # The title is shown with every window, so its words do not help to choose one.
        title = set(title_tokens(self._titles[document]))
        weights = {word: self.weight(word) * (0.1 if word in title else 1.0) for word in asked}
        start, end = self._passage(document, weights)
        text = self._texts[document]
        shown, before, behind = window(text[start:end], weights, words)
        return f"{'… ' if before or start > 0 else ''}{shown}{' …' if behind or end < len(text) else ''}"

    def _passage(self, document: int, weights: dict[str, float]) -> tuple[int, int]:
        """Start and end of the part of a document that is read for a snippet: all of it, if it is not long."""
        parts = self._parts.get(document)
        if not parts or self._passages is None:
            return 0, len(self._texts[document])
        first, last = parts[0][0], parts[-1][0] + 1
        scores = np.zeros(last - first)
        for word, weight in weights.items():
            number = self._passages.vocab_dict.get(word)
            if number is not None:
                begin, stop = (int(at) for at in self._passages.scores["indptr"][number : number + 2])
                rows = self._passages.scores["indices"][begin:stop]
                inside = slice(*np.searchsorted(rows, (first, last)))
                scores[rows[inside] - first] += weight
        _, start, end = parts[int(scores.argmax())]
        return start, end

    def show(self, query: str, top_k: int, snippet_words: int) -> str:
        """The results as the model sees them, one per line: `[1] Title: snippet`."""
        lines = []
        for n, (document, _) in enumerate(self.search(query, top_k), 1):
            title = " ".join(self._titles[document][:TITLE].split())
            lines.append(f"[{n}] {title}: {self.snippet(document, query, snippet_words)}")
        return "\n".join(lines) if lines else "no results"
