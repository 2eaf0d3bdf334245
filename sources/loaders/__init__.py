"""The loaders, found by their names. sources/contract.py says what a loader offers."""

from types import ModuleType

from records.plugins import get_module, module_names


def loader_names() -> list[str]:
    """The names that a recipe may give as `loader`."""
    return module_names(__name__)


def get_loader(name: str) -> ModuleType:
    """The loader module of that name.

    Raises:
        RecipeError: there is no such loader; the message lists those that there are.
    """
    return get_module(__name__, name, "loader")
