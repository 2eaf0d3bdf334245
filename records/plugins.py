"""Plug-in folders: packages in which each module is one thing of a kind, known by the module's name.

Modules whose name starts with an underscore are private to the modules beside them and are not found.
"""

import importlib
import pkgutil
import sys
from types import ModuleType

from records.recipe.section import RecipeError


def module_names(package: str) -> list[str]:
    """The names of the things in a plug-in folder, sorted.

    Args:
        package: the full name of a package that is imported, such as "rollouts.tools".
    """
    return sorted(m.name for m in pkgutil.iter_modules(sys.modules[package].__path__) if not m.name.startswith("_"))


def get_module(package: str, name: str, kind: str, key: str = "") -> ModuleType:
    """The module of that name.

    Args:
        kind: what the folder holds, for the message: "tool", "format".
        key: where the recipe names it, for the message.

    Raises:
        RecipeError: there is no such module; the message lists those that there are.
    """
    if name not in (known := module_names(package)):
        where = f"{key}: " if key else ""
        raise RecipeError(f"{where}there is no {kind} {name!r}; known: {', '.join(known)}")
    return importlib.import_module(f"{package}.{name}")
