"""The python tool as other trainers describe it to a policy: its function schema, and verl's file of tools."""

from typing import Any

import yaml

from records.recipe import SandboxSettings as Settings
from rollouts.tools.python import PARAMETERS, describe


def tool_schema(settings: Settings) -> dict[str, Any]:
    """The tool in the form of OpenAI's functions, in the words that the curated prompts had."""
    function = {"name": "python", "description": describe(settings), "parameters": PARAMETERS}
    return {"type": "function", "function": function}


def verl_tools(settings: Settings, *, sees_images: bool = False, images_root: str | None = None) -> str:
    """YAML for verl's `multi_turn.tool_config_path`.

    Made where the recipe's libraries are installed: verl's own environment may hold others, and the policy should read
    what is true of the sandbox.
    """
    config = {"type": "native", "sandbox": settings.model_dump(mode="json"), "sees_images": sees_images}
    if images_root is not None:
        config["images_root"] = images_root
    tool = {
        "class_name": "training.environments.verl.PythonTool",
        "config": config,
        "tool_schema": tool_schema(settings),
    }
    return yaml.safe_dump({"tools": [tool]}, sort_keys=False, allow_unicode=True, width=120)
