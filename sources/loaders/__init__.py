"""The loaders, found by their names. sources/contract.py says what a loader offers."""

import importlib
import pkgutil
from types import ModuleType

from records.recipe import RecipeError


def loader_names() -> list[str]:
    """The names that a recipe may give as `loader`."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def get_loader(name: str) -> ModuleType:
    """The loader module of that name.

    Raises:
        RecipeError: there is no such loader; the message lists those that there are.
    """
    if name not in loader_names():
        raise RecipeError(f"there is no loader {name!r}; known: {', '.join(loader_names())}")
    return importlib.import_module(f"sources.loaders.{name}")
