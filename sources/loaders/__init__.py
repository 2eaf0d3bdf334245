"""Where questions come from. A new loader is one module of this folder that offers

- `Options`: a pydantic model (extra="forbid") of the settings a recipe may give under `options`,
- `load(spec, options, seed) -> Opened`: what the source says of itself, and exactly one draft of a question or reject
  for each raw row drawn, so that rows in = questions + rejects; a reject has stage "source" and the row id
  `<source name>:<row>`. A draft's images are encoded bytes; they are looked at here, for all loaders alike,
- `documents(options) -> Iterator[Document]`, if it can also be the corpus of the search tool,
- `check(options, use)`, if some settings can only be judged together; it raises ValueError. `use` is "questions" or
  "documents".

Modules whose name starts with an underscore are no loaders.
"""

import importlib
import pkgutil
from types import ModuleType

from records.recipe.section import RecipeError


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
    return importlib.import_module(f"sources.loaders.{name}")
