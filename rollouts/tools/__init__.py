"""What a tool is. A new tool is one module of this package that offers `build(context) -> Tool`."""

import importlib
import pkgutil
from dataclasses import dataclass
from typing import Any, Protocol

from records.images.store import ImageStore
from records.recipe import Recipe
from records.recipe.section import RecipeError
from records.trajectory import ToolResult


class ToolSession(Protocol):
    """A tool in the hands of one rollout. State lives as long as the session and is shared with no other."""

    async def call(self, arguments: dict[str, Any]) -> ToolResult:
        """Run one call. What the model did wrong comes back as an outcome of the result.

        Raises:
            ToolInfrastructureError: the tool itself failed; the call says nothing about the model.
        """
        ...

    async def close(self) -> None: ...


class Tool(Protocol):
    """A tool as it is offered to a model."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON schema of the arguments."""
    version: str
    """Changes whenever the same call could come back differently: the index, the limits, the libraries."""

    def open(self, images: list[str]) -> ToolSession:
        """A new session for a question with these images (hashes)."""
        ...


class ToolInfrastructureError(RuntimeError):
    """A fault of ours, not of the model."""


@dataclass(frozen=True)
class ToolContext:
    """What a tool may be built from."""

    recipe: Recipe
    images: ImageStore
    data: str
    """The fsspec root of the data folder (the search index lives under it)."""


def tool_names() -> list[str]:
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def build_tool(name: str, context: ToolContext) -> Tool:
    """Build a tool by its name.

    Raises:
        RecipeError: there is no tool of that name.
    """
    if name not in tool_names():
        raise RecipeError(f"tools: there is no tool {name!r}; known: {', '.join(tool_names())}")
    return importlib.import_module(f"rollouts.tools.{name}").build(context)
