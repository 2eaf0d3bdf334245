"""The search tool: BM25 over the recipe's corpus; the best few documents, each as the window that matches best.

The index is a folder `search_index/<version>` of the data folder. The file `search_index/corpus_<hash>.json` says which
version is current for a corpus as the recipe declares it.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import fsspec

from records.faults import ToolInfrastructureError
from records.identity import content_hash, hashed
from records.question import Document
from records.recipe import Corpus, Recipe, RecipeError, SearchSettings
from records.trajectory import ToolResult
from rollouts.tools import Tool, ToolContext
from rollouts.tools._bm25 import BM25_SETTINGS, Bm25Index, IndexMissing, build_index

SECTION = "search"
"""The section of the recipe that holds the tool's settings."""
ASSET = "search_index"
"""The asset that builds the index."""
Options = SearchSettings
MAX_QUERY_CHARS = 1000
"""The number of characters after which a query is cut."""


def check(recipe: Recipe) -> None:
    """Raises RecipeError for a recipe without a corpus."""
    if not recipe.search.corpus:
        raise RecipeError("tools: search is offered, but search.corpus names no corpus")


@lru_cache(maxsize=4)
def _load(path: str) -> Bm25Index:
    return Bm25Index(path)


@dataclass(frozen=True)
class SearchIndex:
    """The index of a corpus, on disk until it is searched."""

    path: str
    """The fsspec folder of the index."""
    version: str
    """The hash of the documents and settings that the index was built from."""

    @property
    def in_memory(self) -> Bm25Index:
        """The index, read when it is first used."""
        return _load(self.path)

    @classmethod
    def build(cls, corpus: list[Corpus], data: str, documents: Iterable[Document]) -> Self:
        """Build the index of a corpus unless it is there, and make it the current one of this corpus.

        Args:
            corpus: the corpora as the recipe declares them.
            data: the fsspec root of the data folder.
            documents: all documents of the corpora (`sources.open.corpus_documents`).

        Raises:
            ValueError: there is no document, or two have the same id.
        """
        version = build_index(documents, _folder(data))
        fs, path = fsspec.url_to_fs(_pointer(corpus, data))
        part = f"{path}.{uuid.uuid4().hex}.tmp"
        with fs.open(part, "w") as file:
            json.dump({"version": version}, file)
        fs.mv(part, path)
        return cls(f"{_folder(data)}/{version}", version)

    @classmethod
    def current(cls, corpus: list[Corpus], data: str) -> Self:
        """The index that is current for a corpus.

        Raises:
            IndexMissing: it was never built, or it is gone.
        """
        fs, pointer = fsspec.url_to_fs(_pointer(corpus, data))
        if not fs.exists(pointer):
            raise IndexMissing(
                f"there is no search index for this corpus under {data}: materialize the asset {ASSET!r} first"
            )
        with fs.open(pointer) as file:
            version = json.load(file)["version"]
        path = f"{_folder(data)}/{version}"
        if not fs.exists(f"{fsspec.url_to_fs(path)[1]}/manifest.json"):
            raise IndexMissing(f"the search index {path} is gone: materialize the asset {ASSET!r} again")
        return cls(path, version)


def _folder(data: str) -> str:
    return f"{data.rstrip('/')}/search_index"


def _pointer(corpus: list[Corpus], data: str) -> str:
    """The file that names the current version."""
    return f"{_folder(data)}/corpus_{content_hash([hashed(spec) for spec in corpus])}.json"


class SearchSession:
    """The search tool in the hands of one rollout; it keeps no state."""

    def __init__(self, tool: "SearchTool") -> None:
        self._tool = tool

    async def call(self, arguments: dict[str, Any]) -> ToolResult:
        """Search for `arguments["query"]`. Raises ToolInfrastructureError."""
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
        # in a thread, so that other rollouts continue
        text = await asyncio.to_thread(self._tool.found, query[:MAX_QUERY_CHARS])
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

    def __init__(self, index: SearchIndex, options: SearchSettings) -> None:
        self.index, self.options = index, options
        identity = [index.version, options.top_k, options.snippet_words, BM25_SETTINGS, MAX_QUERY_CHARS]
        self.version = content_hash(identity)

    def found(self, query: str) -> str:
        """The results as the model sees them.

        Raises:
            ToolInfrastructureError: the index cannot be read any more: it was deleted or damaged after the run began.
        """
        try:
            index = self.index.in_memory
        except Exception as error:  # whatever the file system and the readers of its files make of it
            raise ToolInfrastructureError(f"search: the index {self.index.path} cannot be read: {error}") from error
        return index.show(query, self.options.top_k, self.options.snippet_words)

    def open(self, images: list[str], seed: int | None = None) -> SearchSession:
        """A new session; the question's images play no part in it."""
        return SearchSession(self)


def build(options: SearchSettings, context: ToolContext) -> Tool:
    """The search tool over the current index of the recipe's corpus. Raises IndexMissing like `SearchIndex.current`."""
    return SearchTool(SearchIndex.current(options.corpus, context.data), options)
