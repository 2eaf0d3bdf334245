"""A BM25 index of documents: built once, saved as files, searched in memory, with snippets.

Its version is the hash of all documents and all settings: an index never changes, a new one is built beside it.
"""

# ruff: noqa: RUF001 - signs that look alike are what this module is about

import hashlib
import importlib.metadata
import json
import math
import re
import tempfile
import unicodedata
import uuid
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fsspec
import polars as pl

from records.identity import canonical_json, hashed
from records.question import Document
from records.tables import to_frame

BM25_SETTINGS: dict[str, Any] = {"method": "lucene", "k1": 1.2, "b": 0.4, "title_weight": 6, "tokens": 1, "snippets": 1}
"""What an index and its snippets depend on, beside the documents; `tokens` and `snippets` are versions of the code."""
_STOP_WORDS = """
a an and are as at be by did do does for from give had has have how i in into is it its list many me much name of on or
please such tell that the their them then there these they this to was were what when where which who whom whose why
will with
"""
_STOP = frozenset(_STOP_WORDS.split())


class IndexMissing(RuntimeError):
    """The index that is needed was never built; the message names the asset that builds it."""


def tokens(text: str) -> list[str]:
    """The words of a text as they are indexed: no case, no diacritics, no plural s; stop words are gone."""
    text = unicodedata.normalize("NFKD", text).casefold()
    text = "".join(c for c in text if not unicodedata.combining(c))
    text = re.sub(r"['’](?:s\b)?", "", text)
    words = re.findall(r"\d+(?:[.,]\d+)+|\w+", text)
    return [_stem(word) for word in words if word not in _STOP]


def _stem(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


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
    import bm25s

    rows = list(documents)
    if not rows:
        raise ValueError("the search corpus has no documents")
    identity, count = Counter(row.document_id for row in rows).most_common(1)[0]
    if count > 1:
        raise ValueError(f"the search corpus has {count} documents with the id {identity!r}")
    version = _version(rows)
    fs, root = fsspec.url_to_fs(path.rstrip("/"))
    if fs.exists(f"{root}/{version}/manifest.json"):
        return version

    index = bm25s.BM25(method=BM25_SETTINGS["method"], k1=BM25_SETTINGS["k1"], b=BM25_SETTINGS["b"])
    texts = [tokens(row.title) * BM25_SETTINGS["title_weight"] + tokens(row.text) for row in rows]
    # Ids in the order of the words, so that the same documents give the same files.
    vocabulary = {word: i for i, word in enumerate(sorted({word for text in texts for word in text}))}
    index.index(([[vocabulary[word] for word in text] for text in texts], vocabulary), show_progress=False)
    with tempfile.TemporaryDirectory() as folder:
        index.save(folder, show_progress=False)
        to_frame(rows, Document).write_parquet(f"{folder}/documents.parquet")
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
        self._titles: list[str] = frame["title"].to_list()
        self._texts: list[str] = frame["text"].to_list()

    def __len__(self) -> int:
        return len(self._texts)

    def search(self, query: str, top_k: int) -> list[tuple[int, float]]:
        """Document numbers with their scores, best first (ties: the document that came first); none that score 0."""
        words = [word for word in tokens(query) if word in self._bm25.vocab_dict]
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
        text = self._texts[document].split()
        if len(text) <= words:
            return " ".join(text)
        # The title is shown with every window, so its words do not help to choose one.
        title = set(tokens(self._titles[document]))
        weights = {w: self.weight(w) * (0.1 if w in title else 1.0) for w in set(tokens(query))}
        found = [[w for w in tokens(word) if w in weights] for word in text]
        start = _best_window(found, weights, words)
        end = start + words
        return f"{'… ' if start else ''}{' '.join(text[start:end])}{' …' if end < len(text) else ''}"

    def show(self, query: str, top_k: int, snippet_words: int) -> str:
        """The results as the model sees them, one per line: `[1] Title: snippet`."""
        hits = self.search(query, top_k)
        lines = [
            f"[{n}] {self._titles[i]}: {self.snippet(i, query, snippet_words)}" for n, (i, _) in enumerate(hits, 1)
        ]
        return "\n".join(lines) if lines else "no results"


def _best_window(found: list[list[str]], weights: dict[str, float], size: int) -> int:
    """The start of the window of `size` positions with the most weight. A word counts fully once and a tenth when it is
    repeated. The first match lies in the first third of the window where possible, so that what follows it is shown."""
    counts: Counter[str] = Counter()
    score, best, best_start = 0.0, -1.0, 0
    for position, words in enumerate(found):
        for word in words:
            score += weights[word] * (0.1 if counts[word] else 1.0)
            counts[word] += 1
        if position >= size:
            for word in found[position - size]:
                counts[word] -= 1
                score -= weights[word] * (0.1 if counts[word] else 1.0)
        if score > best + 1e-9:
            best, best_start = score, max(0, position - size + 1)
    # The window found ends at its last match; slide it on, as long as no match falls out at its start.
    first = next((i for i in range(best_start, min(best_start + size, len(found))) if found[i]), best_start)
    return max(0, min(max(best_start, first - size // 3), len(found) - size))
