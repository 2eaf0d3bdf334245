"""Where questions come from. A new loader is one module of this package that offers

- `Options`: a pydantic model (extra="forbid") of the settings a recipe may give under `options`,
- `load(spec, options, seed, images) -> Iterator[Question | Reject]`: exactly one item for each raw row drawn, so that
  rows in = questions + rejects; a reject has stage "source" and the row id `<source name>:<row>`,
- `documents(options) -> Iterator[Document]`, if it can also be the corpus of the search tool,
- `check(options, use)`, if some settings can only be judged together; it raises ValueError. `use` is "questions" or
  "documents".

Modules whose name starts with an underscore are no loaders.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Literal

from pydantic import BaseModel

from records.images import ImageStore
from records.question import Document, Question, Reject
from records.recipe import Corpus, Source
from records.settings import RecipeError, check_settings

Use = Literal["questions", "documents"]


def loader_names() -> list[str]:
    """The names a recipe may give as `loader`."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def get_loader(name: str) -> ModuleType:
    """The loader module of that name.

    Raises:
        RecipeError: there is no such loader; the message lists those there are.
    """
    if name not in loader_names():
        raise RecipeError(f"there is no loader {name!r}; known: {', '.join(loader_names())}")
    return importlib.import_module(f"sources.{name}")


def _check(name: str, values: dict[str, Any], use: Use, file: str, key: str) -> BaseModel:
    try:
        loader = get_loader(name)
    except RecipeError as error:
        raise RecipeError(f"{file}: {key}.loader: {error}") from None
    if use == "documents" and not hasattr(loader, "documents"):
        able = [n for n in loader_names() if hasattr(get_loader(n), "documents")]
        raise RecipeError(f"{file}: {key}.loader: {name!r} has no documents; loaders that do: {', '.join(able)}")
    options = check_settings(loader.Options, values, file, f"{key}.options")
    if hasattr(loader, "check"):
        try:
            loader.check(options, use)
        except ValueError as error:
            raise RecipeError(f"{file}: {key}.options: {error}") from None
    return options


def check_source(spec: Source, file: str, index: int) -> BaseModel:
    """The checked options of the recipe's source number `index` (from 0). Imports no data library and reads no data.

    Raises:
        RecipeError: naming the file, the key, what was given and what is allowed.
    """
    return _check(spec.loader, spec.options, "questions", file, f"sources.{index}")


def check_corpus(spec: Corpus, file: str, index: int) -> BaseModel:
    """The checked options of the recipe's corpus number `index`. Raises RecipeError like `check_source`."""
    return _check(spec.loader, spec.options, "documents", file, f"search.corpus.{index}")


def load_source(spec: Source, seed: int, images: ImageStore) -> Iterator[Question | Reject]:
    """The questions and rejects of a source, one for each raw row drawn.

    Raises:
        RecipeError: the source cannot be read at all (a missing library, file or column).
    """
    options = check_source(spec, "recipe", 0)
    yield from get_loader(spec.loader).load(spec, options, seed, images)


def corpus_documents(corpus: list[Corpus]) -> Iterator[Document]:
    """The documents of all corpora of the search tool, in the recipe's order."""
    for index, spec in enumerate(corpus):
        options = check_corpus(spec, "recipe", index)
        yield from get_loader(spec.loader).documents(options)
