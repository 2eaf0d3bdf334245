"""What a tool is. A new tool is one module of this folder that offers

- `Options`: the section (`records.recipe.section.Section`) of its settings, which a recipe gives under
  `tool_options.<name>`; a tool that has a section of its own in the recipe names it in `SECTION`,
- `build(options, context) -> Tool`,
- `ASSET`, if the tool is built from an asset: the name of that asset, which is materialized before the tool is used,
- `check(recipe)`, if not every recipe can offer the tool; it raises RecipeError.

Modules whose names start with an underscore are not tools.
"""

import inspect
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

from records.identity import content_hash
from records.images.store import ImageStore
from records.plugins import get_module, module_names
from records.recipe import Recipe, RecipeError
from records.recipe.section import Section, check_settings
from records.trajectory import ToolResult


class ToolSession(Protocol):
    """A tool in the hands of one rollout. Its state lives as long as the session and is shared with no other."""

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

    def open(self, images: list[str], seed: int | None = None) -> ToolSession:
        """A new session for a question with these images (hashes).

        Args:
            seed: what the session's random numbers start from, so that its calls can be made again with equal results.
                A tool that draws none may leave the parameter out.
        """
        ...


def session_seed(question_id: str, arm: str = "tools", sample: int = 0) -> int:
    """The seed of the tools' sessions of one attempt: another one for each sample, the same whenever it is made again.
    Every rollout of an RL row has that of the first sample of the arm with tools."""
    return int(content_hash(["seed", question_id, arm, sample])[:8], 16)


def open_session(tool: Tool, images: list[str], seed: int | None) -> ToolSession:
    """A new session of a tool, with the seed if it takes one."""
    if "seed" in inspect.signature(tool.open).parameters:
        return tool.open(images, seed=seed)
    return tool.open(images)


@dataclass(frozen=True)
class ToolContext:
    """What a tool may be built from."""

    recipe: Recipe
    images: ImageStore
    data: str
    """The fsspec root of the data folder, which what an asset builds lies under."""


def tool_names() -> list[str]:
    """The names that a recipe may give under `tools`."""
    return module_names(__name__)


def get_tool(name: str) -> ModuleType:
    """The module of that name.

    Raises:
        RecipeError: there is no such tool; the message lists those that there are.
    """
    return get_module(__name__, name, "tool")


def options_of(name: str, recipe: Recipe, file: str = "recipe") -> Section:
    """The checked settings of a tool.

    Raises:
        RecipeError: naming the file and the key.
    """
    module = get_tool(name)
    section = getattr(module, "SECTION", None)
    if section is None:
        return check_settings(module.Options, recipe.tool_options.get(name, {}), file, f"tool_options.{name}")
    if name in recipe.tool_options:
        raise RecipeError(f"{file}: tool_options.{name}: the settings of this tool are given under {section!r}")
    return getattr(recipe, section)


def offered(recipe: Recipe) -> list[str]:
    """The names of all tools that the recipe offers for any task, each once."""
    return list(dict.fromkeys(name for names in recipe.tools.values() for name in names))


def assets_of(recipe: Recipe) -> list[str]:
    """The names of the assets that the recipe's tools are built from: what uses tools depends on them."""
    assets = (getattr(get_tool(name), "ASSET", None) for name in offered(recipe))
    return sorted({asset for asset in assets if asset is not None})


def check_tools(recipe: Recipe, file: str) -> None:
    """Check which tools the recipe offers, and the settings of each.

    Raises:
        RecipeError: naming the file and the key.
    """
    named = [(name, f"tools.{task}") for task, names in recipe.tools.items() for name in names]
    for name, key in [*named, *((name, "tool_options") for name in recipe.tool_options)]:
        try:
            get_tool(name)
        except RecipeError as error:
            raise RecipeError(f"{file}: {key}: {error}") from None
        options_of(name, recipe, file)
    for name in offered(recipe):
        module = get_tool(name)
        if hasattr(module, "check"):
            try:
                module.check(recipe)
            except RecipeError as error:
                raise RecipeError(f"{file}: {error}") from None


def build_tool(name: str, context: ToolContext) -> Tool:
    """A tool by its name, with the recipe's settings.

    Raises:
        RecipeError: there is no such tool, or its settings are wrong.
    """
    return get_tool(name).build(options_of(name, context.recipe), context)
