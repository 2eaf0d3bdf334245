"""The search tool: BM25 over the recipe's corpus; the top few documents, each as the window that matches best.

The index is a folder `search_index/<version>` of the data folder. `search_index/corpus_<hash>.json` says which version
is current for a corpus as the recipe declares it.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import fsspec

from records.identity import content_hash, hashed
from records.question import Document
from records.recipe import Recipe
from records.trajectory import ToolResult
from rollouts.tools import Tool, ToolContext
from rollouts.tools._bm25 import PARAMETERS, Index, IndexMissing, build_index

MAX_QUERY_CHARS = 1000


def _pointer(recipe: Recipe, data: str) -> str:
    corpus = content_hash([hashed(spec) for spec in recipe.search.corpus])
    return f"{data.rstrip('/')}/search_index/corpus_{corpus}.json"


def ensure_index(recipe: Recipe, data: str, documents: Iterable[Document]) -> str:
    """Build the index of the recipe's corpus under the data folder unless it is there, and return its version.

    Args:
        recipe: names the corpus; the version becomes the current one of this corpus.
        data: the fsspec root of the data folder.
        documents: what `sources.corpus_documents(recipe.search.corpus)` gives.

    Raises:
        ValueError: as `build_index`.
    """
    version = build_index(documents, f"{data.rstrip('/')}/search_index")
    fs, path = fsspec.url_to_fs(_pointer(recipe, data))
    part = f"{path}.{uuid.uuid4().hex}.tmp"
    with fs.open(part, "w") as file:
        json.dump({"version": version}, file)
    fs.mv(part, path)
    return version


def index_version(recipe: Recipe, data: str) -> str:
    """The version of the index that is current for the recipe's corpus.

    Raises:
        IndexMissing: it was never built.
    """
    fs, path = fsspec.url_to_fs(_pointer(recipe, data))
    if not fs.exists(path):
        raise IndexMissing(
            f"there is no search index for this corpus under {data}: materialize the asset 'search_index' first"
        )
    with fs.open(path) as file:
        return json.load(file)["version"]


@lru_cache(maxsize=4)
def _load(path: str) -> Index:
    return Index(path)


class _Session:
    """One rollout's hold of the tool; it keeps nothing."""

    def __init__(self, tool: "SearchTool") -> None:
        self._tool = tool

    async def call(self, arguments: dict[str, Any]) -> ToolResult:
        query = arguments.get("query")
        if not isinstance(query, str) or not query.strip():
            return ToolResult(
                outcome="invalid_call", text="Error: search needs the argument query, a text that is not empty."
            )
        if unknown := sorted(set(arguments) - {"query"}):
            return ToolResult(
                outcome="invalid_call",
                text=f"Error: search has no argument {unknown[0]!r}; its only argument is query.",
            )
        started = time.perf_counter()
        show = self._tool.index.show  # in a thread: other rollouts go on meanwhile
        text = await asyncio.to_thread(show, query[:MAX_QUERY_CHARS], self._tool.top_k, self._tool.snippet_words)
        return ToolResult(outcome="ok", text=text, seconds=time.perf_counter() - started)

    async def close(self) -> None:
        return None


class SearchTool:
    """Search as it is offered to a model; the index is read at the first call."""

    name = "search"
    description = "Searches a text corpus for a query and returns the best matching passages, numbered."
    parameters: dict[str, Any] = {  # noqa: RUF012
        "type": "object",
        "properties": {"query": {"type": "string", "description": "What to search for, a few words or a question."}},
        "required": ["query"],
        "additionalProperties": False,
    }

    def __init__(self, path: str, version: str, top_k: int, snippet_words: int) -> None:
        self._path = path
        self.top_k, self.snippet_words = top_k, snippet_words
        self.version = content_hash([version, top_k, snippet_words, PARAMETERS, MAX_QUERY_CHARS])

    @property
    def index(self) -> Index:
        return _load(self._path)

    def open(self, images: list[str]) -> _Session:
        return _Session(self)


def build(context: ToolContext) -> Tool:
    """The search tool over the current index of the recipe's corpus.

    Raises:
        IndexMissing: it was never built; the asset `search_index` builds it.
    """
    version = index_version(context.recipe, context.data)
    path = f"{context.data.rstrip('/')}/search_index/{version}"
    fs, root = fsspec.url_to_fs(path)
    if not fs.exists(f"{root}/manifest.json"):
        raise IndexMissing(f"the search index {path} is gone: materialize the asset 'search_index' again")
    return SearchTool(path, version, context.recipe.search.top_k, context.recipe.search.snippet_words)
